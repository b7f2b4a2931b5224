//! DescribeLogDirs: one directory, with the size of each partition in it.

use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use posthouse_broker::Operation;
use posthouse_types::PartitionIndex;

use super::acls::check_cluster;
use crate::errors::NONE;
use crate::node::{Call, topic_ref};

/// Of the file system: unknown, because the log need not lie on one.
const UNKNOWN_BYTES: i64 = -1;

/// The first version with an error for the request as a whole.
const ERROR_FROM: i16 = 3;

pub(super) async fn handle(call: Call, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    if let Err(refusal) = check_cluster(&call, Operation::Describe) {
        // Versions 1 and 2 have no room for the error; an empty list is Kafka's answer too.
        let code = if call.version >= ERROR_FROM { refusal.code.code() } else { NONE };
        return DescribeLogDirsResponse::default().with_error_code(code);
    }
    let asked = match request.topics {
        Some(topics) => topics.into_iter().map(|topic| (topic.topic, topic.partitions)).collect(),
        None => all(&call).await,
    };
    let mut topics = Vec::new();
    for (name, indexes) in asked {
        let partitions = sizes(&call, &name, indexes).await;
        if !partitions.is_empty() {
            topics
                .push(DescribeLogDirsTopic::default().with_name(name).with_partitions(partitions));
        }
    }
    let result = DescribeLogDirsResult::default()
        .with_log_dir(StrBytes::from_string(call.node.config.log_dir.clone()))
        .with_topics(topics)
        .with_total_bytes(UNKNOWN_BYTES)
        .with_usable_bytes(UNKNOWN_BYTES);
    DescribeLogDirsResponse::default().with_results(vec![result])
}

async fn all(call: &Call) -> Vec<(TopicName, Vec<i32>)> {
    let topics = call.broker().topics(&call.principal).await;
    topics
        .iter()
        .map(|topic| {
            let indexes = (0..topic.partitions).map(|index| PartitionIndex::new(index).to_wire());
            (crate::node::wire_name(topic), indexes.collect())
        })
        .collect()
}

/// Partitions that do not exist are left out, as Kafka leaves them out.
async fn sizes(call: &Call, name: &TopicName, indexes: Vec<i32>) -> Vec<DescribeLogDirsPartition> {
    let Ok(topic) = topic_ref(name) else { return Vec::new() };
    let mut sizes = Vec::new();
    for index in indexes.into_iter().filter_map(PartitionIndex::from_wire) {
        let Ok(status) = call.broker().partition_status(&call.principal, &topic, index).await
        else {
            continue;
        };
        sizes.push(
            DescribeLogDirsPartition::default()
                .with_partition_index(index.to_wire())
                .with_partition_size(i64::try_from(status.stored_bytes).unwrap_or(i64::MAX)),
        );
    }
    sizes
}
