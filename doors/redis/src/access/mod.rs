//! Who a client is, and what it may do.
//!
//! Logging in is the broker's; so are permissions, and what commands ask the broker for is checked
//! there. Checked here, before a command runs, is what the broker does not see: the keys that it
//! names, and what it does to the node as a whole ([`needs`] is the table). Everything is checked
//! where it runs: at once, in a transaction, in a script.
//!
//! # Invariants
//! - With authentication off nothing is looked up: [`crate::server::Server`] knows at its start.
//! - A key is its topic where it holds a stream, or is the name of another door's topic: one rule
//!   holds at every door.
//! - What a client may not know of is not listed, counted or notified to it.

mod acl_log;
mod asker;
mod check;
mod identity;
mod needs;
mod recheck;
mod visible;

#[cfg(test)]
mod tests;

pub(crate) use acl_log::{AclLog, Context, Denial, Reason};
pub(crate) use asker::Asker;
pub(crate) use check::{check, check_authenticated};
pub(crate) use identity::{DEFAULT_USER, Identity, LoggingIn, Then, log_in, log_in_by_certificate};
pub(crate) use needs::Needs;
pub(crate) use recheck::Recheck;
pub(crate) use visible::{sees_all_keys, shows_channel, shows_key, shows_message};
