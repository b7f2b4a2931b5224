//! What the ZeroMQ door counts, by socket type. What the sockets themselves drop, `lib/zmtp` counts.

use metrics::counter;
use posthouse_zmtp::SocketType;

/// Messages came from peers.
pub(crate) fn received(kind: SocketType, count: u64) {
    counter!("posthouse_zeromq_messages_received_total", "socket" => kind.name()).increment(count);
}

/// Messages were handed to a socket, for peers.
pub(crate) fn sent(kind: SocketType, count: u64) {
    counter!("posthouse_zeromq_messages_sent_total", "socket" => kind.name()).increment(count);
}

/// Messages could not be used or delivered.
pub(crate) fn dropped(kind: SocketType, why: Dropped, count: u64) {
    let reason = why.reason();
    counter!("posthouse_zeromq_messages_dropped_total", "socket" => kind.name(), "reason" => reason)
        .increment(count);
}

/// Why a message was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// The topic cannot take it: too large, or without a key where one is needed.
    Refused,
    /// It was accepted and its log failed, or the node stopped, before it was durable.
    Undurable,
    /// It is not in the form that the endpoint needs.
    Malformed,
    /// Whoever it was for has gone, or does not read.
    Unroutable,
    /// An answer that nobody waits for any more.
    Late,
    /// It is for a socket that only sends.
    Unwanted,
}

impl Dropped {
    fn reason(self) -> &'static str {
        match self {
            Dropped::Refused => "refused",
            Dropped::Undurable => "undurable",
            Dropped::Malformed => "malformed",
            Dropped::Unroutable => "unroutable",
            Dropped::Late => "late",
            Dropped::Unwanted => "unwanted",
        }
    }
}
