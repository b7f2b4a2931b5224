//! DeleteRecords: moves a partition's log start.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::delete_records_request::DeleteRecordsPartition;
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use posthouse_broker::{AlterTopicError, TopicRef};
use posthouse_types::{Offset, PartitionIndex};

use crate::errors::Refusal;
use crate::node::{Call, topic_ref};

/// "Everything that can be read now."
const HIGH_WATERMARK: i64 = -1;

pub(super) async fn handle(call: Call, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let topic_ref = topic_ref(&topic.name);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let deleted = match &topic_ref {
                Ok(topic) => delete(&call, topic, &partition).await,
                Err(refusal) => Err(refusal.clone()),
            };
            let answer = DeleteRecordsPartitionResult::default()
                .with_partition_index(partition.partition_index);
            partitions.push(match deleted {
                Ok(log_start) => answer.with_low_watermark(log_start.value()),
                Err(refusal) => answer.with_low_watermark(-1).with_error_code(refusal.code.code()),
            });
        }
        topics.push(
            DeleteRecordsTopicResult::default().with_name(topic.name).with_partitions(partitions),
        );
    }
    DeleteRecordsResponse::default().with_topics(topics)
}

async fn delete(
    call: &Call,
    topic: &TopicRef,
    asked: &DeleteRecordsPartition,
) -> Result<Offset, Refusal> {
    let index = PartitionIndex::from_wire(asked.partition_index).ok_or_else(|| {
        Refusal::new(Code::UnknownTopicOrPartition, "a partition index is not negative")
    })?;
    let to = match asked.offset {
        HIGH_WATERMARK => None,
        offset => Some(Offset::new(offset).ok_or_else(|| {
            Refusal::new(Code::OffsetOutOfRange, format!("offset {offset} is negative"))
        })?),
    };
    call.broker()
        .delete_records(&call.principal, topic, index, to)
        .await
        .map_err(|error| refuse(&error))
}

/// A topic that only compaction cleans keeps its head; Kafka has a code of its own for asking.
fn refuse(error: &AlterTopicError) -> Refusal {
    let refusal = Refusal::from(error);
    match error {
        AlterTopicError::Config { .. } => Refusal { code: Code::PolicyViolation, ..refusal },
        _ => refusal,
    }
}
