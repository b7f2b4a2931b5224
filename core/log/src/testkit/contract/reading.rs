//! Reads, by offset and by time.

use posthouse_types::{ByteSize, Offset, Timestamp};

use crate::testkit::*;
use crate::{Chunk, Log, LogConfig, ReadError, ReadLimit};

fn offset(value: i64) -> Offset {
    Offset::new(value).unwrap()
}

/// Base offsets of the batches that one read returns.
async fn bases(log: &dyn Log, from: i64, bytes: usize, until: i64) -> Vec<i64> {
    let limit = ReadLimit { bytes, until: offset(until) };
    let mut bases = Vec::new();
    for chunk in log.read(offset(from), limit).await.unwrap() {
        let mut bytes = chunk.load().unwrap();
        assert_eq!(bytes.len(), chunk.len());
        while let Some(batch) = posthouse_record::Batch::next(&mut bytes).unwrap() {
            bases.push(batch.header().base_offset.value());
        }
    }
    bases
}

pub async fn a_read_returns_what_was_appended(harness: &mut impl Harness) {
    let log = open(harness, LogConfig::default()).await;
    let sent = keyed(&[("k", "v"), ("k", "w")]);
    let size = sent.size();
    commit(harness, &*log, sent).await;
    let batches = read_batches(&*log, Offset::ZERO).await.unwrap();
    assert_eq!(batches.len(), 1);
    assert_eq!(batches[0].bytes().len(), size);
    assert_eq!(batches[0].header().leader_epoch, log.epoch());
    let expected = [(0, "v".to_owned()), (1, "w".to_owned())];
    assert_eq!(read_values(&*log).await, expected);
}

pub async fn a_read_within_a_batch_returns_the_whole_batch(harness: &mut impl Harness) {
    let log = open(harness, LogConfig::default()).await;
    commit(harness, &*log, values(&["a", "b", "c"])).await;
    commit(harness, &*log, values(&["d", "e", "f"])).await;
    assert_eq!(bases(&*log, 1, 1 << 20, 6).await, [0, 3]);
    assert_eq!(bases(&*log, 4, 1 << 20, 6).await, [3]);
}

pub async fn a_batch_above_the_limit_is_returned_alone(harness: &mut impl Harness) {
    let log = open(harness, LogConfig::default()).await;
    commit(harness, &*log, sized(5_000)).await;
    commit(harness, &*log, sized(5_000)).await;
    assert_eq!(bases(&*log, 0, 0, 2).await, [0]);
    assert_eq!(bases(&*log, 1, 1, 2).await, [1]);
}

pub async fn a_read_stops_at_its_limits(harness: &mut impl Harness) {
    let log = open(harness, LogConfig::default()).await;
    for _ in 0..5 {
        commit(harness, &*log, sized(1_000)).await;
    }
    assert_eq!(bases(&*log, 0, 2_500, 5).await, [0, 1]);
    assert_eq!(bases(&*log, 1, 1 << 20, 3).await, [1, 2]);
    assert_eq!(bases(&*log, 0, 1 << 20, 99).await, [0, 1, 2, 3, 4]);
}

pub async fn a_read_at_the_end_is_empty(harness: &mut impl Harness) {
    let log = open(harness, LogConfig::default()).await;
    assert_eq!(bases(&*log, 0, 1 << 20, 1).await, Vec::<i64>::new());
    commit(harness, &*log, values(&["a"])).await;
    assert_eq!(bases(&*log, 1, 1 << 20, 2).await, Vec::<i64>::new());
}

pub async fn a_read_outside_the_log_is_out_of_range(harness: &mut impl Harness) {
    let log = open(harness, LogConfig::default()).await;
    for _ in 0..4 {
        commit(harness, &*log, values(&["a"])).await;
    }
    log.truncate_head(offset(2)).await.unwrap();
    for outside in [0, 1, 5] {
        let limit = ReadLimit { bytes: 1, until: offset(9) };
        let refused = log.read(offset(outside), limit).await.unwrap_err();
        let ReadError::OutOfRange { log_start, durable_end, .. } = refused else {
            panic!("not out of range: {refused}")
        };
        assert_eq!((log_start.value(), durable_end.value()), (2, 4));
    }
}

pub async fn reads_cross_segments(harness: &mut impl Harness) {
    let config = LogConfig { segment_bytes: ByteSize(2_500), ..LogConfig::default() };
    let log = open(harness, config.clone()).await;
    for _ in 0..20 {
        commit(harness, &*log, sized(1_000)).await;
    }
    assert_eq!(read_values(&*log).await.len(), 20);
    harness.restart().await;
    let log = open(harness, config).await;
    assert_eq!(read_values(&*log).await.len(), 20);
    for from in 0..20 {
        assert_eq!(bases(&*log, from, 1, 20).await, [from]);
        let read = log.read(offset(from), ReadLimit { bytes: 4_000, until: offset(20) });
        assert!(read.await.unwrap().iter().map(Chunk::len).sum::<usize>() <= 4_000);
    }
}

pub async fn records_are_found_by_their_timestamp(harness: &mut impl Harness) {
    let config = LogConfig { segment_bytes: ByteSize(200), ..LogConfig::default() };
    let log = open(harness, config.clone()).await;
    let find = async |log: &dyn Log, at_ms| {
        let found = log.offset_for_timestamp(Timestamp::from_ms(at_ms)).await.unwrap();
        found.map(|found| (found.offset.value(), found.timestamp.as_ms()))
    };
    assert_eq!(find(&*log, 0).await, None);
    commit(harness, &*log, timed(&[100, 300])).await;
    commit(harness, &*log, timed(&[200, 250])).await;
    commit(harness, &*log, timed(&[400])).await;
    assert_eq!(find(&*log, 0).await, Some((0, 100)));
    assert_eq!(find(&*log, 101).await, Some((1, 300)));
    assert_eq!(find(&*log, 301).await, Some((4, 400)));
    assert_eq!(find(&*log, 401).await, None);
    harness.restart().await;
    let log = open(harness, config).await;
    assert_eq!(find(&*log, 101).await, Some((1, 300)));
    assert_eq!(find(&*log, 301).await, Some((4, 400)));
    log.truncate_head(offset(3)).await.unwrap();
    assert_eq!(find(&*log, 0).await, Some((3, 250)));
}

pub async fn the_largest_timestamp_is_found(harness: &mut impl Harness) {
    let config = LogConfig { segment_bytes: ByteSize(200), ..LogConfig::default() };
    let log = open(harness, config).await;
    assert_eq!(log.max_timestamp().await.unwrap(), None);
    commit(harness, &*log, timed(&[100, 900])).await;
    commit(harness, &*log, timed(&[900, 200])).await;
    commit(harness, &*log, timed(&[300])).await;
    let found = log.max_timestamp().await.unwrap().unwrap();
    assert_eq!((found.offset.value(), found.timestamp.as_ms()), (1, 900));
    assert_eq!(found.epoch, log.epoch());
}
