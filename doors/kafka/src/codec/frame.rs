//! Cuts a byte stream into frames, each in its own buffer of exactly the announced size.
//!
//! The reader asks where the next bytes go ([`Frames::spare`]), fills that, and says how much it
//! wrote. A frame that arrives piecemeal is read straight into its own buffer, so a large produce
//! request is copied by the kernel only; what follows it lands in a small staging buffer by the
//! same system call.
//!
//! # Invariants
//! - The announced length is checked against the limit before anything is allocated for it, and a
//!   large frame waits until whoever drives the reader grants its memory.
//! - Memory for a frame is zero pages until bytes arrive: announcing 100 MiB and sending nothing
//!   takes address space, not memory.
//!
//! # Source
//! Kafka protocol guide, "Protocol Primitive Types" and "Common Request and Response Structure":
//! every request is an `INT32` size and that many bytes.

use std::io::IoSliceMut;

use bytes::BytesMut;

/// LIMIT: bytes read ahead of a frame's own buffer. Most requests of a consumer fit; a produce
/// request of 16 KiB costs one copy of this size at most.
const STAGING_BYTES: usize = 16 * 1024;

/// LIMIT: a larger frame is read only once memory is granted for it; see [`Frames::awaits_grant`].
pub(crate) const LARGE_FRAME_BYTES: usize = 64 * 1024;

/// A frame's length prefix.
const PREFIX_BYTES: usize = 4;

/// Why a byte stream is not frames. Ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("frame of {len} bytes is larger than the limit of {max}")]
    TooLarge { len: u32, max: usize },
    #[error("frame has negative length {len}")]
    Negative { len: i32 },
}

/// A splitter of one connection's incoming bytes.
#[derive(Debug)]
pub(crate) struct Frames {
    staging: Box<[u8]>,
    /// The staged bytes not yet given out.
    staged: std::ops::Range<usize>,
    /// A frame that is still arriving, and how many of its bytes are here.
    partial: Option<(BytesMut, usize)>,
    /// The length of a large frame that has not been granted its memory.
    awaits_grant: Option<usize>,
    frame_bytes_max: usize,
}

impl Frames {
    pub(crate) fn new(frame_bytes_max: usize) -> Frames {
        Frames {
            staging: vec![0; STAGING_BYTES].into_boxed_slice(),
            staged: 0..0,
            partial: None,
            awaits_grant: None,
            frame_bytes_max,
        }
    }

    /// Changes how long the frames that follow may be.
    pub(crate) fn limit(&mut self, frame_bytes_max: usize) {
        self.frame_bytes_max = frame_bytes_max;
    }

    /// The length of a large frame that needs [`Frames::grant`] before any more is read.
    pub(crate) fn awaits_grant(&self) -> Option<usize> {
        self.awaits_grant
    }

    /// Lets the large frame that waits be read.
    pub(crate) fn grant(&mut self) {
        if let Some(len) = self.awaits_grant.take() {
            self.receive(len);
        }
    }

    /// Whether a large frame has its memory and is still arriving.
    pub(crate) fn is_receiving_large(&self) -> bool {
        self.arriving().is_some_and(|frame| frame.len() > LARGE_FRAME_BYTES)
    }

    /// A frame of which bytes are missing.
    fn arriving(&self) -> Option<&BytesMut> {
        let partial = self.partial.as_ref().filter(|(frame, filled)| *filled < frame.len());
        partial.map(|(frame, _)| frame)
    }

    /// Whether [`Frames::next`] has something to tell: a whole frame, or what is wrong with one.
    pub(crate) fn has_next(&self) -> bool {
        if self.partial.is_some() || self.awaits_grant.is_some() {
            return self.partial.is_some() && self.arriving().is_none();
        }
        let staged = &self.staging[self.staged.clone()];
        staged.split_first_chunk::<PREFIX_BYTES>().is_some_and(|(prefix, rest)| {
            self.checked_len(*prefix).map_or(true, |len| len <= rest.len())
        })
    }

    /// Whether there is room for a byte: there is none only while something waits for [`Frames::next`].
    pub(crate) fn has_room(&self) -> bool {
        self.arriving().is_some() || self.staged.len() < self.staging.len()
    }

    /// Where the next bytes go: first the rest of a frame, then what follows it.
    ///
    /// Both are empty only without [`Frames::has_room`].
    pub(crate) fn spare(&mut self) -> [IoSliceMut<'_>; 2] {
        self.compact();
        let after = &mut self.staging[self.staged.end..];
        let own = match &mut self.partial {
            Some((frame, filled)) => &mut frame[*filled..],
            None => &mut [],
        };
        [IoSliceMut::new(own), IoSliceMut::new(after)]
    }

    /// Says that `count` bytes were written into [`Frames::spare`], in its order.
    pub(crate) fn advance(&mut self, count: usize) {
        let own = match &mut self.partial {
            Some((frame, filled)) => {
                let own = count.min(frame.len() - *filled);
                *filled += own;
                own
            }
            None => 0,
        };
        self.staged.end += count - own;
        assert!(self.staged.end <= self.staging.len(), "more bytes were read than there was room");
    }

    /// The next whole frame without its length prefix, if it is here.
    pub(crate) fn next(&mut self) -> Result<Option<BytesMut>, FrameError> {
        if self.partial.is_none() && self.awaits_grant.is_none() {
            self.begin()?;
        }
        match &self.partial {
            Some((frame, filled)) if *filled == frame.len() => {
                Ok(self.partial.take().map(|(frame, _)| frame))
            }
            _ => Ok(None),
        }
    }

    /// Bytes held for a frame that is still arriving.
    pub(crate) fn partial_bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |(_, filled)| *filled)
    }

    /// Whether the stream stands between two frames.
    #[cfg(test)]
    pub(crate) fn is_between_frames(&self) -> bool {
        self.partial.is_none() && self.staged.is_empty()
    }

    /// Starts a frame whose length prefix is staged.
    fn begin(&mut self) -> Result<(), FrameError> {
        let staged = &self.staging[self.staged.clone()];
        let Some(prefix) = staged.first_chunk::<PREFIX_BYTES>() else { return Ok(()) };
        let len = self.checked_len(*prefix)?;
        if len > LARGE_FRAME_BYTES {
            self.awaits_grant = Some(len);
        } else {
            self.receive(len);
        }
        Ok(())
    }

    /// Makes room for a frame and moves over what is staged of it, leaving out the prefix.
    fn receive(&mut self, len: usize) {
        let arrived = &self.staging[self.staged.start + PREFIX_BYTES..self.staged.end];
        let mut frame = BytesMut::zeroed(len);
        let filled = arrived.len().min(len);
        frame[..filled].copy_from_slice(&arrived[..filled]);
        self.staged.start += PREFIX_BYTES + filled;
        self.partial = Some((frame, filled));
    }

    fn checked_len(&self, prefix: [u8; PREFIX_BYTES]) -> Result<usize, FrameError> {
        let max = self.frame_bytes_max;
        let signed = i32::from_be_bytes(prefix);
        let len = u32::try_from(signed).map_err(|_| FrameError::Negative { len: signed })?;
        match usize::try_from(len) {
            Ok(bytes) if bytes <= max => Ok(bytes),
            _ => Err(FrameError::TooLarge { len, max }),
        }
    }

    /// Moves staged bytes to the front when they are few or nothing more fits behind them.
    fn compact(&mut self) {
        if self.staged.is_empty() {
            self.staged = 0..0;
        } else if self.staged.end == self.staging.len() && self.staged.start > 0 {
            let len = self.staged.len();
            self.staging.copy_within(self.staged.clone(), 0);
            self.staged = 0..len;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: usize = 1024 * 1024;

    fn stream(frames: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for frame in frames {
            bytes.extend_from_slice(&u32::try_from(frame.len()).unwrap().to_be_bytes());
            bytes.extend_from_slice(frame);
        }
        bytes
    }

    /// Feeds at most `step` bytes at a time and collects every frame.
    fn feed(mut input: &[u8], step: usize) -> Result<Vec<Vec<u8>>, FrameError> {
        let mut frames = Frames::new(MAX);
        let mut out = Vec::new();
        while !input.is_empty() {
            let mut wrote = 0;
            for slice in &mut frames.spare() {
                let count = slice.len().min(input.len()).min(step - wrote);
                slice[..count].copy_from_slice(&input[..count]);
                input = &input[count..];
                wrote += count;
            }
            assert!(wrote > 0, "no room for the next bytes");
            frames.advance(wrote);
            while let Some(frame) = next_granted(&mut frames)? {
                out.push(frame.to_vec());
            }
        }
        assert!(frames.is_between_frames());
        Ok(out)
    }

    fn next_granted(frames: &mut Frames) -> Result<Option<BytesMut>, FrameError> {
        let next = frames.next()?;
        if frames.awaits_grant().is_none() {
            return Ok(next);
        }
        frames.grant();
        frames.next()
    }

    #[test]
    fn a_large_frame_takes_no_memory_before_it_is_granted() {
        let mut frames = Frames::new(MAX);
        let input = stream(&[vec![7; LARGE_FRAME_BYTES + 1]]);
        frames.spare()[1][..100].copy_from_slice(&input[..100]);
        frames.advance(100);
        assert_eq!(frames.next().unwrap(), None);
        assert_eq!(frames.awaits_grant(), Some(LARGE_FRAME_BYTES + 1));
        assert!(frames.spare()[0].is_empty());
        frames.grant();
        assert_eq!(frames.next().unwrap(), None);
        assert!(frames.is_receiving_large());
        let rest = LARGE_FRAME_BYTES + 1 - 96;
        assert_eq!(frames.spare()[0].len(), rest);
    }

    #[test]
    fn a_frame_above_the_limit_is_refused_before_allocation() {
        let refused = feed(&[0x7f, 0xff, 0xff, 0xff], 4);
        assert_eq!(refused, Err(FrameError::TooLarge { len: 0x7fff_ffff, max: MAX }));
    }

    #[test]
    fn a_negative_length_is_refused() {
        assert_eq!(feed(&[0xff; 4], 4), Err(FrameError::Negative { len: -1 }));
    }

    #[test]
    fn a_frame_owns_exactly_its_bytes() {
        let mut frames = Frames::new(MAX);
        let input = stream(&[vec![7; 100]]);
        frames.spare()[1][..input.len()].copy_from_slice(&input);
        frames.advance(input.len());
        let frame = frames.next().unwrap().unwrap();
        assert_eq!((frame.len(), frame.capacity()), (100, 100));
    }

    proptest! {
        #[test]
        fn any_way_of_cutting_the_stream_gives_the_same_frames(
            sizes in prop::collection::vec(prop_oneof![0usize..40, 0usize..70_000], 0..6),
            step in prop_oneof![Just(1usize), 2usize..50, Just(usize::MAX / 2)],
        ) {
            // One byte at a time over large frames only costs time.
            let sizes: Vec<_> = sizes.into_iter().map(|size| if step < 50 { size % 900 } else { size }).collect();
            let frames: Vec<Vec<u8>> =
                sizes.iter().enumerate().map(|(index, &size)| vec![u8::try_from(index).unwrap(); size]).collect();
            prop_assert_eq!(feed(&stream(&frames), step).unwrap(), frames);
        }
    }
}
