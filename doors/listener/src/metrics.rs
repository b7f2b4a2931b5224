//! Metrics of the accept loops, labelled by door.

use metrics::{Counter, Gauge, counter, gauge};

pub(crate) struct DoorMetrics {
    pub(crate) accepted: Counter,
    pub(crate) refused: Counter,
    pub(crate) open: Gauge,
}

impl DoorMetrics {
    pub(crate) fn new(door: &'static str) -> DoorMetrics {
        DoorMetrics {
            accepted: counter!("posthouse_connections_accepted_total", "door" => door),
            refused: counter!("posthouse_connections_refused_total", "door" => door),
            open: gauge!("posthouse_connections_open", "door" => door),
        }
    }
}
