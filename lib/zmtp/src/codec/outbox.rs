//! Bytes on their way to a socket: small frames gathered in one buffer, large ones by reference.
//!
//! # Invariants
//! - Bytes leave in the order in which they were put in, whatever way they are kept.
//! - A payload of [`REFERENCE_BYTES_MIN`] or more is never copied.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

use super::frame::{HEADER_BYTES_MAX, Header, write_header};
use crate::message::Message;

/// A smaller payload costs less to copy than to have an entry of its own in a gathered write.
const REFERENCE_BYTES_MIN: usize = 8 * 1024;
/// Memory kept while nothing waits: a whole burst of a busy connection.
const KEPT_BYTES_MAX: usize = 256 * 1024;
/// How many slices one write gathers; the kernel takes 1024, and more than this gains nothing.
pub(crate) const SLICES_MAX: usize = 64;

/// The queue of bytes to write.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Headers and small payloads.
    copied: Vec<u8>,
    /// How much of `copied` has been written.
    written: usize,
    /// Payloads kept by reference, each with the place in `copied` that it goes before.
    referenced: VecDeque<(usize, Bytes)>,
    /// The sum of `referenced`.
    referenced_bytes: usize,
}

impl Outbox {
    /// Bytes waiting.
    pub(crate) fn len(&self) -> usize {
        self.copied.len() - self.written + self.referenced_bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts in bytes as they are.
    pub(crate) fn push_raw(&mut self, bytes: &[u8]) {
        self.copied.extend_from_slice(bytes);
    }

    /// Puts in every frame of a message.
    pub(crate) fn push_message(&mut self, message: &Message) {
        let frames = message.frames();
        for (index, frame) in frames.iter().enumerate() {
            self.push_frame(index + 1 < frames.len(), false, frame);
        }
    }

    /// Puts in one frame.
    pub(crate) fn push_frame(&mut self, more: bool, command: bool, body: &Bytes) {
        if body.len() >= REFERENCE_BYTES_MIN {
            write_header(&mut self.copied, Header { more, command, len: body.len() });
            self.referenced_bytes += body.len();
            self.referenced.push_back((self.copied.len(), body.clone()));
        } else {
            self.push_copied_frame(more, command, body);
        }
    }

    /// Puts in one frame that is made of pieces of the caller's memory.
    pub(crate) fn push_copied_frame(&mut self, more: bool, command: bool, body: &[u8]) {
        self.copied.reserve(HEADER_BYTES_MAX + body.len());
        write_header(&mut self.copied, Header { more, command, len: body.len() });
        self.copied.extend_from_slice(body);
    }

    /// What to write next, in order; how many slices were filled in.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES_MAX]) -> usize {
        let mut count = 0;
        let mut from = self.written;
        let mut add = |bytes: &'a [u8]| {
            if count < SLICES_MAX && !bytes.is_empty() {
                slices[count] = IoSlice::new(bytes);
                count += 1;
            }
            count < SLICES_MAX
        };
        for (place, payload) in &self.referenced {
            if !add(&self.copied[from..*place]) || !add(payload) {
                return count;
            }
            from = *place;
        }
        add(&self.copied[from..]);
        count
    }

    /// Takes off what has been written.
    pub(crate) fn advance(&mut self, mut bytes: usize) {
        while bytes > 0 {
            let place = self.referenced.front().map_or(self.copied.len(), |(place, _)| *place);
            let before = bytes.min(place - self.written);
            self.written += before;
            bytes -= before;
            let Some((_, payload)) = self.referenced.front_mut() else { break };
            let inside = bytes.min(payload.len());
            bytes::Buf::advance(payload, inside);
            self.referenced_bytes -= inside;
            bytes -= inside;
            if payload.is_empty() {
                self.referenced.pop_front();
            } else {
                break;
            }
        }
        if self.is_empty() {
            self.copied.clear();
            self.written = 0;
            // A burst's memory goes back, so that thousands of idle connections cost little.
            self.copied.shrink_to(KEPT_BYTES_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn drain(outbox: &mut Outbox, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while !outbox.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = outbox.slices(&mut slices);
            let bytes: Vec<u8> =
                slices[..count].iter().flat_map(|slice| slice.iter().copied()).take(step).collect();
            assert!(!bytes.is_empty());
            outbox.advance(bytes.len());
            all.extend_from_slice(&bytes);
        }
        all
    }

    proptest! {
        #[test]
        fn bytes_leave_in_order_however_they_are_kept_and_cut(
            lens in prop::collection::vec(prop_oneof![0_usize..100, REFERENCE_BYTES_MIN..REFERENCE_BYTES_MIN + 99], 1..40),
            step in 1_usize..30_000,
        ) {
            let mut outbox = Outbox::default();
            let mut expected = Vec::new();
            for (index, len) in lens.into_iter().enumerate() {
                let body = Bytes::from(vec![u8::try_from(index).unwrap(); len]);
                outbox.push_frame(false, false, &body);
                write_header(&mut expected, Header { more: false, command: false, len });
                expected.extend_from_slice(&body);
            }
            prop_assert_eq!(outbox.len(), expected.len());
            prop_assert_eq!(drain(&mut outbox, step), expected);
        }
    }

    #[test]
    fn a_large_payload_is_not_copied() {
        let body = Bytes::from(vec![1; REFERENCE_BYTES_MIN]);
        let mut outbox = Outbox::default();
        outbox.push_message(&Message::single(body.clone()));
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        assert_eq!(outbox.slices(&mut slices), 2);
        assert_eq!(slices[1].as_ptr(), body.as_ptr());
    }
}
