//! The room in which queries run: threads, memory and disk of their own.
//!
//! Owns the runtime, the memory pool, the spill directory and the limit on queries at once. Knows
//! nothing of SQL; see [`crate::QuerySession`].
//!
//! # Invariants
//! - Planning, decoding and execution happen on this runtime, never on a door's.
//! - Work is dropped with the future or stream that asked for it.

use std::num::NonZeroUsize;
use std::sync::Arc;

use datafusion::common::DataFusionError;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use posthouse_broker::Broker;
use posthouse_types::Principal;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::{QueryConfig, QueryError, QuerySession, STACK_BYTES};

/// Consumers named when memory runs out.
const CONSUMERS_NAMED: NonZeroUsize = NonZeroUsize::new(3).expect("three is not zero");

/// Runs the queries of one node. Shared behind an `Arc`; the last one dropped ends them all.
#[derive(Debug)]
pub struct QueryEngine {
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

/// Why the engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The threads could not be started.
    #[error("cannot start the query threads")]
    Threads(#[source] std::io::Error),
    /// The memory pool or spill directory was refused.
    #[error("cannot prepare memory and spill directory for queries")]
    Room(#[source] DataFusionError),
    /// A setting cannot be used.
    #[error("query setting {name} is refused: {reason}")]
    Setting {
        /// The field of [`QueryConfig`].
        name: &'static str,
        /// Why.
        reason: String,
    },
}

/// What sessions and row streams hold of the engine.
pub(crate) struct Shared {
    pub(crate) broker: Arc<Broker>,
    pub(crate) config: QueryConfig,
    pub(crate) handle: Handle,
    pub(crate) room: Arc<RuntimeEnv>,
    pub(crate) turns: Arc<Semaphore>,
}

impl QueryEngine {
    /// Starts the threads and takes the room.
    ///
    /// # Errors
    /// [`StartError`] when the machine or a setting does not allow it.
    pub fn start(broker: Arc<Broker>, config: QueryConfig) -> Result<Arc<QueryEngine>, StartError> {
        check(&config)?;
        let niceness = config.niceness;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(config.threads.max(1))
            .thread_name("query")
            .thread_stack_size(STACK_BYTES)
            .on_thread_start(move || yield_to_others(niceness))
            .enable_all()
            .build()
            .map_err(StartError::Threads)?;
        let shared = Arc::new(Shared {
            broker,
            handle: runtime.handle().clone(),
            room: room(&config).map_err(StartError::Room)?,
            turns: Arc::new(Semaphore::new(config.concurrent_queries_max.max(1))),
            config,
        });
        Ok(Arc::new(QueryEngine { shared, runtime: Some(runtime) }))
    }

    /// A client's view: its own settings, and what `principal` may see.
    pub fn session(&self, principal: Principal) -> QuerySession {
        QuerySession::new(Arc::clone(&self.shared), principal)
    }

    /// The node whose topics it reads.
    pub fn broker(&self) -> &Arc<Broker> {
        &self.shared.broker
    }

    /// Bytes that running queries hold of the memory pool.
    pub fn memory_used(&self) -> usize {
        self.shared.room.memory_pool.reserved()
    }
}

impl Drop for QueryEngine {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    /// Runs `work` on the query threads. Dropping the future stops the work.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, QueryError>> + Send + 'static,
    ) -> Result<T, QueryError> {
        let mut task = AbortOnDrop(self.handle.spawn(work));
        match (&mut task.0).await {
            Ok(result) => result,
            Err(join) if join.is_cancelled() => Err(QueryError::cancelled()),
            Err(_) => Err(QueryError::internal("a query thread panicked; the log says where")),
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Shared").field("config", &self.config).finish_non_exhaustive()
    }
}

/// A task that ends with whoever waits for it.
pub(crate) struct AbortOnDrop<T>(pub(crate) JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn check(config: &QueryConfig) -> Result<(), StartError> {
    let refuse = |name, reason: &str| Err(StartError::Setting { name, reason: reason.to_owned() });
    if config.batch_rows == 0 {
        return refuse("batch_rows", "a batch has at least one row");
    }
    if config.batches_ahead_max == 0 {
        return refuse("batches_ahead_max", "at least one batch is handed over");
    }
    Ok(())
}

fn room(config: &QueryConfig) -> Result<Arc<RuntimeEnv>, DataFusionError> {
    let mode = match &config.spill_directory {
        Some(directory) => DiskManagerMode::Directories(vec![directory.clone()]),
        None => DiskManagerMode::OsTmpDirectory,
    };
    let disk = DiskManagerBuilder::default()
        .with_mode(mode)
        .with_max_temp_directory_size(config.spill_bytes_max.0);
    let pool = FairSpillPool::new(config.memory.as_usize());
    RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(TrackConsumersPool::new(pool, CONSUMERS_NAMED)))
        .with_disk_manager_builder(disk)
        .build_arc()
}

/// Lowers the calling thread's priority, so that producers are served first on a full machine.
#[cfg(target_os = "linux")]
fn yield_to_others(niceness: u8) {
    // On Linux the caller's own thread is meant when no process is named.
    if niceness > 0
        && let Err(error) = rustix::process::setpriority_process(None, i32::from(niceness.min(19)))
    {
        tracing::warn!(niceness, %error, "query threads keep normal priority");
    }
}

#[cfg(not(target_os = "linux"))]
fn yield_to_others(_niceness: u8) {}
