//! Errors, one enum per operation that fails differently.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use posthouse_record::BatchError;
use posthouse_types::{
    Fault, LeaderEpoch, Offset, PartitionId, ProducerEpoch, ProducerId, Retry, Sequence,
};

/// A failure of the disk, or of whatever holds the log.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct StorageError {
    /// What was tried, as a verb: `write`, `sync`, `read`.
    pub action: &'static str,
    /// The file or object.
    pub path: PathBuf,
    /// What the operating system said.
    #[source]
    pub source: Arc<io::Error>,
}

impl StorageError {
    /// Whether the disk, or the quota, is full.
    pub fn is_full(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

/// Why a log could not be opened, listed or closed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Stored data is damaged where recovery may not cut.
    #[error("partition {partition} is damaged at offset {offset}: {reason}")]
    Damaged {
        /// The partition.
        partition: PartitionId,
        /// The first offset that cannot be read.
        offset: Offset,
        /// What is wrong.
        reason: String,
    },
    /// The data was written by a newer version.
    #[error("{} has format {found}, this version reads up to {supported}", path.display())]
    NewerFormat {
        /// The file that says so.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format known.
        supported: u32,
    },
    /// The file that says which format the data has cannot be read as one.
    #[error("{} does not say which format the data has; restore it from a backup", path.display())]
    DamagedFormat {
        /// The file.
        path: PathBuf,
    },
    /// The data directory is in use.
    #[error("{} is in use by another process{}", path.display(), holder.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    InUse {
        /// The data directory.
        path: PathBuf,
        /// Who holds it, where known.
        holder: Option<u32>,
    },
    /// The engine is shut down.
    #[error("the log engine is shut down")]
    Closed,
}

/// Why a batch was not accepted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// The batch itself is wrong.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The batch is larger than `max.message.bytes`.
    #[error("batch of {size} bytes is larger than max.message.bytes {max}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        max: u64,
    },
    /// A record without a key in a compacted topic.
    #[error("a record without a key cannot be kept in a compacted topic")]
    KeyMissing,
    /// A sequence that does not follow the producer's last one.
    #[error("producer {producer} sent sequence {sequence}, expected {expected}")]
    OutOfOrderSequence {
        /// The producer.
        producer: ProducerId,
        /// What it sent.
        sequence: Sequence,
        /// What should have come.
        expected: Sequence,
    },
    /// A sequence already written, too long ago to know where.
    #[error("producer {producer} repeated sequence {sequence}, which is no longer remembered")]
    DuplicateSequence {
        /// The producer.
        producer: ProducerId,
        /// What it sent.
        sequence: Sequence,
    },
    /// A producer epoch older than one already seen.
    #[error("producer {producer} has epoch {epoch}, a newer one is {current}")]
    FencedProducer {
        /// The producer.
        producer: ProducerId,
        /// What it sent.
        epoch: ProducerEpoch,
        /// The newest epoch.
        current: ProducerEpoch,
    },
    /// Another writer has taken over.
    #[error("epoch {epoch} of the log is fenced")]
    Fenced {
        /// The epoch that lost.
        epoch: LeaderEpoch,
    },
    /// An earlier write or sync failed; the log takes nothing until it is opened again.
    #[error("the log failed and takes no more records until restart")]
    Failed(#[source] StorageError),
    /// The log or its engine is closed, or the partition is deleted.
    #[error("the log is closed")]
    Closed,
}

/// Why an accepted batch will not become durable.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DurabilityError {
    /// Another writer has taken over; the batch may or may not be there.
    #[error("epoch {epoch} of the log is fenced")]
    Fenced {
        /// The epoch that lost.
        epoch: LeaderEpoch,
    },
    /// The disk failed; the batch may or may not be there after restart.
    #[error("the log failed before the batch was durable")]
    Failed(#[source] StorageError),
    /// The log was closed, or the partition deleted, first.
    #[error("the log was closed before the batch was durable")]
    Closed,
}

/// Why a read failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// The offset is not in the log.
    #[error("offset {offset} is outside the log, which holds {log_start} to {durable_end}")]
    OutOfRange {
        /// What was asked for.
        offset: Offset,
        /// The first offset that can be read.
        log_start: Offset,
        /// One above the last.
        durable_end: Offset,
    },
    /// The disk failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Stored bytes are not what was written.
    #[error("stored batch at offset {offset} is damaged")]
    Damaged {
        /// The batch's base offset.
        offset: Offset,
        /// What is wrong.
        #[source]
        source: BatchError,
    },
    /// The log is closed, or the partition is deleted.
    #[error("the log is closed")]
    Closed,
}

/// Why the head could not be deleted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TruncateError {
    /// The offset is above the durable end.
    #[error("offset {to} is above the durable end {durable_end}")]
    OutOfRange {
        /// What was asked for.
        to: Offset,
        /// One above the last durable record.
        durable_end: Offset,
    },
    /// The disk failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The log is closed, or the partition is deleted.
    #[error("the log is closed")]
    Closed,
}

/// Why a partition could not be deleted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DeleteError {
    /// The disk failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The engine is shut down.
    #[error("the log engine is shut down")]
    Closed,
}

/// Why retention or compaction failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MaintenanceError {
    /// The disk failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A batch to be compacted cannot be read; the segment is left as it is.
    #[error("stored batch at offset {offset} is damaged")]
    Damaged {
        /// The batch's base offset.
        offset: Offset,
        /// What is wrong.
        #[source]
        source: BatchError,
    },
    /// The log is closed, or the partition is deleted.
    #[error("the log is closed")]
    Closed,
}

impl AppendError {
    /// Whose fault, and whether to try again.
    pub fn class(&self) -> (Fault, Retry) {
        match self {
            AppendError::Batch(_)
            | AppendError::TooLarge { .. }
            | AppendError::KeyMissing
            | AppendError::OutOfOrderSequence { .. }
            | AppendError::DuplicateSequence { .. }
            | AppendError::FencedProducer { .. } => (Fault::Caller, Retry::Never),
            AppendError::Fenced { .. } | AppendError::Closed => (Fault::Environment, Retry::Safe),
            AppendError::Failed(_) => (Fault::Environment, Retry::Never),
        }
    }
}
