//! What consumer groups keep: committed offsets, and the groups themselves.
//!
//! A [`StateMachine`](crate::state::StateMachine) over one partition of `__consumer_offsets`. It
//! decides nothing: [`crate::groups`] says who may commit, [`crate::coordinate`] drives both.

mod command;
mod expiry;
mod machine;
mod snapshot;

pub(crate) use command::{Kept, OffsetsCommand};
pub(crate) use machine::Offsets;
