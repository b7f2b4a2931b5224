//! How many connections a door takes, and how long it waits for them.

use std::time::Duration;

/// Limits of one door, over all its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections at once; further ones are closed as soon as they are accepted, and counted. Those
    /// whose handshake is unfinished do not count, and a door that negotiates TLS by itself counts
    /// its own.
    pub connections_max: usize,
    /// The same for one address, or one IPv6 network (/64), unfinished handshakes included.
    pub per_address_max: usize,
    /// Unfinished handshakes at once; for a further one the oldest is dropped of where most of them
    /// come from.
    pub handshakes_max: usize,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
    /// How long connections may take to finish once the node drains; then they are dropped.
    pub drain_timeout: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> ConnectionLimits {
        ConnectionLimits {
            connections_max: 20_000,
            per_address_max: 20_000,
            handshakes_max: 1000,
            handshake_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(10),
        }
    }
}
