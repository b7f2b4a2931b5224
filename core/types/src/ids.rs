//! Identifiers that are never passed as bare integers.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A position in a partition's log; the first record ever written has offset 0.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Offset(i64);

impl Offset {
    /// The offset of the first record of a new log.
    pub const ZERO: Offset = Offset(0);

    /// An offset from the wire or from disk; `None` when negative.
    pub fn new(value: i64) -> Option<Offset> {
        (value >= 0).then_some(Offset(value))
    }

    /// The wire value.
    pub fn value(self) -> i64 {
        self.0
    }

    /// The offset `count` records later; saturates at the largest offset.
    #[must_use]
    pub fn plus(self, count: u64) -> Offset {
        Offset(self.0.saturating_add_unsigned(count))
    }

    /// Records between `earlier` and `self`; 0 when `earlier` is not earlier.
    pub fn since(self, earlier: Offset) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The index of a partition within its topic, from 0.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct PartitionIndex(u32);

impl PartitionIndex {
    /// The only partition of a topic that has one.
    pub const ZERO: PartitionIndex = PartitionIndex(0);

    /// An index known to be in range, such as one counted from the catalog.
    pub fn new(index: u32) -> PartitionIndex {
        PartitionIndex(index)
    }

    /// An index from the wire; `None` when negative.
    pub fn from_wire(index: i32) -> Option<PartitionIndex> {
        u32::try_from(index).ok().map(PartitionIndex)
    }

    /// The index as a number.
    pub fn value(self) -> u32 {
        self.0
    }

    /// The index as it stands on the Kafka wire.
    pub fn to_wire(self) -> i32 {
        i32::try_from(self.0).unwrap_or(i32::MAX)
    }
}

impl fmt::Display for PartitionIndex {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A topic's identity for its whole life; a topic created again under the same name has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TopicId(pub Uuid);

impl fmt::Display for TopicId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// One partition of one topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartitionId {
    /// The topic.
    pub topic: TopicId,
    /// The partition's index within it.
    pub index: PartitionIndex,
}

impl fmt::Display for PartitionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.topic, self.index)
    }
}

macro_rules! wire_number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }
    };
}

wire_number! {
    /// How often the writer of a partition has changed; every opening of a log raises it.
    LeaderEpoch(i32)
}
wire_number! {
    /// An idempotent producer; -1 on the wire means none.
    ProducerId(i64)
}
wire_number! {
    /// The life of an idempotent producer; an older one is fenced.
    ProducerEpoch(i16)
}
wire_number! {
    /// A producer's record number within a partition; wraps from `i32::MAX` to 0.
    Sequence(i32)
}
wire_number! {
    /// One node; Kafka's broker id.
    NodeId(i32)
}

impl Sequence {
    /// The sequence `count` records later, wrapping from `i32::MAX` to 0 as Kafka's does.
    #[must_use]
    pub fn plus(self, count: u32) -> Sequence {
        let sum = (i64::from(self.0) + i64::from(count)) % (i64::from(i32::MAX) + 1);
        Sequence(i32::try_from(sum).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_wraps_to_zero() {
        assert_eq!(Sequence(i32::MAX).plus(1), Sequence(0));
        assert_eq!(Sequence(i32::MAX - 1).plus(3), Sequence(1));
    }

    #[test]
    fn negative_offsets_are_refused() {
        assert_eq!(Offset::new(-1), None);
    }
}
