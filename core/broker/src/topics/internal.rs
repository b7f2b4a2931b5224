//! The topics that Posthouse keeps for itself.
//!
//! Their identities are fixed, because they are opened before anything is known. Their logs are cut
//! by snapshots and by nothing else.

use std::collections::BTreeMap;

use posthouse_log::{CleanupPolicy, Durability, LogConfig, TimestampType};
use posthouse_types::{ByteSize, PartitionId, PartitionIndex, TopicId, TopicName};
use uuid::Uuid;

use super::Topic;

const CATALOG_ID: TopicId = TopicId(Uuid::from_u128(1));
const OFFSETS_ID: TopicId = TopicId(Uuid::from_u128(2));
const QUEUES_ID: TopicId = TopicId(Uuid::from_u128(3));
const KEYS_ID: TopicId = TopicId(Uuid::from_u128(4));

/// The catalog's one partition.
pub(crate) const CATALOG_PARTITION: PartitionId =
    PartitionId { topic: CATALOG_ID, index: PartitionIndex::ZERO };

/// Partitions of `__consumer_offsets`. Groups are spread over them by name, for as long as the data
/// lives, so this can never change.
pub(crate) const OFFSETS_PARTITIONS: u32 = 8;

/// `__posthouse_catalog`.
pub(crate) fn catalog_topic() -> Topic {
    internal_topic(CATALOG_ID, "__posthouse_catalog", 1)
}

/// `__consumer_offsets`.
pub(crate) fn offsets_topic() -> Topic {
    internal_topic(OFFSETS_ID, "__consumer_offsets", OFFSETS_PARTITIONS)
}

/// One partition of `__consumer_offsets`.
pub(crate) fn offsets_partition(index: u32) -> PartitionId {
    PartitionId { topic: OFFSETS_ID, index: PartitionIndex::new(index) }
}

/// Partitions of `__posthouse_queues`, over which queues are spread by topic and group. As with
/// groups, this can never change.
pub(crate) const QUEUES_PARTITIONS: u32 = 8;

/// `__posthouse_queues`.
pub(crate) fn queues_topic() -> Topic {
    internal_topic(QUEUES_ID, "__posthouse_queues", QUEUES_PARTITIONS)
}

/// One partition of `__posthouse_queues`.
pub(crate) fn queues_partition(index: u32) -> PartitionId {
    PartitionId { topic: QUEUES_ID, index: PartitionIndex::new(index) }
}

/// The one partition of `__posthouse_keys`.
pub(crate) const KEYS_PARTITION: PartitionId =
    PartitionId { topic: KEYS_ID, index: PartitionIndex::ZERO };

/// `__posthouse_keys`.
pub(crate) fn keys_topic() -> Topic {
    internal_topic(KEYS_ID, "__posthouse_keys", 1)
}

/// Whether a topic of this name is the node's own, which only superusers may know of: these, and the
/// audit log.
pub(crate) fn is_internal_name(name: &TopicName) -> bool {
    let name = name.as_bytes();
    name.starts_with(b"__posthouse_") || name == b"__consumer_offsets"
}

/// Whether a topic is one of these.
pub(crate) fn is_internal(topic: TopicId) -> bool {
    [CATALOG_ID, OFFSETS_ID, QUEUES_ID, KEYS_ID].contains(&topic)
}

/// Small segments, so that cutting the head gives space back; no retention; always synced.
pub(crate) fn internal_log_config() -> LogConfig {
    LogConfig {
        segment_bytes: ByteSize::mib(16),
        retention_bytes: None,
        retention_age: None,
        cleanup: CleanupPolicy { delete: false, compact: false },
        // A group's record is one batch; see `groups::limits`.
        batch_bytes_max: ByteSize::mib(32),
        timestamps: TimestampType::CreateTime,
        durability: Durability::Fsync,
        ..LogConfig::default()
    }
}

fn internal_topic(id: TopicId, name: &str, partitions: u32) -> Topic {
    Topic {
        id,
        name: TopicName::new(name).expect("a constant name is valid"),
        kafka_alias: name.to_owned(),
        partitions,
        internal: true,
        overrides: BTreeMap::new(),
        config: internal_log_config(),
        schema: None,
    }
}
