//! What the local engine does when the disk fails: it says so, and loses nothing acknowledged.

use std::io::ErrorKind;
use std::sync::Arc;

use posthouse_types::{ByteSize, Clock, ManualClock, Offset, Timestamp};

use crate::testkit::{Call, FaultyDisk, append, partition, read_values, sized, values};
use crate::{
    AppendError, DurabilityError, Engine, LocalConfig, LocalEngine, Log, LogConfig,
    MaintenanceError, OpenError, ReadError, ReadLimit, StorageError,
};

struct World {
    disk: FaultyDisk,
    clock: ManualClock,
    engine: Arc<LocalEngine>,
}

impl World {
    fn new() -> World {
        let disk = FaultyDisk::new(7);
        let clock = ManualClock::new(Timestamp::from_ms(1_700_000_000_000));
        let engine = World::start(&disk, &clock);
        World { disk, clock, engine }
    }

    fn start(disk: &FaultyDisk, clock: &ManualClock) -> Arc<LocalEngine> {
        let disk = Arc::new(disk.mount());
        let config = LocalConfig { disk, tail_cache: ByteSize(0), ..LocalConfig::new("/data") };
        LocalEngine::open(config, Arc::new(clock.clone())).expect("the disk works again")
    }

    async fn open(&self) -> Result<Arc<dyn Log>, OpenError> {
        self.engine.open(partition(0), LogConfig::default()).await
    }

    /// A new process after a power cut.
    fn power_cut(&mut self) {
        self.disk.power_on();
        self.engine = World::start(&self.disk, &self.clock);
    }
}

async fn commit(log: &dyn Log, value: &str) -> Result<(), DurabilityError> {
    append(log, values(&[value])).ticket.durable().await
}

/// The values in the log, in order.
async fn stored(log: &dyn Log) -> Vec<String> {
    read_values(log).await.into_iter().map(|(_, value)| value).collect()
}

fn cause(error: &StorageError) -> ErrorKind {
    error.source.kind()
}

#[tokio::test]
async fn a_full_disk_refuses_appends_and_keeps_what_is_there() {
    let world = World::new();
    let log = world.open().await.unwrap();
    commit(&*log, "kept").await.unwrap();
    world.disk.set_capacity(Some(world.disk.used() + 100));
    let failed = append(&*log, sized(5_000)).ticket.durable().await.unwrap_err();
    assert!(matches!(&failed, DurabilityError::Failed(error) if error.is_full()), "{failed}");
    let refused = log.append(values(&["refused"])).unwrap_err();
    assert!(matches!(&refused, AppendError::Failed(error) if error.is_full()), "{refused}");
    assert_eq!(stored(&*log).await, ["kept"], "what was acknowledged can still be read");
    world.disk.set_capacity(None);
    assert!(log.append(values(&["refused"])).is_err(), "only opening it again helps");
    let log = world.open().await.unwrap();
    assert_eq!(log.ends().durable_end.value(), 1, "the half-written batch was cut back");
    commit(&*log, "later").await.unwrap();
    assert_eq!(stored(&*log).await, ["kept", "later"]);
}

#[tokio::test]
async fn a_failed_write_is_cut_back() {
    let mut world = World::new();
    let log = world.open().await.unwrap();
    commit(&*log, "kept").await.unwrap();
    world.disk.fail(Call::Write, 0, ErrorKind::Other);
    let failed = append(&*log, sized(5_000)).ticket.durable().await.unwrap_err();
    assert!(matches!(failed, DurabilityError::Failed(_)));
    world.disk.kill_process();
    world.engine = World::start(&world.disk, &world.clock);
    let log = world.open().await.unwrap();
    assert_eq!(stored(&*log).await, ["kept"]);
}

#[tokio::test]
async fn after_a_failed_sync_the_log_is_lost_until_restart() {
    let mut world = World::new();
    let log = world.open().await.unwrap();
    commit(&*log, "kept").await.unwrap();
    world.disk.fail(Call::Sync, 0, ErrorKind::Other);
    let failed = commit(&*log, "lost").await.unwrap_err();
    assert!(matches!(failed, DurabilityError::Failed(_)), "{failed}");
    let syncs = world.disk.syncs();
    assert!(matches!(log.append(values(&["x"])), Err(AppendError::Failed(_))));
    assert!(matches!(log.maintain(world.clock.wall()).await, Err(MaintenanceError::Closed)));
    assert!(log.truncate_head(Offset::ZERO).await.is_err());
    let refused = world.open().await.err().expect("what the cache shows cannot be trusted");
    assert!(matches!(&refused, OpenError::Storage(error) if cause(error) == ErrorKind::Other));
    assert_eq!(world.disk.syncs(), syncs, "a failed sync is not tried again");
    world.power_cut();
    let log = world.open().await.unwrap();
    assert_eq!(stored(&*log).await, ["kept"]);
    commit(&*log, "later").await.unwrap();
}

#[tokio::test]
async fn a_failed_sync_of_a_directory_loses_the_log_too() {
    let mut world = World::new();
    let log = world.open().await.unwrap();
    world.disk.fail(Call::SyncDirectory, 0, ErrorKind::Other);
    commit(&*log, "lost").await.unwrap_err();
    assert!(world.open().await.is_err());
    world.power_cut();
    let log = world.open().await.unwrap();
    commit(&*log, "kept").await.unwrap();
    assert_eq!(stored(&*log).await, ["kept"]);
}

#[tokio::test]
async fn a_failed_sync_during_maintenance_loses_the_log() {
    let world = World::new();
    let config =
        LogConfig { segment_age: std::time::Duration::from_secs(1), ..LogConfig::default() };
    let log = world.engine.open(partition(0), config).await.unwrap();
    commit(&*log, "kept").await.unwrap();
    world.clock.advance(std::time::Duration::from_secs(5));
    world.disk.fail(Call::Sync, 0, ErrorKind::Other);
    let failed = log.maintain(world.clock.wall()).await.unwrap_err();
    assert!(matches!(failed, MaintenanceError::Storage(_)), "{failed}");
    assert!(matches!(log.append(values(&["x"])), Err(AppendError::Failed(_))));
    assert!(world.open().await.is_err());
}

#[tokio::test]
async fn other_partitions_live_on() {
    let world = World::new();
    let failing = world.open().await.unwrap();
    let other = world.engine.open(partition(1), LogConfig::default()).await.unwrap();
    commit(&*other, "before").await.unwrap();
    world.disk.fail(Call::Sync, 0, ErrorKind::Other);
    commit(&*failing, "lost").await.unwrap_err();
    commit(&*other, "after").await.unwrap();
    assert_eq!(stored(&*other).await, ["before", "after"]);
}

#[tokio::test]
async fn a_read_error_is_reported_and_passes() {
    let world = World::new();
    let log = world.open().await.unwrap();
    commit(&*log, "kept").await.unwrap();
    world.disk.fail(Call::Read, 0, ErrorKind::Other);
    let limit = ReadLimit { bytes: 1 << 20, until: log.ends().durable_end };
    let failed = log.read(Offset::ZERO, limit).await.unwrap_err();
    let ReadError::Storage(error) = failed else { panic!("{failed}") };
    assert_eq!((error.action, cause(&error)), ("read", ErrorKind::Other));
    assert_eq!(stored(&*log).await, ["kept"]);
}

#[tokio::test]
async fn a_deletion_that_was_cut_short_is_finished() {
    let mut finished = 0;
    for changes in 0..8 {
        let mut world = World::new();
        let log = world.open().await.unwrap();
        commit(&*log, "deleted").await.unwrap();
        world.disk.cut_power_after(changes);
        let deleted = world.engine.delete(partition(0)).await.is_ok();
        world.power_cut();
        let stored = world.engine.stored().await.unwrap();
        assert!(!deleted || stored.is_empty(), "after {changes} changes it came back");
        finished += usize::from(stored.is_empty());
        let log = world.open().await.unwrap();
        let expected = i64::from(!stored.is_empty());
        assert_eq!(log.ends().durable_end.value(), expected, "all or nothing");
    }
    assert!(finished > 0);
}

#[tokio::test]
async fn the_logs_of_an_engine_that_was_dropped_are_closed() {
    let World { disk, engine, .. } = World::new();
    let log = engine.open(partition(0), LogConfig::default()).await.unwrap();
    commit(&*log, "kept").await.unwrap();
    drop(engine);
    assert!(matches!(log.append(values(&["late"])), Err(AppendError::Closed)));
    drop(disk);
}
