//! The requests that are served, with their versions.
//!
//! # Source
//! Apache Kafka 4.1, `clients/src/main/resources/common/message/*Request.json`: `validVersions` and
//! `flexibleVersions`. The floors are Kafka's own, because clients infer a broker's age from them.

use std::ops::RangeInclusive;

/// A request's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the variants are Kafka's names")]
pub enum Api {
    Produce,
    Fetch,
    ListOffsets,
    Metadata,
    OffsetCommit,
    OffsetFetch,
    FindCoordinator,
    JoinGroup,
    Heartbeat,
    LeaveGroup,
    SyncGroup,
    DescribeGroups,
    ListGroups,
    SaslHandshake,
    ApiVersions,
    CreateTopics,
    DeleteTopics,
    DeleteRecords,
    InitProducerId,
    OffsetForLeaderEpoch,
    DescribeAcls,
    CreateAcls,
    DeleteAcls,
    DescribeConfigs,
    AlterConfigs,
    DescribeLogDirs,
    SaslAuthenticate,
    CreatePartitions,
    DeleteGroups,
    IncrementalAlterConfigs,
    OffsetDelete,
    DescribeClientQuotas,
    AlterClientQuotas,
    DescribeUserScramCredentials,
    AlterUserScramCredentials,
    DescribeCluster,
    DescribeProducers,
    DescribeTopicPartitions,
}

/// One line of the table.
struct Entry {
    api: Api,
    name: &'static str,
    key: i16,
    versions: RangeInclusive<i16>,
    /// The first version with compact lengths and tagged fields; `i16::MAX` when there is none.
    flexible_from: i16,
}

const NEVER: i16 = i16::MAX;

/// In the order of the keys, which is the order of the variants.
#[rustfmt::skip]
const TABLE: &[Entry] = &[
    Entry { api: Api::Produce, name: "Produce", key: 0, versions: 3..=13, flexible_from: 9 },
    Entry { api: Api::Fetch, name: "Fetch", key: 1, versions: 4..=18, flexible_from: 12 },
    Entry { api: Api::ListOffsets, name: "ListOffsets", key: 2, versions: 1..=10, flexible_from: 6 },
    Entry { api: Api::Metadata, name: "Metadata", key: 3, versions: 0..=13, flexible_from: 9 },
    Entry { api: Api::OffsetCommit, name: "OffsetCommit", key: 8, versions: 2..=9, flexible_from: 8 },
    Entry { api: Api::OffsetFetch, name: "OffsetFetch", key: 9, versions: 1..=9, flexible_from: 6 },
    Entry { api: Api::FindCoordinator, name: "FindCoordinator", key: 10, versions: 0..=6, flexible_from: 3 },
    Entry { api: Api::JoinGroup, name: "JoinGroup", key: 11, versions: 0..=9, flexible_from: 6 },
    Entry { api: Api::Heartbeat, name: "Heartbeat", key: 12, versions: 0..=4, flexible_from: 4 },
    Entry { api: Api::LeaveGroup, name: "LeaveGroup", key: 13, versions: 0..=5, flexible_from: 4 },
    Entry { api: Api::SyncGroup, name: "SyncGroup", key: 14, versions: 0..=5, flexible_from: 4 },
    Entry { api: Api::DescribeGroups, name: "DescribeGroups", key: 15, versions: 0..=6, flexible_from: 5 },
    Entry { api: Api::ListGroups, name: "ListGroups", key: 16, versions: 0..=5, flexible_from: 3 },
    Entry { api: Api::SaslHandshake, name: "SaslHandshake", key: 17, versions: 0..=1, flexible_from: NEVER },
    Entry { api: Api::ApiVersions, name: "ApiVersions", key: 18, versions: 0..=4, flexible_from: 3 },
    Entry { api: Api::CreateTopics, name: "CreateTopics", key: 19, versions: 2..=7, flexible_from: 5 },
    Entry { api: Api::DeleteTopics, name: "DeleteTopics", key: 20, versions: 1..=6, flexible_from: 4 },
    Entry { api: Api::DeleteRecords, name: "DeleteRecords", key: 21, versions: 0..=2, flexible_from: 2 },
    Entry { api: Api::InitProducerId, name: "InitProducerId", key: 22, versions: 0..=5, flexible_from: 2 },
    Entry { api: Api::OffsetForLeaderEpoch, name: "OffsetForLeaderEpoch", key: 23, versions: 2..=4, flexible_from: 4 },
    Entry { api: Api::DescribeAcls, name: "DescribeAcls", key: 29, versions: 1..=3, flexible_from: 2 },
    Entry { api: Api::CreateAcls, name: "CreateAcls", key: 30, versions: 1..=3, flexible_from: 2 },
    Entry { api: Api::DeleteAcls, name: "DeleteAcls", key: 31, versions: 1..=3, flexible_from: 2 },
    Entry { api: Api::DescribeConfigs, name: "DescribeConfigs", key: 32, versions: 1..=4, flexible_from: 4 },
    Entry { api: Api::AlterConfigs, name: "AlterConfigs", key: 33, versions: 0..=2, flexible_from: 2 },
    Entry { api: Api::DescribeLogDirs, name: "DescribeLogDirs", key: 35, versions: 1..=4, flexible_from: 2 },
    Entry { api: Api::SaslAuthenticate, name: "SaslAuthenticate", key: 36, versions: 0..=2, flexible_from: 2 },
    Entry { api: Api::CreatePartitions, name: "CreatePartitions", key: 37, versions: 0..=3, flexible_from: 2 },
    Entry { api: Api::DeleteGroups, name: "DeleteGroups", key: 42, versions: 0..=2, flexible_from: 2 },
    Entry { api: Api::IncrementalAlterConfigs, name: "IncrementalAlterConfigs", key: 44, versions: 0..=1, flexible_from: 1 },
    Entry { api: Api::OffsetDelete, name: "OffsetDelete", key: 47, versions: 0..=0, flexible_from: NEVER },
    Entry { api: Api::DescribeClientQuotas, name: "DescribeClientQuotas", key: 48, versions: 0..=1, flexible_from: 1 },
    Entry { api: Api::AlterClientQuotas, name: "AlterClientQuotas", key: 49, versions: 0..=1, flexible_from: 1 },
    Entry { api: Api::DescribeUserScramCredentials, name: "DescribeUserScramCredentials", key: 50, versions: 0..=0, flexible_from: 0 },
    Entry { api: Api::AlterUserScramCredentials, name: "AlterUserScramCredentials", key: 51, versions: 0..=0, flexible_from: 0 },
    Entry { api: Api::DescribeCluster, name: "DescribeCluster", key: 60, versions: 0..=2, flexible_from: 0 },
    Entry { api: Api::DescribeProducers, name: "DescribeProducers", key: 61, versions: 0..=0, flexible_from: 0 },
    Entry { api: Api::DescribeTopicPartitions, name: "DescribeTopicPartitions", key: 75, versions: 0..=0, flexible_from: 0 },
];

impl Api {
    /// Every request that is served, in the order of their keys.
    pub fn all() -> impl Iterator<Item = Api> {
        TABLE.iter().map(|entry| entry.api)
    }

    /// The request with this key; `None` when it is not served.
    pub fn from_key(key: i16) -> Option<Api> {
        let index = TABLE.binary_search_by_key(&key, |entry| entry.key).ok()?;
        Some(TABLE[index].api)
    }

    /// Kafka's name.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// Kafka's key.
    pub fn key(self) -> i16 {
        self.entry().key
    }

    /// The versions that are served.
    pub fn versions(self) -> RangeInclusive<i16> {
        self.entry().versions.clone()
    }

    /// The versions that clients are told.
    ///
    /// Produce is announced from 0, as Kafka itself does: librdkafka up to 2.8 turns compression
    /// off without a word when it is not (KAFKA-18659). Versions 0 to 2 carry older message formats,
    /// which Kafka 4 refuses too.
    pub fn announced_versions(self) -> RangeInclusive<i16> {
        match self {
            Api::Produce => 0..=*self.entry().versions.end(),
            _ => self.versions(),
        }
    }

    /// Whether lengths are compact and structs end in tagged fields.
    pub fn is_flexible(self, version: i16) -> bool {
        version >= self.entry().flexible_from
    }

    /// The version of the response's header.
    ///
    /// SPEC: KIP-511: an ApiVersions response always has header 0, so that a client of any age can
    /// read that its version is not supported.
    pub fn response_header_version(self, version: i16) -> i16 {
        i16::from(self != Api::ApiVersions && self.is_flexible(version))
    }

    fn entry(self) -> &'static Entry {
        &TABLE[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_keys_and_of_the_variants() {
        assert!(TABLE.is_sorted_by(|left, right| left.key < right.key));
        for (index, entry) in TABLE.iter().enumerate() {
            assert_eq!(entry.api as usize, index, "{}", entry.name);
            assert_eq!(Api::from_key(entry.key), Some(entry.api));
        }
    }

    #[test]
    fn what_is_not_served_is_unknown() {
        for key in [-1, 4, 24, 25, 26, 28, 38, 68, 69, 71, 72, 76, 1000] {
            assert_eq!(Api::from_key(key), None, "{key}");
        }
    }

    #[test]
    fn only_produce_is_announced_wider_than_it_is_served() {
        for api in Api::all() {
            assert_eq!(api.announced_versions() != api.versions(), api == Api::Produce);
        }
        assert_eq!(Api::Produce.announced_versions(), 0..=13);
    }
}
