//! Reading a state back from its log.
//!
//! One pass over the log gathers the newest whole snapshot and the commands at or above the offset
//! it stands for; then the snapshot is decoded and the commands are applied. Commands appended
//! while a snapshot was being written lie between its pieces. A snapshot without its end record was
//! interrupted and is passed over.

use std::sync::Arc;

use bytes::Bytes;
use posthouse_log::{Chunk, Log, ReadError, ReadLimit, StorageError};
use posthouse_record::{Batch, BatchError};
use posthouse_types::{Offset, TopicName};

use super::frame::{Frame, SnapshotEnd};
use super::{Damage, StateMachine};
use crate::OpenBrokerError;

/// LIMIT: bytes read from the log at a time.
const READ_BYTES: usize = 8 << 20;

/// LIMIT: internal batches are written uncompressed, in at most this many bytes.
const BATCH_BYTES_MAX: usize = 64 << 20;

/// What a log held.
pub(super) struct Recovered<M> {
    pub(super) machine: M,
    pub(super) applied: Offset,
    pub(super) suffix_bytes: usize,
    pub(super) snapshot_bytes: usize,
}

/// Recovers a state.
pub(super) async fn recover<M: StateMachine>(
    topic: &TopicName,
    log: &dyn Log,
) -> Result<Recovered<M>, OpenBrokerError> {
    let read_failed = |source| OpenBrokerError::Read { topic: topic.to_string(), source };
    let end = everything_durable(log).await.map_err(read_failed)?;
    let mut scan = Scan::default();
    let mut next = log.ends().log_start;
    while next < end {
        let limit = ReadLimit { bytes: READ_BYTES, until: end };
        let chunks = log.read(next, limit).await.map_err(read_failed)?;
        let before = next;
        for chunk in chunks {
            let bytes = load(chunk).await.map_err(|error| read_failed(storage(topic, error)))?;
            scan.read(topic, bytes, &mut next)?;
        }
        if next == before {
            break; // What remains was removed, which leaves a gap at the end.
        }
    }
    finish(topic, scan, end)
}

/// Gathers what a log holds.
#[derive(Default)]
struct Scan {
    snapshot: Option<(SnapshotEnd, Vec<Bytes>)>,
    unfinished: Option<(Offset, Vec<Bytes>)>,
    commands: Vec<(Offset, Bytes)>,
}

impl Scan {
    /// Reads the batches of one chunk; `next` moves past them.
    fn read(
        &mut self,
        topic: &TopicName,
        mut chunk: Bytes,
        next: &mut Offset,
    ) -> Result<(), OpenBrokerError> {
        while let Some(batch) = Batch::next(&mut chunk).map_err(|error| bad(topic, *next, error))? {
            let batch_offset = batch.header().base_offset;
            batch.verify().map_err(|error| bad(topic, batch_offset, error))?;
            let records =
                batch.records(BATCH_BYTES_MAX).map_err(|error| bad(topic, batch_offset, error))?;
            for record in records {
                let record = record.map_err(|error| bad(topic, batch_offset, error))?;
                let frame = Frame::decode(record.key, record.value);
                self.frame(
                    record.offset,
                    frame.map_err(|error| damaged(topic, record.offset, error))?,
                );
            }
            *next = batch.header().last_offset().plus(1);
        }
        Ok(())
    }

    fn frame(&mut self, offset: Offset, frame: Frame) {
        match frame {
            Frame::Command(bytes) => self.commands.push((offset, bytes)),
            Frame::Piece { as_of, index: 0, bytes } => self.unfinished = Some((as_of, vec![bytes])),
            Frame::Piece { as_of, index, bytes } => match &mut self.unfinished {
                Some((current, pieces))
                    if *current == as_of && u32::try_from(pieces.len()) == Ok(index) =>
                {
                    pieces.push(bytes);
                }
                _ => self.unfinished = None,
            },
            Frame::End(end) => {
                let pieces = match self.unfinished.take() {
                    Some((as_of, pieces)) if as_of == end.as_of => pieces,
                    // The pieces lie below the log's start: a newer snapshot replaced this one.
                    _ => return,
                };
                if u32::try_from(pieces.len()) == Ok(end.pieces) {
                    self.commands.retain(|(offset, _)| *offset >= end.as_of);
                    self.snapshot = Some((end, pieces));
                }
            }
        }
    }
}

fn finish<M: StateMachine>(
    topic: &TopicName,
    scan: Scan,
    end: Offset,
) -> Result<Recovered<M>, OpenBrokerError> {
    let mut machine = M::default();
    let mut snapshot_bytes = 0;
    if let Some((end, pieces)) = scan.snapshot {
        let bytes = pieces.concat();
        let restored = whole(&end, &bytes).and_then(|()| M::restore(&bytes));
        machine = restored.map_err(|error| damaged(topic, end.as_of, error))?;
        snapshot_bytes = bytes.len();
    }
    let mut suffix_bytes = 0;
    for (offset, bytes) in scan.commands {
        let command = M::decode(&bytes).map_err(|error| damaged(topic, offset, error))?;
        machine.apply(command);
        suffix_bytes += bytes.len();
    }
    Ok(Recovered { machine, applied: end, suffix_bytes, snapshot_bytes })
}

fn whole(end: &SnapshotEnd, bytes: &[u8]) -> Result<(), Damage> {
    if u64::try_from(bytes.len()) != Ok(end.size) {
        return Err(Damage::new(format!("snapshot of {} bytes has {}", end.size, bytes.len())));
    }
    let computed = crc32c::crc32c(bytes);
    if computed != end.crc {
        let stored = end.crc;
        let reason = format!("snapshot has checksum {computed:#010x}, its end says {stored:#010x}");
        return Err(Damage::new(reason));
    }
    Ok(())
}

/// Waits until what the log holds is durable, as it may not be right after it was opened.
async fn everything_durable(log: &dyn Log) -> Result<Offset, ReadError> {
    let until = log.ends().written_end;
    let mut ends = log.watch();
    let ends = ends.wait_for(|ends| ends.durable_end >= until).await;
    ends.map(|ends| ends.durable_end).map_err(|_| ReadError::Closed)
}

async fn load(chunk: Chunk) -> std::io::Result<Bytes> {
    match chunk {
        Chunk::Memory(bytes) => Ok(bytes),
        chunk @ Chunk::File(_) => tokio::task::spawn_blocking(move || chunk.load())
            .await
            .unwrap_or_else(|_| Err(std::io::Error::other("the node is stopping"))),
    }
}

fn storage(topic: &TopicName, error: std::io::Error) -> ReadError {
    let path = topic.to_string().into();
    ReadError::Storage(StorageError { action: "read", path, source: Arc::new(error) })
}

fn bad(topic: &TopicName, offset: Offset, error: BatchError) -> OpenBrokerError {
    OpenBrokerError::DamagedState { topic: topic.to_string(), offset, reason: error.to_string() }
}

fn damaged(topic: &TopicName, offset: Offset, error: Damage) -> OpenBrokerError {
    OpenBrokerError::DamagedState { topic: topic.to_string(), offset, reason: error.to_string() }
}
