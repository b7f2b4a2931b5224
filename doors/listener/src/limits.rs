//! How many connections a door takes.

use std::time::Duration;

/// Limits of one door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections at once; further ones are closed as soon as they are accepted, and counted.
    pub connections_max: usize,
    /// How long connections may take to finish once the node drains; then they are dropped.
    pub drain_timeout: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> ConnectionLimits {
        ConnectionLimits { connections_max: 20_000, drain_timeout: Duration::from_secs(10) }
    }
}
