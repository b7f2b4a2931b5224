//! Topics: what they are, their settings, and making, changing and deleting them.
//!
//! A change is checked against the catalog, written to it, and shown to callers once it is durable.

mod alter;
mod create;
mod delete;
mod internal;
mod keys;
mod open;
mod query;
mod settings;
mod table;
mod types;

pub use types::{
    Column, ColumnFormat, ConfigChange, ConfigEntry, CreateTopic, DecodeFailure, OffsetSpec,
    PartitionStatus, Topic, TopicRef, TopicSchema,
};

pub(crate) use internal::{
    CATALOG_PARTITION, KEYS_PARTITION, OFFSETS_PARTITIONS, QUEUES_PARTITIONS, catalog_topic,
    internal_log_config, is_internal, is_internal_name, keys_topic, offsets_partition,
    offsets_topic, queues_partition, queues_topic,
};
pub(crate) use table::{OpenTopic, TopicTable};
