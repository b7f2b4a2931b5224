//! What sockets count, by socket type. Without a recorder installed, counting costs nothing.

use metrics::{Counter, Gauge, counter, gauge};

use crate::socket_type::SocketType;

/// A socket's metrics.
pub(crate) struct Metrics {
    /// Connections whose handshake is done.
    pub(crate) connections: Gauge,
    /// Messages dropped as the pattern demands: at a PUB's high-water mark, or without a route.
    pub(crate) messages_dropped: Counter,
    /// Messages that were to be sent on a connection when it was lost for good.
    pub(crate) messages_lost: Counter,
    /// Peers that were told why they are not let in.
    pub(crate) peers_refused: Counter,
    /// Peers that were not understood, or did not prove who they are.
    pub(crate) handshakes_failed: Counter,
}

impl Metrics {
    /// Made after the recorder is installed, or they count nowhere.
    pub(crate) fn new(kind: SocketType) -> Metrics {
        let kind = kind.name();
        Metrics {
            connections: gauge!("posthouse_zmtp_connections_count", "socket" => kind),
            messages_dropped: counter!("posthouse_zmtp_messages_dropped_total", "socket" => kind),
            messages_lost: counter!("posthouse_zmtp_messages_lost_total", "socket" => kind),
            peers_refused: counter!("posthouse_zmtp_peers_refused_total", "socket" => kind),
            handshakes_failed: counter!("posthouse_zmtp_handshakes_failed_total", "socket" => kind),
        }
    }
}
