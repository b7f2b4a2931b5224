//! Appends, durability and its tickets.

use std::time::Duration;

use posthouse_types::{ByteSize, Clock, Offset};

use crate::testkit::*;
use crate::{AppendError, CleanupPolicy, LogConfig, ReadLimit, TimestampType};

pub async fn offsets_follow_one_another(harness: &mut impl Harness) {
    let log = open(harness, LogConfig::default()).await;
    let first = append(&*log, values(&["a", "b", "c"]));
    let second = append(&*log, values(&["d"]));
    assert_eq!((first.base_offset.value(), first.last_offset.value()), (0, 2));
    assert_eq!((second.base_offset.value(), second.last_offset.value()), (3, 3));
    assert_eq!(log.ends().written_end.value(), 4);
}

pub async fn nothing_is_readable_before_it_is_durable(harness: &mut impl Harness) {
    let log = open(harness, LogConfig::default()).await;
    let mut tickets = Vec::new();
    for _ in 0..50 {
        tickets.push(append(&*log, values(&["a", "b"])).ticket);
        let ends = log.ends();
        assert!(ends.durable_end <= ends.written_end && ends.last_stable <= ends.durable_end);
        let limit = ReadLimit { bytes: 1 << 20, until: ends.written_end };
        let seen = log.read(Offset::ZERO, limit).await.unwrap();
        let end = log.ends().durable_end;
        if end == Offset::ZERO {
            assert!(seen.is_empty(), "records are read that are not durable");
        }
        for batch in read_batches(&*log, Offset::ZERO).await.unwrap() {
            assert!(batch.header().last_offset() < log.ends().durable_end);
        }
    }
    harness.flush();
    for ticket in tickets {
        ticket.durable().await.unwrap();
    }
    assert_eq!(log.ends().durable_end.value(), 100);
}

pub async fn a_ticket_covers_the_records_before_it(harness: &mut impl Harness) {
    let log = open(harness, LogConfig::default()).await;
    let mut tickets: Vec<_> = (0..100).map(|_| append(&*log, values(&["a"])).ticket).collect();
    harness.flush();
    let last = tickets.pop().unwrap();
    assert_eq!(last.until().value(), 100);
    last.durable().await.unwrap();
    for earlier in tickets {
        assert!(earlier.poll_durable().expect("it is decided").is_ok());
    }
    assert_eq!(read_values(&*log).await.len(), 100);
}

pub async fn a_batch_above_the_limit_is_refused(harness: &mut impl Harness) {
    let config = LogConfig { batch_bytes_max: ByteSize(1_000), ..LogConfig::default() };
    let log = open(harness, config).await;
    let refused = log.append(sized(2_000)).unwrap_err();
    assert!(matches!(refused, AppendError::TooLarge { max: 1_000, .. }), "{refused}");
    commit(harness, &*log, sized(900)).await;
}

pub async fn a_record_without_a_key_is_refused_in_a_compacted_topic(harness: &mut impl Harness) {
    let config = LogConfig { cleanup: CleanupPolicy::COMPACT, ..LogConfig::default() };
    let log = open(harness, config).await;
    assert!(matches!(log.append(values(&["a"])), Err(AppendError::KeyMissing)));
    commit(harness, &*log, keyed(&[("a", "1")])).await;
}

pub async fn log_append_time_is_written_into_the_batch(harness: &mut impl Harness) {
    let timestamps = TimestampType::LogAppendTime;
    let log = open(harness, LogConfig { timestamps, ..LogConfig::default() }).await;
    harness.clock().advance(Duration::from_millis(42));
    let now = harness.clock().wall();
    let appended = append(&*log, timed(&[7, 9]));
    assert_eq!(appended.log_append_time, Some(now));
    harness.flush();
    appended.ticket.durable().await.unwrap();
    let records = read_records(&*log).await.unwrap();
    assert!(records.iter().all(|record| record.timestamp == now));
}

pub async fn watchers_are_told_of_durable_records(harness: &mut impl Harness) {
    let log = open(harness, LogConfig::default()).await;
    let mut watch = log.watch();
    append(&*log, values(&["a"]));
    harness.flush();
    watch.wait_for(|ends| ends.durable_end.value() == 1).await.unwrap();
}

pub async fn appends_after_shutdown_are_refused(harness: &mut impl Harness) {
    let log = open(harness, LogConfig::default()).await;
    harness.engine().shutdown().await.unwrap();
    assert!(matches!(log.append(values(&["a"])), Err(AppendError::Closed)));
    assert!(harness.engine().open(partition(1), LogConfig::default()).await.is_err());
}

pub async fn what_was_appended_before_shutdown_is_durable(harness: &mut impl Harness) {
    let log = open(harness, LogConfig::default()).await;
    let ticket = append(&*log, values(&["a", "b"])).ticket;
    harness.restart().await;
    ticket.durable().await.unwrap();
    let log = open(harness, LogConfig::default()).await;
    assert_eq!(read_values(&*log).await.len(), 2);
}
