//! What waits to be written to a client.
//!
//! Small pieces are copied together; large ones keep their buffer, whoever else holds it. One write
//! gathers as many as the system takes.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

/// LIMIT: pieces of one gathered write.
pub(crate) const GATHER_MAX: usize = 64;

/// A piece at least this large is not copied.
const SHARED_BYTES_MIN: usize = 4 * 1024;

/// Bytes to be written, in order.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pieces: VecDeque<Bytes>,
    /// Small pieces after the last of `pieces`.
    tail: BytesMut,
    len: usize,
}

impl Output {
    /// Appends a copy.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Appends, without a copy where that pays.
    pub(crate) fn push_bytes(&mut self, bytes: &Bytes) {
        if bytes.len() < SHARED_BYTES_MIN {
            self.push(bytes);
            return;
        }
        self.close_tail();
        self.len += bytes.len();
        self.pieces.push_back(bytes.clone());
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Points `slices` at what is to be written next; gives how many are used.
    pub(crate) fn gather<'a>(&'a self, slices: &mut [IoSlice<'a>; GATHER_MAX]) -> usize {
        let tail = (!self.tail.is_empty()).then_some(&self.tail[..]);
        let all = self.pieces.iter().map(|piece| &piece[..]).chain(tail);
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(all) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        count
    }

    /// Forgets the first `count` bytes, which have been written.
    pub(crate) fn advance(&mut self, mut count: usize) {
        self.len -= count;
        while let Some(first) = self.pieces.front_mut() {
            if count < first.len() {
                first.advance(count);
                return;
            }
            count -= first.len();
            self.pieces.pop_front();
        }
        if count == self.tail.len() {
            // Keeps the allocation for what comes next.
            self.tail.clear();
        } else {
            self.tail.advance(count);
        }
    }

    /// Moves everything to a buffer.
    pub(crate) fn drain_into(&mut self, buffer: &mut BytesMut) {
        for piece in self.pieces.drain(..) {
            buffer.extend_from_slice(&piece);
        }
        buffer.extend_from_slice(&self.tail.split());
        self.len = 0;
    }

    /// Everything, for tests.
    #[cfg(test)]
    pub(crate) fn take_all(&mut self) -> Vec<u8> {
        let mut all = BytesMut::new();
        self.drain_into(&mut all);
        all.to_vec()
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.pieces.push_back(self.tail.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_leave_in_order_whatever_a_write_takes() {
        let large = Bytes::from(vec![b'x'; SHARED_BYTES_MIN]);
        for step in [1, 7, 4096, 5000] {
            let mut output = Output::default();
            output.push(b"ab");
            output.push_bytes(&large);
            output.push(b"cd");
            let expected = output.len();
            let mut written = Vec::new();
            while !output.is_empty() {
                let mut slices = [IoSlice::new(&[]); GATHER_MAX];
                let count = output.gather(&mut slices);
                let all: Vec<u8> =
                    slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
                let taken = step.min(all.len());
                written.extend_from_slice(&all[..taken]);
                output.advance(taken);
            }
            assert_eq!(written.len(), expected);
            assert!(written.starts_with(b"abx") && written.ends_with(b"xcd"));
        }
    }
}
