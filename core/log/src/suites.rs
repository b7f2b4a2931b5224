//! The contract suite over every engine of this crate.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use posthouse_types::{ManualClock, Timestamp};

use crate::testkit::Harness;
use crate::{
    Engine, LocalConfig, LocalEngine, MemoryConfig, MemoryEngine, MemoryStore, contract_suite,
};

const START_MS: i64 = 1_700_000_000_000;

struct Memory {
    store: Arc<MemoryStore>,
    engine: Arc<MemoryEngine>,
    clock: ManualClock,
}

impl Memory {
    /// Nothing becomes durable until the test says so.
    const CONFIG: MemoryConfig =
        MemoryConfig { flush_interval: None, read_latency: std::time::Duration::ZERO };

    async fn new() -> Memory {
        let clock = ManualClock::new(Timestamp::from_ms(START_MS));
        let store = Arc::new(MemoryStore::default());
        let engine = MemoryEngine::over(store.clone(), Memory::CONFIG, Arc::new(clock.clone()));
        Memory { store, engine, clock }
    }
}

impl Harness for Memory {
    fn engine(&self) -> Arc<dyn Engine> {
        self.engine.clone()
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }

    fn flush(&self) {
        self.engine.flush();
    }

    fn restart(&mut self) -> BoxFuture<'_, ()> {
        async {
            self.engine.shutdown().await.expect("memory does not fail");
            let clock = Arc::new(self.clock.clone());
            self.engine = MemoryEngine::over(self.store.clone(), Memory::CONFIG, clock);
        }
        .boxed()
    }
}

contract_suite!(memory, Memory::new());

/// The local engine on the machine's own disk.
struct Local {
    directory: tempfile::TempDir,
    engine: Option<Arc<LocalEngine>>,
    clock: ManualClock,
}

impl Local {
    async fn new() -> Local {
        let clock = ManualClock::new(Timestamp::from_ms(START_MS));
        let directory = tempfile::tempdir().expect("the machine has room for a test");
        let mut local = Local { directory, engine: None, clock };
        local.start();
        local
    }

    fn start(&mut self) {
        let config = LocalConfig::new(self.directory.path());
        let clock = Arc::new(self.clock.clone());
        self.engine = Some(LocalEngine::open(config, clock).expect("the data directory opens"));
    }
}

impl Harness for Local {
    fn engine(&self) -> Arc<dyn Engine> {
        self.engine.clone().expect("an engine is there between restarts")
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }

    /// Commits begin by themselves.
    fn flush(&self) {}

    fn restart(&mut self) -> BoxFuture<'_, ()> {
        async {
            if let Some(engine) = self.engine.take() {
                engine.shutdown().await.expect("the machine's disk works");
            }
            self.start();
        }
        .boxed()
    }
}

contract_suite!(local, Local::new());
