//! Records and batches to test with.

use bytes::{Bytes, BytesMut};
use posthouse_record::{
    Batch, BatchBuilder, BatchError, Compression, Header, Record, UnplacedBatch,
};
use posthouse_types::{LeaderEpoch, Offset, Timestamp};
use proptest::prelude::*;

/// What the tests let a batch expand to, where they do not test that.
pub(crate) const EXPANDED_MAX: usize = 16 * 1024 * 1024;

/// Where each field of the header begins, written down again on purpose.
pub(crate) mod at {
    pub(crate) const BASE_OFFSET: usize = 0;
    pub(crate) const LENGTH: usize = 8;
    pub(crate) const LEADER_EPOCH: usize = 12;
    pub(crate) const MAGIC: usize = 16;
    pub(crate) const CRC: usize = 17;
    pub(crate) const ATTRIBUTES: usize = 21;
    pub(crate) const LAST_OFFSET_DELTA: usize = 23;
    pub(crate) const BASE_TIMESTAMP: usize = 27;
    pub(crate) const MAX_TIMESTAMP: usize = 35;
    pub(crate) const PRODUCER_ID: usize = 43;
    pub(crate) const PRODUCER_EPOCH: usize = 51;
    pub(crate) const BASE_SEQUENCE: usize = 53;
    pub(crate) const RECORD_COUNT: usize = 57;
    pub(crate) const RECORDS: usize = 61;
}

pub(crate) fn compression() -> impl Strategy<Value = Compression> {
    prop::sample::select(Compression::ALL.to_vec())
}

/// Records at offsets from 0, with all that may be null, empty, negative or repeated.
pub(crate) fn records() -> impl Strategy<Value = Vec<Record>> {
    prop::collection::vec(record(), 1..40).prop_map(|mut records| {
        for (index, record) in records.iter_mut().enumerate() {
            record.offset = Offset::ZERO.plus(u64::try_from(index).unwrap());
        }
        records
    })
}

fn record() -> impl Strategy<Value = Record> {
    let timestamp = prop_oneof![any::<i64>(), 1_700_000_000_000..1_700_000_100_000_i64];
    let headers = prop::collection::vec((payload(20), prop::option::of(payload(40))), 0..4);
    let key = prop::option::of(payload(40));
    let value = prop::option::of(payload(600));
    (timestamp, key, value, headers).prop_map(|(timestamp, key, value, headers)| Record {
        offset: Offset::ZERO,
        timestamp: Timestamp::from_ms(timestamp),
        key,
        value,
        headers: headers.into_iter().map(|(name, value)| Header { name, value }).collect(),
    })
}

/// Bytes that repeat themselves, so that there is something to compress.
fn payload(len_max: usize) -> impl Strategy<Value = Bytes> {
    (prop::collection::vec(any::<u8>(), 0..8), 0..len_max).prop_map(|(unit, len)| {
        let repeated: Vec<u8> = unit.iter().copied().cycle().take(len).collect();
        Bytes::from(repeated)
    })
}

pub(crate) fn simple_records(count: usize) -> Vec<Record> {
    let record = |index: usize| Record {
        offset: Offset::ZERO.plus(u64::try_from(index).unwrap()),
        timestamp: Timestamp::from_ms(1_700_000_000_000 + i64::try_from(index).unwrap()),
        key: Some(Bytes::from(format!("key-{index}"))),
        value: Some(Bytes::from(format!("value number {index}"))),
        headers: vec![Header {
            name: Bytes::from_static(b"trace"),
            value: Some(Bytes::from(vec![7; index % 5])),
        }],
    };
    (0..count).map(record).collect()
}

pub(crate) fn push_all(builder: &mut BatchBuilder, records: &[Record]) {
    for record in records {
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        builder.push(record.timestamp, key, value, &record.headers);
    }
}

pub(crate) fn build(compression: Compression, records: &[Record]) -> UnplacedBatch {
    let mut builder = BatchBuilder::new(compression);
    push_all(&mut builder, records);
    builder.build().unwrap()
}

/// A batch as a producer sends it.
pub(crate) fn build_bytes(compression: Compression, records: &[Record]) -> Vec<u8> {
    let batch = build(compression, records).place(Offset::ZERO, LeaderEpoch(-1));
    batch.bytes().to_vec()
}

/// Writes a field over `bytes` and makes the checksum right again.
pub(crate) fn with_field<const N: usize>(bytes: &[u8], at: usize, value: [u8; N]) -> BytesMut {
    let mut bytes = BytesMut::from(bytes);
    bytes[at..at + N].copy_from_slice(&value);
    let crc = crc32c::crc32c(&bytes[at::ATTRIBUTES..]);
    bytes[at::CRC..at::CRC + 4].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// An uncompressed batch whose header fits `count` records, holding `data` for them.
pub(crate) fn with_data(count: u32, data: &[u8]) -> UnplacedBatch {
    let mut bytes = build_bytes(Compression::None, &simple_records(1));
    bytes.truncate(at::RECORDS);
    bytes.extend_from_slice(data);
    set_length(&mut bytes);
    let bytes = with_field(&bytes, at::LAST_OFFSET_DELTA, (count - 1).to_be_bytes());
    let bytes = with_field(&bytes, at::RECORD_COUNT, count.to_be_bytes());
    UnplacedBatch::check(bytes).unwrap()
}

/// A batch that says it is compressed by the codec of this number, holding `data`.
pub(crate) fn with_compressed(codec: u8, data: &[u8]) -> UnplacedBatch {
    let mut bytes = build_bytes(Compression::None, &simple_records(1));
    bytes.truncate(at::RECORDS);
    bytes.extend_from_slice(data);
    set_length(&mut bytes);
    UnplacedBatch::check(with_field(&bytes, at::ATTRIBUTES, [0, codec])).unwrap()
}

fn set_length(bytes: &mut [u8]) {
    let length = i32::try_from(bytes.len() - 12).unwrap();
    bytes[at::LENGTH..at::LENGTH + 4].copy_from_slice(&length.to_be_bytes());
}

pub(crate) fn read(batch: &Batch) -> Result<Vec<Record>, BatchError> {
    batch.records(EXPANDED_MAX)?.collect()
}
