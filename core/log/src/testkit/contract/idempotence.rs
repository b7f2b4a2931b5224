//! Idempotent producers.

use std::time::Duration;

use posthouse_types::{Clock, Sequence};

use crate::testkit::*;
use crate::{AppendError, LogConfig};

pub async fn a_batch_sent_twice_is_written_once(harness: &mut impl Harness) {
    let log = open(harness, LogConfig::default()).await;
    let first = append(&*log, numbered(1, 0, 0, 3));
    append(&*log, numbered(1, 0, 3, 2));
    let again = append(&*log, numbered(1, 0, 0, 3));
    assert!(again.duplicate && !first.duplicate);
    assert_eq!((again.base_offset, again.last_offset), (first.base_offset, first.last_offset));
    assert_eq!(again.ticket.until(), first.ticket.until());
    harness.flush();
    again.ticket.durable().await.unwrap();
    first.ticket.durable().await.unwrap();
    assert_eq!(log.ends().written_end.value(), 5);
}

pub async fn a_gap_in_the_sequence_is_refused(harness: &mut impl Harness) {
    let log = open(harness, LogConfig::default()).await;
    commit(harness, &*log, numbered(1, 0, 0, 3)).await;
    let refused = log.append(numbered(1, 0, 4, 1)).unwrap_err();
    assert!(
        matches!(refused, AppendError::OutOfOrderSequence { expected: Sequence(3), .. }),
        "{refused}"
    );
    assert_eq!(commit(harness, &*log, numbered(1, 0, 3, 1)).await.base, 3);
}

pub async fn an_older_producer_epoch_is_fenced(harness: &mut impl Harness) {
    let log = open(harness, LogConfig::default()).await;
    commit(harness, &*log, numbered(1, 0, 0, 1)).await;
    commit(harness, &*log, numbered(1, 1, 0, 1)).await;
    let refused = log.append(numbered(1, 0, 1, 1)).unwrap_err();
    assert!(matches!(refused, AppendError::FencedProducer { .. }), "{refused}");
}

pub async fn sequences_wrap_to_zero(harness: &mut impl Harness) {
    let log = open(harness, LogConfig::default()).await;
    commit(harness, &*log, numbered(1, 0, i32::MAX - 1, 2)).await;
    assert_eq!(commit(harness, &*log, numbered(1, 0, 0, 1)).await.base, 2);
    assert_eq!(commit(harness, &*log, numbered(2, 0, i32::MAX, 2)).await.base, 3);
    assert_eq!(commit(harness, &*log, numbered(2, 0, 1, 1)).await.base, 5);
}

pub async fn producers_survive_a_restart(harness: &mut impl Harness) {
    let log = open(harness, LogConfig::default()).await;
    commit(harness, &*log, numbered(1, 0, 0, 3)).await;
    commit(harness, &*log, numbered(1, 0, 3, 1)).await;
    commit(harness, &*log, numbered(2, 5, 0, 1)).await;
    let mut before = log.producers();
    harness.restart().await;
    let log = open(harness, LogConfig::default()).await;
    let mut after = log.producers();
    before.sort_by_key(|producer| producer.id);
    after.sort_by_key(|producer| producer.id);
    assert_eq!(after, before);
    let again = commit(harness, &*log, numbered(1, 0, 0, 3)).await;
    assert_eq!(again, Written { base: 0, last: 2, duplicate: true });
    assert!(log.append(numbered(1, 0, 5, 1)).is_err());
    assert!(log.append(numbered(2, 4, 1, 1)).is_err());
}

pub async fn idle_producers_are_forgotten(harness: &mut impl Harness) {
    let config = LogConfig { producer_age: Duration::from_secs(60), ..LogConfig::default() };
    let log = open(harness, config).await;
    commit(harness, &*log, numbered(1, 0, 0, 1)).await;
    harness.clock().advance(Duration::from_secs(50));
    commit(harness, &*log, numbered(2, 0, 0, 1)).await;
    harness.clock().advance(Duration::from_secs(20));
    log.maintain(harness.clock().wall()).await.unwrap();
    let known: Vec<_> = log.producers().iter().map(|producer| producer.id.0).collect();
    assert_eq!(known, [2]);
}
