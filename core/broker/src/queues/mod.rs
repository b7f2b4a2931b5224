//! Queues: topics consumed one message at a time, with acknowledgement, lock and redelivery.
//!
//! [`machine`] knows and decides; [`runtime`] keeps it in `__posthouse_queues`, ends locks and writes
//! dead letters; [`calls`] is what doors see. Why it is so is in `docs/design/0005-queues.md`.

mod calls;
mod errors;
mod limits;
mod machine;
mod runtime;
mod types;

pub use errors::QueueError;
pub use types::{
    Acquire, Acquired, DeliveryCount, Held, Outcome, OwnerRemoval, Pending, PendingQuery,
    PendingState, QueueChange, QueueConfig, QueueDescription, QueueOwner, QueuePartition,
    QueuePosition, QueueRef, QueueStart, QueueSummary, RecordFilter, RecordId, Transfer,
};

pub(crate) use machine::Queues;
pub(crate) use runtime::{QueueShard, recover};
