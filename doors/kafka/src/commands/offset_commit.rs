//! OffsetCommit: keeps offsets for a group. Answered when they are durable.
//!
//! The retention time that versions 2 to 4 carry is not used: offsets expire by
//! `offsets.retention.minutes`, as in Kafka for later versions.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};
use posthouse_broker::OffsetCommit;
use posthouse_types::{LeaderEpoch, Offset, PartitionIndex, TopicName};

use crate::errors::{self, NONE};
use crate::node::{Call, topic_name};

pub(super) async fn handle(call: Call, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let mut commits = Vec::new();
    // Where each commit's result belongs.
    let mut places = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let name = topic_name(&topic.name).map_err(|refusal| refusal.code);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let answer = OffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index);
            partitions.push(match name.clone().and_then(|name| commit(name, &partition)) {
                Ok(commit) => {
                    places.push((topics.len(), partitions.len()));
                    commits.push(commit);
                    answer
                }
                Err(code) => answer.with_error_code(code.code()),
            });
        }
        topics.push(
            OffsetCommitResponseTopic::default().with_name(topic.name).with_partitions(partitions),
        );
    }
    let kept = call
        .broker()
        .commit_offsets(
            &call.principal,
            &request.group_id,
            request.generation_id_or_member_epoch,
            &request.member_id,
            request.group_instance_id.as_deref(),
            commits,
        )
        .await;
    let codes: Vec<i16> = match &kept {
        Ok(results) => results.iter().map(code).collect(),
        Err(error) => vec![errors::commit(error).code(); places.len()],
    };
    for ((topic, partition), code) in places.into_iter().zip(codes) {
        topics[topic].partitions[partition].error_code = code;
    }
    OffsetCommitResponse::default().with_topics(topics)
}

fn commit(
    topic: TopicName,
    partition: &OffsetCommitRequestPartition,
) -> Result<OffsetCommit, Code> {
    let epoch = partition.committed_leader_epoch;
    Ok(OffsetCommit {
        topic,
        index: PartitionIndex::from_wire(partition.partition_index)
            .ok_or(Code::UnknownTopicOrPartition)?,
        offset: Offset::new(partition.committed_offset).ok_or(Code::OffsetOutOfRange)?,
        leader_epoch: (epoch >= 0).then_some(LeaderEpoch(epoch)),
        metadata: partition.committed_metadata.as_deref().unwrap_or_default().to_string(),
    })
}

fn code(result: &Result<(), posthouse_broker::CommitError>) -> i16 {
    result.as_ref().map_or_else(|error| errors::commit(error).code(), |()| NONE)
}
