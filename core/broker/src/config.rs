//! The broker's settings.

use std::time::Duration;

use posthouse_log::LogConfig;
use posthouse_types::ByteSize;

use crate::AuthenticationConfig;

/// Settings of one node's broker. Names in the documentation are Kafka's, where Kafka has one.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// `auto.create.topics.enable`: a produce or metadata request for an unknown topic makes it.
    pub auto_create_topics: bool,
    /// `num.partitions`: partitions of a topic that does not say.
    pub default_partitions: u32,
    /// Most partitions that one topic may have.
    pub partitions_per_topic_max: u32,
    /// What a topic starts from; its own settings lie over these.
    pub topic_defaults: LogConfig,
    /// `group.min.session.timeout.ms`.
    pub session_timeout_min: Duration,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_max: Duration,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay: Duration,
    /// `group.max.size`: members of one group.
    pub group_members_max: usize,
    /// `offsets.retention.minutes`: committed offsets of a group without members expire.
    pub offsets_retention: Duration,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_bytes_max: usize,
    /// `log.retention.check.interval.ms`.
    pub maintenance_interval: Duration,
    /// How long the start waits for partitions to open; those that take longer open while the
    /// node serves.
    pub opening_wait: Duration,
    /// Whether and how clients are asked who they are.
    pub authentication: AuthenticationConfig,
    /// Bytes of batches accepted and not yet durable, over all topics; appends wait above it.
    pub in_flight_bytes_max: ByteSize,
}

impl Default for BrokerConfig {
    fn default() -> BrokerConfig {
        BrokerConfig {
            auto_create_topics: true,
            default_partitions: 1,
            partitions_per_topic_max: 10_000,
            topic_defaults: LogConfig::default(),
            session_timeout_min: Duration::from_secs(6),
            session_timeout_max: Duration::from_secs(30 * 60),
            initial_rebalance_delay: Duration::from_secs(3),
            group_members_max: 10_000,
            offsets_retention: Duration::from_secs(7 * 24 * 60 * 60),
            offset_metadata_bytes_max: 4096,
            maintenance_interval: Duration::from_secs(60),
            opening_wait: Duration::from_secs(30),
            authentication: AuthenticationConfig::default(),
            in_flight_bytes_max: ByteSize::mib(256),
        }
    }
}
