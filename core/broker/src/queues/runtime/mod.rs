//! Keeping queues: their log, their timers, their waiters, their dead letters.

mod dead_letter;
mod driver;
mod line;
mod read;
mod recovery;
mod shard;

pub(super) use line::Line;
pub(super) use read::{Fresh, read_fresh, read_one};
pub(crate) use recovery::recover;
pub(crate) use shard::QueueShard;
