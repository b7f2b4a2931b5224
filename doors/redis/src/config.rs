//! The door's settings.

use std::time::Duration;

use posthouse_listener::ConnectionLimits;
use posthouse_types::ByteSize;

use crate::keys::KeysDurability;

/// Settings of the Redis door. Names in the documentation are Redis's, where Redis has one.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// `maxclients`, and how long connections may take to end.
    pub connections: ConnectionLimits,
    /// `io-threads`: how many threads serve its clients. It runs on whichever its caller gives it; this is
    /// what they are told.
    pub threads: usize,
    /// `proto-max-bulk-len`: a longer argument ends its connection.
    pub argument_bytes_max: ByteSize,
    /// `client-query-buffer-limit`: a longer request ends its connection.
    pub request_bytes_max: ByteSize,
    /// `appendfsync`: when a command that changed keys is answered.
    pub keys_durability: KeysDurability,
    /// `maxmemory`: commands that would store more are refused above it; 0 for no limit.
    pub keys_bytes_max: ByteSize,
    /// `client-output-buffer-limit normal`: a client with more unread replies is disconnected.
    pub unread_bytes_max: ByteSize,
    /// `client-output-buffer-limit pubsub`, hard: a subscriber with more unread messages is
    /// disconnected.
    pub subscriber_bytes_max: ByteSize,
    /// `client-output-buffer-limit pubsub`, soft: a subscriber with more for as long as
    /// `subscriber_soft_time` is disconnected.
    pub subscriber_bytes_soft: ByteSize,
    /// `client-output-buffer-limit pubsub`, seconds.
    pub subscriber_soft_time: Duration,
}

impl Default for RedisConfig {
    fn default() -> RedisConfig {
        RedisConfig {
            connections: ConnectionLimits::default(),
            threads: 1,
            argument_bytes_max: ByteSize::mib(512),
            request_bytes_max: ByteSize::mib(1024),
            keys_durability: KeysDurability::default(),
            keys_bytes_max: ByteSize(0),
            unread_bytes_max: ByteSize::mib(256),
            subscriber_bytes_max: ByteSize::mib(32),
            subscriber_bytes_soft: ByteSize::mib(8),
            subscriber_soft_time: Duration::from_secs(60),
        }
    }
}
