//! Compaction keeps what it does not remove.

use posthouse_record::{Batch, BatchBuilder, BatchHeader, Compression, Record};
use posthouse_types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
use proptest::prelude::*;

use crate::support::*;

fn stored(compression: Compression, records: &[Record]) -> Batch {
    let mut builder = BatchBuilder::new(compression)
        .producer(ProducerId(11), ProducerEpoch(2), Sequence(500))
        .transactional();
    push_all(&mut builder, records);
    builder.build().unwrap().place(Offset::new(1_000).unwrap(), LeaderEpoch(6))
}

fn kept(records: &[Record], keep: &[bool]) -> Vec<Record> {
    let mut kept = Vec::new();
    for (record, keep) in records.iter().zip(keep) {
        if *keep {
            let offset = Offset::new(1_000 + record.offset.value()).unwrap();
            kept.push(Record { offset, ..record.clone() });
        }
    }
    kept
}

fn rebuild(batch: &Batch, horizon: Option<Timestamp>, keep: &[bool]) -> Batch {
    let mut wanted = keep.iter();
    batch.rebuild(EXPANDED_MAX, horizon, |_| *wanted.next().unwrap()).unwrap()
}

/// What must be as it was, whatever was removed.
fn check_identity(before: &BatchHeader, after: &BatchHeader) {
    assert_eq!(before.base_offset, after.base_offset);
    assert_eq!(before.last_offset(), after.last_offset());
    assert_eq!(before.leader_epoch, after.leader_epoch);
    assert_eq!(before.producer, after.producer);
    assert_eq!(before.transactional, after.transactional);
    assert_eq!(before.log_append_time, after.log_append_time);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn kept_records_are_as_they_were(
        records in records(),
        keep in prop::collection::vec(any::<bool>(), 40),
        compression in compression(),
        horizon in prop::option::of(any::<i64>().prop_map(Timestamp::from_ms)),
    ) {
        let batch = stored(compression, &records);
        let after = rebuild(&batch, horizon, &keep);
        after.verify()?;
        prop_assert_eq!(after.header(), &BatchHeader::parse(after.bytes())?);
        check_identity(batch.header(), after.header());
        prop_assert_eq!(after.header().delete_horizon_at(), horizon);
        let expected = kept(&records, &keep);
        if let Some(max) = expected.iter().map(|record| record.timestamp).max() {
            prop_assert_eq!(after.header().max_timestamp, max);
        }
        prop_assert_eq!(read(&after)?, expected);
    }
}

#[test]
fn a_batch_that_keeps_all_is_not_written_again() {
    let batch = stored(Compression::Gzip, &simple_records(5));
    let after = batch.rebuild(EXPANDED_MAX, None, |_| true).unwrap();
    assert_eq!(after.bytes().as_ptr(), batch.bytes().as_ptr());
}

#[test]
fn a_batch_that_loses_all_is_a_header() {
    for compression in Compression::ALL {
        let batch = stored(compression, &simple_records(5));
        let after = batch.rebuild(EXPANDED_MAX, None, |_| false).unwrap();
        assert_eq!(after.bytes().len(), at::RECORDS);
        assert_eq!(after.header().record_count, 0);
        assert_eq!(after.header().max_timestamp, batch.header().max_timestamp);
        assert_eq!(after.header().last_sequence(), batch.header().last_sequence());
        check_identity(batch.header(), after.header());
        after.verify().unwrap();
        assert_eq!(read(&after).unwrap(), []);
    }
}

#[test]
fn a_batch_rebuilt_twice_keeps_its_first_delete_horizon() {
    let records = simple_records(4);
    let first = Timestamp::from_ms(1_900_000_000_000);
    let once = rebuild(&stored(Compression::Snappy, &records), Some(first), &[true; 4]);
    let later = Timestamp::from_ms(1_900_000_999_999);
    let twice = rebuild(&once, Some(later), &[true, false, true, true]);
    assert_eq!(twice.header().delete_horizon_at(), Some(first));
    assert_eq!(read(&twice).unwrap(), kept(&records, &[true, false, true, true]));
}

#[test]
fn log_append_time_survives_a_delete_horizon() {
    let at = Timestamp::from_ms(1_850_000_000_000);
    let mut unplaced = build(Compression::Zstd, &simple_records(3));
    unplaced.set_log_append_time(at);
    let batch = unplaced.place(Offset::ZERO, LeaderEpoch(0));
    let after = rebuild(&batch, Some(Timestamp::from_ms(7)), &[true, true, false]);
    assert_eq!(after.header().max_timestamp, at);
    assert!(read(&after).unwrap().iter().all(|record| record.timestamp == at));
}

#[test]
fn a_batch_that_cannot_be_read_is_not_rebuilt() {
    let batch = with_data(1, &[200, 1, 2, 3]).place(Offset::ZERO, LeaderEpoch(0));
    assert!(batch.rebuild(EXPANDED_MAX, None, |_| true).is_err());
}
