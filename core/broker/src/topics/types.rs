//! Topics as callers see them.

use posthouse_log::LogConfig;
use posthouse_types::{LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicId, TopicName};
use serde::{Deserialize, Serialize};

/// A topic, immutable once handed out; a change makes a new one.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Its identity.
    pub id: TopicId,
    /// Its name.
    pub name: TopicName,
    /// Its name as Kafka clients spell it.
    pub kafka_alias: String,
    /// Its number of partitions, at least 1.
    pub partitions: u32,
    /// Kept by Posthouse for itself: listed only when asked for, and not written by clients.
    pub internal: bool,
    /// The settings given for this topic, by Kafka's name, over the node's defaults.
    pub overrides: std::collections::BTreeMap<String, String>,
    /// What the settings come to.
    pub config: LogConfig,
    /// The columns declared on it.
    pub schema: Option<TopicSchema>,
}

/// How a caller names a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TopicRef {
    /// By name.
    Name(TopicName),
    /// By identity.
    Id(TopicId),
}

/// How values decode into SQL columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicSchema {
    /// The encoding of a value.
    pub format: ColumnFormat,
    /// The declared columns, in order.
    pub columns: Vec<Column>,
    /// What a value that does not decode gives.
    pub on_error: DecodeFailure,
}

/// A declared column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its SQL type, as it was written: `DOUBLE`, `TIMESTAMP`.
    pub data_type: String,
}

/// The encoding of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnFormat {
    /// An object; columns are its members.
    Json,
    /// One line of comma-separated values; columns by position.
    Csv,
    /// The bytes as they are; at most one column.
    Raw,
}

/// What a value that does not decode does to a query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DecodeFailure {
    /// NULLs, with the reason in `_error`.
    #[default]
    Null,
    /// The query fails.
    Fail,
}

/// A topic to be made.
#[derive(Clone, Debug)]
pub struct CreateTopic {
    /// Its name.
    pub name: TopicName,
    /// Partitions; the node's default when `None`.
    pub partitions: Option<u32>,
    /// Settings by Kafka's name.
    pub overrides: Vec<(String, String)>,
    /// Declared columns.
    pub schema: Option<TopicSchema>,
    /// Check everything, change nothing.
    pub validate_only: bool,
}

/// One change of a topic's settings; Kafka's IncrementalAlterConfigs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants and their fields are Kafka's")]
pub enum ConfigChange {
    Set { name: String, value: String },
    Delete { name: String },
    Append { name: String, value: String },
    Subtract { name: String, value: String },
}

/// A setting as DescribeConfigs shows it. Only settings that act are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Kafka's name.
    pub name: &'static str,
    /// The value in force.
    pub value: String,
    /// The node's value.
    pub default: String,
    /// Set on the topic, rather than inherited.
    pub overridden: bool,
    /// What kind of value it is, as Kafka numbers it (1 boolean, 2 string, 3 int, 5 long, 6 double,
    /// 7 list).
    pub kind: i8,
    /// One sentence.
    pub documentation: &'static str,
}

/// One partition's state.
#[derive(Clone, Debug)]
pub struct PartitionStatus {
    /// Which one.
    pub index: PartitionIndex,
    /// The leader epoch.
    pub epoch: LeaderEpoch,
    /// The first offset that can be read.
    pub log_start: Offset,
    /// One above the last decided record.
    pub last_stable: Offset,
    /// One above the last durable record.
    pub durable_end: Offset,
    /// Bytes stored.
    pub stored_bytes: u64,
}

/// A position asked for in words; Kafka's ListOffsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The first record that can be read (`-2`).
    Earliest,
    /// One above the last record visible at the isolation level (`-1`).
    Latest,
    /// The record with the largest timestamp (`-3`).
    MaxTimestamp,
    /// The first record at or after a time.
    AtOrAfter(Timestamp),
}
