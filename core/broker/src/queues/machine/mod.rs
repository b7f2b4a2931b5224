//! What queues know and decide, without I/O and without a clock.
//!
//! A [`StateMachine`](crate::state::StateMachine) over one partition of `__posthouse_queues`. The
//! decisions (`plan`) look at the state and give commands; only commands change it, so a replay of
//! them gives the same state. Redis's stream groups, HTTP leases, ZeroMQ's work queues and Kafka's
//! share groups (KIP-932) are configurations of it; `docs/design/0005-queues.md` compares them.

mod apply;
mod command;
mod index;
mod pending;
mod plan;
mod queue;
mod snapshot;

pub(crate) use apply::Queues;
pub(crate) use command::{QueueNumber, QueuesCommand};
pub(crate) use plan::{Delivery, Found, Offer};
pub(crate) use queue::{EntryState, Queue, QueueKey};

#[cfg(test)]
mod tests;
