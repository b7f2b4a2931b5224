//! The node's one handle: what doors and compute call.

use std::sync::Arc;

use bytes::BytesMut;
use posthouse_log::{Appended, Engine, EpochStart, Log, ProducerState, TimestampOffset};
use posthouse_types::{
    Clock, LeaderEpoch, NodeId, Offset, PartitionIndex, Principal, ProducerEpoch, ProducerId,
    TopicId, TopicName,
};

use crate::*;

/// One node's broker. Cheap to share behind an `Arc`.
pub struct Broker;

/// Who this node is; made at the first start and kept in the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster: 16 random bytes as unpadded URL-safe base64, as Kafka writes them.
    pub cluster_id: String,
    /// This node.
    pub node_id: NodeId,
}

#[expect(unused_variables, clippy::todo, reason = "signatures first; bodies follow")]
impl Broker {
    /// Recovers the catalog and the groups, and opens every partition.
    pub async fn open(engine: Arc<dyn Engine>, config: BrokerConfig, clock: Arc<dyn Clock>) -> Result<Arc<Broker>, OpenBrokerError> { todo!() }
    /// Stops background work, answers waiting fetches, makes everything durable.
    pub async fn shutdown(&self) -> Result<(), OpenBrokerError> { todo!() }
    /// Who this node is.
    pub fn identity(&self) -> &Identity { todo!() }
    /// The settings it runs with.
    pub fn config(&self) -> &BrokerConfig { todo!() }
    /// Its clock.
    pub fn clock(&self) -> &Arc<dyn Clock> { todo!() }

    // Topics.
    /// Makes a topic. `validate_only` gives the topic it would be.
    pub async fn create_topic(&self, principal: &Principal, create: CreateTopic) -> Result<Arc<Topic>, CreateTopicError> { todo!() }
    /// Deletes a topic and its records.
    pub async fn delete_topic(&self, principal: &Principal, topic: &TopicRef) -> Result<Arc<Topic>, AlterTopicError> { todo!() }
    /// Raises the number of partitions to `total`.
    pub async fn add_partitions(&self, principal: &Principal, topic: &TopicRef, total: i64, validate_only: bool) -> Result<Arc<Topic>, AlterTopicError> { todo!() }
    /// Changes settings, all or none.
    pub async fn alter_topic_config(&self, principal: &Principal, topic: &TopicRef, changes: Vec<ConfigChange>, validate_only: bool) -> Result<Arc<Topic>, AlterTopicError> { todo!() }
    /// Replaces a topic's settings (Kafka's older AlterConfigs): what is not named returns to its default.
    pub async fn replace_topic_config(&self, principal: &Principal, topic: &TopicRef, overrides: Vec<(String, String)>, validate_only: bool) -> Result<Arc<Topic>, AlterTopicError> { todo!() }
    /// Declares columns.
    pub async fn set_schema(&self, principal: &Principal, topic: &TopicRef, schema: TopicSchema) -> Result<Arc<Topic>, AlterTopicError> { todo!() }
    /// One topic.
    pub async fn topic(&self, principal: &Principal, topic: &TopicRef) -> Result<Arc<Topic>, LookupError> { todo!() }
    /// The topic, made now if it does not exist and `auto_create_topics` allows it.
    pub async fn topic_or_create(&self, principal: &Principal, name: &TopicName) -> Result<Arc<Topic>, AppendFailure> { todo!() }
    /// Every topic the principal may describe, by name.
    pub async fn topics(&self, principal: &Principal) -> Vec<Arc<Topic>> { todo!() }
    /// Every setting that acts on a topic, with its value.
    pub fn topic_config_entries(&self, topic: &Topic) -> Vec<ConfigEntry> { todo!() }
    /// The state of one partition.
    pub async fn partition_status(&self, principal: &Principal, topic: &TopicRef, index: PartitionIndex) -> Result<PartitionStatus, LookupError> { todo!() }

    // Records.
    /// Appends one encoded batch, patched in place. Waits only for memory.
    ///
    /// `batch` is exactly one v2 record batch, as a client sent it. Await the ticket for durability.
    pub async fn append(&self, principal: &Principal, topic: &TopicRef, index: PartitionIndex, batch: BytesMut) -> Result<Appended, AppendFailure> { todo!() }
    /// Reads; waits up to `wait_max` for `bytes_min`. Safe to drop at any await.
    pub async fn fetch(&self, principal: &Principal, fetch: Fetch) -> Fetched { todo!() }
    /// Finds a position; `None` when no record fits. `leader_epoch` is checked as in a fetch.
    pub async fn list_offset(&self, principal: &Principal, topic: &TopicRef, index: PartitionIndex, leader_epoch: Option<LeaderEpoch>, spec: OffsetSpec, isolation: Isolation) -> Result<Option<TimestampOffset>, FetchError> { todo!() }
    /// The end of the largest epoch at or below `asked`: Kafka's OffsetForLeaderEpoch.
    pub async fn epoch_end(&self, principal: &Principal, topic: &TopicRef, index: PartitionIndex, leader_epoch: Option<LeaderEpoch>, asked: LeaderEpoch) -> Result<Option<EpochStart>, FetchError> { todo!() }
    /// Deletes records below `to` (`None`: all that are durable); gives the new log start.
    pub async fn delete_records(&self, principal: &Principal, topic: &TopicRef, index: PartitionIndex, to: Option<Offset>) -> Result<Offset, AlterTopicError> { todo!() }
    /// Idempotent producers that a partition remembers.
    pub async fn producers(&self, principal: &Principal, topic: &TopicRef, index: PartitionIndex) -> Result<Vec<ProducerState>, LookupError> { todo!() }
    /// A producer id never given out before.
    pub async fn init_producer_id(&self, principal: &Principal) -> Result<(ProducerId, ProducerEpoch), ProducerIdError> { todo!() }
    /// The open log of a partition, for scans that read it directly; same authorisation as a fetch.
    pub async fn partition_log(&self, principal: &Principal, topic: &TopicRef, index: PartitionIndex) -> Result<Arc<dyn Log>, LookupError> { todo!() }

    // Groups.
    /// Joins; answers when the rebalance is over. Dropping the future does not leave the group.
    pub async fn join_group(&self, principal: &Principal, join: Join) -> Result<Joined, JoinError> { todo!() }
    /// Brings or waits for the assignment.
    pub async fn sync_group(&self, principal: &Principal, sync: Sync) -> Result<Synced, GroupError> { todo!() }
    /// Shows that a member is alive.
    pub async fn heartbeat(&self, principal: &Principal, group: &str, generation: i32, member_id: &str, instance_id: Option<&str>) -> Result<(), GroupError> { todo!() }
    /// Removes members.
    pub async fn leave_group(&self, principal: &Principal, group: &str, members: Vec<Leave>) -> Result<Vec<LeftMember>, GroupError> { todo!() }
    /// Keeps offsets; durable when it returns. One result for each commit, in order.
    ///
    /// `generation` is negative and `member_id` empty for a client outside the group protocol.
    pub async fn commit_offsets(&self, principal: &Principal, group: &str, generation: i32, member_id: &str, instance_id: Option<&str>, commits: Vec<OffsetCommit>) -> Result<Vec<Result<(), CommitError>>, CommitError> { todo!() }
    /// Committed offsets: those asked for (`None` where nothing is committed), or all of the group's.
    #[expect(clippy::type_complexity, reason = "a map as a list, in the order asked for")]
    pub async fn committed_offsets(&self, principal: &Principal, group: &str, partitions: Option<Vec<(TopicName, PartitionIndex)>>) -> Result<Vec<(TopicName, PartitionIndex, Option<CommittedOffset>)>, GroupError> { todo!() }
    /// Forgets committed offsets, where the group does not subscribe to the topic now.
    pub async fn delete_offsets(&self, principal: &Principal, group: &str, partitions: Vec<(TopicName, PartitionIndex)>) -> Result<Vec<Result<(), DeleteGroupError>>, DeleteGroupError> { todo!() }
    /// A group in full.
    pub async fn describe_group(&self, principal: &Principal, group: &str) -> Result<GroupDescription, GroupError> { todo!() }
    /// All groups.
    pub async fn groups(&self, principal: &Principal) -> Vec<GroupSummary> { todo!() }
    /// Deletes a group without members, with its offsets.
    pub async fn delete_group(&self, principal: &Principal, group: &str) -> Result<(), DeleteGroupError> { todo!() }

    #[doc(hidden)]
    pub fn _types(_: TopicId) {}
}
