//! ZeroMQ: a connection's bytes, and commands.

pub use posthouse_zmtp::fuzz::{command, connection};

use crate::Target;

/// The targets of this file.
pub const TARGETS: &[Target] = &[
    Target { name: "zmtp_connection", run: connection },
    Target { name: "zmtp_command", run: command },
];
