//! An engine in memory that behaves like an object store.
//!
//! Owns nothing on disk. It exists so that the trait is not shaped by files, and for tests of
//! whatever stands above the log: durability comes late and in batches, at ticks of a timer or of
//! the test; records from before the opening are "fetched", so reads of them wait; there are no
//! files; and a later opening over the same store fences the writer.

mod log;
mod store;

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::{Condvar, Mutex};
use posthouse_types::{Clock, PartitionId};

pub use self::store::MemoryStore;

use self::log::MemoryLog;
use crate::{DeleteError, DurabilityError, Engine, Log, LogConfig, OpenError};

/// How the engine plays an object store.
#[derive(Clone, Copy, Debug)]
pub struct MemoryConfig {
    /// How often what was appended becomes durable; `None` when only [`MemoryEngine::flush`] does it.
    pub flush_interval: Option<Duration>,
    /// How long a read of records from before the opening waits.
    pub read_latency: Duration,
}

impl Default for MemoryConfig {
    fn default() -> MemoryConfig {
        MemoryConfig {
            flush_interval: Some(Duration::from_millis(2)),
            read_latency: Duration::from_millis(1),
        }
    }
}

/// The engine. Its store outlives it, as an object store would.
#[derive(Debug)]
pub struct MemoryEngine {
    store: Arc<MemoryStore>,
    config: MemoryConfig,
    clock: Arc<dyn Clock>,
    logs: Mutex<Option<HashMap<PartitionId, Arc<MemoryLog>>>>,
    stopped: Arc<(Mutex<bool>, Condvar)>,
}

impl MemoryEngine {
    /// An engine over a store of its own.
    pub fn new(config: MemoryConfig, clock: Arc<dyn Clock>) -> Arc<MemoryEngine> {
        MemoryEngine::over(Arc::default(), config, clock)
    }

    /// An engine over a store that others may have written, or write now.
    pub fn over(
        store: Arc<MemoryStore>,
        config: MemoryConfig,
        clock: Arc<dyn Clock>,
    ) -> Arc<MemoryEngine> {
        let engine = Arc::new(MemoryEngine {
            store,
            config,
            clock,
            logs: Mutex::new(Some(HashMap::new())),
            stopped: Arc::default(),
        });
        if let Some(interval) = config.flush_interval {
            let (engine, stopped) = (Arc::downgrade(&engine), Arc::clone(&engine.stopped));
            std::thread::Builder::new()
                .name("memory-log-flush".to_owned())
                .spawn(move || flush_by_timer(&engine, &stopped, interval))
                .expect("a thread can be started before there is any load");
        }
        engine
    }

    /// Makes durable what was appended so far, or finds out that it is fenced.
    pub fn flush(&self) {
        for log in self.open_logs() {
            log.flush();
        }
    }

    fn open_logs(&self) -> Vec<Arc<MemoryLog>> {
        self.logs.lock().iter().flat_map(HashMap::values).cloned().collect()
    }
}

fn flush_by_timer(
    engine: &Weak<MemoryEngine>,
    (stopped, wake): &(Mutex<bool>, Condvar),
    interval: Duration,
) {
    loop {
        let mut is_stopped = stopped.lock();
        if !*is_stopped {
            wake.wait_for(&mut is_stopped, interval);
        }
        if *is_stopped {
            return;
        }
        drop(is_stopped);
        let Some(engine) = engine.upgrade() else { return };
        engine.flush();
    }
}

impl Engine for MemoryEngine {
    fn open(
        &self,
        partition: PartitionId,
        config: LogConfig,
    ) -> BoxFuture<'_, Result<Arc<dyn Log>, OpenError>> {
        async move {
            tokio::time::sleep(self.config.read_latency).await;
            let mut logs = self.logs.lock();
            let logs = logs.as_mut().ok_or(OpenError::Closed)?;
            let log = Arc::new(MemoryLog::open(
                partition,
                self.store.partition(partition),
                config,
                Arc::clone(&self.clock),
                self.config.read_latency,
            ));
            if let Some(older) = logs.insert(partition, Arc::clone(&log)) {
                older.end(DurabilityError::Fenced { epoch: older.epoch() });
            }
            Ok(log as Arc<dyn Log>)
        }
        .boxed()
    }

    fn delete(&self, partition: PartitionId) -> BoxFuture<'_, Result<(), DeleteError>> {
        async move {
            let removed = match self.logs.lock().as_mut() {
                None => return Err(DeleteError::Closed),
                Some(logs) => logs.remove(&partition),
            };
            if let Some(log) = removed {
                log.end(DurabilityError::Closed);
            }
            self.store.remove(partition);
            Ok(())
        }
        .boxed()
    }

    fn stored(&self) -> BoxFuture<'_, Result<Vec<PartitionId>, OpenError>> {
        async move {
            if self.logs.lock().is_none() {
                return Err(OpenError::Closed);
            }
            Ok(self.store.partitions())
        }
        .boxed()
    }

    fn shutdown(&self) -> BoxFuture<'_, Result<(), OpenError>> {
        async move {
            let closing = self.logs.lock().take();
            for log in closing.iter().flat_map(HashMap::values) {
                log.flush();
                log.end(DurabilityError::Closed);
            }
            *self.stopped.0.lock() = true;
            self.stopped.1.notify_all();
            Ok(())
        }
        .boxed()
    }
}

impl Drop for MemoryEngine {
    fn drop(&mut self) {
        *self.stopped.0.lock() = true;
        self.stopped.1.notify_all();
    }
}

#[cfg(test)]
mod tests;
