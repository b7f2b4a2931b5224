//! The door's settings.

use std::sync::Arc;
use std::time::Duration;

use posthouse_listener::ConnectionLimits;
use posthouse_types::ByteSize;

/// Where the clients of a listener are told to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertised {
    /// What the listener is called; see [`posthouse_listener::Place::name`].
    pub listener: Arc<str>,
    /// Whether it speaks TLS.
    pub is_tls: bool,
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Settings of the Kafka door. Names in the documentation are Kafka's, where Kafka has one.
#[derive(Clone, Debug)]
pub struct KafkaConfig {
    /// `advertised.listeners`: where clients are told to connect, by the listener that they came in
    /// by; the bound address of a listener that is not here.
    pub advertised: Vec<Advertised>,
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
    /// Where SASL's PLAIN is offered.
    pub sasl_plain: PlainPolicy,
    /// Whose OAuth tokens are taken.
    pub oauth: OauthConfig,
    /// `connections.max.reauth.ms`: a client that has not proven again who it is after so long is
    /// disconnected.
    pub reauthenticate_after: Option<Duration>,
    /// How many connections, and how long they may take to end.
    pub connections: ConnectionLimits,
}

/// Whose OAuth tokens are taken, for SASL's OAUTHBEARER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OauthConfig {
    /// Where the issuer's keys are, a JWK set: a file, or an `https://` URL. None are taken without.
    pub jwks: Option<String>,
    /// What `iss` must be; anything when `None`.
    pub issuer: Option<String>,
    /// What `aud` must have; anything when `None`.
    pub audience: Option<String>,
    /// The claim that names the user.
    pub subject_claim: String,
}

impl Default for OauthConfig {
    fn default() -> OauthConfig {
        OauthConfig { jwks: None, issuer: None, audience: None, subject_claim: "sub".to_owned() }
    }
}

/// Where a client may send its password, or a token, as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlainPolicy {
    /// Over TLS only.
    #[default]
    Tls,
    /// Also without TLS, from this machine.
    Loopback,
    /// Anywhere: whoever can listen on the network reads it.
    Always,
}

impl Default for KafkaConfig {
    fn default() -> KafkaConfig {
        KafkaConfig {
            advertised: Vec::new(),
            rack: None,
            request_bytes_max: ByteSize::mib(100),
            connection_bytes_max: ByteSize::mib(32),
            requests_bytes_max: ByteSize::mib(256),
            unsent_bytes_max: ByteSize::mib(4),
            requests_in_flight_max: 64,
            fetch_bytes_max: ByteSize::mib(55),
            fetch_wait_max: Duration::from_secs(60),
            log_dir: "posthouse".to_string(),
            sasl_plain: PlainPolicy::default(),
            oauth: OauthConfig::default(),
            reauthenticate_after: None,
            connections: ConnectionLimits::default(),
        }
    }
}
