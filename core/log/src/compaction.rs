//! Compaction by key: which records stay. Pure; the engines read, write and swap.
//!
//! Owns the map from keys to their last offset and the rules for tombstones and emptied batches.
//!
//! # Invariants
//! - Offsets never change, and the last record of a key is never removed, but for a tombstone whose
//!   time has passed.
//! - A record above what the map covers is kept, whatever its key.
//!
//! # Source
//! Kafka's log cleaner; KIP-534 for the delete horizon: the first compaction that keeps a tombstone
//! marks its batch with the time from which it may go, so every reader has that long to see it.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

use posthouse_record::{Batch, BatchError};
use posthouse_types::{Offset, Timestamp};

use crate::LogConfig;
use crate::admission::EXPANDED_BYTES_MAX;
use crate::producers::Producers;
use crate::retention::{SegmentFacts, is_older};

/// LIMIT: keys held while one pass runs, about 40 bytes each. What does not fit waits for the next.
const KEYS_MAX: usize = 2_000_000;

/// How far compaction has come, and when it is next due without new records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cleaned {
    /// Everything below holds each key once.
    pub(crate) to: Offset,
    /// The earliest time at which a tombstone may go.
    pub(crate) horizon: Option<Timestamp>,
}

/// Whether a pass over `sealed` is worth it, and over how many of them.
///
/// `min.cleanable.dirty.ratio` decides, or the passing of a tombstone's time.
pub(crate) fn cleanable_count(
    sealed: &[SegmentFacts],
    cleaned: Cleaned,
    config: &LogConfig,
    now: Timestamp,
) -> usize {
    let old_enough = |segment: &&SegmentFacts| {
        config.compaction_lag.is_zero()
            || segment.max_timestamp == Timestamp::NONE
            || is_older(segment.max_timestamp, config.compaction_lag, now)
    };
    let count = sealed.iter().take_while(old_enough).count();
    let candidates = &sealed[..count];
    let total: u64 = candidates.iter().map(|segment| segment.bytes).sum();
    let dirty: u64 = candidates
        .iter()
        .filter(|segment| segment.next > cleaned.to)
        .map(|segment| segment.bytes)
        .sum();
    let is_dirty = dirty > 0
        && u128::from(dirty) * 1000 >= u128::from(total) * u128::from(config.dirty_ratio_permille);
    let tombstones_due = cleaned.horizon.is_some_and(|horizon| horizon <= now);
    if is_dirty || (tombstones_due && total > 0) { count } else { 0 }
}

/// The last offset of each key in the range that a pass covers.
pub(crate) struct KeyMap {
    last: HashMap<u128, Offset>,
    hashers: (RandomState, RandomState),
    /// Everything below has been looked at.
    covered: Offset,
    keys_max: usize,
}

impl KeyMap {
    /// An empty map that covers everything below `from`, where each key is already there once.
    pub(crate) fn new(from: Offset) -> KeyMap {
        KeyMap::with_limit(from, KEYS_MAX)
    }

    fn with_limit(from: Offset, keys_max: usize) -> KeyMap {
        let hashers = (RandomState::new(), RandomState::new());
        KeyMap { last: HashMap::new(), hashers, covered: from, keys_max }
    }

    /// Everything below this offset is in the map.
    pub(crate) fn covered(&self) -> Offset {
        self.covered
    }

    /// Looks at one more batch, in offset order; `false` when the map is full.
    ///
    /// # Errors
    /// Those of [`Batch::records`] and its iterator.
    pub(crate) fn add(&mut self, batch: &Batch) -> Result<bool, BatchError> {
        if self.last.len() >= self.keys_max {
            return Ok(false);
        }
        if batch.header().last_offset() < self.covered {
            return Ok(true);
        }
        if !batch.header().control {
            let mut records = batch.records(EXPANDED_BYTES_MAX)?;
            while let Some(record) = records.next_view() {
                let record = record?;
                if let Some(key) = record.key {
                    self.last.insert(self.hash(key), record.offset);
                }
            }
        }
        self.covered = batch.header().last_offset().plus(1);
        Ok(true)
    }

    fn is_superseded(&self, key: &[u8], offset: Offset) -> bool {
        self.last.get(&self.hash(key)).is_some_and(|&last| last > offset)
    }

    /// 128 bits under keys of this process's own, so that no producer can make two keys collide.
    fn hash(&self, key: &[u8]) -> u128 {
        let (high, low) = (self.hashers.0.hash_one(key), self.hashers.1.hash_one(key));
        (u128::from(high) << 64) | u128::from(low)
    }
}

/// One pass over the batches of a log.
pub(crate) struct Pass<'a> {
    pub(crate) keys: &'a KeyMap,
    pub(crate) producers: &'a Producers,
    pub(crate) now: Timestamp,
    pub(crate) tombstone_age: Duration,
    pub(crate) removed: u64,
    /// The earliest time at which a tombstone that this pass kept may go.
    pub(crate) horizon: Option<Timestamp>,
}

impl Pass<'_> {
    /// The batch without what is superseded; `None` when nothing of it need stay.
    ///
    /// # Errors
    /// Those of [`Batch::rebuild`].
    pub(crate) fn clean(&mut self, batch: &Batch) -> Result<Option<Batch>, BatchError> {
        let header = batch.header();
        if header.control || header.base_offset >= self.keys.covered() {
            return Ok(Some(batch.clone()));
        }
        let tombstones_go = header.delete_horizon_at().is_some_and(|horizon| horizon <= self.now);
        let (mut kept, mut tombstones) = (0_u32, 0_u32);
        let mut records = batch.records(EXPANDED_BYTES_MAX)?;
        while let Some(record) = records.next_view() {
            let record = record?;
            let stays =
                self.stays(record.key, record.value.is_none(), record.offset, tombstones_go);
            kept += u32::from(stays);
            tombstones += u32::from(stays && record.value.is_none());
        }
        self.removed += u64::from(header.record_count - kept);
        if kept == 0 && !self.producers.is_last_of_its_producer(header) {
            return Ok(None);
        }
        let horizon = (tombstones > 0).then(|| self.horizon_of(batch));
        if let Some(horizon) = horizon {
            self.horizon = Some(self.horizon.map_or(horizon, |earliest| earliest.min(horizon)));
        }
        let rebuilt = batch.rebuild(EXPANDED_BYTES_MAX, horizon, |record| {
            self.stays(record.key, record.value.is_none(), record.offset, tombstones_go)
        })?;
        Ok(Some(rebuilt))
    }

    fn stays(
        &self,
        key: Option<&[u8]>,
        tombstone: bool,
        offset: Offset,
        tombstones_go: bool,
    ) -> bool {
        // A record without a key was written before the topic became compacted; Kafka drops it too.
        let Some(key) = key else { return false };
        if offset >= self.keys.covered() {
            return true;
        }
        let is_due = tombstone && tombstones_go;
        !is_due && !self.keys.is_superseded(key, offset)
    }

    fn horizon_of(&self, batch: &Batch) -> Timestamp {
        batch.header().delete_horizon_at().unwrap_or_else(|| {
            let age_ms = i64::try_from(self.tombstone_age.as_millis()).unwrap_or(i64::MAX);
            Timestamp::from_ms(self.now.as_ms().saturating_add(age_ms))
        })
    }
}

#[cfg(test)]
mod tests;
