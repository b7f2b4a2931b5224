//! Consumer groups: list, describe, set offsets, delete.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Body;
use axum::extract::Path;
use axum::http::StatusCode;
use posthouse_broker::{
    CommittedOffset, GroupMember, GroupState, GroupSummary, OffsetCommit, OffsetSpec, TopicRef,
};
use posthouse_types::{Offset, PartitionIndex, TopicName};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::input::json;
use crate::codec::assignment;
use crate::codec::start::{self, Start};
use crate::errors::Problem;
use crate::reader::find;
use crate::routes::Door;

/// A group in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GroupEntry {
    /// Its name.
    group: String,
    /// Kafka's name of its state: `Stable`, `Empty`.
    state: String,
    /// `consumer`; empty for a group that only has offsets.
    protocol_type: String,
}

/// A group in full.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GroupBody {
    /// Its name.
    group: String,
    /// Kafka's name of its state.
    state: String,
    /// `consumer`, or what its members agreed on.
    protocol_type: String,
    /// The assignor.
    assignor: String,
    /// Its members.
    members: Vec<MemberBody>,
    /// Where it is.
    offsets: Vec<OffsetEntry>,
}

/// A member of a group.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MemberBody {
    /// Its id.
    member: String,
    /// Its own name, for a static member.
    instance: Option<String>,
    /// What its client calls itself.
    client: String,
    /// Its address.
    host: String,
    /// The partitions it was given, by topic; absent when it is no consumer.
    assigned: Option<BTreeMap<String, Vec<u32>>>,
}

/// Where a group is in one partition.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OffsetEntry {
    /// The topic.
    topic: String,
    /// The partition.
    partition: u32,
    /// The next offset to be read.
    offset: i64,
    /// The end of the partition; absent when it is gone.
    end: Option<i64>,
    /// Records between the two.
    lag: Option<u64>,
    /// When it was committed, in milliseconds since 1970.
    committed_at: i64,
}

/// Offsets to be set, one by one or for a whole topic.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewOffsets {
    /// One by one.
    #[serde(default)]
    offsets: Vec<NewOffset>,
    /// A topic, with `to`.
    topic: Option<String>,
    /// Its partitions; all when absent.
    partitions: Option<Vec<u32>>,
    /// `beginning`, `end`, an offset, or a time such as `2013-07-01T12:00:00Z`.
    to: Option<String>,
}

/// An offset to be set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewOffset {
    /// The topic.
    topic: String,
    /// The partition.
    partition: u32,
    /// The next offset to be read.
    offset: i64,
}

/// List the groups.
#[utoipa::path(get, path = "/groups", tag = "groups",
    responses((status = 200, body = Vec<GroupEntry>), (status = "default", body = Problem)))]
pub(crate) async fn list(door: Door) -> Json<Vec<GroupEntry>> {
    let entry = |summary: GroupSummary| GroupEntry {
        group: summary.group,
        state: summary.state.as_str().to_owned(),
        protocol_type: summary.protocol_type,
    };
    Json(door.broker.groups(&door.principal).await.into_iter().map(entry).collect())
}

/// Describe a group: its members, and where it is.
#[utoipa::path(get, path = "/groups/{group}", tag = "groups",
    params(("group" = String, Path, description = "The group")),
    responses((status = 200, body = GroupBody), (status = "default", body = Problem)))]
pub(crate) async fn describe(
    door: Door,
    Path(group): Path<String>,
) -> Result<Json<GroupBody>, Problem> {
    let description = door.broker.describe_group(&door.principal, &group).await?;
    let committed = door.broker.committed_offsets(&door.principal, &group, None).await?;
    if description.state == GroupState::Dead && committed.is_empty() {
        return Err(unknown_group(&group));
    }
    let mut offsets = Vec::new();
    for (topic, index, committed) in committed {
        if let Some(committed) = committed {
            offsets.push(offset_entry(&door, topic, index, &committed).await);
        }
    }
    offsets
        .sort_by(|left, right| (&left.topic, left.partition).cmp(&(&right.topic, right.partition)));
    Ok(Json(GroupBody {
        group: description.group,
        state: description.state.as_str().to_owned(),
        protocol_type: description.protocol_type,
        assignor: description.protocol,
        members: description.members.into_iter().map(MemberBody::from).collect(),
        offsets,
    }))
}

/// Set where a group without members is. The answer is the group as it is then.
#[utoipa::path(post, path = "/groups/{group}/offsets", tag = "groups",
    params(("group" = String, Path, description = "The group")), request_body = NewOffsets,
    responses((status = 200, body = GroupBody), (status = "default", body = Problem)))]
pub(crate) async fn set_offsets(
    door: Door,
    Path(group): Path<String>,
    body: Body,
) -> Result<Json<GroupBody>, Problem> {
    let new: NewOffsets = json(body, &door.config).await?;
    let commits = commits(&door, new).await?;
    let results =
        door.broker.commit_offsets(&door.principal, &group, -1, "", None, commits).await?;
    for result in results {
        result?;
    }
    describe(door, Path(group)).await
}

/// Delete a group without members, and its offsets.
#[utoipa::path(delete, path = "/groups/{group}", tag = "groups",
    params(("group" = String, Path, description = "The group")),
    responses((status = 204), (status = "default", body = Problem)))]
pub(crate) async fn delete(door: Door, Path(group): Path<String>) -> Result<StatusCode, Problem> {
    door.broker.delete_group(&door.principal, &group).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn unknown_group(group: &str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "unknown_group", format!("group {group} does not exist"))
        .help("GET /groups lists the groups")
}

async fn commits(door: &Door, new: NewOffsets) -> Result<Vec<OffsetCommit>, Problem> {
    let mut commits = Vec::new();
    for given in new.offsets {
        let offset = Offset::new(given.offset)
            .ok_or_else(|| Problem::parameter("offset", &given.offset.to_string(), "is below 0"))?;
        let index = PartitionIndex::new(given.partition);
        commits.push(commit(TopicName::from_kafka_alias(&given.topic)?, index, offset));
    }
    match (new.topic, new.to) {
        (Some(topic), Some(to)) => {
            commits.extend(move_topic(door, &topic, new.partitions, &to).await?);
        }
        (None, None) if new.partitions.is_none() && !commits.is_empty() => {}
        _ => {
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "invalid_body",
                "the body says neither which offsets to set nor which topic to move where",
            )
            .help("send {\"topic\": NAME, \"to\": \"beginning\"}, or {\"offsets\": [{\"topic\": NAME, \"partition\": 0, \"offset\": 17}]}"));
        }
    }
    Ok(commits)
}

async fn move_topic(
    door: &Door,
    topic: &str,
    partitions: Option<Vec<u32>>,
    to: &str,
) -> Result<Vec<OffsetCommit>, Problem> {
    let to = start::parse(to).map_err(|reason| Problem::parameter("to", to, reason))?;
    let name = TopicRef::Name(TopicName::from_kafka_alias(topic)?);
    let topic = door.broker.topic(&door.principal, &name).await?;
    let reference = TopicRef::Id(topic.id);
    let mut commits = Vec::new();
    for index in partitions.unwrap_or_else(|| (0..topic.partitions).collect()) {
        let index = PartitionIndex::new(index);
        let status = door.broker.partition_status(&door.principal, &reference, index).await?;
        let offset = match to {
            Start::Beginning => status.log_start,
            Start::End => status.last_stable,
            Start::Offset(offset) => offset,
            Start::Time(time) => {
                let spec = OffsetSpec::AtOrAfter(time);
                find(&door.broker, &door.principal, &reference, index, spec)
                    .await?
                    .unwrap_or(status.last_stable)
            }
        };
        commits.push(commit(topic.name.clone(), index, offset));
    }
    Ok(commits)
}

fn commit(topic: TopicName, index: PartitionIndex, offset: Offset) -> OffsetCommit {
    OffsetCommit { topic, index, offset, leader_epoch: None, metadata: String::new() }
}

async fn offset_entry(
    door: &Door,
    topic: TopicName,
    index: PartitionIndex,
    committed: &CommittedOffset,
) -> OffsetEntry {
    let reference = TopicRef::Name(topic.clone());
    // A topic may be gone while the group still remembers it; then there is no lag to tell.
    let end = find(&door.broker, &door.principal, &reference, index, OffsetSpec::Latest)
        .await
        .ok()
        .flatten();
    OffsetEntry {
        topic: topic.to_string(),
        partition: index.value(),
        offset: committed.offset.value(),
        end: end.map(Offset::value),
        lag: end.map(|end| end.since(committed.offset)),
        committed_at: committed.committed_at.as_ms(),
    }
}

impl From<GroupMember> for MemberBody {
    fn from(member: GroupMember) -> MemberBody {
        let assigned = assignment::decode(&member.assignment).map(|topics| {
            topics.into_iter().map(|assigned| (assigned.topic, assigned.partitions)).collect()
        });
        MemberBody {
            member: member.member_id,
            instance: member.instance_id,
            client: member.client_id,
            host: member.client_host,
            assigned,
        }
    }
}
