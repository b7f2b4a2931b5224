//! Signatures first.
#![expect(unused_variables, clippy::todo, missing_docs, reason = "signatures first; bodies follow")]

use bytes::{Bytes, BytesMut};
use posthouse_types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

use crate::BatchError;

/// Bytes before the records.
pub const BATCH_HEADER_BYTES: usize = 61;

/// A codec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression { #[default] None, Gzip, Snappy, Lz4, Zstd }

/// The fixed header, read without touching the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: Offset,
    /// Whole batch, header included.
    pub size: usize,
    pub leader_epoch: LeaderEpoch,
    pub crc: u32,
    pub compression: Compression,
    /// LogAppendTime when true.
    pub log_append_time: bool,
    pub transactional: bool,
    pub control: bool,
    pub delete_horizon: bool,
    pub last_offset_delta: u32,
    pub base_timestamp: Timestamp,
    pub max_timestamp: Timestamp,
    /// None when the wire has -1.
    pub producer: Option<(ProducerId, ProducerEpoch, Sequence)>,
    pub record_count: u32,
}

impl BatchHeader {
    /// Reads a header; the rest of the batch need not be there. Checks fields, not the checksum.
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, BatchError> { todo!() }
    pub fn last_offset(&self) -> Offset { todo!() }
}

/// A batch from a producer: checked, not yet given its offsets. Owns its bytes alone.
#[derive(Debug)]
pub struct UnplacedBatch;

impl UnplacedBatch {
    /// Checks length, magic, fields and CRC32C. Does not decompress.
    pub fn check(bytes: BytesMut) -> Result<UnplacedBatch, BatchError> { todo!() }
    pub fn header(&self) -> &BatchHeader { todo!() }
    pub fn size(&self) -> usize { todo!() }
    /// Writes the log's own time; recomputes the checksum.
    pub fn set_log_append_time(&mut self, at: Timestamp) { todo!() }
    /// Writes offset and epoch, which lie outside the checksum.
    pub fn place(self, base_offset: Offset, epoch: LeaderEpoch) -> Batch { todo!() }
    /// Records, for checks that need them.
    pub fn records(&self, bytes_max: usize) -> Result<Records, BatchError> { todo!() }
}

/// A stored batch. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Batch;

impl Batch {
    /// Splits the first batch off `chunk`; `None` at its end. Checks the header, not the checksum.
    pub fn next(chunk: &mut Bytes) -> Result<Option<Batch>, BatchError> { todo!() }
    pub fn header(&self) -> &BatchHeader { todo!() }
    pub fn bytes(&self) -> &Bytes { todo!() }
    pub fn verify(&self) -> Result<(), BatchError> { todo!() }
    /// Decompresses at most `bytes_max` and iterates lazily; keys and values are slices, not copies.
    pub fn records(&self, bytes_max: usize) -> Result<Records, BatchError> { todo!() }
}

/// Iterates over the records of a batch.
pub struct Records;
impl Iterator for Records {
    type Item = Result<Record, BatchError>;
    fn next(&mut self) -> Option<Self::Item> { todo!() }
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub offset: Offset,
    pub timestamp: Timestamp,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<Header>,
}

/// A record header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header { pub name: Bytes, pub value: Option<Bytes> }

/// Builds a batch.
pub struct BatchBuilder;
impl BatchBuilder {
    pub fn new(compression: Compression) -> BatchBuilder { todo!() }
    pub fn producer(self, id: ProducerId, epoch: ProducerEpoch, first: Sequence) -> BatchBuilder { todo!() }
    pub fn push(&mut self, timestamp: Timestamp, key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header]) { todo!() }
    pub fn len(&self) -> usize { todo!() }
    pub fn is_empty(&self) -> bool { todo!() }
    /// Bytes so far, before compression.
    pub fn size(&self) -> usize { todo!() }
    pub fn build(self) -> Result<UnplacedBatch, BatchError> { todo!() }
}
