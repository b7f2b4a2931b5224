//! What all clients of the door share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use posthouse_broker::Broker;
use posthouse_types::Principal;

use crate::RedisConfig;
use crate::access::AclLog;
use crate::commands::scripts::Scripts;
use crate::commands::scripts_running::RunningScript;
use crate::keys::Keys;
use crate::metrics::Metrics;
use crate::parameters::Parameters;
use crate::registry::Registry;
use crate::slowlog::SlowLog;
use crate::statistics::Statistics;
use crate::streams::Streams;

/// The version of Redis whose commands and errors these are, which clients look at.
pub(crate) const REDIS_VERSION: &str = "7.0.15";

/// The door.
pub(crate) struct Server {
    pub(crate) broker: Arc<Broker>,
    /// As which the door looks after what it keeps.
    pub(crate) node: Principal,
    /// Whether clients have to log in, and may do only what rules allow.
    pub(crate) guarded: bool,
    pub(crate) acl_log: AclLog,
    pub(crate) config: RedisConfig,
    pub(crate) address: SocketAddr,
    pub(crate) parameters: Parameters,
    pub(crate) keys: Arc<Keys>,
    pub(crate) scripts: Mutex<Scripts>,
    pub(crate) running_script: Arc<RunningScript>,
    pub(crate) streams: Streams,
    pub(crate) clients: Arc<Registry>,
    pub(crate) statistics: Statistics,
    pub(crate) slowlog: SlowLog,
    pub(crate) metrics: Metrics,
    pub(crate) started: Instant,
}

impl Server {
    /// A door that is about to open.
    pub(crate) fn new(
        broker: Arc<Broker>,
        keys: Arc<Keys>,
        config: RedisConfig,
        address: SocketAddr,
    ) -> Arc<Server> {
        let started = broker.clock().now();
        let running_script = Arc::new(RunningScript::new(Arc::clone(broker.clock())));
        Arc::new(Server {
            node: Principal::node(),
            guarded: broker.authentication_required(),
            broker,
            acl_log: AclLog::default(),
            parameters: Parameters::new(&config),
            keys,
            scripts: Mutex::default(),
            running_script,
            streams: Streams::new(),
            config,
            address,
            clients: Arc::default(),
            statistics: Statistics::new(),
            slowlog: SlowLog::new(),
            metrics: Metrics::new(),
            started,
        })
    }

    /// Names this run of the node, as forty hexadecimal digits.
    pub(crate) fn run_id(&self) -> String {
        let id: String =
            self.broker.identity().cluster_id.bytes().map(|byte| format!("{byte:02x}")).collect();
        format!("{id:0<40.40}")
    }
}
