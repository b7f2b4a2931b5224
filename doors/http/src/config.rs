//! The settings of the HTTP door.

use std::time::Duration;

use posthouse_listener::ConnectionLimits;
use posthouse_types::ByteSize;

/// Settings of the HTTP door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// How many connections, and how long they may take to end.
    pub connections: ConnectionLimits,
    /// How long a client may take to send a request's head, and how long a connection may be idle.
    pub header_timeout: Duration,
    /// How long a client may pause inside a request's body.
    pub body_timeout: Duration,
    /// Largest body that is held in memory: one record, a JSON array of records, a query; and the
    /// longest line of a body that is streamed.
    pub body_bytes_max: ByteSize,
    /// Longest `wait_ms` that a reader may ask for; a longer one is cut to it.
    pub wait_max: Duration,
    /// Pause after which an event stream without records sends a comment, so that whoever is
    /// between knows it is alive.
    pub event_heartbeat: Duration,
    /// How long the session of a page may be unused before it ends.
    pub session_idle_max: Duration,
    /// Requests from a web page of another site are refused, because a browser sends them without
    /// its user's knowledge.
    pub refuse_cross_site: bool,
}

impl Default for HttpConfig {
    fn default() -> HttpConfig {
        HttpConfig {
            connections: ConnectionLimits {
                connections_max: 10_000,
                ..ConnectionLimits::default()
            },
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            body_bytes_max: ByteSize::mib(16),
            wait_max: Duration::from_secs(60),
            event_heartbeat: Duration::from_secs(15),
            session_idle_max: Duration::from_secs(12 * 60 * 60),
            refuse_cross_site: true,
        }
    }
}
