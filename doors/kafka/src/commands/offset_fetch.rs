//! OffsetFetch: what a group has committed; from version 8 for several groups at once.
//!
//! Every committed offset is stable, because there are no transactions: `requireStable` changes
//! nothing.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{GroupId, OffsetFetchRequest, OffsetFetchResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use posthouse_broker::{CommittedOffset, Operation, Resource};
use posthouse_types::PartitionIndex;

use crate::errors::{self, NONE};
use crate::node::{Call, topic_name};

/// The first version that asks for several groups.
const BATCHED_FROM: i16 = 8;
/// The last version without an error code for the whole group.
const PARTITION_ERRORS_ONLY_UNTIL: i16 = 1;

/// Partitions asked for by topic; `None` for all that the group has.
type Asked = Option<Vec<(TopicName, Vec<i32>)>>;

/// Committed offsets by topic, in the order asked for.
type Found = Vec<FoundTopic>;

/// One topic, with its error: a topic that may not be described.
struct FoundTopic {
    name: TopicName,
    error_code: i16,
    partitions: Vec<(i32, Option<CommittedOffset>)>,
}

pub(super) async fn handle(call: Call, request: OffsetFetchRequest) -> OffsetFetchResponse {
    if call.version < BATCHED_FROM {
        return single(&call, request).await;
    }
    let mut groups = Vec::with_capacity(request.groups.len());
    for group in request.groups {
        let asked = group.topics.map(|topics| {
            topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)).collect()
        });
        let answer = OffsetFetchResponseGroup::default().with_group_id(group.group_id.clone());
        groups.push(match find(&call, &group.group_id, asked).await {
            Ok(found) => answer.with_topics(found.into_iter().map(group_topic).collect()),
            Err(code) => answer.with_error_code(code),
        });
    }
    OffsetFetchResponse::default().with_groups(groups)
}

/// Versions 1 to 7.
async fn single(call: &Call, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let asked: Asked = request.topics.map(|topics| {
        topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)).collect()
    });
    match find(call, &request.group_id, asked.clone()).await {
        Ok(found) => OffsetFetchResponse::default()
            .with_topics(found.into_iter().map(single_topic).collect()),
        Err(code) if call.version > PARTITION_ERRORS_ONLY_UNTIL => {
            OffsetFetchResponse::default().with_error_code(code)
        }
        Err(code) => {
            let nothing = asked.unwrap_or_default().into_iter().map(|(name, indexes)| FoundTopic {
                name,
                error_code: code,
                partitions: indexes.into_iter().map(|index| (index, None)).collect(),
            });
            OffsetFetchResponse::default().with_topics(nothing.map(single_topic).collect())
        }
    }
}

async fn find(call: &Call, group: &GroupId, asked: Asked) -> Result<Found, i16> {
    let Some(asked) = asked else { return all(call, group).await };
    // A name or index that cannot be has nothing committed; Kafka says the same.
    let mut valid = Vec::new();
    for (name, indexes) in &asked {
        let Ok(name) = topic_name(name) else { continue };
        if !is_shown(call, &name) {
            continue;
        }
        let indexes = indexes.iter().filter_map(|&index| PartitionIndex::from_wire(index));
        valid.extend(indexes.map(|index| (name.clone(), index)));
    }
    let offsets = call
        .broker()
        .committed_offsets(&call.principal, group, Some(valid))
        .await
        .map_err(|error| errors::group(&error).code())?;
    let mut offsets = offsets.into_iter().map(|(_, _, committed)| committed);
    let found = asked.into_iter().map(|(name, indexes)| {
        let topic = topic_name(&name).ok();
        let is_denied = topic.as_ref().is_some_and(|topic| !is_shown(call, topic));
        let is_asked = topic.is_some() && !is_denied;
        let partitions = indexes.into_iter().map(|index| {
            let committed = if is_asked && index >= 0 { offsets.next().flatten() } else { None };
            (index, committed)
        });
        let code = if is_denied { Code::TopicAuthorizationFailed.code() } else { NONE };
        FoundTopic { name, error_code: code, partitions: partitions.collect() }
    });
    Ok(found.collect())
}

fn is_shown(call: &Call, topic: &posthouse_types::TopicName) -> bool {
    call.broker().shows(&call.principal, Operation::Describe, Resource::Topic(topic))
}

async fn all(call: &Call, group: &GroupId) -> Result<Found, i16> {
    let offsets = call
        .broker()
        .committed_offsets(&call.principal, group, None)
        .await
        .map_err(|error| errors::group(&error).code())?;
    let mut found: Found = Vec::new();
    for (name, index, committed) in offsets {
        // What may not be described is left out without a word, as in Kafka.
        if !is_shown(call, &name) {
            continue;
        }
        let name = TopicName(StrBytes::from_string(name.kafka_alias()));
        match found.last_mut() {
            Some(last) if last.name == name => {
                last.partitions.push((index.to_wire(), committed));
            }
            _ => found.push(FoundTopic {
                name,
                error_code: NONE,
                partitions: vec![(index.to_wire(), committed)],
            }),
        }
    }
    Ok(found)
}

/// Offset, leader epoch and text; -1, -1 and "" where nothing is committed.
fn fields(committed: Option<CommittedOffset>) -> (i64, i32, Option<StrBytes>) {
    match committed {
        Some(committed) => (
            committed.offset.value(),
            committed.leader_epoch.map_or(-1, |epoch| epoch.0),
            Some(StrBytes::from_string(committed.metadata)),
        ),
        None => (-1, -1, Some(StrBytes::new())),
    }
}

fn single_topic(found: FoundTopic) -> OffsetFetchResponseTopic {
    let FoundTopic { name, error_code, partitions } = found;
    let partitions = partitions.into_iter().map(|(index, committed)| {
        let (offset, epoch, metadata) = fields(committed);
        OffsetFetchResponsePartition::default()
            .with_partition_index(index)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(epoch)
            .with_metadata(metadata)
            .with_error_code(error_code)
    });
    OffsetFetchResponseTopic::default().with_name(name).with_partitions(partitions.collect())
}

fn group_topic(found: FoundTopic) -> OffsetFetchResponseTopics {
    let FoundTopic { name, error_code, partitions } = found;
    let partitions = partitions.into_iter().map(|(index, committed)| {
        let (offset, epoch, metadata) = fields(committed);
        OffsetFetchResponsePartitions::default()
            .with_partition_index(index)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(epoch)
            .with_metadata(metadata)
            .with_error_code(error_code)
    });
    OffsetFetchResponseTopics::default().with_name(name).with_partitions(partitions.collect())
}
