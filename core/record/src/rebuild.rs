//! Writes a batch again with fewer records: compaction.
//!
//! Owns what of a batch survives. Which records are worth keeping, and whether an empty batch is,
//! the log decides.
//!
//! # Invariants
//! - Offsets, timestamps, producer, epoch and the range of offsets are what they were; offsets that
//!   lost their record become gaps.
//! - Records are copied as they are stored, so a header, or anything else in them, stays bit by bit.
//!
//! # Source
//! Kafka's log cleaner; KIP-534 for the delete horizon.

use posthouse_types::Timestamp;

use crate::builder::compress_records;
use crate::{
    BATCH_HEADER_BYTES, Batch, BatchError, BatchHeader, Compression, RecordView, UnplacedBatch,
    varint,
};

impl Batch {
    /// The batch with only the records that `keep` wants, compressed as before.
    ///
    /// The same bytes when nothing changes. A batch that loses every record is a header alone, for
    /// a log that must still remember its producer. `delete_horizon` marks the time from which
    /// tombstones may go; a batch that has one keeps its own.
    ///
    /// # Errors
    /// Those of [`Batch::records`] and of its iterator: a batch that cannot be read whole is not
    /// rewritten.
    pub fn rebuild(
        &self,
        bytes_max: usize,
        delete_horizon: Option<Timestamp>,
        mut keep: impl FnMut(&RecordView<'_>) -> bool,
    ) -> Result<Batch, BatchError> {
        let horizon = delete_horizon.filter(|_| !self.header().delete_horizon);
        let mut records = self.records(bytes_max)?;
        let mut kept = Kept::new(self.header(), horizon, records.size());
        while let Some(record) = records.next_view() {
            let record = record?;
            if keep(&record) {
                kept.push(&record);
            }
        }
        if kept.record_count == self.header().record_count && horizon.is_none() {
            return Ok(self.clone());
        }
        kept.build()
    }
}

/// The records kept so far.
struct Kept<'a> {
    batch: &'a BatchHeader,
    /// Set when every timestamp delta has to be written again, from this new base.
    rebase: Option<Timestamp>,
    buffer: Vec<u8>,
    record_count: u32,
    max_timestamp: Option<Timestamp>,
}

impl<'a> Kept<'a> {
    fn new(batch: &'a BatchHeader, rebase: Option<Timestamp>, size: usize) -> Kept<'a> {
        let mut buffer = Vec::with_capacity(BATCH_HEADER_BYTES + size);
        buffer.resize(BATCH_HEADER_BYTES, 0);
        Kept { batch, rebase, buffer, record_count: 0, max_timestamp: None }
    }

    fn push(&mut self, record: &RecordView<'_>) {
        match self.rebase {
            None => self.buffer.extend_from_slice(record.stored),
            Some(base) => self.push_rebased(record, base),
        }
        self.record_count += 1;
        self.max_timestamp = self.max_timestamp.max(Some(record.timestamp));
    }

    /// Length and timestamp delta change, the rest does not. The timestamps of a batch that bears
    /// the log's own time are not counted from its base, so there the delta is of no account.
    fn push_rebased(&mut self, record: &RecordView<'_>, base: Timestamp) {
        let delta = record.timestamp.as_ms().wrapping_sub(base.as_ms());
        let len = 1 + varint::size(delta) + record.after_timestamp.len();
        varint::write(i64::try_from(len).unwrap_or(i64::MAX), &mut self.buffer);
        self.buffer.push(0);
        varint::write(delta, &mut self.buffer);
        self.buffer.extend_from_slice(record.after_timestamp);
    }

    fn build(self) -> Result<Batch, BatchError> {
        let mut header = *self.batch;
        header.record_count = self.record_count;
        if let Some(horizon) = self.rebase {
            header.delete_horizon = true;
            header.base_timestamp = horizon;
        }
        match self.max_timestamp {
            Some(max) if !header.log_append_time => header.max_timestamp = max,
            _ => {}
        }
        if self.record_count == 0 {
            header.compression = Compression::None;
        }
        let bytes = compress_records(header.compression, self.buffer)?;
        header.size = bytes.len();
        let (base_offset, leader_epoch) = (header.base_offset, header.leader_epoch);
        Ok(UnplacedBatch::seal(bytes, header).place(base_offset, leader_epoch))
    }
}
