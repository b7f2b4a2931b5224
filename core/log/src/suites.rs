//! The contract suite over every engine of this crate.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use posthouse_types::{ManualClock, Timestamp};

use crate::testkit::{FaultyDisk, Harness};
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

/// The local engine.
struct Local {
    config: LocalConfig,
    engine: Option<Arc<LocalEngine>>,
    clock: ManualClock,
    /// Removed when the test ends; `None` on a disk that is in memory.
    _directory: Option<tempfile::TempDir>,
}

impl Local {
    async fn on_real_disk(change: impl FnOnce(&mut LocalConfig)) -> Local {
        let directory = tempfile::tempdir().expect("the machine has room for a test");
        let mut config = LocalConfig::new(directory.path());
        change(&mut config);
        Local::start(config, Some(directory))
    }

    async fn on_faulty_disk() -> Local {
        let disk = Arc::new(FaultyDisk::new(1));
        Local::start(LocalConfig { disk, ..LocalConfig::new("/data") }, None)
    }

    fn start(config: LocalConfig, directory: Option<tempfile::TempDir>) -> Local {
        let clock = ManualClock::new(Timestamp::from_ms(START_MS));
        let mut local = Local { config, engine: None, clock, _directory: directory };
        local.open();
        local
    }

    fn open(&mut self) {
        let clock = Arc::new(self.clock.clone());
        let engine = LocalEngine::open(self.config.clone(), clock);
        self.engine = Some(engine.expect("the data directory opens"));
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
                engine.shutdown().await.expect("the disk works");
            }
            self.open();
        }
        .boxed()
    }
}

contract_suite!(local, Local::on_real_disk(|_| {}));
// Nothing in memory and one file open: every read goes to the disk.
contract_suite!(
    local_cold,
    Local::on_real_disk(|config| {
        config.tail_cache = posthouse_types::ByteSize(0);
        config.open_files_max = 1;
    })
);
contract_suite!(local_on_faulty_disk, Local::on_faulty_disk());
