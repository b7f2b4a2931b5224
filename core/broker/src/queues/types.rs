//! Queues as callers see them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use posthouse_record::Record;
use posthouse_types::{Offset, PartitionIndex, Timestamp, TopicName};

use crate::TopicRef;

/// How a caller names a queue: a topic, and a group of its own name space. Groups of different
/// topics, and Kafka's consumer groups, have nothing to do with each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QueueRef {
    /// The topic.
    pub topic: TopicRef,
    /// The group; any bytes, 1 to 1,024 of them.
    pub group: Bytes,
}

impl QueueRef {
    /// A queue over a topic.
    pub fn new(topic: TopicRef, group: impl Into<Bytes>) -> QueueRef {
        QueueRef { topic, group: group.into() }
    }
}

/// Where a new queue begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum QueueStart {
    /// At the first record that can be read.
    #[default]
    Earliest,
    /// Behind the last record that can be read.
    Latest,
    /// At an offset of every partition; records below it are never delivered.
    Offset(Offset),
}

/// How a queue behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueConfig {
    /// How long an owner may hold a record before it goes to another one; `None`: until it is
    /// settled or transferred, however long that takes.
    pub lock_timeout: Option<Duration>,
    /// Deliveries of one record after which, instead of another one, it is dead-lettered; `None`:
    /// any number.
    pub deliveries_max: Option<u32>,
    /// Records of one partition delivered and not settled, 1 to 1,000,000; at this many, nothing
    /// new is delivered from the partition.
    pub window_max: u32,
    /// Where records that are rejected, or delivered too often, go; `None`: nowhere.
    pub dead_letter: Option<TopicName>,
}

impl Default for QueueConfig {
    fn default() -> QueueConfig {
        QueueConfig {
            lock_timeout: Some(Duration::from_secs(30)),
            deliveries_max: Some(5),
            window_max: 10_000,
            dead_letter: None,
        }
    }
}

/// A change of a queue; what is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueChange {
    /// The whole new configuration.
    pub config: Option<QueueConfig>,
    /// Where delivery of new records goes on. Records that were delivered and are not settled are
    /// left alone, and not delivered a second time because of it.
    pub position: Option<QueuePosition>,
}

/// Where delivery goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuePosition {
    /// Of which partition; all when `None`.
    pub partition: Option<PartitionIndex>,
    /// Where.
    pub start: QueueStart,
}

/// One record of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    /// Its partition.
    pub partition: PartitionIndex,
    /// Its offset.
    pub offset: Offset,
}

impl RecordId {
    /// Below every record.
    pub const MIN: RecordId = RecordId { partition: PartitionIndex::ZERO, offset: Offset::ZERO };
}

impl fmt::Display for RecordId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.partition, self.offset)
    }
}

/// Decides whether a record is delivered at all; see [`Acquire::filter`].
pub type RecordFilter = Arc<dyn Fn(PartitionIndex, &Record) -> bool + Send + Sync>;

/// A request for records.
#[derive(Clone)]
pub struct Acquire {
    /// In whose name: known to the queue from now on, and holding what it is given whatever
    /// becomes of its connection. Any bytes, 1 to 1,024 of them.
    pub owner: Bytes,
    /// Most records.
    pub max: usize,
    /// Most bytes of keys, values and headers; the first record is given whatever its size.
    pub bytes_max: usize,
    /// Wait this long for the first record.
    pub wait_max: Duration,
    /// How long these records are held, instead of the queue's own lock timeout.
    pub lock: Option<Duration>,
    /// Settle them at once: whoever crashes after this loses them.
    pub settled: bool,
    /// Records that it refuses are passed over for good, as if they were not there.
    pub filter: Option<RecordFilter>,
}

impl Acquire {
    /// Up to `max` records, 8 MiB at most, without waiting.
    pub fn new(owner: impl Into<Bytes>, max: usize) -> Acquire {
        Acquire {
            owner: owner.into(),
            max,
            bytes_max: 8 << 20,
            wait_max: Duration::ZERO,
            lock: None,
            settled: false,
            filter: None,
        }
    }

    /// As it is, but waiting for the first record.
    #[must_use]
    pub fn waiting(mut self, wait_max: Duration) -> Acquire {
        self.wait_max = wait_max;
        self
    }
}

/// A record that its owner holds now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acquired {
    /// Its partition.
    pub partition: PartitionIndex,
    /// How often it was delivered, this time included.
    pub delivery_count: u32,
    /// When the lock ends, unless it is extended.
    pub locked_until: Option<Timestamp>,
    /// The record; its offset is in it.
    pub record: Record,
}

impl Acquired {
    /// Which record it is.
    pub fn id(&self) -> RecordId {
        RecordId { partition: self.partition, offset: self.record.offset }
    }
}

/// A record to be settled, given back or held longer, and by whom it must be held for that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which record.
    pub id: RecordId,
    /// Only if this delivery of it is the current one; a worker that was too slow does not settle
    /// what another one works on.
    pub delivery: Option<u32>,
    /// Only if this owner holds it.
    pub owner: Option<Bytes>,
}

impl Held {
    /// Whoever holds it.
    pub fn by_anyone(id: RecordId) -> Held {
        Held { id, delivery: None, owner: None }
    }
}

impl From<&Acquired> for Held {
    /// This very delivery.
    fn from(acquired: &Acquired) -> Held {
        Held { id: acquired.id(), delivery: Some(acquired.delivery_count), owner: None }
    }
}

/// What became of one record of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It is not held as the caller said: it was settled, or went to someone else.
    NotHeld,
}

/// A change of hands; Redis's XCLAIM in general.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// The records.
    pub ids: Vec<RecordId>,
    /// Who holds them from now on.
    pub to: Bytes,
    /// Only those that were delivered at least this long ago.
    pub min_idle: Duration,
    /// The delivery time that is noted; now, when `None`.
    pub delivered_at: Option<Timestamp>,
    /// What becomes of the delivery count.
    pub deliveries: DeliveryCount,
    /// Also records that are not pending, as if they had been delivered and not settled.
    pub force: bool,
}

impl Transfer {
    /// Every one of these records, each counted as one more delivery.
    pub fn new(ids: Vec<RecordId>, to: impl Into<Bytes>) -> Transfer {
        Transfer {
            ids,
            to: to.into(),
            min_idle: Duration::ZERO,
            delivered_at: None,
            deliveries: DeliveryCount::Next,
            force: false,
        }
    }
}

/// What a transfer does to the delivery count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryCount {
    /// One more.
    Next,
    /// As it is.
    Same,
    /// This many.
    Set(u32),
}

/// Which pending records are asked for.
#[derive(Clone, Debug)]
pub struct PendingQuery {
    /// The first record, included.
    pub from: RecordId,
    /// The last record, included; `None`: to the end.
    pub to: Option<RecordId>,
    /// Only this owner's.
    pub owner: Option<Bytes>,
    /// Only those delivered at least this long ago.
    pub min_idle: Duration,
    /// Most entries; never more than 10,000.
    pub limit: usize,
}

impl Default for PendingQuery {
    fn default() -> PendingQuery {
        PendingQuery {
            from: RecordId::MIN,
            to: None,
            owner: None,
            min_idle: Duration::ZERO,
            limit: 10_000,
        }
    }
}

/// A record that was delivered and is not settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Which record.
    pub id: RecordId,
    /// What it waits for.
    pub state: PendingState,
    /// Since its last delivery.
    pub idle: Duration,
    /// How often it was delivered.
    pub delivery_count: u32,
}

/// What a pending record waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PendingState {
    /// Its owner holds it.
    Acquired {
        /// The owner.
        owner: Bytes,
        /// When the lock ends, if it ever does.
        until: Option<Timestamp>,
    },
    /// It came back, and goes to the next one who asks.
    Available,
    /// It is on its way to the dead-letter topic.
    Rejected,
}

/// An owner of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueOwner {
    /// Its name.
    pub owner: Bytes,
    /// Records it holds.
    pub pending: usize,
    /// When it was last heard of.
    pub seen: Timestamp,
}

/// What becomes of the records of an owner that is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerRemoval {
    /// They go to the next one who asks.
    Release,
    /// They are settled, unprocessed; Redis's XGROUP DELCONSUMER.
    Discard,
}

/// A queue in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueDescription {
    /// The topic.
    pub topic: TopicName,
    /// The group.
    pub group: Bytes,
    /// How it behaves.
    pub config: QueueConfig,
    /// Every partition of the topic.
    pub partitions: Vec<QueuePartition>,
    /// Owners known.
    pub owners: usize,
}

impl QueueDescription {
    /// Records held by an owner, over all partitions.
    pub fn acquired(&self) -> usize {
        self.partitions.iter().map(|partition| partition.acquired).sum()
    }
}

/// One partition of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuePartition {
    /// Which one.
    pub index: PartitionIndex,
    /// The first record not delivered yet.
    pub next: Offset,
    /// The first record not settled yet.
    pub start: Offset,
    /// Held by an owner.
    pub acquired: usize,
    /// Came back, and not delivered again yet.
    pub available: usize,
    /// On their way to the dead-letter topic.
    pub rejected: usize,
    /// The end of what can be read; `None` while the partition is not open.
    pub end: Option<Offset>,
}

/// A queue in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSummary {
    /// The topic.
    pub topic: TopicName,
    /// The group.
    pub group: Bytes,
    /// Owners known.
    pub owners: usize,
    /// Records delivered and not settled.
    pub pending: usize,
}

/// A time later; saturates at the largest.
pub(super) fn after(at: Timestamp, by: Duration) -> Timestamp {
    let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_ms(at.as_ms().saturating_add(ms))
}
