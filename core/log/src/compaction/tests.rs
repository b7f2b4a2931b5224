use posthouse_record::{BatchBuilder, Compression};
use posthouse_types::{LeaderEpoch, ProducerEpoch, ProducerId, Sequence};

use super::*;

type Written<'a> = (&'a str, Option<&'a str>);

fn batch(base: i64, records: &[Written<'_>]) -> Batch {
    build(BatchBuilder::new(Compression::None), base, records)
}

fn build(mut builder: BatchBuilder, base: i64, records: &[Written<'_>]) -> Batch {
    for (key, value) in records {
        let value = value.map(str::as_bytes);
        builder.push(Timestamp::from_ms(1), Some(key.as_bytes()), value, &[]);
    }
    builder.build().unwrap().place(Offset::new(base).unwrap(), LeaderEpoch(0))
}

/// Offsets that survive one pass at `now_ms` with a tombstone age of 100 ms.
fn pass(batches: &[Batch], keys: &KeyMap, producers: &Producers, now_ms: i64) -> Vec<Batch> {
    let mut pass = Pass {
        keys,
        producers,
        now: Timestamp::from_ms(now_ms),
        tombstone_age: Duration::from_millis(100),
        removed: 0,
        horizon: None,
    };
    batches.iter().filter_map(|batch| pass.clean(batch).unwrap()).collect()
}

fn clean(batches: &[Batch], now_ms: i64) -> Vec<Batch> {
    let mut keys = KeyMap::new(Offset::ZERO);
    for batch in batches {
        assert!(keys.add(batch).unwrap());
    }
    pass(batches, &keys, &Producers::default(), now_ms)
}

fn offsets(batches: &[Batch]) -> Vec<i64> {
    let records = batches.iter().flat_map(|batch| batch.records(EXPANDED_BYTES_MAX).unwrap());
    records.map(|record| record.unwrap().offset.value()).collect()
}

#[test]
fn the_last_record_of_each_key_stays() {
    let batches = [
        batch(0, &[("a", Some("1")), ("b", Some("1"))]),
        batch(2, &[("a", Some("2"))]),
        batch(3, &[("c", Some("1")), ("a", Some("3"))]),
    ];
    let cleaned = clean(&batches, 0);
    assert_eq!(offsets(&cleaned), [1, 3, 4]);
    assert_eq!(cleaned.len(), 2, "a batch that lost every record is gone");
}

#[test]
fn a_tombstone_stays_until_its_time() {
    let batches = [batch(0, &[("a", Some("1"))]), batch(1, &[("a", None)])];
    let first = clean(&batches, 1_000);
    assert_eq!(offsets(&first), [1]);
    assert_eq!(first[0].header().delete_horizon_at(), Some(Timestamp::from_ms(1_100)));
    assert_eq!(offsets(&clean(&first, 1_099)), [1]);
    assert_eq!(offsets(&clean(&first, 1_100)), Vec::<i64>::new());
}

#[test]
fn records_above_the_map_stay() {
    let batches =
        [batch(0, &[("a", Some("1"))]), batch(1, &[("b", Some("1"))]), batch(2, &[("a", None)])];
    let mut keys = KeyMap::with_limit(Offset::ZERO, 2);
    assert!(keys.add(&batches[0]).unwrap() && keys.add(&batches[1]).unwrap());
    assert!(!keys.add(&batches[2]).unwrap());
    assert_eq!(keys.covered().value(), 2);
    assert_eq!(offsets(&pass(&batches, &keys, &Producers::default(), 0)), [0, 1, 2]);
}

#[test]
fn the_last_batch_of_a_producer_stays_as_a_header() {
    let numbered = |sequence| {
        let builder = BatchBuilder::new(Compression::None);
        builder.producer(ProducerId(1), ProducerEpoch(0), Sequence(sequence))
    };
    let batches = [
        build(numbered(0), 0, &[("a", Some("1"))]),
        build(numbered(1), 1, &[("a", Some("2"))]),
        batch(2, &[("a", Some("3"))]),
    ];
    let mut producers = Producers::default();
    let mut keys = KeyMap::new(Offset::ZERO);
    for batch in &batches {
        producers.record(batch.header(), Timestamp::from_ms(0));
        keys.add(batch).unwrap();
    }
    let cleaned = pass(&batches, &keys, &producers, 0);
    assert_eq!(offsets(&cleaned), [2]);
    assert_eq!(cleaned[0].header().base_offset.value(), 1);
    assert_eq!(cleaned[0].header().record_count, 0);
}

#[test]
fn a_clean_log_is_left_alone_until_it_is_dirty_enough() {
    let config = LogConfig { dirty_ratio_permille: 500, ..LogConfig::default() };
    let facts = |base: i64, bytes| SegmentFacts {
        next: Offset::new(base + 10).unwrap(),
        bytes,
        ..SegmentFacts::empty(Offset::new(base).unwrap(), Timestamp::from_ms(0))
    };
    let cleaned = Cleaned { to: Offset::new(10).unwrap(), horizon: None };
    let due = |dirty_bytes, cleaned| {
        let sealed = [facts(0, 100), facts(10, dirty_bytes)];
        cleanable_count(&sealed, cleaned, &config, Timestamp::from_ms(50))
    };
    assert_eq!(due(99, cleaned), 0);
    assert_eq!(due(100, cleaned), 2);
    let horizon = |ms| Cleaned { horizon: Some(Timestamp::from_ms(ms)), ..cleaned };
    assert_eq!(due(1, horizon(51)), 0);
    assert_eq!(due(1, horizon(50)), 2);
}
