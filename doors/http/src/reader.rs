//! Reads the records of some partitions of a topic, as a cursor on each log.
//!
//! # Invariants
//! - Nothing at or above the last stable offset is read, and control batches are skipped.
//! - The position of a partition moves past a batch only when its records were handed out.

use std::sync::Arc;
use std::time::Duration;

use posthouse_broker::{
    Broker, Fetch, FetchError, FetchPartition, Isolation, LookupError, OffsetSpec, TopicRef,
};
use posthouse_log::{Chunk, ReadError};
use posthouse_record::{Batch, BatchError, Record};
use posthouse_types::{Offset, PartitionIndex, Principal};

use crate::metrics;

/// Stored bytes asked for at a time, over all partitions and for one.
const FETCH_BYTES: usize = 1024 * 1024;
const FETCH_PARTITION_BYTES: usize = 256 * 1024;
/// LIMIT: what one stored batch may decompress to.
const BATCH_EXPANDED_MAX: usize = 128 * 1024 * 1024;

/// A cursor over one or more partitions of a topic.
pub(crate) struct Reader {
    broker: Arc<Broker>,
    principal: Principal,
    topic: TopicRef,
    cursors: Vec<Cursor>,
    /// The partition asked for first changes, so that a busy one does not starve the others.
    first: usize,
    beyond_end: bool,
}

/// A position in one partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor {
    pub(crate) index: PartitionIndex,
    /// The next offset to be read.
    pub(crate) next: Offset,
    /// Where to stop; read on for ever when `None`.
    pub(crate) until: Option<Offset>,
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReaderError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error("cannot read a stored batch")]
    Load(#[source] std::io::Error),
    #[error("a stored batch is damaged")]
    Batch(#[from] BatchError),
    #[error("the decoding thread panicked")]
    Panicked,
}

impl Cursor {
    fn is_at_end(&self) -> bool {
        self.until.is_some_and(|until| self.next >= until)
    }
}

impl Reader {
    pub(crate) fn new(
        broker: Arc<Broker>,
        principal: Principal,
        topic: TopicRef,
        cursors: Vec<Cursor>,
    ) -> Reader {
        Reader { broker, principal, topic, cursors, first: 0, beyond_end: false }
    }

    /// Whether every partition has been read to where it stops.
    pub(crate) fn is_at_end(&self) -> bool {
        self.cursors.iter().all(Cursor::is_at_end)
    }

    /// Reads on past the ends that were known at the start.
    pub(crate) fn follow(&mut self) {
        for cursor in &mut self.cursors {
            cursor.until = None;
        }
    }

    /// Reads what comes after the ends that were known at the start, which have been reached.
    pub(crate) fn wait_beyond_end(&mut self) {
        self.beyond_end = true;
        self.follow();
    }

    /// Whether [`Reader::wait_beyond_end`] was called.
    pub(crate) fn has_waited(&self) -> bool {
        self.beyond_end
    }

    /// The next offset of each partition.
    pub(crate) fn positions(&self) -> impl Iterator<Item = (PartitionIndex, Offset)> {
        self.cursors.iter().map(|cursor| (cursor.index, cursor.next))
    }

    /// The next records, by partition; waits up to `wait` for the first one.
    ///
    /// Safe to drop at any await: positions move only when it returns.
    pub(crate) async fn read(
        &mut self,
        wait: Duration,
    ) -> Result<Vec<(PartitionIndex, Vec<Record>)>, ReaderError> {
        let asked = self.asked();
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let fetched = self.broker.fetch(&self.principal, self.fetch(&asked, wait)).await;
        let nothing_there = fetched
            .partitions
            .iter()
            .all(|result| result.as_ref().is_ok_and(|partition| partition.chunks.is_empty()));
        let mut found = Vec::new();
        for (at, result) in asked.into_iter().zip(fetched.partitions) {
            match result {
                Ok(partition) => {
                    let cursor = self.cursors[at];
                    let (records, next) = decode(partition.chunks, cursor).await?;
                    // A compacted log may end below where it is to be read to.
                    let next =
                        if nothing_there { cursor.until.unwrap_or(next).max(next) } else { next };
                    self.cursors[at].next = next;
                    if !records.is_empty() {
                        found.push((cursor.index, records));
                    }
                }
                Err(FetchError::Read(ReadError::OutOfRange { offset, log_start, .. }))
                    if offset < log_start =>
                {
                    metrics::records_skipped().increment(log_start.since(offset));
                    self.cursors[at].next = log_start;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found)
    }

    /// The cursors to be read, by their place, beginning with another one each time.
    fn asked(&mut self) -> Vec<usize> {
        let count = self.cursors.len();
        self.first = (self.first + 1) % count.max(1);
        (0..count)
            .map(|step| (self.first + step) % count)
            .filter(|at| !self.cursors[*at].is_at_end())
            .collect()
    }

    fn fetch(&self, asked: &[usize], wait: Duration) -> Fetch {
        let partition = |at: &usize| FetchPartition {
            topic: self.topic.clone(),
            index: self.cursors[*at].index,
            offset: self.cursors[*at].next,
            leader_epoch: None,
            bytes_max: FETCH_PARTITION_BYTES,
        };
        Fetch {
            partitions: asked.iter().map(partition).collect(),
            bytes_min: 1,
            bytes_max: FETCH_BYTES,
            wait_max: wait,
            isolation: Isolation::ReadCommitted,
        }
    }
}

/// The first offset at a place asked for in words.
pub(crate) async fn find(
    broker: &Broker,
    principal: &Principal,
    topic: &TopicRef,
    index: PartitionIndex,
    spec: OffsetSpec,
) -> Result<Option<Offset>, FetchError> {
    let found =
        broker.list_offset(principal, topic, index, None, spec, Isolation::ReadCommitted).await?;
    Ok(found.map(|found| found.offset))
}

/// The records of `chunks` from the cursor on, and where it stands after them.
///
/// Reading a file and decompressing block, so they happen on the pool for that.
async fn decode(chunks: Vec<Chunk>, cursor: Cursor) -> Result<(Vec<Record>, Offset), ReaderError> {
    if chunks.is_empty() {
        return Ok((Vec::new(), cursor.next));
    }
    let work = move || {
        let (mut records, mut next) = (Vec::new(), cursor.next);
        for chunk in chunks {
            let mut bytes = chunk.load().map_err(ReaderError::Load)?;
            while let Some(batch) = Batch::next(&mut bytes)? {
                decode_batch(&batch, cursor, &mut records)?;
                next = next.max(batch.header().last_offset().plus(1));
            }
        }
        Ok((records, cursor.until.map_or(next, |until| next.min(until).max(cursor.next))))
    };
    tokio::task::spawn_blocking(work).await.map_err(|_| ReaderError::Panicked)?
}

fn decode_batch(
    batch: &Batch,
    cursor: Cursor,
    records: &mut Vec<Record>,
) -> Result<(), BatchError> {
    if batch.header().control {
        return Ok(());
    }
    for record in batch.records(BATCH_EXPANDED_MAX)? {
        let record = record?;
        let before_end = cursor.until.is_none_or(|until| record.offset < until);
        if record.offset >= cursor.next && before_end {
            records.push(record);
        }
    }
    Ok(())
}
