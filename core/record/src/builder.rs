//! Builds a batch from records.
//!
//! Owns how records are written. The first record's timestamp is the batch's base.

use bytes::{Bytes, BytesMut};
use posthouse_types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

use crate::{
    BATCH_HEADER_BYTES, BatchError, BatchHeader, Compression, Header, UnplacedBatch, varint,
};

/// Builds a batch.
#[derive(Debug)]
pub struct BatchBuilder {
    compression: Compression,
    producer: Option<(ProducerId, ProducerEpoch, Sequence)>,
    transactional: bool,
    control: bool,
    /// Room for the header, then the records, uncompressed.
    buffer: Vec<u8>,
    record_count: usize,
    offset_delta_next: u64,
    base_timestamp: Timestamp,
    max_timestamp: Timestamp,
}

impl BatchBuilder {
    /// An empty batch.
    pub fn new(compression: Compression) -> BatchBuilder {
        BatchBuilder {
            compression,
            producer: None,
            transactional: false,
            control: false,
            buffer: vec![0; BATCH_HEADER_BYTES],
            record_count: 0,
            offset_delta_next: 0,
            base_timestamp: Timestamp::NONE,
            max_timestamp: Timestamp::NONE,
        }
    }

    /// Names the idempotent producer and the sequence of the first record.
    #[must_use]
    pub fn producer(
        mut self,
        id: ProducerId,
        epoch: ProducerEpoch,
        first: Sequence,
    ) -> BatchBuilder {
        self.producer = Some((id, epoch, first));
        self
    }

    /// Marks the batch as part of its producer's transaction.
    #[must_use]
    pub fn transactional(mut self) -> BatchBuilder {
        self.transactional = true;
        self
    }

    /// Marks the batch as holding a transaction's end.
    #[must_use]
    pub fn control(mut self) -> BatchBuilder {
        self.control = true;
        self
    }

    /// Appends a record.
    pub fn push(
        &mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header],
    ) {
        if self.record_count == 0 {
            self.base_timestamp = timestamp;
            self.max_timestamp = timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        let timestamp_delta = timestamp.as_ms().wrapping_sub(self.base_timestamp.as_ms());
        let offset_delta = i64::try_from(self.offset_delta_next).unwrap_or(i64::MAX);
        let body = RecordBody { timestamp_delta, offset_delta, key, value, headers };
        body.write(&mut self.buffer);
        self.record_count += 1;
        self.offset_delta_next += 1;
    }

    /// Leaves `count` offsets without a record, as compaction does.
    pub fn skip_offsets(&mut self, count: u32) {
        self.offset_delta_next += u64::from(count);
    }

    /// Records so far.
    pub fn len(&self) -> usize {
        self.record_count
    }

    /// Whether there is no record yet.
    pub fn is_empty(&self) -> bool {
        self.record_count == 0
    }

    /// Bytes so far, before compression, the header included.
    pub fn size(&self) -> usize {
        self.buffer.len()
    }

    /// Compresses and seals.
    ///
    /// # Errors
    /// [`BatchError::Field`] when there is no record, when the batch is larger or takes more
    /// offsets than its header can say, or when the producer's numbers are negative.
    pub fn build(self) -> Result<UnplacedBatch, BatchError> {
        let record_count = to_wire_count("record_count", self.record_count)?;
        let offset_delta = self.offset_delta_next.saturating_sub(1);
        let last_offset_delta = to_wire_count("last_offset_delta", offset_delta)?;
        if record_count == 0 {
            return Err(BatchError::Field { field: "record_count", value: 0 });
        }
        if let Some((id, epoch, sequence)) = self.producer {
            check_producer(id, epoch, sequence)?;
        }
        let bytes = compress_records(self.compression, self.buffer)?;
        let header = BatchHeader {
            base_offset: Offset::ZERO,
            size: bytes.len(),
            leader_epoch: LeaderEpoch(-1),
            crc: 0,
            compression: self.compression,
            log_append_time: false,
            transactional: self.transactional,
            control: self.control,
            delete_horizon: false,
            last_offset_delta,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer: self.producer,
            record_count,
        };
        Ok(UnplacedBatch::seal(bytes, header))
    }
}

/// Compresses what follows the room for the header in `buffer`.
///
/// # Errors
/// [`BatchError::Field`] when the result is larger than a batch can be.
pub(crate) fn compress_records(
    compression: Compression,
    buffer: Vec<u8>,
) -> Result<BytesMut, BatchError> {
    let bytes = match compression {
        Compression::None => buffer,
        codec => {
            let mut compressed = vec![0; BATCH_HEADER_BYTES];
            codec.compress(&buffer[BATCH_HEADER_BYTES..], &mut compressed);
            compressed
        }
    };
    to_wire_count("batch_length", bytes.len())?;
    Ok(BytesMut::from(Bytes::from(bytes)))
}

/// A record but for its length and attributes.
struct RecordBody<'a> {
    timestamp_delta: i64,
    offset_delta: i64,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: &'a [Header],
}

impl RecordBody<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        write_len(self.size(), out);
        out.push(0);
        varint::write(self.timestamp_delta, out);
        varint::write(self.offset_delta, out);
        write_nullable(self.key, out);
        write_nullable(self.value, out);
        write_len(self.headers.len(), out);
        for header in self.headers {
            write_len(header.name.len(), out);
            out.extend_from_slice(&header.name);
            write_nullable(header.value.as_deref(), out);
        }
    }

    fn size(&self) -> usize {
        let headers: usize = self
            .headers
            .iter()
            .map(|header| {
                let name_len = header.name.len();
                len_size(name_len) + name_len + nullable_size(header.value.as_deref())
            })
            .sum();
        let numbers = varint::size(self.timestamp_delta) + varint::size(self.offset_delta);
        let payload = nullable_size(self.key) + nullable_size(self.value);
        1 + numbers + payload + len_size(self.headers.len()) + headers
    }
}

fn write_nullable(bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    match bytes {
        Some(bytes) => {
            write_len(bytes.len(), out);
            out.extend_from_slice(bytes);
        }
        None => varint::write(-1, out),
    }
}

fn nullable_size(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(varint::size(-1), |bytes| len_size(bytes.len()) + bytes.len())
}

/// A length too large for the wire makes a batch that is too large as well, which `build` refuses.
fn write_len(len: usize, out: &mut Vec<u8>) {
    varint::write(i64::try_from(len).unwrap_or(i64::MAX), out);
}

fn len_size(len: usize) -> usize {
    varint::size(i64::try_from(len).unwrap_or(i64::MAX))
}

/// A count that a signed 32-bit field can hold.
fn to_wire_count<T: TryInto<i64>>(field: &'static str, count: T) -> Result<u32, BatchError> {
    let value = count.try_into().unwrap_or(i64::MAX);
    i32::try_from(value)
        .ok()
        .and_then(|count| u32::try_from(count).ok())
        .ok_or(BatchError::Field { field, value })
}

fn check_producer(
    id: ProducerId,
    epoch: ProducerEpoch,
    sequence: Sequence,
) -> Result<(), BatchError> {
    let numbers = [
        ("producer_id", id.0, 0),
        ("producer_epoch", i64::from(epoch.0), 0),
        ("base_sequence", i64::from(sequence.0), -1),
    ];
    match numbers.into_iter().find(|&(_, value, min)| value < min) {
        Some((field, value, _)) => Err(BatchError::Field { field, value }),
        None => Ok(()),
    }
}
