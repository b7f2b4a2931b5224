//! What queues may take. Each bound says what happens at it, and moves a counter.

/// LIMIT: bytes of a group's or an owner's name.
pub(crate) const NAME_BYTES_MAX: usize = 1024;

/// LIMIT: queues of one shard; one more is refused. A queue without entries takes half a kilobyte.
pub(crate) const QUEUES_MAX: usize = 100_000;

/// LIMIT: owners of one queue. At it, the one unseen for longest that holds nothing is forgotten;
/// when each of them holds something, a new one is refused.
pub(crate) const OWNERS_MAX: usize = 10_000;

/// LIMIT: records of one partition that may be pending; what a queue's `window_max` can be.
pub(crate) const WINDOW_MAX: u32 = 1_000_000;

/// LIMIT: records pending over all queues of one shard, about 200 bytes each. At it, nothing new is
/// delivered until some are settled.
pub(crate) const ENTRIES_MAX: usize = 4_000_000;

/// LIMIT: records named in one call; more are refused.
pub(crate) const CALL_RECORDS_MAX: usize = 10_000;

/// LIMIT: records acquired by one call; fewer are given. A batch of commands stays small.
pub(crate) const ACQUIRE_RECORDS_MAX: usize = 10_000;

/// LIMIT: bytes read from a partition at a time.
pub(crate) const READ_BYTES_MAX: usize = 1 << 20;

/// LIMIT: bytes of a batch, decompressed.
pub(crate) const BATCH_BYTES_MAX: usize = 256 << 20;

/// LIMIT: bytes of the reason of a rejection; the rest is cut off.
pub(crate) const REASON_BYTES_MAX: usize = 1024;

/// LIMIT: records moved to dead-letter topics at a time by one shard.
pub(crate) const DEAD_LETTERS_MAX: usize = 64;
