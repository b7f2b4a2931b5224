//! OffsetDelete: forgets committed offsets of topics that the group does not read now.

use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};
use posthouse_broker::{Operation, Resource};
use posthouse_types::PartitionIndex;

use crate::errors::{self, NONE, refusal};
use crate::node::{Call, topic_name};
use kafka_protocol::error::ResponseError as Code;

pub(super) async fn handle(call: Call, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let mut asked = Vec::new();
    // Where each result belongs.
    let mut places = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let name = topic_name(&topic.name).and_then(|name| {
            let allowed =
                call.broker().authorize(&call.principal, Operation::Read, Resource::Topic(&name));
            match allowed {
                Ok(()) => Ok(name),
                Err(denied) => Err(refusal(Code::TopicAuthorizationFailed, &denied)),
            }
        });
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let answer = OffsetDeleteResponsePartition::default()
                .with_partition_index(partition.partition_index);
            let index = PartitionIndex::from_wire(partition.partition_index);
            partitions.push(match (&name, index) {
                (Ok(name), Some(index)) => {
                    places.push((topics.len(), partitions.len()));
                    asked.push((name.clone(), index));
                    answer
                }
                (Err(refusal), _) => answer.with_error_code(refusal.code.code()),
                (_, None) => answer.with_error_code(Code::UnknownTopicOrPartition.code()),
            });
        }
        topics.push(
            OffsetDeleteResponseTopic::default().with_name(topic.name).with_partitions(partitions),
        );
    }
    match call.broker().delete_offsets(&call.principal, &request.group_id, asked).await {
        Err(error) => {
            OffsetDeleteResponse::default().with_error_code(errors::delete_group(&error).code())
        }
        Ok(results) => {
            for ((topic, partition), result) in places.into_iter().zip(results) {
                let code =
                    result.map_or_else(|error| errors::delete_group(&error).code(), |()| NONE);
                topics[topic].partitions[partition].error_code = code;
            }
            OffsetDeleteResponse::default().with_topics(topics)
        }
    }
}
