//! Consumer groups as callers see them; Kafka's classic protocol without its encoding.

use std::time::Duration;

use bytes::Bytes;
use posthouse_types::{LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicName};

/// A member asks to join, or to stay after a rebalance began.
#[derive(Clone, Debug)]
pub struct Join {
    /// The group.
    pub group: String,
    /// Empty at first.
    pub member_id: String,
    /// A static member's name (KIP-345).
    pub instance_id: Option<String>,
    /// From the request header; part of a new member's id.
    pub client_id: String,
    /// The peer's address, as DescribeGroups shows it.
    pub client_host: String,
    /// Silence after which the member is dead.
    pub session_timeout: Duration,
    /// How long a rebalance waits for the member.
    pub rebalance_timeout: Duration,
    /// `consumer`, `connect`, or whatever the members agree on.
    pub protocol_type: String,
    /// Assignors with their metadata, most wanted first.
    pub protocols: Vec<(String, Bytes)>,
    /// The request is of a version that must be told its id first (KIP-394, v4).
    pub member_id_required: bool,
    /// The request can be told to skip its assignment (KIP-814, v9).
    pub supports_skipping_assignment: bool,
    /// Why the member joins (KIP-800), for the log.
    pub reason: Option<String>,
}

/// The answer to a join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The generation that begins.
    pub generation: i32,
    /// The protocol type agreed on.
    pub protocol_type: String,
    /// The assignor agreed on.
    pub protocol: String,
    /// The member that assigns.
    pub leader: String,
    /// This member's id.
    pub member_id: String,
    /// The leader need not assign: nothing changed.
    pub skip_assignment: bool,
    /// Everyone with their metadata, for the leader; empty for others.
    pub members: Vec<(String, Option<String>, Bytes)>,
}

/// A member asks for its assignment; the leader brings everyone's.
#[derive(Clone, Debug)]
pub struct Sync {
    /// The group.
    pub group: String,
    /// The generation the member believes in.
    pub generation: i32,
    /// The member.
    pub member_id: String,
    /// A static member's name.
    pub instance_id: Option<String>,
    /// Checked when given (v5).
    pub protocol_type: Option<String>,
    /// Checked when given (v5).
    pub protocol: Option<String>,
    /// From the leader.
    pub assignments: Vec<(String, Bytes)>,
}

/// The answer to a sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// The protocol type agreed on.
    pub protocol_type: String,
    /// The assignor agreed on.
    pub protocol: String,
    /// This member's assignment.
    pub assignment: Bytes,
}

/// A member to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leave {
    /// Its id; may be empty when `instance_id` is given.
    pub member_id: String,
    /// A static member's name.
    pub instance_id: Option<String>,
    /// Why (KIP-800).
    pub reason: Option<String>,
}

/// The answer for one member that leaves.
#[derive(Clone, Debug)]
pub struct LeftMember {
    /// As asked.
    pub member_id: String,
    /// As asked.
    pub instance_id: Option<String>,
    /// How it went.
    pub result: Result<(), crate::GroupError>,
}

/// One offset to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetCommit {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub index: PartitionIndex,
    /// The next offset to be read.
    pub offset: Offset,
    /// The epoch of the last record read.
    pub leader_epoch: Option<LeaderEpoch>,
    /// The client's own text.
    pub metadata: String,
}

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next offset to be read.
    pub offset: Offset,
    /// The epoch of the last record read.
    pub leader_epoch: Option<LeaderEpoch>,
    /// The client's own text.
    pub metadata: String,
    /// When it was committed.
    pub committed_at: Timestamp,
}

/// Where a group is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the variants are Kafka's states")]
pub enum GroupState {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
    Dead,
}

impl GroupState {
    /// Kafka's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            GroupState::Empty => "Empty",
            GroupState::PreparingRebalance => "PreparingRebalance",
            GroupState::CompletingRebalance => "CompletingRebalance",
            GroupState::Stable => "Stable",
            GroupState::Dead => "Dead",
        }
    }
}

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSummary {
    /// Its name.
    pub group: String,
    /// Its state.
    pub state: GroupState,
    /// `consumer`, or what its members agreed on; empty for a group of offsets only.
    pub protocol_type: String,
}

/// A group in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDescription {
    /// Its name.
    pub group: String,
    /// Its state; `Dead` for a group that does not exist, as Kafka answers.
    pub state: GroupState,
    /// `consumer`, or what its members agreed on.
    pub protocol_type: String,
    /// The assignor; empty unless stable.
    pub protocol: String,
    /// Its members.
    pub members: Vec<GroupMember>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// Its id.
    pub member_id: String,
    /// A static member's name.
    pub instance_id: Option<String>,
    /// From its request header.
    pub client_id: String,
    /// Its address.
    pub client_host: String,
    /// What it subscribed with.
    pub metadata: Bytes,
    /// What it was given.
    pub assignment: Bytes,
}
