//! Truncation of the head, retention and compaction.

use std::time::Duration;

use posthouse_types::{ByteSize, Clock, Offset};

use crate::testkit::*;
use crate::{AppendError, CleanupPolicy, Log, LogConfig, Maintained, TruncateError};

fn offset(value: i64) -> Offset {
    Offset::new(value).unwrap()
}

/// Segments of two batches of a kilobyte.
fn small_segments() -> LogConfig {
    LogConfig { segment_bytes: ByteSize(2_500), retention_age: None, ..LogConfig::default() }
}

fn compacted() -> LogConfig {
    LogConfig {
        cleanup: CleanupPolicy::COMPACT,
        segment_bytes: ByteSize(200),
        tombstone_age: Duration::from_secs(10),
        dirty_ratio_permille: 1,
        ..LogConfig::default()
    }
}

async fn maintain(harness: &impl Harness, log: &dyn Log) -> Maintained {
    log.maintain(harness.clock().wall()).await.unwrap()
}

pub async fn truncating_the_head_hides_records(harness: &mut impl Harness) {
    let log = open(harness, small_segments()).await;
    for _ in 0..6 {
        commit(harness, &*log, sized(1_000)).await;
    }
    assert_eq!(log.truncate_head(offset(3)).await.unwrap().value(), 3);
    assert_eq!(log.truncate_head(offset(1)).await.unwrap().value(), 3, "it never goes back");
    assert_eq!(log.ends().log_start.value(), 3);
    assert_eq!(read_values(&*log).await.first().unwrap().0, 3);
    let refused = log.truncate_head(offset(7)).await.unwrap_err();
    assert!(matches!(refused, TruncateError::OutOfRange { .. }), "{refused}");
    let before = log.stored_bytes();
    assert_eq!(maintain(harness, &*log).await.segments_deleted, 1);
    assert!(log.stored_bytes() < before);
    assert_eq!(log.truncate_head(offset(6)).await.unwrap().value(), 6);
    maintain(harness, &*log).await;
    assert_eq!(log.stored_bytes(), 0);
    assert_eq!(commit(harness, &*log, sized(1_000)).await.base, 6);
}

pub async fn a_truncated_head_survives_a_restart(harness: &mut impl Harness) {
    let log = open(harness, small_segments()).await;
    for _ in 0..6 {
        commit(harness, &*log, sized(1_000)).await;
    }
    log.truncate_head(offset(3)).await.unwrap();
    harness.restart().await;
    let log = open(harness, small_segments()).await;
    assert_eq!(log.ends().log_start.value(), 3);
    log.truncate_head(offset(6)).await.unwrap();
    maintain(harness, &*log).await;
    harness.restart().await;
    let log = open(harness, small_segments()).await;
    assert_eq!((log.ends().log_start.value(), log.ends().durable_end.value()), (6, 6));
    assert_eq!(commit(harness, &*log, sized(1_000)).await.base, 6);
}

pub async fn retention_by_size_deletes_the_oldest(harness: &mut impl Harness) {
    let retention_bytes = Some(ByteSize(4_000));
    let log = open(harness, LogConfig { retention_bytes, ..small_segments() }).await;
    for _ in 0..10 {
        commit(harness, &*log, sized(1_000)).await;
    }
    let maintained = maintain(harness, &*log).await;
    assert_eq!(maintained.segments_deleted, 3);
    assert!(maintained.bytes_freed >= 6_000);
    assert_eq!(log.ends().log_start.value(), 6);
    assert_eq!(read_values(&*log).await.len(), 4);
    assert_eq!(log.epoch_history()[0].start.value(), 6);
    assert_eq!(maintain(harness, &*log).await, Maintained::default());
}

pub async fn retention_by_age_can_empty_the_log(harness: &mut impl Harness) {
    let retention_age = Some(Duration::from_secs(60));
    let config = LogConfig { retention_age, ..small_segments() };
    let log = open(harness, config.clone()).await;
    let now_ms = harness.clock().wall().as_ms();
    for _ in 0..3 {
        commit(harness, &*log, timed(&[now_ms, now_ms + 1])).await;
    }
    harness.clock().advance(Duration::from_secs(59));
    assert_eq!(maintain(harness, &*log).await.segments_deleted, 0);
    harness.clock().advance(Duration::from_secs(2));
    assert_eq!(maintain(harness, &*log).await.segments_deleted, 1);
    assert_eq!((log.ends().log_start.value(), log.ends().durable_end.value()), (6, 6));
    assert_eq!(log.stored_bytes(), 0);
    harness.restart().await;
    let log = open(harness, config).await;
    assert_eq!(log.ends().log_start.value(), 6);
    assert_eq!(commit(harness, &*log, timed(&[now_ms])).await.base, 6);
}

/// Two keys, written over and over.
async fn overwrite(harness: &impl Harness, log: &dyn Log, rounds: usize) {
    for round in 0..rounds {
        let value = round.to_string();
        commit(harness, log, keyed(&[("a", &value), ("b", &value)])).await;
    }
}

pub async fn compaction_keeps_the_last_record_of_each_key(harness: &mut impl Harness) {
    let log = open(harness, compacted()).await;
    commit(harness, &*log, keyed(&[("once", "kept")])).await;
    overwrite(harness, &*log, 20).await;
    let before = read_records(&*log).await.unwrap();
    let maintained = maintain(harness, &*log).await;
    assert!(maintained.records_compacted > 30, "{maintained:?}");
    assert!(maintained.bytes_freed > 0);
    let after = read_records(&*log).await.unwrap();
    assert_eq!(after.len() as u64, before.len() as u64 - maintained.records_compacted);
    assert!(after.iter().all(|record| before.contains(record)), "a record changed");
    assert_eq!(after[0].value.as_deref(), Some(b"kept".as_slice()));
    for key in [b"a", b"b"] {
        let last = after.iter().rev().find(|record| record.key.as_deref() == Some(key)).unwrap();
        assert_eq!(last.value.as_deref(), Some(b"19".as_slice()));
    }
    assert_eq!((log.ends().log_start.value(), log.ends().durable_end.value()), (0, 41));
}

pub async fn a_compacted_log_survives_a_restart(harness: &mut impl Harness) {
    let log = open(harness, compacted()).await;
    let mut expected = Vec::new();
    for _ in 0..3 {
        overwrite(harness, &*log, 10).await;
        maintain(harness, &*log).await;
        expected = read_records(&*log).await.unwrap();
    }
    harness.restart().await;
    let log = open(harness, compacted()).await;
    assert_eq!(read_records(&*log).await.unwrap(), expected);
    assert_eq!(commit(harness, &*log, keyed(&[("a", "z")])).await.base, 60);
}

pub async fn tombstones_go_when_their_time_has_passed(harness: &mut impl Harness) {
    let log = open(harness, compacted()).await;
    commit(harness, &*log, keyed(&[("gone", "x")])).await;
    commit(harness, &*log, tombstone("gone")).await;
    overwrite(harness, &*log, 10).await;
    let has_tombstone = async || {
        let records = read_records(&*log).await.unwrap();
        let of_key: Vec<_> =
            records.iter().filter(|record| record.key.as_deref() == Some(b"gone")).collect();
        assert!(of_key.iter().all(|record| record.value.is_none()), "the value came back");
        !of_key.is_empty()
    };
    maintain(harness, &*log).await;
    assert!(has_tombstone().await, "a reader that is behind must see the deletion");
    harness.clock().advance(Duration::from_secs(9));
    maintain(harness, &*log).await;
    assert!(has_tombstone().await);
    harness.clock().advance(Duration::from_secs(2));
    maintain(harness, &*log).await;
    assert!(!has_tombstone().await);
}

pub async fn a_new_configuration_applies(harness: &mut impl Harness) {
    let log = open(harness, small_segments()).await;
    commit(harness, &*log, sized(1_000)).await;
    log.configure(LogConfig { batch_bytes_max: ByteSize(500), ..small_segments() });
    assert!(matches!(log.append(sized(1_000)), Err(AppendError::TooLarge { .. })));
}
