//! The door's settings.

use std::time::Duration;

use posthouse_listener::ConnectionLimits;
use posthouse_types::ByteSize;

/// Settings of the Kafka door. Names in the documentation are Kafka's, where Kafka has one.
#[derive(Clone, Debug)]
pub struct KafkaConfig {
    /// `advertised.listeners`, host: where clients are told to connect. A name or an address.
    pub advertised_host: String,
    /// `advertised.listeners`, port; 0 announces the port that the door is bound to.
    pub advertised_port: u16,
    /// `broker.rack`: announced as this node's rack.
    pub rack: Option<String>,
    /// `socket.request.max.bytes`: a larger request ends the connection.
    pub request_bytes_max: ByteSize,
    /// Bytes of requests that one connection may have unanswered; above it the door stops reading
    /// from it. One request is always read, even a larger one.
    pub connection_bytes_max: ByteSize,
    /// `queued.max.request.bytes`: bytes of large requests (above 64 KiB) that all connections
    /// together may have unanswered; above it they are not read, first come, first served. Never
    /// less than `request_bytes_max`.
    pub requests_bytes_max: ByteSize,
    /// Bytes of responses that wait for a client to read them before its next request is begun.
    pub unsent_bytes_max: ByteSize,
    /// Requests that one connection may have unanswered.
    pub requests_in_flight_max: usize,
    /// `fetch.max.bytes`: most bytes of records in one fetch response. One batch is always returned.
    pub fetch_bytes_max: ByteSize,
    /// Longest that a fetch waits, whatever the client asks for.
    pub fetch_wait_max: Duration,
    /// `log.dirs`, as DescribeLogDirs shows it.
    pub log_dir: String,
    /// How many connections, and how long they may take to end.
    pub connections: ConnectionLimits,
}

impl Default for KafkaConfig {
    fn default() -> KafkaConfig {
        KafkaConfig {
            advertised_host: "127.0.0.1".to_string(),
            advertised_port: 0,
            rack: None,
            request_bytes_max: ByteSize::mib(100),
            connection_bytes_max: ByteSize::mib(32),
            requests_bytes_max: ByteSize::mib(256),
            unsent_bytes_max: ByteSize::mib(4),
            requests_in_flight_max: 64,
            fetch_bytes_max: ByteSize::mib(55),
            fetch_wait_max: Duration::from_secs(60),
            log_dir: "posthouse".to_string(),
            connections: ConnectionLimits::default(),
        }
    }
}
