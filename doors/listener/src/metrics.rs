//! Metrics of the accept loops, labelled by door.

use metrics::{Counter, Gauge, counter, gauge};

use crate::tls::HandshakeError;

pub(crate) struct DoorMetrics {
    pub(crate) accepted: Counter,
    pub(crate) refused: Counter,
    pub(crate) open: Gauge,
    pub(crate) handshakes: Gauge,
}

impl DoorMetrics {
    pub(crate) fn new(door: &'static str) -> DoorMetrics {
        DoorMetrics {
            accepted: counter!("posthouse_connections_accepted_total", "door" => door),
            refused: counter!("posthouse_connections_refused_total", "door" => door),
            open: gauge!("posthouse_connections_open", "door" => door),
            handshakes: gauge!("posthouse_connections_handshakes_unfinished", "door" => door),
        }
    }
}

/// Counts a handshake that came to nothing.
pub(crate) fn count_failure(door: &'static str, error: &HandshakeError) {
    counter!(
        "posthouse_connections_tls_handshake_failures_total",
        "door" => door, "reason" => error.label()
    )
    .increment(1);
}
