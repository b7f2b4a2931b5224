//! Start, serve, drain.
//!
//! # Invariants
//! - Every door is bound before the data is opened, and none answers before all can.
//! - The log is closed last, after everything that appends to it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use posthouse_broker::{Broker, OpenBrokerError};
use posthouse_http::{Outlets, StartOutletsError};
use posthouse_kafka::KafkaConfig;
use posthouse_listener::{BindError, Listener};
use posthouse_log::{
    Durability, Engine, LocalConfig, LocalEngine, MemoryConfig, MemoryEngine, OpenError,
};
use posthouse_query::QueryEngine;
use posthouse_types::{Clock, SystemClock};
use posthouse_zeromq::{BoundEndpoint, Policy, StartEndpointError, ZeromqConfig, ZeromqDoor};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::addresses::{AddressError, resolve};
use super::administrator::{self, AdministratorError};
use super::ready_file::ReadyFile;
use crate::config::{Config, EngineKind, LogFormat};
use crate::exit::{Code, Failure};

/// Why a node cannot start, or did not end well.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum StartError {
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Endpoint(#[from] StartEndpointError),
    #[error("every door is off; nobody could talk to the node")]
    NoDoor,
    #[error("cannot use the data directory")]
    Open(#[from] OpenError),
    #[error("cannot open the data")]
    Broker(#[from] OpenBrokerError),
    #[error("cannot start the query engine")]
    Query(#[from] posthouse_query::StartError),
    #[error("cannot start webhooks")]
    Outlets(#[from] StartOutletsError),
    #[error("cannot write the ready file {path}")]
    ReadyFile {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Administrator(#[from] AdministratorError),
    #[error("the {0} door ended by a defect; the log says where")]
    Door(&'static str),
}

/// A node whose doors are open.
pub struct Running {
    addresses: BTreeMap<&'static str, SocketAddr>,
    broker: Arc<Broker>,
    outlets: Arc<Outlets>,
    engine: Arc<dyn Engine>,
    doors: JoinSet<()>,
    names: BTreeMap<tokio::task::Id, &'static str>,
    shutdown: CancellationToken,
    ready_file: Option<ReadyFile>,
}

/// Runs a node until `shutdown`, and drains it.
///
/// # Errors
/// [`StartError`], before any door answered; or a door that ended by a defect.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), StartError> {
    let started = Instant::now();
    let banner = config.node.log_format == LogFormat::Text;
    let durability = durability(&config);
    let data = config.node.data_dir.display().to_string();
    let running = start(config, shutdown).await?;
    let (ready_ms, doors) = (started.elapsed().as_millis(), &running.addresses);
    if banner {
        print!("{}", announcement(doors, &data, durability, ready_ms));
    } else {
        info!(?doors, data, durability, ready_ms, "ready");
    }
    running.finish().await
}

/// Starts a node; its doors are open when this returns.
///
/// # Errors
/// [`StartError`]; nothing is left behind.
pub async fn start(config: Config, shutdown: CancellationToken) -> Result<Running, StartError> {
    let mut listeners = Vec::new();
    for (door, address) in resolve(&config.node, config.broker.authentication.required).await? {
        listeners.push((door, Listener::bind(door, address).await?));
    }
    if listeners.is_empty() {
        return Err(StartError::NoDoor);
    }
    posthouse_http::install_recorder();
    let zeromq = zeromq_config(&config);
    let endpoints = BoundEndpoint::open_all(&zeromq).await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let engine = open_engine(&config, Arc::clone(&clock))?;
    let broker = Broker::open(Arc::clone(&engine), config.broker.clone(), clock).await?;
    administrator::make(&broker, config.node.administrator_password_file.as_deref()).await?;
    let query = QueryEngine::start(Arc::clone(&broker), config.query.clone())?;
    let outlets = Outlets::new(Arc::clone(&broker), config.outlets.clone())?;
    let mut running = Running {
        addresses: listeners
            .iter()
            .map(|(door, listener)| (*door, listener.local_address()))
            .collect(),
        broker,
        outlets,
        engine,
        doors: JoinSet::new(),
        names: BTreeMap::new(),
        shutdown,
        ready_file: None,
    };
    let bound = endpoints.iter();
    let bound = bound.map(|one| (one.name().to_owned(), one.addresses().to_vec())).collect();
    running.open_endpoints(endpoints, &zeromq);
    for (door, listener) in listeners {
        running.open(door, listener, &query, &config);
    }
    running.run_outlets();
    if let Some(path) = &config.node.ready_file {
        let written = ReadyFile::write(path, &running.addresses, &bound);
        running.ready_file = Some(written.map_err(|source| StartError::ReadyFile {
            path: path.display().to_string(),
            source,
        })?);
    }
    Ok(running)
}

impl Running {
    /// Where a door listens; `None` when it is off.
    pub fn address(&self, door: &str) -> Option<SocketAddr> {
        self.addresses.get(door).copied()
    }

    /// Waits until the node is told to stop, and drains it.
    ///
    /// # Errors
    /// A door that ended by a defect, or data that could not be closed.
    pub async fn finish(mut self) -> Result<(), StartError> {
        let mut result = Ok(());
        while let Some(ended) = self.doors.join_next_with_id().await {
            let (id, defect) = match ended {
                Ok((id, ())) => (id, false),
                Err(failure) => (failure.id(), true),
            };
            let door = self.names.get(&id).copied().unwrap_or("unknown");
            if defect || !self.shutdown.is_cancelled() {
                error!(door, "door ended by a defect; shutting down");
                result = Err(StartError::Door(door));
                self.shutdown.cancel();
            }
        }
        self.broker.shutdown().await?;
        self.engine.shutdown().await?;
        drop(self.ready_file);
        info!("stopped");
        result
    }

    /// They run whatever doors are open: what was declared through one outlives it.
    fn run_outlets(&mut self) {
        let (outlets, shutdown) = (Arc::clone(&self.outlets), self.shutdown.clone());
        let task = self.doors.spawn(outlets.run(shutdown));
        self.names.insert(task.id(), "outlets");
    }

    /// Endpoints have no one address, so theirs is no door like the others.
    fn open_endpoints(&mut self, endpoints: Vec<BoundEndpoint>, config: &ZeromqConfig) {
        let door = ZeromqDoor::new(Arc::clone(&self.broker), config);
        let task = self.doors.spawn(door.serve(endpoints, self.shutdown.clone()));
        self.names.insert(task.id(), "zeromq");
    }

    fn open(
        &mut self,
        door: &'static str,
        listener: Listener,
        query: &Arc<QueryEngine>,
        config: &Config,
    ) {
        let (broker, query) = (Arc::clone(&self.broker), Arc::clone(query));
        let shutdown = self.shutdown.clone();
        let drain_timeout = config.node.grace_period;
        let task = match door {
            "kafka" => {
                let config = kafka_config(config, &listener);
                self.doors.spawn(posthouse_kafka::serve(listener, broker, config, shutdown))
            }
            "redis" => {
                let mut redis = config.redis.clone();
                redis.connections.drain_timeout = drain_timeout;
                self.doors.spawn(posthouse_redis::serve(listener, broker, redis, shutdown))
            }
            "http" => {
                let config = posthouse_http::HttpConfig { drain_timeout, ..config.http.clone() };
                let outlets = Arc::clone(&self.outlets);
                self.doors.spawn(posthouse_http::serve(
                    listener, broker, query, outlets, config, shutdown,
                ))
            }
            _ => {
                let config =
                    posthouse_postgres::PostgresConfig { drain_timeout, ..config.postgres.clone() };
                self.doors.spawn(posthouse_postgres::serve(listener, query, config, shutdown))
            }
        };
        self.names.insert(task.id(), door);
    }
}

/// What endpoints may do follows from what the node may.
fn zeromq_config(config: &Config) -> ZeromqConfig {
    let mut zeromq = config.zeromq.clone();
    zeromq.policy = Policy { allow_unauthenticated: config.node.allow_unauthenticated };
    zeromq.drain_timeout = config.node.grace_period;
    zeromq
}

/// What the Kafka door tells its clients follows from where it is bound, unless it is told.
fn kafka_config(config: &Config, listener: &Listener) -> KafkaConfig {
    let bound = listener.local_address();
    let (host, port) = match &config.node.kafka_advertise {
        Some(advertised) => (advertised.host.clone(), advertised.port),
        None => (bound.ip().to_string(), bound.port()),
    };
    let mut kafka = config.kafka.clone();
    kafka.advertised_host = host;
    kafka.advertised_port = port;
    kafka.log_dir = config.node.data_dir.display().to_string();
    kafka.connections.drain_timeout = config.node.grace_period;
    kafka
}

fn open_engine(config: &Config, clock: Arc<dyn Clock>) -> Result<Arc<dyn Engine>, OpenError> {
    Ok(match config.node.engine {
        EngineKind::Local => {
            let mut local = LocalConfig::new(config.node.data_dir.clone());
            local.tail_cache = config.local.tail_cache;
            local.commit_threads = config.local.commit_threads;
            local.open_files_max = config.local.open_files_max;
            LocalEngine::open(local, clock)?
        }
        EngineKind::Memory => MemoryEngine::new(MemoryConfig::default(), clock),
    })
}

fn durability(config: &Config) -> &'static str {
    match (config.node.engine, config.broker.topic_defaults.durability) {
        (EngineKind::Memory, _) => "none: kept in memory, gone at exit",
        (EngineKind::Local, Durability::Fsync) => "fsync: what is acknowledged survives power loss",
        (EngineKind::Local, Durability::Relaxed) => {
            "relaxed: what is acknowledged survives this process, not the machine"
        }
    }
}

fn announcement(
    doors: &BTreeMap<&'static str, SocketAddr>,
    data: &str,
    durability: &str,
    ready_ms: u128,
) -> String {
    let mut text = format!(
        "posthouse {} is ready after {ready_ms} ms\n  data       {data}\n  durability {durability}\n",
        env!("CARGO_PKG_VERSION")
    );
    for (door, address) in doors {
        let scheme = if *door == "http" { "http://" } else { "" };
        text += &format!("  {door:<10} {scheme}{address}\n");
    }
    text
}

impl StartError {
    /// What a person is told, with the exit code.
    pub(crate) fn into_failure(self) -> Failure {
        let code = match &self {
            StartError::Bind(BindError::InUse { .. })
            | StartError::Open(OpenError::InUse { .. }) => Code::InUse,
            StartError::Address(_)
            | StartError::NoDoor
            | StartError::Endpoint(StartEndpointError::Refused { .. })
            | StartError::Administrator(_)
            | StartError::Query(_)
            | StartError::Outlets(_) => Code::Usage,
            StartError::Bind(BindError::Refused { .. })
            | StartError::Open(_)
            | StartError::Broker(_)
            | StartError::Endpoint(StartEndpointError::Open { .. })
            | StartError::ReadyFile { .. }
            | StartError::Door(_) => Code::Failed,
        };
        let failure = Failure::from_error(code, &self);
        match self {
            StartError::Open(OpenError::InUse { .. }) => failure.hint(
                "one process uses a data directory at a time; stop the other one, or choose another with --data-dir DIR",
            ),
            StartError::Endpoint(StartEndpointError::Refused { source, .. }) => match source.help {
                Some(help) => failure.hint(help),
                None => failure,
            },
            _ => failure,
        }
    }
}
