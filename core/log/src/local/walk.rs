//! Steps over the batches of a segment file, header by header.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use posthouse_record::{BATCH_HEADER_BYTES, Batch, BatchError, BatchHeader};
use posthouse_types::Offset;

use crate::disk::DiskFile;
use crate::retention::SegmentFacts;

/// Bytes read at once: some small batches' headers, and not much of a large batch.
const WINDOW_BYTES: usize = 4 * 1024;

/// A walk from one batch start to the next. Bodies are not read.
///
/// The base offset lies outside a batch's checksum, so it is checked here against where it stands: a
/// batch that says it is elsewhere must not make a search pass over it.
pub(crate) struct HeaderWalk<'a> {
    file: &'a dyn DiskFile,
    position: u64,
    end: u64,
    /// What the offsets from here to the end of the segment must lie in.
    offsets: Range<Offset>,
    window: Vec<u8>,
    window_start: u64,
}

/// Why a step failed.
#[derive(Debug)]
pub(crate) enum WalkError {
    Io(io::Error),
    /// What is at the position is not a batch.
    Damaged(BatchError),
}

impl<'a> HeaderWalk<'a> {
    /// A walk over a segment from `position`, which is a batch start, to its end.
    pub(crate) fn new(
        file: &'a dyn DiskFile,
        position: u64,
        facts: SegmentFacts,
    ) -> HeaderWalk<'a> {
        let (end, offsets) = (facts.bytes, facts.base..facts.next);
        HeaderWalk { file, position, end, offsets, window: Vec::new(), window_start: 0 }
    }

    /// The batch at the current position, then steps over it; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, BatchHeader)>, WalkError> {
        if self.position >= self.end {
            return Ok(None);
        }
        let position = self.position;
        let left = self.end - position;
        let header = BatchHeader::parse(self.header_bytes()?).map_err(WalkError::Damaged)?;
        if header.size as u64 > left {
            let (len, needed) = (usize::try_from(left).unwrap_or(usize::MAX), header.size);
            return Err(WalkError::Damaged(BatchError::Truncated { len, needed }));
        }
        if header.base_offset < self.offsets.start || header.last_offset() >= self.offsets.end {
            let value = header.base_offset.value();
            return Err(WalkError::Damaged(BatchError::Field { field: "base_offset", value }));
        }
        self.offsets.start = header.last_offset().plus(1);
        self.position += header.size as u64;
        Ok(Some((position, header)))
    }

    fn header_bytes(&mut self) -> Result<&[u8], WalkError> {
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let wanted = left.min(BATCH_HEADER_BYTES);
        let offset =
            usize::try_from(self.position.wrapping_sub(self.window_start)).unwrap_or(usize::MAX);
        let is_inside = offset.checked_add(wanted).is_some_and(|end| end <= self.window.len());
        if !is_inside || self.window.is_empty() {
            self.window.resize(left.min(WINDOW_BYTES), 0);
            self.file.read_exact_at(&mut self.window, self.position).map_err(WalkError::Io)?;
            self.window_start = self.position;
        }
        let offset = usize::try_from(self.position - self.window_start).unwrap_or(usize::MAX);
        Ok(&self.window[offset..offset + wanted])
    }
}

/// The whole batch at `position`, its checksum verified.
pub(crate) fn load(
    file: &Arc<dyn DiskFile>,
    position: u64,
    header: &BatchHeader,
) -> Result<Batch, WalkError> {
    let mut bytes = BytesMut::zeroed(header.size);
    file.read_exact_at(&mut bytes, position).map_err(WalkError::Io)?;
    let mut bytes: Bytes = bytes.freeze();
    let batch = Batch::next(&mut bytes).map_err(WalkError::Damaged)?;
    let truncated = BatchError::Truncated { len: 0, needed: header.size };
    let batch = batch.ok_or(WalkError::Damaged(truncated))?;
    // Compaction writes it again under a new checksum, which must not make damage look whole.
    batch.verify().map_err(WalkError::Damaged)?;
    Ok(batch)
}
