//! What the Redis door counts. Handles are made once, because commands are too many to look them up.

use metrics::{Counter, counter};

/// The door's metrics.
pub(crate) struct Metrics {
    /// Commands begun.
    pub(crate) commands: Counter,
    /// Commands answered with an error.
    pub(crate) errors: Counter,
    /// Connections closed because of what a client sent.
    pub(crate) protocol_errors: Counter,
    /// Clients disconnected because they did not read their replies.
    pub(crate) unread_disconnects: Counter,
    /// Subscribers disconnected because they did not read their messages.
    pub(crate) subscriber_disconnects: Counter,
    /// Messages written to subscribers.
    pub(crate) delivered: Counter,
}

impl Metrics {
    /// Made after the recorder is installed, or they count nowhere.
    pub(crate) fn new() -> Metrics {
        Metrics {
            commands: counter!("posthouse_redis_commands_total"),
            errors: counter!("posthouse_redis_command_errors_total"),
            protocol_errors: counter!("posthouse_redis_protocol_errors_total"),
            unread_disconnects: counter!("posthouse_redis_unread_disconnects_total"),
            subscriber_disconnects: counter!("posthouse_redis_subscriber_disconnects_total"),
            delivered: counter!("posthouse_redis_messages_delivered_total"),
        }
    }
}
