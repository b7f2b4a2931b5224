//! Reads that the tail cache cannot serve: ranges of segment files.

use std::sync::Arc;

use posthouse_types::Offset;

use super::handles::Handles;
use super::segment::Segment;
use crate::{Chunk, ReadError, ReadLimit, metrics};

/// Whole batches from the one that contains `from` on, as ranges of files.
///
/// # Errors
/// [`ReadError::Storage`] and [`ReadError::Damaged`].
pub(crate) fn read_segments(
    segments: &[Arc<Segment>],
    handles: &Handles,
    from: Offset,
    limit: ReadLimit,
) -> Result<Vec<Chunk>, ReadError> {
    let first = segments.partition_point(|segment| segment.base <= from).saturating_sub(1);
    let (mut chunks, mut left) = (Vec::new(), limit.bytes);
    for segment in segments.iter().skip(first) {
        if segment.base >= limit.until {
            break;
        }
        handles.touch(segment);
        let limit = ReadLimit { bytes: left, ..limit };
        let Some(found) = segment.read(from, limit, chunks.is_empty())? else {
            // Compaction can leave a segment with nothing at or above `from`.
            if chunks.is_empty() { continue } else { break }
        };
        left = left.saturating_sub(found.chunk.len());
        chunks.push(found.chunk);
        if !found.is_to_the_end || left == 0 {
            break;
        }
    }
    metrics::read("disk", chunks.iter().map(|chunk| chunk.len() as u64).sum());
    Ok(chunks)
}
