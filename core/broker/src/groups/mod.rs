//! Consumer groups: Kafka's classic protocol, without its encoding.
//!
//! [`GroupCoordinator`] is a state machine: time, ids and requests go in, outputs come out of one
//! queue. It performs no I/O, reads no clock and never waits. It keeps no offsets; it says who may
//! commit them and when they expire.
//!
//! # Driving it
//! One task owns the machine, or a lock that is never held across an await. Then:
//!
//! 1. **Start.** For every stored [`GroupRecord`] call [`GroupCoordinator::restore`]; for every
//!    group that has committed offsets but no record, [`GroupCoordinator::restore_offsets_only`].
//! 2. **Requests.** [`join`](GroupCoordinator::join) and [`sync`](GroupCoordinator::sync) take a
//!    [`ReplyId`] that the caller chooses (a counter) and answer through the queue, exactly once
//!    each. Everything else answers at once, as its return value.
//! 3. **After every call**, drain [`poll_output`](GroupCoordinator::poll_output) until `None`:
//!    - [`Output::Joined`], [`Output::Synced`]: give the result to whoever waits under that id. A
//!      waiter that has gone (its connection closed) is simply not there; nothing else changes.
//!    - [`Output::Persist`]: append the write to the log. Writes of one group must reach the log in
//!      the order in which they came out. When it is durable, or has failed, call
//!      [`on_persisted`](GroupCoordinator::on_persisted) with its id, once. The replies that depend
//!      on it come out then.
//! 4. **Time.** [`next_deadline`](GroupCoordinator::next_deadline) after every drain; when it has
//!    come, [`on_timeout`](GroupCoordinator::on_timeout). It may come early, never late, so calling
//!    it too often costs time and nothing else.
//! 5. **Offsets.** Before a commit, [`check_commit`](GroupCoordinator::check_commit); before
//!    deleting offsets, [`check_offset_deletion`](GroupCoordinator::check_offset_deletion); when
//!    expiring them, [`offset_expiry`](GroupCoordinator::offset_expiry), and once a group has none
//!    left, [`remove`](GroupCoordinator::remove).
//!
//! # Invariants
//! - A generation has one leader and one protocol, and every member is told the same.
//! - A generation never goes back while the group exists.
//! - A reply id is answered once. A request that a newer one of the same member replaces is
//!   answered [`GroupError::Rebalancing`](crate::GroupError::Rebalancing).
//! - A member is removed only because it left, was silent too long, or was replaced by another
//!   process with its instance id.
//! - The assignment of a generation is given to nobody before it is durable.
//!
//! # Source
//! The behaviour is that of Apache Kafka 4's group coordinator for the classic protocol, with
//! KIP-134 (initial delay), KIP-345 (static members), KIP-394 (member ids first), KIP-800 (reasons)
//! and KIP-814 (skipping the assignment).

mod commits;
mod coordinator;
mod expiry;
mod group;
mod joining;
mod leaving;
mod limits;
mod members;
mod output;
mod reader;
mod rebalance;
mod record;
mod subscription;
mod syncing;
#[cfg(test)]
mod tests;
mod types;

pub(crate) use {
    commits::{OffsetExpiry, SubscribedTopics},
    coordinator::GroupCoordinator,
    limits::GroupsConfig,
    output::{GroupWrite, Moment, Output, PersistId, Persisted, ReplyId},
    record::{GroupRecord, MemberRecord},
    subscription::subscribed_topics,
};

pub use types::{
    CommittedOffset, GroupDescription, GroupMember, GroupState, GroupSummary, Join, Joined, Leave,
    LeftMember, OffsetCommit, Sync, Synced,
};
