//! Offsets, epoch and time are written where the batch lies.

use bytes::BytesMut;
use posthouse_record::{BatchBuilder, BatchError, BatchHeader, Compression, UnplacedBatch};
use posthouse_types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

use crate::support::*;

#[test]
fn placing_changes_offset_and_epoch_alone() {
    let before = build_bytes(Compression::Lz4, &simple_records(5));
    let unplaced = UnplacedBatch::check(BytesMut::from(before.as_slice())).unwrap();
    let batch = unplaced.place(Offset::new(1 << 40).unwrap(), LeaderEpoch(9));
    let after = batch.bytes();
    assert_eq!(after[at::BASE_OFFSET..at::LENGTH], (1_i64 << 40).to_be_bytes());
    assert_eq!(after[at::LEADER_EPOCH..at::MAGIC], 9_i32.to_be_bytes());
    assert_eq!(after[at::LENGTH..at::LEADER_EPOCH], before[at::LENGTH..at::LEADER_EPOCH]);
    assert_eq!(after[at::MAGIC..], before[at::MAGIC..]);
    batch.verify().unwrap();
    assert_eq!(BatchHeader::parse(after).unwrap(), *batch.header());
}

#[test]
fn placing_does_not_copy() {
    let bytes = BytesMut::from(build_bytes(Compression::None, &simple_records(5)).as_slice());
    let address = bytes.as_ptr();
    let batch = UnplacedBatch::check(bytes).unwrap().place(Offset::ZERO, LeaderEpoch(0));
    assert_eq!(batch.bytes().as_ptr(), address);
}

#[test]
fn log_append_time_is_the_time_of_every_record() {
    let at = Timestamp::from_ms(1_800_000_000_123);
    for compression in Compression::ALL {
        let mut unplaced = build(compression, &simple_records(4));
        unplaced.set_log_append_time(at);
        let batch = unplaced.place(Offset::ZERO, LeaderEpoch(0));
        batch.verify().unwrap();
        assert!(batch.header().log_append_time);
        assert_eq!(batch.header().compression, compression);
        assert_eq!(BatchHeader::parse(batch.bytes()).unwrap(), *batch.header());
        assert!(read(&batch).unwrap().iter().all(|record| record.timestamp == at));
    }
}

#[test]
fn what_only_a_log_may_set_is_refused_from_a_client() {
    let bytes = build_bytes(Compression::None, &simple_records(3));
    let check = |bytes: BytesMut, expected: &str| match UnplacedBatch::check(bytes)
        .unwrap()
        .check_from_client()
    {
        Err(BatchError::Field { field, .. }) => assert_eq!(field, expected),
        other => panic!("{expected}: {other:?}"),
    };
    check(with_field(&bytes, at::BASE_OFFSET, 5_i64.to_be_bytes()), "base_offset");
    check(with_field(&bytes, at::LAST_OFFSET_DELTA, 3_i32.to_be_bytes()), "record_count");
    check(with_field(&bytes, at::RECORD_COUNT, 2_i32.to_be_bytes()), "record_count");
    for mark in [1_u8 << 3, 1 << 5, 1 << 6] {
        check(with_field(&bytes, at::ATTRIBUTES, [0, mark]), "attributes");
    }
    check(with_field(&bytes, at::ATTRIBUTES, [0, 1 << 4]), "producer_id");

    let (id, epoch) = (ProducerId(4), ProducerEpoch(0));
    let mut builder = BatchBuilder::new(Compression::None).producer(id, epoch, Sequence(-1));
    push_all(&mut builder, &simple_records(1));
    let error = builder.build().unwrap().check_from_client().unwrap_err();
    assert_eq!(error, BatchError::Field { field: "base_sequence", value: -1 });
}

#[test]
fn a_record_without_a_key_is_refused_where_keys_are_asked_for() {
    for compression in Compression::ALL {
        let mut records = simple_records(4);
        build(compression, &records).check_keys(EXPANDED_MAX).unwrap();
        records[2].key = None;
        let error = build(compression, &records).check_keys(EXPANDED_MAX).unwrap_err();
        assert_eq!(error, BatchError::Record { index: 2, reason: "it has no key" });
    }
}
