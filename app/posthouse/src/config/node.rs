//! What belongs to the process rather than to one of its crates.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use posthouse_listener::{ClientCertificates, ConnectionLimits};

use super::listeners::KafkaListener;
use super::value::{DoorAddress, EngineKind, HostPort, LogFormat};

/// The node's own settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    /// Where everything is kept. Created when it does not exist; used by one process at a time.
    pub data_dir: PathBuf,
    /// Which engine keeps it.
    pub engine: EngineKind,
    /// Written with each door's bound address once all are open, removed at exit.
    pub ready_file: Option<PathBuf>,
    /// How long connections may take to finish after SIGTERM.
    pub grace_period: Duration,
    /// Accepts that anyone who reaches a door may do anything.
    pub allow_unauthenticated: bool,
    /// Holds the first administrator's password; one is made up when `None`.
    pub administrator_password_file: Option<PathBuf>,
    /// What is logged.
    pub log_filter: String,
    /// How it looks.
    pub log_format: LogFormat,
    /// The Kafka door.
    pub kafka_address: DoorAddress,
    /// Where Kafka clients are told to connect; the bound address when `None`.
    pub kafka_advertise: Option<HostPort>,
    /// The Kafka door, with TLS.
    pub kafka_tls_address: DoorAddress,
    /// Where Kafka clients that came in by that are told to connect; the bound address when `None`.
    pub kafka_tls_advertise: Option<HostPort>,
    /// More of the Kafka door, by name.
    pub kafka_listeners: BTreeMap<String, KafkaListener>,
    /// The Redis door.
    pub redis_address: DoorAddress,
    /// The Redis door, with TLS.
    pub redis_tls_address: DoorAddress,
    /// The HTTP door.
    pub http_address: DoorAddress,
    /// The HTTP door, with TLS.
    pub http_tls_address: DoorAddress,
    /// The Postgres door.
    pub postgres_address: DoorAddress,
    /// Connections that one address may have to each door.
    pub connections_per_address_max: usize,
    /// TLS, for every door.
    pub tls: TlsConfig,
}

/// The certificate of every door that speaks TLS, and how clients are met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// PEM: the certificate, then those between it and its authority.
    pub certificate: Option<PathBuf>,
    /// PEM: its key.
    pub key: Option<PathBuf>,
    /// PEM: who may have issued client certificates.
    pub client_authorities: Option<PathBuf>,
    /// Whether clients show certificates.
    pub client_certificates: ClientCertificates,
    /// How often the files are looked at.
    pub reload_interval: Duration,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
    /// Unfinished handshakes of a door at once.
    pub handshakes_max: usize,
}

impl Default for TlsConfig {
    fn default() -> TlsConfig {
        let limits = ConnectionLimits::default();
        TlsConfig {
            certificate: None,
            key: None,
            client_authorities: None,
            client_certificates: ClientCertificates::Off,
            reload_interval: Duration::from_secs(5),
            handshake_timeout: limits.handshake_timeout,
            handshakes_max: limits.handshakes_max,
        }
    }
}

impl NodeConfig {
    /// The limits of a door's connections: its own, and those that all doors share.
    pub(crate) fn limits(&self, door: ConnectionLimits) -> ConnectionLimits {
        ConnectionLimits {
            per_address_max: self.connections_per_address_max,
            handshakes_max: self.tls.handshakes_max,
            handshake_timeout: self.tls.handshake_timeout,
            drain_timeout: self.grace_period,
            ..door
        }
    }
}

impl Default for NodeConfig {
    fn default() -> NodeConfig {
        NodeConfig {
            data_dir: PathBuf::from("posthouse-data"),
            engine: EngineKind::Local,
            ready_file: None,
            grace_period: Duration::from_secs(10),
            allow_unauthenticated: false,
            administrator_password_file: None,
            log_filter: "info".to_owned(),
            log_format: LogFormat::Text,
            kafka_address: DoorAddress::loopback(9092),
            kafka_advertise: None,
            kafka_tls_address: DoorAddress::Off,
            kafka_tls_advertise: None,
            kafka_listeners: BTreeMap::new(),
            redis_address: DoorAddress::loopback(6379),
            redis_tls_address: DoorAddress::Off,
            http_address: DoorAddress::loopback(8080),
            http_tls_address: DoorAddress::Off,
            postgres_address: DoorAddress::loopback(5432),
            connections_per_address_max: ConnectionLimits::default().per_address_max,
            tls: TlsConfig::default(),
        }
    }
}
