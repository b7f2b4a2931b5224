//! What a log can be told: the topic settings that act on stored data.

use std::time::Duration;

use posthouse_types::ByteSize;

/// The settings of one partition's log. Names, units and defaults are Kafka's topic settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment is closed before it would exceed this.
    pub segment_bytes: ByteSize,
    /// `segment.ms`: a segment is closed when its first record is this old.
    pub segment_age: Duration,
    /// `retention.bytes`: oldest segments go while the rest still holds this; `None` keeps all.
    pub retention_bytes: Option<ByteSize>,
    /// `retention.ms`: segments go when their newest record is this old; `None` keeps all.
    pub retention_age: Option<Duration>,
    /// `cleanup.policy`.
    pub cleanup: CleanupPolicy,
    /// `delete.retention.ms`: how long a compacted tombstone can still be read.
    pub tombstone_age: Duration,
    /// `min.cleanable.dirty.ratio`, in thousandths: compaction starts above this share of
    /// uncompacted bytes.
    pub dirty_ratio_permille: u32,
    /// `min.compaction.lag.ms`: records younger than this are not compacted.
    pub compaction_lag: Duration,
    /// `max.message.bytes`: a larger batch is refused.
    pub batch_bytes_max: ByteSize,
    /// `message.timestamp.type`.
    pub timestamps: TimestampType,
    /// `posthouse.durability`.
    pub durability: Durability,
    /// `producer.id.expiration.ms`: an idempotent producer idle for longer is forgotten.
    pub producer_age: Duration,
}

impl Default for LogConfig {
    fn default() -> LogConfig {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        LogConfig {
            segment_bytes: ByteSize::gib(1),
            segment_age: DAY * 7,
            retention_bytes: None,
            retention_age: Some(DAY * 7),
            cleanup: CleanupPolicy::DELETE,
            tombstone_age: DAY,
            dirty_ratio_permille: 500,
            compaction_lag: Duration::ZERO,
            batch_bytes_max: ByteSize(1_048_588),
            timestamps: TimestampType::CreateTime,
            durability: Durability::Fsync,
            producer_age: DAY,
        }
    }
}

/// `cleanup.policy`: either or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// Old segments are deleted by time and size.
    pub delete: bool,
    /// Only the last record of each key is kept.
    pub compact: bool,
}

impl CleanupPolicy {
    /// Kafka's default.
    pub const DELETE: CleanupPolicy = CleanupPolicy { delete: true, compact: false };
    /// What internal topics use.
    pub const COMPACT: CleanupPolicy = CleanupPolicy { delete: false, compact: true };
}

/// `message.timestamp.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The moment of the append, written over the producer's.
    LogAppendTime,
}

/// When a record counts as durable, and so may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// After an `fsync` shared with whatever else was waiting.
    Fsync,
    /// Once the operating system has it: lost with the machine, not with the process.
    Relaxed,
}
