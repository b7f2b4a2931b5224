//! Topics and partitions as Metadata and DescribeTopicPartitions show them: this node leads all.

use kafka_protocol::error::ResponseError as Code;
use posthouse_broker::{LookupError, Topic, TopicRef};
use posthouse_types::PartitionIndex;

use crate::errors::{self, NONE};
use crate::node::Call;

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
