//! Looking records up in a partition's log.

use posthouse_log::{Chunk, Log, ReadError, ReadLimit, StorageError};
use posthouse_record::{Batch, Record};
use posthouse_types::Offset;

use crate::queues::limits::{BATCH_BYTES_MAX, READ_BYTES_MAX};

/// LIMIT: bytes read for one record that is asked for; what a batch of a few records takes.
const READ_BYTES_MIN: usize = 4 << 10;

/// Records found, and how far the search went.
#[derive(Debug, Default)]
pub(crate) struct Fresh {
    pub(crate) records: Vec<Record>,
    /// Everything below was given or passed over.
    pub(crate) next: Offset,
}

/// Records from `from` on that `wanted` accepts, until `full` says that it is enough. Reads once: it
/// may find less than there is, but it never stays where it was unless it is at the end.
pub(crate) async fn read_fresh(
    log: &dyn Log,
    from: Offset,
    max: usize,
    mut wanted: impl FnMut(&Record) -> bool,
    mut full: impl FnMut(&Record) -> bool,
) -> Result<Fresh, ReadError> {
    let ends = log.ends();
    let from = from.max(ends.log_start);
    let mut fresh = Fresh { records: Vec::new(), next: from };
    if max == 0 || from >= ends.last_stable {
        return Ok(fresh);
    }
    let bytes = max.saturating_mul(1024).clamp(READ_BYTES_MIN, READ_BYTES_MAX);
    let chunks = match log.read(from, ReadLimit { bytes, until: ends.last_stable }).await {
        Ok(chunks) => chunks,
        // Retention has just passed this place.
        Err(ReadError::OutOfRange { log_start, .. }) if log_start > from => {
            return Ok(Fresh { next: log_start, ..fresh });
        }
        Err(error) => return Err(error),
    };
    for chunk in chunks {
        let mut bytes = load(chunk).await?;
        while let Some(batch) = next_batch(&mut bytes, fresh.next)? {
            let end = batch.header().last_offset().plus(1).min(ends.last_stable);
            if batch.header().control {
                fresh.next = fresh.next.max(end);
                continue;
            }
            for record in records(&batch)? {
                let record = record?;
                if record.offset < fresh.next || record.offset >= ends.last_stable {
                    continue;
                }
                let passed = !wanted(&record);
                if !passed && (fresh.records.len() == max || full(&record)) {
                    fresh.next = record.offset;
                    return Ok(fresh);
                }
                fresh.next = record.offset.plus(1);
                if !passed {
                    fresh.records.push(record);
                }
            }
            fresh.next = fresh.next.max(end);
        }
    }
    if fresh.next == from {
        // What was there has been compacted away.
        fresh.next = ends.last_stable;
    }
    Ok(fresh)
}

/// One record; `None` when it is not in the log any more.
pub(crate) async fn read_one(log: &dyn Log, offset: Offset) -> Result<Option<Record>, ReadError> {
    let ends = log.ends();
    if offset < ends.log_start || offset >= ends.durable_end {
        return Ok(None);
    }
    let chunks = match log.read(offset, ReadLimit { bytes: 1, until: offset.plus(1) }).await {
        Ok(chunks) => chunks,
        Err(ReadError::OutOfRange { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    for chunk in chunks {
        let mut bytes = load(chunk).await?;
        while let Some(batch) = next_batch(&mut bytes, offset)? {
            if batch.header().last_offset() < offset || batch.header().control {
                continue;
            }
            for record in records(&batch)? {
                let record = record?;
                if record.offset >= offset {
                    return Ok((record.offset == offset).then_some(record));
                }
            }
        }
    }
    Ok(None)
}

fn next_batch(bytes: &mut bytes::Bytes, near: Offset) -> Result<Option<Batch>, ReadError> {
    Batch::next(bytes).map_err(|source| ReadError::Damaged { offset: near, source })
}

fn records(
    batch: &Batch,
) -> Result<impl Iterator<Item = Result<Record, ReadError>> + use<>, ReadError> {
    let offset = batch.header().base_offset;
    let damaged = move |source| ReadError::Damaged { offset, source };
    let records = batch.records(BATCH_BYTES_MAX).map_err(damaged)?;
    Ok(records.map(move |record| record.map_err(damaged)))
}

async fn load(chunk: Chunk) -> Result<bytes::Bytes, ReadError> {
    let loaded = match chunk {
        Chunk::Memory(bytes) => return Ok(bytes),
        chunk @ Chunk::File(_) => tokio::task::spawn_blocking(move || chunk.load())
            .await
            .unwrap_or_else(|_| Err(std::io::Error::other("the node is stopping"))),
    };
    loaded.map_err(|error| {
        let source = std::sync::Arc::new(error);
        ReadError::Storage(StorageError { action: "read", path: "a segment".into(), source })
    })
}
