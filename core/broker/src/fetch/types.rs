//! Long-poll reads over many partitions.

use std::time::Duration;

use posthouse_log::Chunk;
use posthouse_types::{LeaderEpoch, Offset, PartitionIndex, TopicId};

use crate::{FetchError, TopicRef};

/// What a reader may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Everything durable.
    ReadUncommitted,
    /// Nothing of an undecided transaction: up to the last stable offset.
    ReadCommitted,
}

/// A fetch; Kafka's request without its encoding.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// Partitions, in the order in which they are served.
    pub partitions: Vec<FetchPartition>,
    /// Answer at once when this many bytes are there, or any partition fails.
    pub bytes_min: usize,
    /// Stop adding partitions above this. One batch is always returned, even a larger one.
    pub bytes_max: usize,
    /// Answer after this long whatever there is.
    pub wait_max: Duration,
    /// What may be seen.
    pub isolation: Isolation,
}

/// One partition of a fetch.
#[derive(Clone, Debug)]
pub struct FetchPartition {
    /// The topic.
    pub topic: TopicRef,
    /// The partition.
    pub index: PartitionIndex,
    /// Where to begin.
    pub offset: Offset,
    /// The epoch the reader believes in; refused when it is not the current one.
    pub leader_epoch: Option<LeaderEpoch>,
    /// Most bytes from this partition.
    pub bytes_max: usize,
}

/// The answer, one entry for each partition asked for and in that order.
#[derive(Debug)]
pub struct Fetched {
    /// Per partition.
    pub partitions: Vec<Result<FetchedPartition, FetchError>>,
}

/// Batches of one partition.
#[derive(Clone, Debug)]
pub struct FetchedPartition {
    /// The topic's identity.
    pub topic: TopicId,
    /// Whole batches, the first of which may begin below the offset asked for.
    pub chunks: Vec<Chunk>,
    /// The high watermark.
    pub durable_end: Offset,
    /// The last stable offset.
    pub last_stable: Offset,
    /// The log start.
    pub log_start: Offset,
}
