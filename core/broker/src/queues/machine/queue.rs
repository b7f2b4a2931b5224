//! One queue: its partitions' windows and its owners.
//!
//! # Invariants
//! - Records at or above a window's `next` were never delivered, unless they have an entry (a
//!   position set back, or a forced transfer); those below it without an entry are settled.
//! - `available` and the owners' `holds` are what the entries say; see [`super::index`].

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use posthouse_types::{Offset, PartitionIndex, Timestamp, TopicId};

use crate::queues::types::{QueueConfig, RecordId};

/// Which queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct QueueKey {
    pub(crate) topic: TopicId,
    pub(crate) group: Bytes,
}

/// A queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Queue {
    pub(crate) key: QueueKey,
    pub(crate) config: QueueConfig,
    /// A partition that is not here has not been touched, and begins at its log's start.
    pub(crate) windows: BTreeMap<PartitionIndex, Window>,
    pub(crate) owners: BTreeMap<Bytes, Owner>,
}

/// What a queue knows of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) next: Offset,
    pub(crate) entries: BTreeMap<Offset, Entry>,
    pub(crate) available: BTreeSet<Offset>,
}

/// A record that was delivered and is not settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) delivered_at: Timestamp,
    pub(crate) deliveries: u32,
    pub(crate) state: EntryState,
}

/// KIP-932 calls these acquired, available, and (on the way to) archived. Acknowledged and archived
/// records have no entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EntryState {
    Acquired {
        owner: Bytes,
        until: Option<Timestamp>,
    },
    Available,
    /// To be written to the dead-letter topic; settled only after that.
    Rejected {
        reason: String,
    },
}

/// Someone who has asked for records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) seen: Timestamp,
    pub(crate) holds: BTreeSet<RecordId>,
}

impl Queue {
    /// A queue that has delivered nothing.
    pub(super) fn new(key: QueueKey, config: QueueConfig) -> Queue {
        Queue { key, config, windows: BTreeMap::new(), owners: BTreeMap::new() }
    }

    /// What is known of a record.
    pub(crate) fn entry(&self, id: RecordId) -> Option<&Entry> {
        self.windows.get(&id.partition)?.entries.get(&id.offset)
    }

    /// Records pending, over all partitions.
    pub(crate) fn pending(&self) -> usize {
        self.windows.values().map(|window| window.entries.len()).sum()
    }
}

impl Window {
    /// The first record that is not settled.
    pub(crate) fn start(&self) -> Offset {
        let first = self.entries.first_key_value().map_or(self.next, |(first, _)| *first);
        first.min(self.next)
    }

    /// Entries in each state: acquired, available, rejected.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let rejected = |entry: &&Entry| matches!(entry.state, EntryState::Rejected { .. });
        let rejected = self.entries.values().filter(rejected).count();
        let available = self.available.len();
        (self.entries.len() - available - rejected, available, rejected)
    }
}
