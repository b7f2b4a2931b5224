//! Internal state as logs: a machine without I/O, the log of its commands, and snapshots of it
//! in that same log.
//!
//! The layout and its reasons are in `docs/design/0003-internal-state.md`.

mod codec;
mod frame;
mod machine;
mod recovery;
mod snapshot;
mod state_log;

pub(crate) use codec::{Decoder, Encoder};
pub(crate) use frame::Frame;
pub(crate) use machine::{Damage, StateMachine};
pub(crate) use state_log::StateLog;

#[cfg(test)]
mod tests;
