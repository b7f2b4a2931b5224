//! What belongs to the process rather than to one of its crates.

use std::path::PathBuf;
use std::time::Duration;

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
    /// The Redis door.
    pub redis_address: DoorAddress,
    /// The HTTP door.
    pub http_address: DoorAddress,
    /// The Postgres door.
    pub postgres_address: DoorAddress,
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
            redis_address: DoorAddress::loopback(6379),
            http_address: DoorAddress::loopback(8080),
            postgres_address: DoorAddress::loopback(5432),
        }
    }
}
