//! Topics and partitions as Metadata and DescribeTopicPartitions show them: this node leads all.

use kafka_protocol::error::ResponseError as Code;
use posthouse_broker::{LookupError, Topic, TopicRef};
use posthouse_types::PartitionIndex;

use crate::errors::{self, NONE};
use crate::node::Call;

/// `authorizedOperations` when they were not asked for.
pub(super) const OPERATIONS_NOT_ASKED: i32 = i32::MIN;

/// Every operation that Kafka knows of on a topic, as bits by ACL operation code: read, write,
/// create, delete, alter, describe, describe and alter configs.
pub(super) const TOPIC_OPERATIONS: i32 =
    1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11;

/// Every operation on the cluster: create, alter, describe, cluster action, describe and alter
/// configs, idempotent write.
pub(super) const CLUSTER_OPERATIONS: i32 =
    1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12;

/// Every operation on a group: read, delete, describe, describe and alter configs.
pub(super) const GROUP_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

/// A partition's leader.
pub(super) struct Leader {
    pub(super) error_code: i16,
    /// -1 when there is none yet.
    pub(super) node_id: i32,
    pub(super) epoch: i32,
}

pub(super) async fn leader(call: &Call, topic: &Topic, index: PartitionIndex) -> Leader {
    let topic = TopicRef::Id(topic.id);
    match call.broker().partition_status(&call.principal, &topic, index).await {
        Ok(status) => {
            Leader { error_code: NONE, node_id: call.node.node_id(), epoch: status.epoch.0 }
        }
        Err(error) => {
            let code = match &error {
                // For metadata Kafka has a code of its own: no leader is elected yet.
                LookupError::Opening { .. } => Code::LeaderNotAvailable,
                error => errors::lookup(error),
            };
            Leader { error_code: code.code(), node_id: -1, epoch: -1 }
        }
    }
}

/// What a topic's operations are, when asked for.
pub(super) fn topic_operations(asked: bool) -> i32 {
    if asked { TOPIC_OPERATIONS } else { OPERATIONS_NOT_ASKED }
}
