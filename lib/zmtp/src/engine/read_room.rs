//! How much room a read gets: a shared buffer for small frames, one of its own for a large frame.
//!
//! Small frames are cut out of the buffer that they were read into, so many of them cost one read and
//! one allocation. A large frame is read into a buffer that ends where it ends: nothing of it is moved
//! but the first kilobytes, and whoever keeps the message keeps no more memory than that.
//!
//! # Invariants
//! - Without a large frame a buffer has at most [`ROOM_BYTES_MAX`].
//! - A peer that announces a large frame is given [`ANNOUNCED_BYTES_MAX`] for its word; from there on
//!   room grows with what has come.

use bytes::BytesMut;

/// Room for an idle or a talkative connection's next read; it grows while reads fill it. The largest
/// stays in a processor's cache and below what allocators ask the system for piece by piece.
const ROOM_BYTES_MIN: usize = 8 * 1024;
const ROOM_BYTES_MAX: usize = 64 * 1024;
/// A frame that lacks this much gets a buffer of its own.
const LARGE_BYTES_MIN: usize = 16 * 1024;
/// LIMIT: memory for what has only been announced. It is not touched before bytes come.
const ANNOUNCED_BYTES_MAX: usize = 1024 * 1024;

/// The room of one connection's reads.
#[derive(Debug)]
pub(super) struct ReadRoom {
    bytes: usize,
    /// The last read of small frames left no room, so there may be more.
    was_filled: bool,
    is_large: bool,
}

impl Default for ReadRoom {
    fn default() -> ReadRoom {
        ReadRoom { bytes: ROOM_BYTES_MIN, was_filled: false, is_large: false }
    }
}

impl ReadRoom {
    /// Makes room in `input`, where `missing` bytes are needed for the next frame as far as is known.
    pub(super) fn make(&mut self, input: &mut BytesMut, missing: usize) {
        self.is_large = missing >= LARGE_BYTES_MIN;
        if self.is_large {
            self.make_large(input, missing);
            return;
        }
        if std::mem::take(&mut self.was_filled) {
            self.bytes = (self.bytes * 4).min(ROOM_BYTES_MAX);
        }
        // What is left of a buffer is used up before another is taken, unless it is hardly worth a read.
        let spare = input.capacity() - input.len();
        if spare < missing.max(self.bytes / 4) {
            input.reserve(missing.max(self.bytes));
        }
    }

    /// Notes what a read has left.
    pub(super) fn has_read(&mut self, input: &BytesMut) {
        self.was_filled = !self.is_large && input.capacity() == input.len();
    }

    fn make_large(&mut self, input: &mut BytesMut, missing: usize) {
        // After the frame comes a header, and with it only a little of the next frame is to be moved.
        self.bytes = ROOM_BYTES_MIN;
        if input.capacity() - input.len() >= missing {
            return;
        }
        let room = missing.min(ANNOUNCED_BYTES_MAX.max(input.len()));
        if input.capacity() == input.len() || room == missing {
            let mut own = BytesMut::with_capacity(input.len() + room);
            own.extend_from_slice(input);
            *input = own;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(len: usize) -> BytesMut {
        BytesMut::from(&vec![7; len][..])
    }

    #[test]
    fn a_large_frame_ends_where_its_buffer_ends() {
        let (mut room, mut input) = (ReadRoom::default(), with(5000));
        room.make(&mut input, 60_000);
        assert_eq!((input.len(), input.capacity()), (5000, 65_000));
        let place = input.as_ptr();
        input.extend_from_slice(&[7; 50_000]);
        room.has_read(&input);
        room.make(&mut input, 10_000);
        assert_eq!(input.as_ptr(), place, "the rest has its room already");
    }

    #[test]
    fn an_announced_frame_gets_room_as_it_comes() {
        let (mut room, mut input) = (ReadRoom::default(), with(10));
        let whole = 100 * ANNOUNCED_BYTES_MAX;
        let mut given = Vec::new();
        while input.len() < whole {
            let missing = whole - input.len();
            room.make(&mut input, missing);
            given.push(input.capacity());
            assert!(input.capacity() <= 2 * input.len() + ANNOUNCED_BYTES_MAX);
            input.resize(input.capacity(), 7);
            room.has_read(&input);
        }
        assert_eq!(input.capacity(), whole);
        assert!(given.len() < 10, "moved too often: {given:?}");
    }

    #[test]
    fn room_grows_while_reads_fill_it_and_shrinks_after_a_large_frame() {
        let (mut room, mut input) = (ReadRoom::default(), BytesMut::new());
        for expected in [ROOM_BYTES_MIN, 4 * ROOM_BYTES_MIN, ROOM_BYTES_MAX, ROOM_BYTES_MAX] {
            input.clear();
            let mut fresh = BytesMut::new();
            room.make(&mut fresh, 2);
            assert_eq!(fresh.capacity(), expected);
            fresh.resize(expected, 7);
            room.has_read(&fresh);
        }
        room.make(&mut input, LARGE_BYTES_MIN);
        input.resize(input.capacity(), 7);
        room.has_read(&input);
        let mut fresh = BytesMut::new();
        room.make(&mut fresh, 2);
        assert_eq!(fresh.capacity(), ROOM_BYTES_MIN);
    }

    #[test]
    fn what_is_left_of_a_buffer_is_used_while_it_is_worth_a_read() {
        let (mut room, mut input) = (ReadRoom::default(), BytesMut::with_capacity(ROOM_BYTES_MIN));
        input.extend_from_slice(&[7; ROOM_BYTES_MIN / 2]);
        drop(input.split_to(ROOM_BYTES_MIN / 2));
        let place = input.as_ptr();
        room.make(&mut input, 2);
        assert_eq!(input.as_ptr(), place);
    }
}
