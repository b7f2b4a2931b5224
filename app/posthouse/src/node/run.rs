//! Start, serve, drain.
//!
//! # Invariants
//! - Every door is bound before the data is opened, and none answers before all can.
//! - The log is closed last, after everything that appends to it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use posthouse_broker::{Broker, OpenBrokerError};
use posthouse_http::{Outlets, StartOutletsError};
use posthouse_kafka::{Advertised, Jwks, JwksError, KafkaConfig};
use posthouse_listener::{BindError, Listener, Tls};
use posthouse_log::{
    Durability, Engine, LocalConfig, LocalEngine, MemoryConfig, MemoryEngine, OpenError,
};
use posthouse_query::QueryEngine;
use posthouse_types::{Clock, SystemClock};
use posthouse_zeromq::{BoundEndpoint, Policy, StartEndpointError, ZeromqConfig, ZeromqDoor};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::addresses::{Address, AddressError, resolve};
use super::administrator::{self, AdministratorError};
use super::ready_file::ReadyFile;
use super::threads::DoorThreads;
use super::tls::{self, StartTlsError};
use crate::config::{Config, EngineKind, LogFormat};
use crate::exit::{Code, Failure};

/// Why a node cannot start, or did not end well.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum StartError {
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(transparent)]
    Tls(#[from] StartTlsError),
    #[error(transparent)]
    Oauth(#[from] JwksError),
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
    #[error("cannot start the threads of the redis door")]
    Threads(#[source] std::io::Error),
    #[error(transparent)]
    Administrator(#[from] AdministratorError),
    #[error("the {0} door ended by a defect; the log says where")]
    Door(&'static str),
}

/// A node whose doors are open.
pub struct Running {
    addresses: BTreeMap<String, SocketAddr>,
    broker: Arc<Broker>,
    outlets: Arc<Outlets>,
    /// Until the Kafka door opens.
    oauth: Option<Jwks>,
    engine: Arc<dyn Engine>,
    redis_threads: DoorThreads,
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
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    // Before the first metric is set.
    posthouse_http::install_recorder();
    let addresses = resolve(&config).await?;
    let tls = tls::load(&config.node, &addresses, Arc::clone(&clock))?;
    let oauth = Jwks::load(&config.kafka.oauth, &*clock).await?;
    let listeners = bind(&addresses, tls.as_ref()).await?;
    if listeners.is_empty() {
        return Err(StartError::NoDoor);
    }
    let zeromq = zeromq_config(&config);
    let endpoints = BoundEndpoint::open_all(&zeromq).await?;
    let engine = open_engine(&config, Arc::clone(&clock))?;
    let broker = Broker::open(Arc::clone(&engine), config.broker.clone(), clock).await?;
    administrator::make(&broker, config.node.administrator_password_file.as_deref()).await?;
    let query = QueryEngine::start(Arc::clone(&broker), config.query.clone())?;
    let outlets = Outlets::new(Arc::clone(&broker), config.outlets.clone())?;
    let redis_threads =
        DoorThreads::start("redis", config.redis.threads).map_err(StartError::Threads)?;
    let mut running = Running {
        addresses: listeners
            .values()
            .flat_map(Listener::sockets)
            .map(|socket| (socket.name().to_string(), socket.local_address()))
            .collect(),
        broker,
        outlets,
        oauth,
        engine,
        redis_threads,
        doors: JoinSet::new(),
        names: BTreeMap::new(),
        shutdown,
        ready_file: None,
    };
    let bound = endpoints.iter();
    let bound = bound.map(|one| (one.name().to_owned(), one.addresses().to_vec())).collect();
    running.open_endpoints(endpoints, &zeromq);
    for (door, listener) in listeners {
        running.open(door, listener, &query, &config, &addresses);
    }
    if let Some(tls) = tls {
        running.watch(tls, config.node.tls.reload_interval);
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

/// One listener for each door, over all its addresses.
async fn bind(
    addresses: &[Address],
    tls: Option<&Tls>,
) -> Result<BTreeMap<&'static str, Listener>, BindError> {
    let mut listeners: BTreeMap<&'static str, Listener> = BTreeMap::new();
    for address in addresses {
        let listener = Listener::open(address.place(tls)).await?;
        match listeners.entry(address.door) {
            Entry::Occupied(mut door) => door.get_mut().join(listener),
            Entry::Vacant(door) => _ = door.insert(listener),
        }
    }
    Ok(listeners)
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

    /// Certificates may change while the node runs.
    fn watch(&mut self, tls: Tls, every: Duration) {
        let task = self.doors.spawn(tls.watch(every, self.shutdown.clone()));
        self.names.insert(task.id(), "tls");
    }

    fn open(
        &mut self,
        door: &'static str,
        listener: Listener,
        query: &Arc<QueryEngine>,
        config: &Config,
        addresses: &[Address],
    ) {
        let (broker, query) = (Arc::clone(&self.broker), Arc::clone(query));
        let shutdown = self.shutdown.clone();
        let limits = |door| config.node.limits(door);
        let task = match door {
            "kafka" => {
                let config = kafka_config(config, &listener, addresses);
                let oauth = self.oauth.take();
                self.doors.spawn(posthouse_kafka::serve(listener, broker, oauth, config, shutdown))
            }
            "redis" => {
                let mut redis = config.redis.clone();
                redis.connections = limits(redis.connections);
                let serve = posthouse_redis::serve(listener, broker, redis, shutdown);
                self.doors.spawn_on(serve, self.redis_threads.handle())
            }
            "http" => {
                let mut http = config.http.clone();
                http.connections = limits(http.connections);
                let outlets = Arc::clone(&self.outlets);
                self.doors
                    .spawn(posthouse_http::serve(listener, broker, query, outlets, http, shutdown))
            }
            _ => {
                let mut postgres = config.postgres.clone();
                postgres.connections = limits(postgres.connections);
                self.doors.spawn(posthouse_postgres::serve(listener, query, postgres, shutdown))
            }
        };
        self.names.insert(task.id(), door);
    }
}

/// What endpoints may do follows from what the node may.
fn zeromq_config(config: &Config) -> ZeromqConfig {
    let mut zeromq = config.zeromq.clone();
    let authentication = &config.broker.authentication;
    zeromq.policy = Policy {
        allow_unauthenticated: config.node.allow_unauthenticated,
        login_timeout: authentication.required.then_some(authentication.login_timeout),
    };
    zeromq.drain_timeout = config.node.grace_period;
    zeromq
}

/// What the Kafka door tells its clients follows from where they came in, unless it is told.
fn kafka_config(config: &Config, listener: &Listener, addresses: &[Address]) -> KafkaConfig {
    let mut kafka = config.kafka.clone();
    kafka.advertised = listener
        .sockets()
        .iter()
        .map(|socket| {
            let mut named = addresses.iter().filter(|address| address.name == *socket.name());
            let bound = socket.local_address();
            let (host, port) = match named.next().and_then(|address| address.advertise.as_ref()) {
                Some(advertised) => (advertised.host.clone(), advertised.port),
                None => (bound.ip().to_string(), bound.port()),
            };
            let listener = Arc::clone(socket.name());
            Advertised { listener, is_tls: socket.is_tls(), host, port }
        })
        .collect();
    kafka.log_dir = config.node.data_dir.display().to_string();
    kafka.connections = config.node.limits(kafka.connections);
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
    doors: &BTreeMap<String, SocketAddr>,
    data: &str,
    durability: &str,
    ready_ms: u128,
) -> String {
    let mut text = format!(
        "posthouse {} is ready after {ready_ms} ms\n  data       {data}\n  durability {durability}\n",
        env!("CARGO_PKG_VERSION")
    );
    for (door, address) in doors {
        let scheme = match door.as_str() {
            "http" => "http://",
            "http.tls" => "https://",
            _ => "",
        };
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
            | StartError::Tls(_)
            | StartError::Oauth(_)
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
            | StartError::Threads(_)
            | StartError::Door(_) => Code::Failed,
        };
        let failure = Failure::from_error(code, &self);
        match self {
            StartError::Open(OpenError::InUse { .. }) => failure.hint(
                "one process uses a data directory at a time; stop the other one, or choose another with --data-dir DIR",
            ),
            StartError::Oauth(_) => failure.hint(
                "kafka.oauth_jwks is a file, or an https:// URL, with the issuer's JWK set; without it the node starts and takes no OAuth tokens",
            ),
            StartError::Endpoint(StartEndpointError::Refused { source, .. }) => match source.help {
                Some(help) => failure.hint(help),
                None => failure,
            },
            _ => failure,
        }
    }
}
