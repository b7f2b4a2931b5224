//! What the store keeps when its writers are gone.
//!
//! # Invariants
//! - Only the writer with the newest epoch changes a partition.
//! - The last segment is the active one; there always is one.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use posthouse_record::{Batch, BatchError};
use posthouse_types::{LeaderEpoch, Offset, PartitionId, Timestamp};

use crate::compaction::{Cleaned, KeyMap, Pass, cleanable_count};
use crate::epochs::EpochHistory;
use crate::producers::Producers;
use crate::retention::{SegmentFacts, deletable_count};
use crate::{LogConfig, Maintained};

/// The partitions of one store. Share it between engines to let one fence another.
#[derive(Debug, Default)]
pub struct MemoryStore {
    partitions: Mutex<HashMap<PartitionId, Arc<Mutex<Stored>>>>,
}

impl MemoryStore {
    pub(super) fn partition(&self, partition: PartitionId) -> Arc<Mutex<Stored>> {
        Arc::clone(self.partitions.lock().entry(partition).or_default())
    }

    pub(super) fn remove(&self, partition: PartitionId) {
        if let Some(stored) = self.partitions.lock().remove(&partition) {
            // A writer elsewhere that still holds it finds an epoch that is not its own.
            stored.lock().writer = LeaderEpoch(i32::MAX);
        }
    }

    pub(super) fn partitions(&self) -> Vec<PartitionId> {
        let partitions = self.partitions.lock();
        partitions
            .iter()
            .filter(|(_, stored)| !stored.lock().is_empty())
            .map(|(&id, _)| id)
            .collect()
    }
}

/// One partition.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) writer: LeaderEpoch,
    pub(super) log_start: Offset,
    pub(super) epochs: EpochHistory,
    pub(super) producers: Producers,
    segments: Vec<Segment>,
    cleaned: Cleaned,
}

#[derive(Debug)]
struct Segment {
    facts: SegmentFacts,
    batches: Vec<Batch>,
}

impl Segment {
    fn empty(base: Offset, now: Timestamp) -> Segment {
        Segment { facts: SegmentFacts::empty(base, now), batches: Vec::new() }
    }
}

impl Default for Stored {
    fn default() -> Stored {
        Stored {
            writer: LeaderEpoch(-1),
            log_start: Offset::ZERO,
            epochs: EpochHistory::default(),
            producers: Producers::default(),
            segments: vec![Segment::empty(Offset::ZERO, Timestamp::from_ms(0))],
            cleaned: Cleaned::default(),
        }
    }
}

impl Stored {
    fn is_empty(&self) -> bool {
        self.end() == Offset::ZERO
    }

    pub(super) fn end(&self) -> Offset {
        self.active().facts.next
    }

    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.facts.bytes).sum()
    }

    /// The batches that hold `from` or anything later, in order.
    pub(super) fn batches_from(&self, from: Offset) -> impl Iterator<Item = &Batch> {
        let first = self.segments.partition_point(|segment| segment.facts.next <= from);
        self.segments[first..]
            .iter()
            .flat_map(|segment| &segment.batches)
            .skip_while(move |batch| batch.header().last_offset() < from)
    }

    /// Appends a batch, in a new segment where the settings ask for one.
    pub(super) fn push(&mut self, batch: Batch, config: &LogConfig, now: Timestamp) {
        let size = u64::try_from(batch.bytes().len()).unwrap_or(u64::MAX);
        let facts = self.active().facts;
        if facts.is_full_for(size, config) || facts.is_due_to_roll(config, now) {
            self.roll(now);
        }
        self.producers.record(batch.header(), now);
        self.epochs.begin(batch.header().leader_epoch, batch.header().base_offset);
        let active = self.active_mut();
        if active.facts.is_empty() {
            active.facts.begun = now;
        }
        active.facts.bytes += size;
        active.facts.next = batch.header().last_offset().plus(1);
        active.facts.max_timestamp = active.facts.max_timestamp.max(batch.header().max_timestamp);
        active.batches.push(batch);
    }

    /// Retention and compaction.
    ///
    /// # Errors
    /// A batch that cannot be read stops compaction; nothing has changed then.
    pub(super) fn maintain(
        &mut self,
        config: &LogConfig,
        now: Timestamp,
    ) -> Result<Maintained, (Offset, BatchError)> {
        self.producers.expire(now, config.producer_age);
        if self.active().facts.is_due_to_roll(config, now) {
            self.roll(now);
        }
        let mut maintained = self.delete_old(config, now);
        if config.cleanup.compact {
            self.compact(config, now, &mut maintained)?;
        }
        Ok(maintained)
    }

    /// Segments that are wholly below the log start, and those that are too old or too many.
    fn delete_old(&mut self, config: &LogConfig, now: Timestamp) -> Maintained {
        let facts: Vec<_> = self.segments.iter().map(|segment| segment.facts).collect();
        let count = deletable_count(&facts, self.log_start, config, now);
        if count == self.segments.len() {
            self.roll(now);
        }
        let gone: Vec<_> = self.segments.drain(..count).collect();
        self.log_start = self.log_start.max(self.segments[0].facts.base);
        self.epochs.trim(self.log_start);
        Maintained {
            segments_deleted: u64::try_from(count).unwrap_or(u64::MAX),
            bytes_freed: gone.iter().map(|segment| segment.facts.bytes).sum(),
            records_compacted: 0,
        }
    }

    fn compact(
        &mut self,
        config: &LogConfig,
        now: Timestamp,
        maintained: &mut Maintained,
    ) -> Result<(), (Offset, BatchError)> {
        let sealed = self.segments.len() - 1;
        let facts: Vec<_> = self.segments[..sealed].iter().map(|segment| segment.facts).collect();
        let count = cleanable_count(&facts, self.cleaned, config, now);
        if count == 0 {
            return Ok(());
        }
        let bytes_before = self.bytes();
        let keys = self.keys(count)?;
        let mut pass = Pass {
            keys: &keys,
            producers: &self.producers,
            now,
            tombstone_age: config.tombstone_age,
            removed: 0,
            horizon: None,
        };
        let mut cleaned = Vec::with_capacity(count);
        for segment in &self.segments[..count] {
            let mut batches = Vec::with_capacity(segment.batches.len());
            for batch in &segment.batches {
                let base = batch.header().base_offset;
                batches.extend(pass.clean(batch).map_err(|error| (base, error))?);
            }
            let bytes = batches.iter().map(|batch| batch.bytes().len() as u64).sum();
            cleaned.push(Segment { facts: SegmentFacts { bytes, ..segment.facts }, batches });
        }
        self.cleaned = Cleaned { to: keys.covered(), horizon: pass.horizon };
        maintained.records_compacted += pass.removed;
        self.segments.splice(..count, cleaned);
        maintained.bytes_freed += bytes_before - self.bytes();
        Ok(())
    }

    fn keys(&self, count: usize) -> Result<KeyMap, (Offset, BatchError)> {
        let mut keys = KeyMap::new(self.cleaned.to);
        for batch in self.segments[..count].iter().flat_map(|segment| &segment.batches) {
            let base = batch.header().base_offset;
            if !keys.add(batch).map_err(|error| (base, error))? {
                break;
            }
        }
        Ok(keys)
    }

    fn roll(&mut self, now: Timestamp) {
        self.segments.push(Segment::empty(self.end(), now));
    }

    fn active(&self) -> &Segment {
        self.segments.last().expect("there always is an active segment")
    }

    fn active_mut(&mut self) -> &mut Segment {
        self.segments.last_mut().expect("there always is an active segment")
    }
}
