//! The trait that every engine implements, and what its calls give back.
//!
//! The contract is shared: `testkit` runs one suite over every engine. It is shaped so that an
//! engine over an object store fits it: durability may come late and in batches, reads may wait,
//! there need be no files, and a writer can be fenced.
//!
//! # Invariants
//! - `log_start <= last_stable <= durable_end <= written_end`, and none of them goes back, but for
//!   `written_end`, which falls to `durable_end` when an append failed.
//! - A reader never sees a record at or above `durable_end`.
//! - There is no atomic append over several partitions.

use std::sync::Arc;

use futures::future::BoxFuture;
use posthouse_record::UnplacedBatch;
use posthouse_types::{
    LeaderEpoch, Offset, PartitionId, ProducerEpoch, ProducerId, Sequence, Timestamp,
};

use crate::{
    AppendError, Chunk, DeleteError, LogConfig, MaintenanceError, OpenError, ReadError, Ticket,
    TruncateError,
};

/// Opens, keeps and deletes the logs of one node.
pub trait Engine: Send + Sync + 'static {
    /// Opens a partition for writing, creating it when it does not exist.
    ///
    /// Every call gives a leader epoch higher than any before it, and fences the log that the last
    /// call for this partition gave. May take seconds.
    fn open(
        &self,
        partition: PartitionId,
        config: LogConfig,
    ) -> BoxFuture<'_, Result<Arc<dyn Log>, OpenError>>;

    /// Deletes a partition and its records. Reads under way may finish. Deleting twice is no error.
    fn delete(&self, partition: PartitionId) -> BoxFuture<'_, Result<(), DeleteError>>;

    /// The partitions that have ever held a record, opened or not, in no particular order.
    fn stored(&self) -> BoxFuture<'_, Result<Vec<PartitionId>, OpenError>>;

    /// Makes everything durable and closes. Appends after it fail.
    fn shutdown(&self) -> BoxFuture<'_, Result<(), OpenError>>;
}

/// One partition's log, open for writing by this node.
pub trait Log: Send + Sync + 'static {
    /// Which partition this is.
    fn partition(&self) -> PartitionId;

    /// The epoch under which this node writes.
    fn epoch(&self) -> LeaderEpoch;

    /// Assigns offsets to a batch and queues it. Never waits; the ticket tells when it is durable.
    ///
    /// A batch that its idempotent producer has sent before is not written again: `duplicate` is
    /// set and the offsets are those of the first time, with a ticket for them.
    fn append(&self, batch: UnplacedBatch) -> Result<Appended, AppendError>;

    /// Reads whole batches from the one that contains `from`, in order.
    ///
    /// # Units
    /// `limit.bytes` counts stored bytes. The first batch is returned whole even above it, so that a
    /// reader always moves. Empty at the end of what may be read.
    ///
    /// # Errors
    /// [`ReadError::OutOfRange`] below `log_start` or above `durable_end`.
    fn read(&self, from: Offset, limit: ReadLimit) -> BoxFuture<'_, Result<Vec<Chunk>, ReadError>>;

    /// Where the log begins and ends now.
    fn ends(&self) -> LogEnds;

    /// Tells of every move of what may be read.
    ///
    /// `written_end` moves with every append and wakes nobody; ask [`Log::ends`] for it. The end of
    /// the log's life wakes watchers too, with ends that did not move.
    fn watch(&self) -> tokio::sync::watch::Receiver<LogEnds>;

    /// Each epoch that wrote records that are still there, and the current one, with the first
    /// offset it could write; both rise strictly.
    fn epoch_history(&self) -> Vec<EpochStart>;

    /// The earliest record at or after `at`; `None` when there is none.
    ///
    /// Kafka's ListOffsets by timestamp.
    fn offset_for_timestamp(
        &self,
        at: Timestamp,
    ) -> BoxFuture<'_, Result<Option<TimestampOffset>, ReadError>>;

    /// The record with the largest timestamp; `None` in an empty log. Kafka's `-3`.
    fn max_timestamp(&self) -> BoxFuture<'_, Result<Option<TimestampOffset>, ReadError>>;

    /// Deletes records below `to`; gives the new log start. Durable when it returns.
    ///
    /// # Errors
    /// [`TruncateError::OutOfRange`] above `durable_end`.
    fn truncate_head(&self, to: Offset) -> BoxFuture<'_, Result<Offset, TruncateError>>;

    /// Replaces the configuration; it applies from the next append, roll or maintenance.
    fn configure(&self, config: LogConfig);

    /// Idempotent producers that this log remembers.
    fn producers(&self) -> Vec<ProducerState>;

    /// Bytes stored, including what retention has not yet deleted.
    fn stored_bytes(&self) -> u64;

    /// Applies retention, rolls by time, forgets idle producers, and compacts when it is worth it.
    fn maintain(&self, now: Timestamp) -> BoxFuture<'_, Result<Maintained, MaintenanceError>>;
}

/// What [`Log::append`] gives.
#[derive(Debug)]
pub struct Appended {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Offset of the last record.
    pub last_offset: Offset,
    /// The time written into the batch, when the topic's timestamps are the log's own.
    pub log_append_time: Option<Timestamp>,
    /// The producer had sent this batch before; nothing was written.
    pub duplicate: bool,
    /// Resolves when the batch is durable, or can never be.
    pub ticket: Ticket,
}

/// How much a read may return.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimit {
    /// Stored bytes, headers included.
    pub bytes: usize,
    /// Batches that begin at or above this offset are not returned; `durable_end` when larger.
    pub until: Offset,
}

/// Where a log begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEnds {
    /// The first offset that can be read.
    pub log_start: Offset,
    /// One above the last record of a decided transaction, or `durable_end`: what
    /// `read_committed` may read.
    pub last_stable: Offset,
    /// One above the last durable record: the high watermark.
    pub durable_end: Offset,
    /// One above the last accepted record.
    pub written_end: Offset,
}

/// The start of a leader epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochStart {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// The first offset it could write.
    pub start: Offset,
}

/// A record found by its timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampOffset {
    /// The record's timestamp.
    pub timestamp: Timestamp,
    /// The record's offset.
    pub offset: Offset,
    /// The epoch that wrote it.
    pub epoch: LeaderEpoch,
}

/// What the log knows of an idempotent producer. Kafka's DescribeProducers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerState {
    /// The producer.
    pub id: ProducerId,
    /// Its newest epoch.
    pub epoch: ProducerEpoch,
    /// Sequence of its last record.
    pub last_sequence: Sequence,
    /// Timestamp of its last batch.
    pub last_timestamp: Timestamp,
}

/// What one maintenance did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Segments deleted by retention.
    pub segments_deleted: u64,
    /// Bytes given back by retention and compaction.
    pub bytes_freed: u64,
    /// Records removed by compaction.
    pub records_compacted: u64,
}
