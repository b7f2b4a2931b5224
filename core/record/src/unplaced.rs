//! A batch on its way into a log.
//!
//! Owns its bytes alone, so that it can be given its offsets where it lies. Which offsets, and
//! whether its producer may write, the log decides.

use bytes::BytesMut;
use posthouse_types::{LeaderEpoch, Offset, Timestamp};

use crate::header::{self, layout};
use crate::{BATCH_HEADER_BYTES, Batch, BatchError, BatchHeader, Records};

/// A batch from a producer: checked, not yet given its offsets. Owns its bytes alone.
#[derive(Debug)]
pub struct UnplacedBatch {
    bytes: BytesMut,
    header: BatchHeader,
}

impl UnplacedBatch {
    /// Checks length, magic, fields and CRC32C. Does not decompress.
    ///
    /// # Errors
    /// Those of [`BatchHeader::parse`]; [`BatchError::Truncated`] or [`BatchError::TrailingBytes`]
    /// unless `bytes` is exactly one batch; [`BatchError::Checksum`].
    pub fn check(bytes: BytesMut) -> Result<UnplacedBatch, BatchError> {
        let header = BatchHeader::parse(&bytes)?;
        if bytes.len() < header.size {
            return Err(BatchError::Truncated { len: bytes.len(), needed: header.size });
        }
        if bytes.len() > header.size {
            return Err(BatchError::TrailingBytes(bytes.len() - header.size));
        }
        let computed = header::checksum(&bytes);
        if computed != header.crc {
            return Err(BatchError::Checksum { stored: header.crc, computed });
        }
        Ok(UnplacedBatch { bytes, header })
    }

    /// Checks what Kafka asks of a batch that a client sends: one record for every offset from 0
    /// on, none of the marks that only a log may set, and a sequence if it names a producer.
    ///
    /// # Errors
    /// [`BatchError::Field`] names the field that a client may not send so.
    pub fn check_from_client(&self) -> Result<(), BatchError> {
        let header = &self.header;
        let refuse = |field, value| Err(BatchError::Field { field, value });
        if header.base_offset != Offset::ZERO {
            return refuse("base_offset", header.base_offset.value());
        }
        if u64::from(header.record_count) != header.offset_count() {
            return refuse("record_count", i64::from(header.record_count));
        }
        if header.control || header.log_append_time || header.delete_horizon {
            return refuse("attributes", i64::from(header.attributes()));
        }
        match header.producer {
            Some((_, _, sequence)) if sequence.0 < 0 => {
                refuse("base_sequence", i64::from(sequence.0))
            }
            None if header.transactional => refuse("producer_id", -1),
            _ => Ok(()),
        }
    }

    /// The header, as it is now.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Bytes of the whole batch.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The batch as it would be sent to a broker.
    pub fn into_bytes(self) -> BytesMut {
        self.bytes
    }

    /// Writes the log's own time; recomputes the checksum.
    pub fn set_log_append_time(&mut self, at: Timestamp) {
        self.header.log_append_time = true;
        self.header.max_timestamp = at;
        header::put(&mut self.bytes, layout::ATTRIBUTES, self.header.attributes().to_be_bytes());
        header::put(&mut self.bytes, layout::MAX_TIMESTAMP, at.as_ms().to_be_bytes());
        self.header.crc = header::seal(&mut self.bytes);
    }

    /// Writes offset and epoch, which lie outside the checksum.
    pub fn place(mut self, base_offset: Offset, epoch: LeaderEpoch) -> Batch {
        self.header.base_offset = base_offset;
        self.header.leader_epoch = epoch;
        header::put(&mut self.bytes, layout::BASE_OFFSET, base_offset.value().to_be_bytes());
        header::put(&mut self.bytes, layout::LEADER_EPOCH, epoch.0.to_be_bytes());
        Batch::from_parts(self.bytes.freeze(), self.header)
    }

    /// Records, for checks that need them. Offsets count from the header's base offset, so from 0.
    ///
    /// Uncompressed records are copied, because the batch still owns its bytes alone.
    ///
    /// # Errors
    /// [`BatchError::Decompress`] and [`BatchError::ExpandsTooFar`]; a malformed record is an error
    /// of the iterator.
    pub fn records(&self, bytes_max: usize) -> Result<Records, BatchError> {
        let stored = &self.bytes[BATCH_HEADER_BYTES..];
        Ok(Records::new(self.header.compression.decompress(stored, bytes_max)?, self.header))
    }

    /// Checks every record, and that each has a key: what a compacted topic asks of a producer.
    ///
    /// # Errors
    /// Those of [`UnplacedBatch::records`]; [`BatchError::Record`] names the first bad record.
    pub fn check_keys(&self, bytes_max: usize) -> Result<(), BatchError> {
        let mut records = self.records(bytes_max)?;
        let mut index = 0;
        while let Some(record) = records.next_view() {
            if record?.key.is_none() {
                return Err(BatchError::Record { index, reason: "it has no key" });
            }
            index += 1;
        }
        Ok(())
    }

    /// For writers in this crate, which make only valid batches: seals `bytes` under `header`.
    pub(crate) fn seal(mut bytes: BytesMut, mut header: BatchHeader) -> UnplacedBatch {
        header.write(&mut bytes);
        header.crc = header::seal(&mut bytes);
        UnplacedBatch { bytes, header }
    }
}
