//! DescribeProducers: the idempotent producers that a partition remembers.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState as WireState, TopicResponse,
};
use kafka_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse, ProducerId};
use posthouse_broker::TopicRef;
use posthouse_log::ProducerState;
use posthouse_types::PartitionIndex;

use crate::errors::Refusal;
use crate::node::{Call, topic_ref};

pub(super) async fn handle(
    call: Call,
    request: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let topic_ref = topic_ref(&topic.name);
        let mut partitions = Vec::with_capacity(topic.partition_indexes.len());
        for index in topic.partition_indexes {
            let found = match &topic_ref {
                Ok(topic) => find(&call, topic, index).await,
                Err(refusal) => Err(refusal.clone()),
            };
            let answer = PartitionResponse::default().with_partition_index(index);
            partitions.push(match found {
                Ok(states) => {
                    answer.with_active_producers(states.into_iter().map(describe).collect())
                }
                Err(refusal) => answer
                    .with_error_code(refusal.code.code())
                    .with_error_message(Some(refusal.message())),
            });
        }
        topics.push(TopicResponse::default().with_name(topic.name).with_partitions(partitions));
    }
    DescribeProducersResponse::default().with_topics(topics)
}

async fn find(call: &Call, topic: &TopicRef, index: i32) -> Result<Vec<ProducerState>, Refusal> {
    let index = PartitionIndex::from_wire(index).ok_or_else(|| {
        Refusal::new(Code::UnknownTopicOrPartition, "a partition index is not negative")
    })?;
    call.broker()
        .producers(&call.principal, topic, index)
        .await
        .map_err(|error| Refusal::from(&error))
}

fn describe(state: ProducerState) -> WireState {
    WireState::default()
        .with_producer_id(ProducerId(state.id.0))
        .with_producer_epoch(i32::from(state.epoch.0))
        .with_last_sequence(state.last_sequence.0)
        .with_last_timestamp(state.last_timestamp.as_ms())
        .with_coordinator_epoch(-1)
        .with_current_txn_start_offset(-1)
}
