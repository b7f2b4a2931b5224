//! Responses on their way out: one queue of memory and file parts.
//!
//! Owns the order and the count of unsent bytes. Does not write; see [`crate::connection`].

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Buf;
use posthouse_log::{Chunk, FileRange};

use crate::codec::response::Response;

/// LIMIT: parts gathered into one `writev`; Linux takes up to 1024.
pub(crate) const GATHER_MAX: usize = 64;

/// Unsent bytes in order.
#[derive(Debug, Default)]
pub(crate) struct Output {
    parts: VecDeque<Chunk>,
    len: usize,
}

impl Output {
    /// Queues a response.
    pub(crate) fn push(&mut self, response: Response) {
        self.len += response.len();
        self.parts.extend(response.into_parts().into_iter().filter(|part| !part.is_empty()));
    }

    /// Unsent bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The file range at the front, if the next bytes lie in a file.
    pub(crate) fn front_file(&self) -> Option<&FileRange> {
        match self.parts.front() {
            Some(Chunk::File(range)) => Some(range),
            _ => None,
        }
    }

    /// The memory parts at the front, up to the next file; gives how many there are.
    pub(crate) fn gather<'a>(&'a self, slices: &mut [IoSlice<'a>; GATHER_MAX]) -> usize {
        let mut count = 0;
        for (slice, part) in slices.iter_mut().zip(&self.parts) {
            let Chunk::Memory(bytes) = part else { break };
            *slice = IoSlice::new(bytes);
            count += 1;
        }
        count
    }

    /// Says that the first `sent` bytes are gone.
    pub(crate) fn advance(&mut self, sent: usize) {
        assert!(sent <= self.len, "more bytes were sent than there were");
        self.len -= sent;
        let mut left = sent;
        while let Some(front) = self.parts.front_mut()
            && left > 0
        {
            let taken = left.min(front.len());
            match front {
                Chunk::Memory(bytes) => bytes.advance(taken),
                Chunk::File(range) => {
                    range.position += u64::try_from(taken).expect("a length fits 64 bits");
                    range.len -= taken;
                }
            }
            if front.is_empty() {
                self.parts.pop_front();
            }
            left -= taken;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut, Bytes};

    use super::*;
    use crate::codec::response::{COPY_BELOW_BYTES, ResponseWriter};

    fn output(chunk: Chunk) -> Output {
        let mut writer = ResponseWriter::new(1, 0, 0);
        writer.put_chunk(chunk);
        writer.buffer().put_u8(9);
        let mut output = Output::default();
        output.push(writer.finish());
        output
    }

    #[test]
    fn memory_is_gathered_and_drained_across_parts() {
        let large = Bytes::from(vec![b'x'; COPY_BELOW_BYTES]);
        let mut output = output(Chunk::Memory(large.clone()));
        let mut slices = [IoSlice::new(&[]); GATHER_MAX];
        assert_eq!(output.gather(&mut slices), 3);
        assert_eq!(&*slices[1], &large[..]);
        output.advance(9);
        let mut slices = [IoSlice::new(&[]); GATHER_MAX];
        assert_eq!((output.gather(&mut slices), output.len()), (2, COPY_BELOW_BYTES));
        assert_eq!(&*slices[0], &large[1..]);
        output.advance(COPY_BELOW_BYTES);
        assert!(output.is_empty());
    }

    #[test]
    fn gathering_stops_before_a_file() {
        let file = std::sync::Arc::new(std::fs::File::open("/dev/null").unwrap());
        let mut output = output(Chunk::File(FileRange { file, position: 10, len: 4 }));
        assert!(output.front_file().is_none());
        let mut slices = [IoSlice::new(&[]); GATHER_MAX];
        assert_eq!(output.gather(&mut slices), 1);
        output.advance(10);
        let range = output.front_file().unwrap();
        assert_eq!((range.position, range.len), (12, 2));
        output.advance(2);
        assert!(output.front_file().is_none());
        assert_eq!(output.len(), 1);
    }
}
