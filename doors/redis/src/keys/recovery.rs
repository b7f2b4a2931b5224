//! Reading the keys back.
//!
//! Two passes over the log: the first finds the newest snapshot that is complete, the second replays
//! from its beginning. A snapshot that was cut off restates keys as they were and may be replayed,
//! all but its first effect, which empties everything.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use posthouse_broker::OpenBrokerError;
use posthouse_keyspace::{Change, Effect, Keyspace};
use posthouse_log::{Chunk, Log, ReadError, ReadLimit, StorageError};
use posthouse_record::{Batch, Record};
use posthouse_types::Offset;

use super::MORE;

const TOPIC: &str = "__posthouse_keys";

/// LIMIT: bytes read at a time, and what a batch may expand to; batches are written uncompressed.
const READ_BYTES: usize = 8 << 20;
const EXPANDED_BYTES_MAX: usize = 64 << 20;

/// What was read.
pub(super) struct Read {
    /// One above the last record.
    pub(super) end: Offset,
    /// Bytes of effects since the last complete snapshot began.
    pub(super) bytes: usize,
}

/// Replays the log into `keyspace`.
pub(super) async fn recover(
    log: &dyn Log,
    keyspace: &mut Keyspace,
) -> Result<Read, OpenBrokerError> {
    let end = everything_durable(log).await.map_err(unreadable)?;
    let mut begun = None;
    let mut complete = None;
    read(log, end, |at, effects, _| {
        for effect in effects {
            match effect.change {
                Change::Begin => begun = Some(at),
                Change::Complete => complete = begun.take(),
                _ => {}
            }
        }
    })
    .await?;
    let mut bytes = 0;
    read(log, end, |at, effects, len| {
        if complete.is_some_and(|complete| at < complete) {
            return;
        }
        bytes += len;
        for effect in effects {
            if effect.change != Change::Begin {
                keyspace.replay(effect);
            }
        }
    })
    .await?;
    Ok(Read { end, bytes })
}

/// Gives every run of effects with the offset of its first record.
async fn read(
    log: &dyn Log,
    end: Offset,
    mut give: impl FnMut(Offset, Vec<Effect>, usize),
) -> Result<(), OpenBrokerError> {
    let mut next = log.ends().log_start;
    let mut unfinished: Option<(Offset, BytesMut)> = None;
    while next < end {
        let limit = ReadLimit { bytes: READ_BYTES, until: end };
        let before = next;
        for chunk in log.read(next, limit).await.map_err(unreadable)? {
            let mut bytes = load(chunk).await.map_err(unreadable)?;
            while let Some(batch) = Batch::next(&mut bytes).map_err(|error| bad(next, &error))? {
                batch.verify().map_err(|error| bad(next, &error))?;
                let records =
                    batch.records(EXPANDED_BYTES_MAX).map_err(|error| bad(next, &error))?;
                for record in records {
                    let record = record.map_err(|error| bad(next, &error))?;
                    if let Some((at, run)) = join(&mut unfinished, record) {
                        let effects = Effect::decode_all(&run).map_err(|error| bad(at, &error))?;
                        give(at, effects, run.len());
                    }
                }
                next = batch.header().last_offset().plus(1);
            }
        }
        if next == before {
            break;
        }
    }
    Ok(())
}

/// Adds a piece to the run; gives the run when that was its last.
fn join(unfinished: &mut Option<(Offset, BytesMut)>, record: Record) -> Option<(Offset, Bytes)> {
    let more = record.key.as_deref() == Some(MORE);
    let value = record.value.unwrap_or_default();
    match unfinished {
        None if !more => Some((record.offset, value)),
        None => {
            *unfinished = Some((record.offset, BytesMut::from(&value[..])));
            None
        }
        Some((_, run)) => {
            run.extend_from_slice(&value);
            if more {
                return None;
            }
            unfinished.take().map(|(at, run)| (at, run.freeze()))
        }
    }
}

/// Waits until what the log holds is durable, as it may not be right after it was opened.
async fn everything_durable(log: &dyn Log) -> Result<Offset, ReadError> {
    let until = log.ends().written_end;
    let mut ends = log.watch();
    let ends = ends.wait_for(|ends| ends.durable_end >= until).await;
    ends.map(|ends| ends.durable_end).map_err(|_| ReadError::Closed)
}

async fn load(chunk: Chunk) -> Result<Bytes, ReadError> {
    let loaded = match chunk {
        Chunk::Memory(bytes) => return Ok(bytes),
        chunk @ Chunk::File(_) => tokio::task::spawn_blocking(move || chunk.load()).await,
    };
    let loaded = loaded.unwrap_or_else(|_| Err(std::io::Error::other("the node is stopping")));
    loaded.map_err(|error| {
        let source = Arc::new(error);
        ReadError::Storage(StorageError { action: "read", path: TOPIC.into(), source })
    })
}

fn unreadable(source: ReadError) -> OpenBrokerError {
    OpenBrokerError::Read { topic: TOPIC.to_owned(), source }
}

fn bad(offset: Offset, error: &dyn std::error::Error) -> OpenBrokerError {
    let (topic, reason) = (TOPIC.to_owned(), error.to_string());
    OpenBrokerError::DamagedState { topic, offset, reason }
}
