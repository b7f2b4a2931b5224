//! What is not a batch is refused.

use bytes::{Bytes, BytesMut};
use posthouse_record::{
    Batch, BatchError, BatchHeader, Compression, RECORD_HEADERS_MAX, UnplacedBatch,
};

use crate::support::*;

#[test]
fn every_prefix_is_cut_short() {
    for compression in Compression::ALL {
        let bytes = build_bytes(compression, &simple_records(3));
        for len in 0..bytes.len() {
            let error = UnplacedBatch::check(BytesMut::from(&bytes[..len])).unwrap_err();
            assert!(matches!(error, BatchError::Truncated { .. }), "{len}: {error}");
            let mut chunk = Bytes::copy_from_slice(&bytes[..len]);
            assert_eq!(Batch::next(&mut chunk).is_err(), len > 0);
            assert_eq!(chunk.len(), len, "a chunk that holds no batch is left alone");
        }
    }
}

#[test]
fn every_flipped_bit_the_checksum_covers_is_found() {
    for compression in Compression::ALL {
        let bytes = build_bytes(compression, &simple_records(3));
        for at in at::CRC..bytes.len() {
            for bit in 0..8 {
                let mut flipped = BytesMut::from(bytes.as_slice());
                flipped[at] ^= 1 << bit;
                assert!(UnplacedBatch::check(flipped).is_err(), "bit {bit} of byte {at}");
            }
        }
    }
}

#[test]
fn a_stored_batch_is_verified_when_asked() {
    let mut bytes = BytesMut::from(build_bytes(Compression::None, &simple_records(3)).as_slice());
    *bytes.last_mut().unwrap() ^= 1;
    let batch = Batch::next(&mut bytes.freeze()).unwrap().unwrap();
    assert!(matches!(batch.verify(), Err(BatchError::Checksum { .. })));
}

#[test]
fn bytes_after_a_batch_are_refused_from_a_producer() {
    let mut bytes = build_bytes(Compression::None, &simple_records(1));
    bytes.extend_from_slice(&[0; 3]);
    let error = UnplacedBatch::check(BytesMut::from(bytes.as_slice())).unwrap_err();
    assert_eq!(error, BatchError::TrailingBytes(3));
}

#[test]
fn older_formats_are_refused_by_their_magic() {
    for (magic, len) in [(0, 26), (1, 34), (1, 100), (3, 61), (0xff, 61)] {
        let mut bytes = vec![0; len];
        bytes[at::MAGIC] = magic;
        let expected = BatchError::Magic(i8::from_be_bytes([magic]));
        assert_eq!(BatchHeader::parse(&bytes).unwrap_err(), expected);
    }
}

#[test]
fn fields_that_cannot_be_are_refused() {
    let bytes = build_bytes(Compression::None, &simple_records(3));
    let check = |bytes: BytesMut, expected: &str| match BatchHeader::parse(&bytes) {
        Err(BatchError::Field { field, .. }) => assert_eq!(field, expected),
        other => panic!("{expected}: {other:?}"),
    };
    check(with_field(&bytes, at::BASE_OFFSET, (-1_i64).to_be_bytes()), "base_offset");
    check(with_field(&bytes, at::BASE_OFFSET, (i64::MAX - 1).to_be_bytes()), "base_offset");
    for length in [i32::MIN, -1, 0, 48] {
        check(with_field(&bytes, at::LENGTH, length.to_be_bytes()), "batch_length");
    }
    check(with_field(&bytes, at::LAST_OFFSET_DELTA, (-1_i32).to_be_bytes()), "last_offset_delta");
    for count in [i32::MIN, -1, 4, i32::MAX] {
        check(with_field(&bytes, at::RECORD_COUNT, count.to_be_bytes()), "record_count");
    }
    check(with_field(&bytes, at::PRODUCER_ID, (-2_i64).to_be_bytes()), "producer_id");
    check(with_field(&bytes, at::PRODUCER_ID, 0_i64.to_be_bytes()), "producer_epoch");
    let named = with_field(&bytes, at::PRODUCER_ID, 5_i64.to_be_bytes());
    let named = with_field(&named, at::PRODUCER_EPOCH, 0_i16.to_be_bytes());
    check(with_field(&named, at::BASE_SEQUENCE, (-2_i32).to_be_bytes()), "base_sequence");
    for codec in 5..8 {
        let error = BatchHeader::parse(&with_field(&bytes, at::ATTRIBUTES, [0, codec]));
        assert_eq!(error.unwrap_err(), BatchError::UnknownCompression(i16::from(codec)));
    }
}

#[test]
fn timestamps_of_any_age_are_accepted() {
    let bytes = build_bytes(Compression::None, &simple_records(1));
    for field in [at::BASE_TIMESTAMP, at::MAX_TIMESTAMP] {
        for time in [i64::MIN, -1, i64::MAX] {
            let batch =
                UnplacedBatch::check(with_field(&bytes, field, time.to_be_bytes())).unwrap();
            assert_eq!(batch.records(EXPANDED_MAX).unwrap().filter(Result::is_err).count(), 0);
        }
    }
}

/// One record with null key and value and no headers: length, then attributes and five numbers.
const SMALLEST: [u8; 7] = [12, 0, 0, 0, 1, 1, 0];

#[test]
fn malformed_records_are_refused_with_their_reason() {
    let check = |count: u32, data: &[u8], index: usize, reason: &'static str| {
        let batch = with_data(count, data);
        let records: Vec<_> = batch.records(EXPANDED_MAX).unwrap().collect();
        let expected = Some(Err(BatchError::Record { index, reason }));
        assert_eq!(records.last().cloned(), expected, "{data:?}");
        assert_eq!(records.len(), index + 1, "nothing comes after an error: {data:?}");
    };
    let second = [12, 0, 0, 2, 1, 1, 0];
    let two = [SMALLEST, second].concat();
    assert_eq!(with_data(2, &two).records(EXPANDED_MAX).unwrap().count(), 2);

    check(2, &SMALLEST, 1, "it is cut short");
    check(1, &two, 1, "bytes follow the last record");
    check(2, &[SMALLEST, SMALLEST].concat(), 1, "its offset is not above the one before");
    check(1, &[], 0, "it is cut short");
    check(1, &[12], 0, "it is cut short");
    check(1, &[11, 0, 0, 0, 1, 1, 0], 0, "a length is negative");
    check(1, &[12, 0, 0, 1, 1, 1, 0], 0, "its offset delta is negative");
    check(1, &[12, 0, 0, 2, 1, 1, 0], 0, "its offset is above the last of the batch");
    check(1, &[12, 0, 0, 0, 3, 1, 0], 0, "a length is negative");
    check(1, &[12, 0, 0, 0, 1, 2, 0], 0, "it is cut short");
    check(1, &[12, 0, 0, 0, 1, 1, 1], 0, "a length is negative");
    check(1, &[12, 0, 0, 0, 1, 1, 2], 0, "it claims more headers than it has bytes for");
    check(1, &[16, 0, 0, 0, 1, 1, 2, 1, 1], 0, "a length is negative");
    check(1, &[16, 0, 0, 0, 1, 1, 2, 2, 1], 0, "it is cut short");
    check(1, &[14, 0, 0, 0, 1, 1, 0, 9], 0, "bytes follow its last header");
    check(1, &[0xff, 0xff, 0xff, 0xff, 0x1f, 0], 0, "a number is too large");
    check(1, &[0x80, 0x80, 0x80, 0x80, 0x80, 0], 0, "a number is too long");
}

#[test]
fn a_record_count_takes_no_memory() {
    let bytes = build_bytes(Compression::None, &simple_records(1));
    let bytes = with_field(&bytes, at::LAST_OFFSET_DELTA, (i32::MAX - 1).to_be_bytes());
    let bytes = with_field(&bytes, at::RECORD_COUNT, i32::MAX.to_be_bytes());
    let batch = UnplacedBatch::check(bytes).unwrap();
    let records: Vec<_> = batch.records(EXPANDED_MAX).unwrap().collect();
    assert_eq!(records.len(), 2);
    let expected = BatchError::Record { index: 1, reason: "it is cut short" };
    assert_eq!(records[1], Err(expected));
}

#[test]
fn a_record_of_more_headers_than_is_kept_can_still_be_viewed() {
    let count = RECORD_HEADERS_MAX + 1;
    let mut record = simple_records(1).remove(0);
    record.headers = vec![record.headers[0].clone(); count];
    let batch = build(Compression::None, &[record]);
    let owned: Vec<_> = batch.records(EXPANDED_MAX).unwrap().collect();
    assert!(matches!(owned[..], [Err(BatchError::Record { index: 0, .. })]));
    let mut views = batch.records(EXPANDED_MAX).unwrap();
    assert_eq!(views.next_view().unwrap().unwrap().headers().count(), count);
}
