//! Stored chunks into records.

use posthouse_log::{Chunk, ReadError};
use posthouse_record::{Batch, BatchError, Compression, Record};
use posthouse_types::Offset;

/// LIMIT: what one stored batch may decompress to.
const BATCH_EXPANDED_MAX: usize = 128 * 1024 * 1024;
/// Up to this many bytes that lie in memory uncompressed are decoded where they are: cheaper than
/// handing them to another thread.
const INLINE_BYTES_MAX: usize = 64 * 1024;

/// Why records could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordsError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("cannot read a stored batch")]
    Load(#[source] std::io::Error),
    #[error("a stored batch is damaged")]
    Batch(#[from] BatchError),
    #[error("the decoding thread panicked")]
    Panicked,
}

/// The records from `next` on and below `until`, and the offset after all that was looked at.
pub(super) async fn load(
    chunks: Vec<Chunk>,
    next: Offset,
    until: Offset,
) -> Result<(Vec<Record>, Offset), RecordsError> {
    if chunks.iter().all(|chunk| matches!(chunk, Chunk::Memory(_)))
        && chunks.iter().map(Chunk::len).sum::<usize>() <= INLINE_BYTES_MAX
        && let Some(decoded) = decode(&chunks, next, until, false)?
    {
        return Ok(decoded);
    }
    let work = move || decode(&chunks, next, until, true);
    let decoded = tokio::task::spawn_blocking(work).await.map_err(|_| RecordsError::Panicked)??;
    Ok(decoded.expect("a thread of its own may decompress"))
}

/// `None` when something is compressed, and `may_block` says that this thread must not expand it.
fn decode(
    chunks: &[Chunk],
    next: Offset,
    until: Offset,
    may_block: bool,
) -> Result<Option<(Vec<Record>, Offset)>, RecordsError> {
    let (mut records, mut after) = (Vec::new(), next);
    for chunk in chunks {
        let mut bytes = chunk.load().map_err(RecordsError::Load)?;
        while let Some(batch) = Batch::next(&mut bytes)? {
            let header = batch.header();
            if !may_block && header.compression != Compression::None {
                return Ok(None);
            }
            let end = header.last_offset().plus(1);
            if !header.control {
                for record in batch.records(BATCH_EXPANDED_MAX)? {
                    let record = record?;
                    if (next..until).contains(&record.offset) {
                        records.push(record);
                    }
                }
            }
            after = after.max(end.min(until));
        }
    }
    Ok(Some((records, after)))
}
