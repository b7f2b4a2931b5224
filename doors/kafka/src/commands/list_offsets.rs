//! ListOffsets: the first, the last, the newest, or the one at a time.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use posthouse_broker::{Isolation, OffsetSpec, TopicRef};
use posthouse_log::TimestampOffset;
use posthouse_types::{LeaderEpoch, PartitionIndex, Timestamp};

use crate::errors::Refusal;
use crate::node::{Call, topic_ref};

const READ_COMMITTED: i8 = 1;
/// The first version that tells the epoch of the offset.
const LEADER_EPOCH_FROM: i16 = 4;

/// The timestamps that are words.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
/// The first record kept on the broker's own disk, where others may be in tiered storage (KIP-405).
const EARLIEST_LOCAL: i64 = -4;
/// The last record in tiered storage (KIP-1005).
const LATEST_TIERED: i64 = -5;

pub(super) async fn handle(call: Call, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let isolation = match request.isolation_level {
        READ_COMMITTED => Isolation::ReadCommitted,
        _ => Isolation::ReadUncommitted,
    };
    let mut topics = Vec::with_capacity(request.topics.len());
    for ListOffsetsTopic { name, partitions: asked, .. } in request.topics {
        let topic = topic_ref(&name);
        let mut partitions = Vec::with_capacity(asked.len());
        for partition in asked {
            let found = match &topic {
                Ok(topic) => find(&call, topic, &partition, isolation).await,
                Err(refusal) => Err(refusal.clone()),
            };
            let answer = ListOffsetsPartitionResponse::default()
                .with_partition_index(partition.partition_index);
            partitions.push(match found {
                Ok(Some(found)) => fill(call.version, answer, &partition, found),
                Ok(None) => answer,
                Err(refusal) => answer.with_error_code(refusal.code.code()),
            });
        }
        topics
            .push(ListOffsetsTopicResponse::default().with_name(name).with_partitions(partitions));
    }
    ListOffsetsResponse::default().with_topics(topics)
}

async fn find(
    call: &Call,
    topic: &TopicRef,
    asked: &ListOffsetsPartition,
    isolation: Isolation,
) -> Result<Option<TimestampOffset>, Refusal> {
    let index = PartitionIndex::from_wire(asked.partition_index).ok_or_else(|| {
        Refusal::new(Code::UnknownTopicOrPartition, "a partition index is not negative")
    })?;
    let Some(spec) = spec(asked.timestamp)? else { return Ok(None) };
    let epoch = asked.current_leader_epoch;
    let epoch = (epoch >= 0).then_some(LeaderEpoch(epoch));
    call.broker()
        .list_offset(&call.principal, topic, index, epoch, spec, isolation)
        .await
        .map_err(|error| Refusal::from(&error))
}

/// What is asked for; `None` when there is no tiered storage to answer from.
fn spec(timestamp: i64) -> Result<Option<OffsetSpec>, Refusal> {
    Ok(Some(match timestamp {
        LATEST => OffsetSpec::Latest,
        EARLIEST | EARLIEST_LOCAL => OffsetSpec::Earliest,
        MAX_TIMESTAMP => OffsetSpec::MaxTimestamp,
        LATEST_TIERED => return Ok(None),
        0.. => OffsetSpec::AtOrAfter(Timestamp::from_ms(timestamp)),
        _ => {
            let text = format!("timestamp {timestamp} has no meaning");
            return Err(Refusal::new(Code::InvalidRequest, text));
        }
    }))
}

fn fill(
    version: i16,
    answer: ListOffsetsPartitionResponse,
    asked: &ListOffsetsPartition,
    found: TimestampOffset,
) -> ListOffsetsPartitionResponse {
    // The ends of a log are not records, so they have no timestamp.
    let is_record = asked.timestamp >= 0 || asked.timestamp == MAX_TIMESTAMP;
    let answer = answer
        .with_timestamp(if is_record { found.timestamp.as_ms() } else { -1 })
        .with_offset(found.offset.value());
    if version >= LEADER_EPOCH_FROM { answer.with_leader_epoch(found.epoch.0) } else { answer }
}
