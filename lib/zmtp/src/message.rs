//! A message: one frame or several, sent and received whole.
//!
//! Owns the frames and their order. Knows nothing of envelopes; see [`crate::patterns`].
//!
//! # Invariants
//! - Cloning a message copies no payload: frames are reference-counted.
//! - A message of one frame takes no memory besides that frame's.

use bytes::Bytes;
use smallvec::SmallVec;

/// One or more frames that travel together: a peer receives all of them or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Message {
    frames: SmallVec<[Bytes; 1]>,
}

impl Message {
    /// A message without frames, to push frames to. It cannot be sent while it is empty.
    pub fn new() -> Message {
        Message::default()
    }

    /// A message of one frame.
    pub fn single(frame: impl Into<Bytes>) -> Message {
        Message { frames: SmallVec::from_buf([frame.into()]) }
    }

    /// The frames in order.
    pub fn frames(&self) -> &[Bytes] {
        &self.frames
    }

    /// The frames in order, without the message.
    pub fn into_frames(self) -> impl DoubleEndedIterator<Item = Bytes> + ExactSizeIterator {
        self.frames.into_iter()
    }

    /// The first frame, which subscriptions are matched with.
    pub fn first(&self) -> Option<&Bytes> {
        self.frames.first()
    }

    /// The last frame, where most programs put what they have to say.
    pub fn last(&self) -> Option<&Bytes> {
        self.frames.last()
    }

    /// How many frames there are.
    pub fn frame_count(&self) -> usize {
        self.frames.len()
    }

    /// Whether there is no frame at all. A message of one empty frame is not empty.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The bytes of all frames together.
    pub fn byte_len(&self) -> usize {
        self.frames.iter().map(Bytes::len).sum()
    }

    /// Adds a frame at the end.
    pub fn push(&mut self, frame: impl Into<Bytes>) {
        self.frames.push(frame.into());
    }

    /// Adds a frame before all others.
    pub fn push_front(&mut self, frame: impl Into<Bytes>) {
        self.frames.insert(0, frame.into());
    }

    /// Takes the first frame off.
    pub fn pop_front(&mut self) -> Option<Bytes> {
        (!self.frames.is_empty()).then(|| self.frames.remove(0))
    }

    /// Takes the first `count` frames off; all of them when there are fewer.
    pub fn split_front(&mut self, count: usize) -> Message {
        let count = count.min(self.frames.len());
        Message { frames: self.frames.drain(..count).collect() }
    }

    /// Puts all frames of `front` before those of this message.
    pub fn prepend(&mut self, front: Message) {
        let mut frames = front.frames;
        frames.append(&mut self.frames);
        self.frames = frames;
    }
}

impl FromIterator<Bytes> for Message {
    fn from_iter<I: IntoIterator<Item = Bytes>>(frames: I) -> Message {
        Message { frames: frames.into_iter().collect() }
    }
}

impl From<Bytes> for Message {
    fn from(frame: Bytes) -> Message {
        Message::single(frame)
    }
}

impl From<Vec<u8>> for Message {
    fn from(frame: Vec<u8>) -> Message {
        Message::single(frame)
    }
}

impl From<String> for Message {
    fn from(frame: String) -> Message {
        Message::single(frame)
    }
}

impl From<&'static str> for Message {
    fn from(frame: &'static str) -> Message {
        Message::single(frame)
    }
}

impl From<&'static [u8]> for Message {
    fn from(frame: &'static [u8]) -> Message {
        Message::single(frame)
    }
}

impl<const N: usize> From<[&'static str; N]> for Message {
    fn from(frames: [&'static str; N]) -> Message {
        frames.into_iter().map(Bytes::from).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_comes_off_and_goes_back_on() {
        let whole = Message::from(["a", "b", "", "body"]);
        let mut rest = whole.clone();
        let front = rest.split_front(3);
        assert_eq!(front, Message::from(["a", "b", ""]));
        assert_eq!(rest, Message::from("body"));
        rest.prepend(front);
        assert_eq!(rest, whole);
    }

    #[test]
    fn a_message_of_one_empty_frame_is_not_empty() {
        assert!(Message::new().is_empty());
        assert!(!Message::from("").is_empty());
        assert_eq!(Message::from("").byte_len(), 0);
    }

    #[test]
    fn taking_more_than_there_is_takes_all() {
        let mut message = Message::from(["a", "b"]);
        assert_eq!(message.split_front(9).frame_count(), 2);
        assert!(message.pop_front().is_none());
    }
}
