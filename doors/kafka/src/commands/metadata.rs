//! Metadata: where the node is, which topics there are, and who leads their partitions.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse};
use kafka_protocol::protocol::StrBytes;
use posthouse_broker::Topic;
use posthouse_types::PartitionIndex;
use std::sync::Arc;

use super::operations;
use super::topic_partitions::leader;
use crate::errors::Refusal;
use crate::node::{Call, id_ref, topic_name, topic_ref, wire_name};

/// The first version in which a topic can be asked for by its id.
const BY_ID_FROM: i16 = 12;

pub(super) async fn handle(call: Call, request: MetadataRequest) -> MetadataResponse {
    let asks_operations = request.include_topic_authorized_operations;
    let mut topics = Vec::new();
    // In version 0 an empty list means every topic; later that is null.
    match request.topics.filter(|topics| call.version > 0 || !topics.is_empty()) {
        None => {
            for topic in call.broker().topics(&call.principal).await {
                if !topic.internal {
                    topics.push(describe(&call, &topic, asks_operations).await);
                }
            }
        }
        Some(asked) => {
            for asked in asked {
                let found = find(&call, &asked, request.allow_auto_topic_creation).await;
                topics.push(match found {
                    Ok(topic) => describe(&call, &topic, asks_operations).await,
                    Err(refusal) => unknown(&call, asked, &refusal),
                });
            }
        }
    }
    let cluster_operations =
        operations::on_cluster(&call, request.include_cluster_authorized_operations);
    let endpoint = &call.endpoint;
    let broker = MetadataResponseBroker::default()
        .with_node_id(BrokerId(endpoint.node_id))
        .with_host(endpoint.host.clone())
        .with_port(endpoint.port)
        .with_rack(endpoint.rack.clone());
    MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_cluster_id(Some(call.node.cluster_id()))
        .with_controller_id(BrokerId(endpoint.node_id))
        .with_topics(topics)
        .with_cluster_authorized_operations(cluster_operations)
}

async fn find(
    call: &Call,
    asked: &MetadataRequestTopic,
    may_create: bool,
) -> Result<Arc<Topic>, Refusal> {
    let broker = call.broker();
    match &asked.name {
        Some(name) if may_create => broker
            .topic_or_create(&call.principal, &topic_name(name)?)
            .await
            .map_err(|error| Refusal::from(&error)),
        Some(name) => broker
            .topic(&call.principal, &topic_ref(name)?)
            .await
            .map_err(|error| Refusal::from(&error)),
        None if call.version >= BY_ID_FROM => broker
            .topic(&call.principal, &id_ref(asked.topic_id))
            .await
            .map_err(|error| Refusal::from(&error)),
        None => Err(Refusal::new(Code::InvalidRequest, "a topic needs a name in this version")),
    }
}

async fn describe(call: &Call, topic: &Topic, asks_operations: bool) -> MetadataResponseTopic {
    let mut partitions = Vec::new();
    for index in (0..topic.partitions).map(PartitionIndex::new) {
        let leader = leader(call, topic, index).await;
        let replicas = vec![BrokerId(call.node.node_id())];
        let partition = MetadataResponsePartition::default()
            .with_error_code(leader.error_code)
            .with_partition_index(index.to_wire())
            .with_leader_id(BrokerId(leader.node_id))
            .with_leader_epoch(leader.epoch)
            .with_replica_nodes(replicas.clone());
        partitions.push(match leader.node_id {
            ..0 => partition.with_offline_replicas(replicas),
            0.. => partition.with_isr_nodes(replicas),
        });
    }
    MetadataResponseTopic::default()
        .with_name(Some(wire_name(topic)))
        .with_topic_id(topic.id.0)
        .with_is_internal(topic.internal)
        .with_partitions(partitions)
        .with_topic_authorized_operations(operations::on_topic(call, topic, asks_operations))
}

fn unknown(call: &Call, asked: MetadataRequestTopic, refusal: &Refusal) -> MetadataResponseTopic {
    let name = match asked.name {
        None if call.version < BY_ID_FROM => Some(StrBytes::new().into()),
        name => name,
    };
    MetadataResponseTopic::default()
        .with_error_code(refusal.code.code())
        .with_name(name)
        .with_topic_id(asked.topic_id)
        .with_topic_authorized_operations(operations::NOT_ASKED)
}
