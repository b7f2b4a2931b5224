//! Steps over the batches of a segment file, header by header.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use posthouse_record::{BATCH_HEADER_BYTES, Batch, BatchError, BatchHeader};

use crate::disk::DiskFile;

/// Bytes read at once: some small batches' headers, and not much of a large batch.
const WINDOW_BYTES: usize = 4 * 1024;

/// A walk from one batch start to the next. Bodies are not read.
pub(crate) struct HeaderWalk<'a> {
    file: &'a dyn DiskFile,
    position: u64,
    end: u64,
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
    /// A walk from `position`, which is a batch start, to `end`.
    pub(crate) fn new(file: &'a dyn DiskFile, position: u64, end: u64) -> HeaderWalk<'a> {
        HeaderWalk { file, position, end, window: Vec::new(), window_start: 0 }
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

/// The whole batch at `position`.
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
    batch.ok_or(WalkError::Damaged(truncated))
}
