//! Data that each released format wrote opens today.
//!
//! `tests/formats/<version>/` is a data directory. `UPDATE_FORMATS=1 cargo test -p posthouse-log --test
//! formats` writes the directory of the newest format again; do that only before its first release.
#![allow(clippy::unwrap_used, reason = "a test panics when it fails")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use posthouse_log::{Engine, LocalConfig, LocalEngine, Log, LogConfig, ReadLimit};
use posthouse_record::{Batch, BatchBuilder, Compression, Record, UnplacedBatch};
use posthouse_types::{
    ByteSize, ManualClock, Offset, PartitionId, PartitionIndex, ProducerEpoch, ProducerId,
    Sequence, Timestamp, TopicId,
};
use uuid::Uuid;

const NEWEST: &str = "1";
const START_MS: i64 = 1_700_000_000_000;

fn fixture(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats").join(version)
}

/// Closed cleanly after its head was truncated; a partition that was being written to.
fn partitions() -> [PartitionId; 2] {
    let topic = TopicId(Uuid::from_u128(0x000f_0e0d));
    [0, 1].map(|index| PartitionId { topic, index: PartitionIndex::new(index) })
}

fn log_config() -> LogConfig {
    LogConfig { segment_bytes: ByteSize(800), retention_age: None, ..LogConfig::default() }
}

fn start(directory: &Path) -> Arc<LocalEngine> {
    let clock = Arc::new(ManualClock::new(Timestamp::from_ms(START_MS)));
    LocalEngine::open(LocalConfig::new(directory), clock).expect("the data directory opens")
}

/// Two records whose timestamps are their offsets, in each codec in turn.
fn batch(first: i32) -> UnplacedBatch {
    let codec = Compression::ALL[usize::try_from(first / 2).unwrap() % Compression::ALL.len()];
    let mut builder =
        BatchBuilder::new(codec).producer(ProducerId(5), ProducerEpoch(1), Sequence(first));
    for number in [first, first + 1] {
        let key = format!("key-{number}");
        let at = Timestamp::from_ms(i64::from(number));
        builder.push(at, Some(key.as_bytes()), Some(b"a value that was kept"), &[]);
    }
    builder.build().unwrap()
}

async fn write(log: &dyn Log, count: i32) {
    for first in (0..count).step_by(2) {
        log.append(batch(first)).unwrap().ticket.durable().await.unwrap();
    }
}

async fn read(log: &dyn Log) -> Vec<Record> {
    let (mut records, mut next) = (Vec::new(), log.ends().log_start);
    while next < log.ends().durable_end {
        let limit = ReadLimit { bytes: 1 << 20, until: log.ends().durable_end };
        for chunk in log.read(next, limit).await.unwrap() {
            let mut bytes = chunk.load().unwrap();
            while let Some(batch) = Batch::next(&mut bytes).unwrap() {
                batch.verify().unwrap();
                next = batch.header().last_offset().plus(1);
                records.extend(batch.records(1 << 20).unwrap().map(Result::unwrap));
            }
        }
    }
    records
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else if entry.file_name() != "LOCK" {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

async fn update(target: &Path) {
    let directory = tempfile::tempdir().unwrap();
    let [closed, written_to] = partitions();
    let engine = start(directory.path());
    let log = engine.open(closed, log_config()).await.unwrap();
    write(&*log, 40).await;
    log.truncate_head(Offset::new(7).unwrap()).await.unwrap();
    engine.shutdown().await.unwrap();
    let engine = start(directory.path());
    let log = engine.open(written_to, log_config()).await.unwrap();
    write(&*log, 20).await;
    if target.exists() {
        std::fs::remove_dir_all(target).unwrap();
    }
    copy(directory.path(), target);
}

async fn check(version: &str) {
    // Opening changes the directory, so it is a copy that is opened.
    let directory = tempfile::tempdir().unwrap();
    copy(&fixture(version), directory.path());
    let engine = start(directory.path());
    let [closed, written_to] = partitions();
    let mut stored = engine.stored().await.unwrap();
    stored.sort();
    assert_eq!(stored, [closed, written_to]);
    for (partition, log_start, end) in [(closed, 7, 40), (written_to, 0, 20)] {
        let log = engine.open(partition, log_config()).await.unwrap();
        let ends = log.ends();
        assert_eq!((ends.log_start.value(), ends.durable_end.value()), (log_start, end));
        assert!(log.epoch().0 > 2, "epochs go on from those of the format's writer");
        for record in read(&*log).await {
            let number = record.offset.value();
            assert_eq!(record.timestamp.as_ms(), number);
            assert_eq!(record.key.as_deref(), Some(format!("key-{number}").as_bytes()));
        }
        let last = i32::try_from(end).unwrap();
        assert!(log.append(batch(last - 2)).unwrap().duplicate, "producers are remembered");
        let appended = log.append(batch(last)).unwrap();
        assert_eq!(appended.base_offset.value(), end);
        appended.ticket.durable().await.unwrap();
    }
}

#[tokio::test]
async fn data_of_every_format_opens() {
    if std::env::var_os("UPDATE_FORMATS").is_some() {
        update(&fixture(NEWEST)).await;
    }
    for version in ["1"] {
        check(version).await;
    }
}
