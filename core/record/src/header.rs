//! The fixed header of a record batch.
//!
//! Owns the byte layout of the first 61 bytes. Knows nothing of what is inside the records.
//!
//! # Invariants
//! - The checksum covers everything from the attributes on, so the base offset, the length and the
//!   leader epoch may be written without computing it again.
//! - Compaction leaves gaps: the last offset comes from `last_offset_delta`, never from a count.
//!
//! # Source
//! Kafka message format, RecordBatch. Attribute bits 7 to 15 are unused there and ignored here.

use posthouse_types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

use crate::{BatchError, Compression};

/// Bytes before the records.
pub const BATCH_HEADER_BYTES: usize = 61;

/// Where each field of the header begins.
pub(crate) mod layout {
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
}

pub(crate) const MAGIC: i8 = 2;

/// The base offset and the length field itself, which the length does not count.
const LENGTH_EXCLUDES: usize = layout::LEADER_EPOCH;

const CODEC_MASK: i16 = 0b111;
const LOG_APPEND_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;
const DELETE_HORIZON: i16 = 1 << 6;

/// The producer id that means there is none.
const NO_PRODUCER: i64 = -1;

/// The sequence of a batch that an idempotent producer did not number, such as a transaction's end.
const NO_SEQUENCE: i32 = -1;

/// The fixed header, read without touching the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record the batch was written with, even if compaction removed it.
    pub base_offset: Offset,
    /// Whole batch, header included.
    pub size: usize,
    /// The epoch of the leader that gave the batch its offsets.
    pub leader_epoch: LeaderEpoch,
    /// CRC32C of everything from the attributes on.
    pub crc: u32,
    /// How the records are compressed.
    pub compression: Compression,
    /// Every record's timestamp is `max_timestamp`, which the log wrote.
    pub log_append_time: bool,
    /// Part of a transaction.
    pub transactional: bool,
    /// Holds a transaction's end rather than records for readers.
    pub control: bool,
    /// `base_timestamp` is the time at which tombstones may go (KIP-534).
    pub delete_horizon: bool,
    /// The last offset less the base offset.
    pub last_offset_delta: u32,
    /// What the records' timestamps are counted from.
    pub base_timestamp: Timestamp,
    /// The largest timestamp, as the producer claims or as the log wrote.
    pub max_timestamp: Timestamp,
    /// None when the wire has -1. The sequence is -1 in a batch that is not numbered.
    pub producer: Option<(ProducerId, ProducerEpoch, Sequence)>,
    /// How many records the batch claims; compaction may have left none.
    pub record_count: u32,
}

impl BatchHeader {
    /// Reads a header; the rest of the batch need not be there. Checks fields, not the checksum.
    ///
    /// # Errors
    /// [`BatchError::Truncated`] below 61 bytes, [`BatchError::Magic`] for the older formats,
    /// [`BatchError::UnknownCompression`], and [`BatchError::Field`] for a value that cannot be.
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        // Older formats are shorter than this header, but keep their magic in the same place.
        if let Some(&magic) = bytes.get(layout::MAGIC) {
            let magic = i8::from_be_bytes([magic]);
            if magic != MAGIC {
                return Err(BatchError::Magic(magic));
            }
        }
        let Some(fixed) = bytes.first_chunk::<BATCH_HEADER_BYTES>() else {
            return Err(BatchError::Truncated { len: bytes.len(), needed: BATCH_HEADER_BYTES });
        };
        let attributes = i16::from_be_bytes(field(fixed, layout::ATTRIBUTES));
        let header = BatchHeader {
            base_offset: parse_base_offset(fixed)?,
            size: parse_size(fixed)?,
            leader_epoch: LeaderEpoch(i32::from_be_bytes(field(fixed, layout::LEADER_EPOCH))),
            crc: u32::from_be_bytes(field(fixed, layout::CRC)),
            compression: Compression::from_wire(attributes & CODEC_MASK)?,
            log_append_time: attributes & LOG_APPEND_TIME != 0,
            transactional: attributes & TRANSACTIONAL != 0,
            control: attributes & CONTROL != 0,
            delete_horizon: attributes & DELETE_HORIZON != 0,
            last_offset_delta: parse_count(fixed, layout::LAST_OFFSET_DELTA, "last_offset_delta")?,
            base_timestamp: parse_timestamp(fixed, layout::BASE_TIMESTAMP),
            max_timestamp: parse_timestamp(fixed, layout::MAX_TIMESTAMP),
            producer: parse_producer(fixed)?,
            record_count: parse_count(fixed, layout::RECORD_COUNT, "record_count")?,
        };
        header.check_offsets()?;
        Ok(header)
    }

    /// Offset of the last record the batch was written with.
    pub fn last_offset(&self) -> Offset {
        self.base_offset.plus(u64::from(self.last_offset_delta))
    }

    /// How many offsets the batch takes.
    pub fn offset_count(&self) -> u64 {
        u64::from(self.last_offset_delta) + 1
    }

    /// Sequence of the last record; `None` when the batch is not numbered.
    pub fn last_sequence(&self) -> Option<Sequence> {
        let (_, _, first) = self.producer?;
        (first.0 >= 0).then(|| first.plus(self.last_offset_delta))
    }

    /// When the tombstones in the batch may go; `None` until compaction has set it.
    pub fn delete_horizon_at(&self) -> Option<Timestamp> {
        self.delete_horizon.then_some(self.base_timestamp)
    }

    /// More records than offsets cannot be; nor can offsets beyond the largest.
    fn check_offsets(&self) -> Result<(), BatchError> {
        if u64::from(self.record_count) > self.offset_count() {
            let value = i64::from(self.record_count);
            return Err(BatchError::Field { field: "record_count", value });
        }
        if self.last_offset().since(self.base_offset) != u64::from(self.last_offset_delta) {
            let value = self.base_offset.value();
            return Err(BatchError::Field { field: "base_offset", value });
        }
        Ok(())
    }

    /// Writes every field but the checksum over the first 61 bytes of `batch`.
    pub(crate) fn write(&self, batch: &mut [u8]) {
        let length = i32::try_from(self.size - LENGTH_EXCLUDES)
            .expect("writers refuse a batch larger than i32::MAX");
        let (id, epoch, sequence) = self.producer.unwrap_or((
            ProducerId(NO_PRODUCER),
            ProducerEpoch(-1),
            Sequence(NO_SEQUENCE),
        ));
        put(batch, layout::BASE_OFFSET, self.base_offset.value().to_be_bytes());
        put(batch, layout::LENGTH, length.to_be_bytes());
        put(batch, layout::LEADER_EPOCH, self.leader_epoch.0.to_be_bytes());
        put(batch, layout::MAGIC, MAGIC.to_be_bytes());
        put(batch, layout::ATTRIBUTES, self.attributes().to_be_bytes());
        put(batch, layout::LAST_OFFSET_DELTA, self.last_offset_delta.to_be_bytes());
        put(batch, layout::BASE_TIMESTAMP, self.base_timestamp.as_ms().to_be_bytes());
        put(batch, layout::MAX_TIMESTAMP, self.max_timestamp.as_ms().to_be_bytes());
        put(batch, layout::PRODUCER_ID, id.0.to_be_bytes());
        put(batch, layout::PRODUCER_EPOCH, epoch.0.to_be_bytes());
        put(batch, layout::BASE_SEQUENCE, sequence.0.to_be_bytes());
        put(batch, layout::RECORD_COUNT, self.record_count.to_be_bytes());
    }

    pub(crate) fn attributes(&self) -> i16 {
        let flag = |set: bool, bit: i16| if set { bit } else { 0 };
        self.compression.to_wire()
            | flag(self.log_append_time, LOG_APPEND_TIME)
            | flag(self.transactional, TRANSACTIONAL)
            | flag(self.control, CONTROL)
            | flag(self.delete_horizon, DELETE_HORIZON)
    }
}

/// The checksum of a batch that has at least its header.
pub(crate) fn checksum(batch: &[u8]) -> u32 {
    crc32c::crc32c(&batch[layout::ATTRIBUTES..])
}

/// Computes the checksum again and writes it.
pub(crate) fn seal(batch: &mut [u8]) -> u32 {
    let crc = checksum(batch);
    put(batch, layout::CRC, crc.to_be_bytes());
    crc
}

/// Overwrites a field.
pub(crate) fn put<const N: usize>(batch: &mut [u8], at: usize, value: [u8; N]) {
    batch[at..at + N].copy_from_slice(&value);
}

fn field<const N: usize>(fixed: &[u8; BATCH_HEADER_BYTES], at: usize) -> [u8; N] {
    *fixed[at..].first_chunk::<N>().expect("every field lies within the header")
}

fn parse_base_offset(fixed: &[u8; BATCH_HEADER_BYTES]) -> Result<Offset, BatchError> {
    let value = i64::from_be_bytes(field(fixed, layout::BASE_OFFSET));
    Offset::new(value).ok_or(BatchError::Field { field: "base_offset", value })
}

/// The size of the whole batch, from a length that counts from the leader epoch.
fn parse_size(fixed: &[u8; BATCH_HEADER_BYTES]) -> Result<usize, BatchError> {
    let length = i32::from_be_bytes(field(fixed, layout::LENGTH));
    usize::try_from(length)
        .ok()
        .and_then(|length| length.checked_add(LENGTH_EXCLUDES))
        .filter(|&size| size >= BATCH_HEADER_BYTES)
        .ok_or(BatchError::Field { field: "batch_length", value: i64::from(length) })
}

fn parse_count(
    fixed: &[u8; BATCH_HEADER_BYTES],
    at: usize,
    name: &'static str,
) -> Result<u32, BatchError> {
    let value = i32::from_be_bytes(field(fixed, at));
    u32::try_from(value).map_err(|_| BatchError::Field { field: name, value: i64::from(value) })
}

/// Any timestamp may be: programs do keep records from before 1970.
fn parse_timestamp(fixed: &[u8; BATCH_HEADER_BYTES], at: usize) -> Timestamp {
    Timestamp::from_ms(i64::from_be_bytes(field(fixed, at)))
}

/// Without an id, epoch and sequence mean nothing, and clients differ in what they put there.
fn parse_producer(
    fixed: &[u8; BATCH_HEADER_BYTES],
) -> Result<Option<(ProducerId, ProducerEpoch, Sequence)>, BatchError> {
    let id = i64::from_be_bytes(field(fixed, layout::PRODUCER_ID));
    let epoch = i16::from_be_bytes(field(fixed, layout::PRODUCER_EPOCH));
    let sequence = i32::from_be_bytes(field(fixed, layout::BASE_SEQUENCE));
    if id == NO_PRODUCER {
        return Ok(None);
    }
    if id < 0 {
        return Err(BatchError::Field { field: "producer_id", value: id });
    }
    if epoch < 0 {
        return Err(BatchError::Field { field: "producer_epoch", value: i64::from(epoch) });
    }
    if sequence < NO_SEQUENCE {
        return Err(BatchError::Field { field: "base_sequence", value: i64::from(sequence) });
    }
    Ok(Some((ProducerId(id), ProducerEpoch(epoch), Sequence(sequence))))
}
