use posthouse_types::{ByteSize, ManualClock};

use super::*;
use crate::testkit::{append, numbered, partition, read_records, read_values, values};
use crate::{Engine, Log, LogConfig};

struct World {
    /// Holds `data`, `copy` and `restored`.
    directory: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        World { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn start(&self, name: &str) -> Arc<LocalEngine> {
        let clock = Arc::new(ManualClock::new(Timestamp::from_ms(1_700_000_000_000)));
        LocalEngine::open(LocalConfig::new(self.path(name)), clock).unwrap()
    }
}

fn log_config() -> LogConfig {
    LogConfig { segment_bytes: ByteSize(2_000), retention_age: None, ..LogConfig::default() }
}

async fn fill(log: &dyn Log, from: i32, to: i32) {
    for first in from..to {
        append(log, numbered(1, 0, first, 1)).ticket.durable().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_made_under_load_is_the_log_at_one_moment() {
    let world = World::new();
    let engine = world.start("data");
    let log = engine.open(partition(0), log_config()).await.unwrap();
    let other = engine.open(partition(7), log_config()).await.unwrap();
    fill(&*log, 0, 100).await;
    append(&*other, values(&["other"])).ticket.durable().await.unwrap();
    let writing = {
        let log = Arc::clone(&log);
        tokio::spawn(async move { fill(&*log, 100, 400).await })
    };
    let summary = engine.backup(world.path("copy")).await.unwrap();
    writing.await.unwrap();
    assert_eq!(summary.partitions, 2);
    assert!(summary.segments > 3);
    engine.shutdown().await.unwrap();

    assert_eq!(restore(&world.path("copy"), &world.path("restored")).unwrap(), summary);
    let engine = world.start("restored");
    let log = engine.open(partition(0), log_config()).await.unwrap();
    let records = read_records(&*log).await.unwrap();
    assert!((100..=400).contains(&records.len()), "{}", records.len());
    assert!((0..).zip(&records).all(|(at, record)| record.offset.value() == at));
    let last = i32::try_from(records.len()).unwrap();
    let again = append(&*log, numbered(1, 0, last - 1, 1));
    assert!(again.duplicate, "producers are restored too");
    fill(&*log, last, last + 10).await;
    let other = engine.open(partition(7), log_config()).await.unwrap();
    assert_eq!(read_values(&*other).await, [(0, "other".to_owned())]);
}

#[tokio::test]
async fn what_is_done_to_either_side_leaves_the_copy_alone() {
    let world = World::new();
    let engine = world.start("data");
    let log = engine.open(partition(0), log_config()).await.unwrap();
    fill(&*log, 0, 50).await;
    engine.backup(world.path("copy")).await.unwrap();
    let end = log.ends().durable_end;
    log.truncate_head(end).await.unwrap();
    log.maintain(Timestamp::from_ms(0)).await.unwrap();
    engine.delete(partition(0)).await.unwrap();
    engine.shutdown().await.unwrap();
    for name in ["first", "second"] {
        restore(&world.path("copy"), &world.path(name)).unwrap();
        let engine = world.start(name);
        let log = engine.open(partition(0), log_config()).await.unwrap();
        assert_eq!(read_records(&*log).await.unwrap().len(), 50);
        fill(&*log, 50, 90).await;
        engine.delete(partition(0)).await.unwrap();
        engine.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_stopped_node_is_copied_without_its_torn_tail() {
    let world = World::new();
    let engine = world.start("data");
    let log = engine.open(partition(0), log_config()).await.unwrap();
    fill(&*log, 0, 50).await;
    let refused = backup(&world.path("data"), &world.path("copy")).unwrap_err();
    assert!(matches!(refused, BackupError::Open(OpenError::InUse { .. })), "{refused}");
    engine.shutdown().await.unwrap();
    let partition_path = paths::partition(&world.path("data"), partition(0));
    let mut names: Vec<_> = std::fs::read_dir(&partition_path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    names.sort();
    let last = names.last().unwrap();
    let mut bytes = std::fs::read(last).unwrap();
    bytes.extend([0; 100]);
    std::fs::write(last, bytes).unwrap();

    backup(&world.path("data"), &world.path("copy")).unwrap();
    restore(&world.path("copy"), &world.path("restored")).unwrap();
    let engine = world.start("restored");
    let log = engine.open(partition(0), log_config()).await.unwrap();
    assert_eq!(read_records(&*log).await.unwrap().len(), 50);
}

#[tokio::test]
async fn an_incomplete_or_damaged_copy_is_not_restored() {
    let world = World::new();
    let engine = world.start("data");
    let log = engine.open(partition(0), log_config()).await.unwrap();
    fill(&*log, 0, 50).await;
    engine.backup(world.path("copy")).await.unwrap();
    let refused = engine.backup(world.path("copy")).await.unwrap_err();
    assert!(matches!(refused, BackupError::NotEmpty(_)), "{refused}");
    let refused = restore(&world.path("copy"), &world.path("data")).unwrap_err();
    assert!(matches!(refused, BackupError::NotEmpty(_)), "{refused}");

    let first = paths::segment(&paths::partition(&world.path("copy"), partition(0)), Offset::ZERO);
    let mut bytes = std::fs::read(&first).unwrap();
    bytes[200] ^= 1;
    // Not in place: the original may share the file.
    std::fs::remove_file(&first).unwrap();
    std::fs::write(&first, bytes).unwrap();
    let refused = restore(&world.path("copy"), &world.path("restored")).unwrap_err();
    assert!(matches!(refused, BackupError::Damaged { .. }), "{refused}");

    std::fs::remove_file(world.path("copy").join(MANIFEST)).unwrap();
    let refused = restore(&world.path("copy"), &world.path("restored-2")).unwrap_err();
    assert!(matches!(refused, BackupError::NotABackup(_)), "{refused}");
}
