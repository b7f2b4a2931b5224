//! DescribeTopicPartitions: topics in pages, which the Java admin client prefers to Metadata.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::{
    BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use posthouse_broker::Topic;
use posthouse_types::PartitionIndex;

use super::operations;
use super::topic_partitions::leader;
use crate::errors::Refusal;
use crate::node::{Call, topic_ref, wire_name};

/// LIMIT: `max.request.partition.size.limit`: partitions of one page.
const PARTITIONS_MAX: usize = 2000;

pub(super) async fn handle(
    call: Call,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let asked = usize::try_from(request.response_partition_limit).unwrap_or(0);
    let mut left = asked.clamp(1, PARTITIONS_MAX);
    let (from_name, from_index) = match &request.cursor {
        Some(cursor) => (
            cursor.topic_name.to_string(),
            PartitionIndex::from_wire(cursor.partition_index).unwrap_or_default(),
        ),
        None => (String::new(), PartitionIndex::ZERO),
    };
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names(&call, &request).await {
        if name.as_str() < from_name.as_str() {
            continue;
        }
        let first = if name.as_str() == from_name { from_index } else { PartitionIndex::ZERO };
        if left == 0 {
            response.next_cursor = Some(cursor(name, first));
            break;
        }
        let topic = match find(&call, &name).await {
            Ok(topic) => topic,
            Err(refusal) => {
                response.topics.push(unknown(name, refusal.code));
                continue;
            }
        };
        let (described, count) = describe(&call, &topic, first, left).await;
        response.topics.push(described);
        left -= count;
        let next = first.value().saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        if next < topic.partitions {
            response.next_cursor = Some(cursor(name, PartitionIndex::new(next)));
            break;
        }
    }
    response
}

/// The names asked for, or all, sorted: the order that a cursor refers to.
async fn names(call: &Call, request: &DescribeTopicPartitionsRequest) -> Vec<StrBytes> {
    let mut names: Vec<StrBytes> = if request.topics.is_empty() {
        let topics = call.broker().topics(&call.principal).await;
        let public = topics.iter().filter(|topic| !topic.internal);
        public.map(|topic| StrBytes::from_string(topic.kafka_alias.clone())).collect()
    } else {
        request.topics.iter().map(|topic| topic.name.0.clone()).collect()
    };
    names.sort();
    names.dedup();
    names
}

async fn find(call: &Call, name: &str) -> Result<std::sync::Arc<Topic>, Refusal> {
    let topic = topic_ref(name)?;
    call.broker().topic(&call.principal, &topic).await.map_err(|error| Refusal::from(&error))
}

/// At most `count_max` partitions from `first`, and how many they are.
async fn describe(
    call: &Call,
    topic: &Topic,
    first: PartitionIndex,
    count_max: usize,
) -> (DescribeTopicPartitionsResponseTopic, usize) {
    let node = BrokerId(call.node.node_id());
    let mut partitions = Vec::new();
    for index in (first.value()..topic.partitions).take(count_max).map(PartitionIndex::new) {
        let leader = leader(call, topic, index).await;
        let is_led = leader.node_id >= 0;
        partitions.push(
            DescribeTopicPartitionsResponsePartition::default()
                .with_error_code(leader.error_code)
                .with_partition_index(index.to_wire())
                .with_leader_id(BrokerId(leader.node_id))
                .with_leader_epoch(leader.epoch)
                .with_replica_nodes(vec![node])
                .with_isr_nodes(if is_led { vec![node] } else { Vec::new() })
                .with_offline_replicas(if is_led { Vec::new() } else { vec![node] })
                .with_eligible_leader_replicas(Some(Vec::new()))
                .with_last_known_elr(Some(Vec::new())),
        );
    }
    let count = partitions.len();
    let described = DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(wire_name(topic)))
        .with_topic_id(topic.id.0)
        .with_is_internal(topic.internal)
        .with_partitions(partitions)
        .with_topic_authorized_operations(operations::on_topic(call, topic, true));
    (described, count)
}

fn unknown(name: StrBytes, code: Code) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic::default()
        .with_error_code(code.code())
        .with_name(Some(TopicName(name)))
}

fn cursor(name: StrBytes, index: PartitionIndex) -> Cursor {
    Cursor::default().with_topic_name(TopicName(name)).with_partition_index(index.to_wire())
}
