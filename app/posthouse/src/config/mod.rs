//! Settings: one table of them, from which the file, the environment, the flags, `config show` and
//! the reference page all follow.
//!
//! # Invariants
//! - Order: defaults, then the file, then `POSTHOUSE_*` variables, then flags; the last one wins.
//! - `config/default.toml` says exactly what the code defaults to (tested).

mod docs;
mod endpoints;
mod listeners;
mod load;
mod node;
mod settings;
mod value;

pub use docs::{reference_page, show_toml};
pub use listeners::KafkaListener;
pub use load::{ConfigError, Loaded, Origin, load};
pub use node::{NodeConfig, TlsConfig};
pub(crate) use value::parse_duration;
pub use value::{DoorAddress, EngineKind, HostPort, LogFormat};

use posthouse_broker::BrokerConfig;
use posthouse_http::{HttpConfig, OutletsConfig};
use posthouse_kafka::KafkaConfig;
use posthouse_log::LocalConfig;
use posthouse_postgres::PostgresConfig;
use posthouse_query::QueryConfig;
use posthouse_redis::RedisConfig;
use posthouse_zeromq::ZeromqConfig;

/// The defaults, annotated, as a file to start one's own from.
pub const DEFAULT_TOML: &str = include_str!("../../config/default.toml");

/// Everything a node can be told.
#[derive(Clone, Debug)]
pub struct Config {
    /// The process.
    pub node: NodeConfig,
    /// The log in the data directory. Its directory is [`NodeConfig::data_dir`].
    pub local: LocalConfig,
    /// Topics, groups and memory.
    pub broker: BrokerConfig,
    /// The Kafka door. What it advertises and its drain follow from [`NodeConfig`].
    pub kafka: KafkaConfig,
    /// The Redis door. Its drain follows from [`NodeConfig`].
    pub redis: RedisConfig,
    /// The HTTP door.
    pub http: HttpConfig,
    /// Webhooks and file sinks.
    pub outlets: OutletsConfig,
    /// The Postgres door.
    pub postgres: PostgresConfig,
    /// The ZeroMQ door. What it allows and its drain follow from [`NodeConfig`].
    pub zeromq: ZeromqConfig,
    /// SQL.
    pub query: QueryConfig,
}

impl Default for Config {
    fn default() -> Config {
        let node = NodeConfig::default();
        Config {
            local: LocalConfig::new(node.data_dir.clone()),
            node,
            broker: BrokerConfig::default(),
            kafka: KafkaConfig::default(),
            redis: RedisConfig::default(),
            http: HttpConfig::default(),
            outlets: OutletsConfig::default(),
            postgres: PostgresConfig::default(),
            zeromq: ZeromqConfig::default(),
            query: QueryConfig::default(),
        }
    }
}
