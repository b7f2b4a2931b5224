//! OffsetForLeaderEpoch: where an epoch ended, by which a consumer notices a log that was cut.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
use posthouse_broker::TopicRef;
use posthouse_log::EpochStart;
use posthouse_types::{LeaderEpoch, PartitionIndex};

use crate::errors::Refusal;
use crate::node::{Call, topic_ref};

pub(super) async fn handle(
    call: Call,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let topic_ref = topic_ref(&topic.topic);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let found = match &topic_ref {
                Ok(topic) => find(&call, topic, &partition).await,
                Err(refusal) => Err(refusal.clone()),
            };
            let answer = EpochEndOffset::default().with_partition(partition.partition);
            partitions.push(match found {
                Ok(Some(end)) => {
                    answer.with_leader_epoch(end.epoch.0).with_end_offset(end.start.value())
                }
                Ok(None) => answer,
                Err(refusal) => answer.with_error_code(refusal.code.code()),
            });
        }
        topics.push(
            OffsetForLeaderTopicResult::default()
                .with_topic(topic.topic)
                .with_partitions(partitions),
        );
    }
    OffsetForLeaderEpochResponse::default().with_topics(topics)
}

async fn find(
    call: &Call,
    topic: &TopicRef,
    asked: &OffsetForLeaderPartition,
) -> Result<Option<EpochStart>, Refusal> {
    let index = PartitionIndex::from_wire(asked.partition).ok_or_else(|| {
        Refusal::new(Code::UnknownTopicOrPartition, "a partition index is not negative")
    })?;
    let current = asked.current_leader_epoch;
    let current = (current >= 0).then_some(LeaderEpoch(current));
    call.broker()
        .epoch_end(&call.principal, topic, index, current, LeaderEpoch(asked.leader_epoch))
        .await
        .map_err(|error| Refusal::from(&error))
}
