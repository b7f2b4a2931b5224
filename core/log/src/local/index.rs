//! A segment's sparse index: where batches begin, by offset and by time.
//!
//! Owns the lookups and the file format. An index is a shortcut: a missing or damaged one is rebuilt
//! from the segment, and a wrong answer is impossible because readers check batch headers.
//!
//! # Invariants
//! - Entries rise in offset and position; `max_timestamp` never falls.
//! - The first entry, where there is one, is the segment's first batch.
//!
//! # Source
//! Kafka keeps offset and time index apart and an entry for every 4 KiB; here one entry for every
//! 16 KiB serves both.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use posthouse_record::BatchHeader;
use posthouse_types::{Offset, Timestamp};

/// Bytes of batches between two entries, at least.
const INTERVAL_BYTES: u64 = 16 * 1024;
const ENTRY_BYTES: usize = 24;
const MAGIC: u32 = 0x5048_4958; // "PHIX"
const HEADER_BYTES: usize = 4 + 8;

/// Where one batch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) offset: Offset,
    pub(crate) position: u64,
    /// The largest timestamp of every batch before this one; [`Timestamp::NONE`] when there is none.
    pub(crate) max_timestamp_before: Timestamp,
}

/// The index of one segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SparseIndex {
    entries: Vec<Entry>,
    /// Where the next entry is due.
    due: u64,
}

impl SparseIndex {
    /// Notes a batch at `position`; `max_before` is the largest timestamp of the batches before it.
    pub(crate) fn note(&mut self, batch: &BatchHeader, position: u64, max_before: Timestamp) {
        if position < self.due && !self.entries.is_empty() {
            return;
        }
        self.entries.push(Entry {
            offset: batch.base_offset,
            position,
            max_timestamp_before: max_before,
        });
        self.due = position + INTERVAL_BYTES;
    }

    /// A position at or before the batch that contains `offset`.
    pub(crate) fn floor(&self, offset: Offset) -> u64 {
        let above = self.entries.partition_point(|entry| entry.offset <= offset);
        above.checked_sub(1).map_or(0, |index| self.entries[index].position)
    }

    /// The largest known batch start at or below `position`.
    pub(crate) fn floor_position(&self, position: u64) -> Option<Entry> {
        let above = self.entries.partition_point(|entry| entry.position <= position);
        above.checked_sub(1).map(|index| self.entries[index])
    }

    /// A position before which no record is as late as `at`.
    pub(crate) fn floor_time(&self, at: Timestamp) -> u64 {
        let above = self.entries.partition_point(|entry| entry.max_timestamp_before < at);
        above.checked_sub(1).map_or(0, |index| self.entries[index].position)
    }

    /// The index as it is stored, for a segment of `size` bytes.
    pub(crate) fn encode(&self, size: u64) -> Bytes {
        let mut out = BytesMut::with_capacity(HEADER_BYTES + self.entries.len() * ENTRY_BYTES + 4);
        out.put_u32(MAGIC);
        out.put_u64(size);
        for entry in &self.entries {
            out.put_i64(entry.offset.value());
            out.put_u64(entry.position);
            out.put_i64(entry.max_timestamp_before.as_ms());
        }
        out.put_u32(crc32c::crc32c(&out));
        out.freeze()
    }

    /// Reads a stored index; `None` when it is damaged or of a segment of another size.
    pub(crate) fn decode(mut stored: Bytes, size: u64) -> Option<SparseIndex> {
        let body = stored.len().checked_sub(4)?;
        let checksum = stored.split_off(body).get_u32();
        if crc32c::crc32c(&stored) != checksum || stored.len() < HEADER_BYTES {
            return None;
        }
        if stored.get_u32() != MAGIC || stored.get_u64() != size {
            return None;
        }
        if !stored.len().is_multiple_of(ENTRY_BYTES) {
            return None;
        }
        let mut entries = Vec::with_capacity(stored.len() / ENTRY_BYTES);
        while stored.has_remaining() {
            entries.push(Entry {
                offset: Offset::new(stored.get_i64())?,
                position: stored.get_u64(),
                max_timestamp_before: Timestamp::from_ms(stored.get_i64()),
            });
        }
        let due = entries.last().map_or(0, |last| last.position.saturating_add(INTERVAL_BYTES));
        let is_sorted = entries.is_sorted_by(|left, right| {
            left.offset < right.offset && left.position < right.position
        });
        is_sorted.then_some(SparseIndex { entries, due })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn index(count: u32) -> SparseIndex {
        let entries = (0..i64::from(count))
            .map(|step| Entry {
                offset: Offset::new(step * 10).unwrap(),
                position: u64::try_from(step).unwrap() * INTERVAL_BYTES,
                max_timestamp_before: Timestamp::from_ms(if step == 0 { -1 } else { step * 100 }),
            })
            .collect();
        SparseIndex { entries, due: u64::from(count) * INTERVAL_BYTES }
    }

    #[test]
    fn the_floor_is_at_or_before_what_is_looked_for() {
        let index = index(5);
        assert_eq!(index.floor(Offset::new(25).unwrap()), 2 * INTERVAL_BYTES);
        assert_eq!(index.floor(Offset::ZERO), 0);
        assert_eq!(index.floor_time(Timestamp::from_ms(250)), 2 * INTERVAL_BYTES);
        assert_eq!(index.floor_time(Timestamp::from_ms(0)), 0);
        assert_eq!(index.floor_time(Timestamp::from_ms(9_999)), 4 * INTERVAL_BYTES);
    }

    #[test]
    fn an_index_of_another_segment_is_refused() {
        assert_eq!(SparseIndex::decode(index(3).encode(100), 101), None);
    }

    proptest! {
        #[test]
        fn an_index_reads_back_as_it_was_written(count in 0_u32..200, size in any::<u64>()) {
            let index = index(count);
            prop_assert_eq!(SparseIndex::decode(index.encode(size), size), Some(index));
        }

        #[test]
        fn a_damaged_index_is_refused(count in 0_u32..50, at in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let mut stored = index(count).encode(7).to_vec();
            let at = at.index(stored.len());
            stored[at] ^= 1 << bit;
            prop_assert_eq!(SparseIndex::decode(Bytes::from(stored), 7), None);
        }
    }
}
