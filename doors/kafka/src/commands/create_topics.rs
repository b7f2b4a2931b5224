//! CreateTopics: one topic after the other; each succeeds or fails on its own.

use std::collections::BTreeSet;
use std::sync::Arc;

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};
use kafka_protocol::protocol::StrBytes;
use posthouse_broker::{CreateTopic, Operation, Resource, Topic};
use posthouse_types::PartitionIndex;
use uuid::Uuid;

use super::settings::source_of;
use crate::errors::Refusal;
use crate::node::{Call, topic_name};

/// "The broker's default."
const DEFAULT: i32 = -1;

pub(super) async fn handle(call: Call, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let mut seen = BTreeSet::new();
    let names = request.topics.iter().map(|topic| topic.name.clone());
    let repeated: BTreeSet<_> = names.filter(|name| !seen.insert(name.clone())).collect();
    let mut results = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let name = topic.name.clone();
        let created = match repeated.contains(&name) {
            true => Err(Refusal::new(Code::InvalidRequest, "the topic is named more than once")),
            false => create(&call, topic, request.validate_only).await,
        };
        let answer = CreatableTopicResult::default().with_name(name).with_error_message(None);
        results.push(match created {
            Ok(topic) => describe(&call, answer, &topic, request.validate_only),
            Err(refusal) => answer
                .with_error_code(refusal.code.code())
                .with_error_message(Some(refusal.message()))
                .with_num_partitions(-1)
                .with_replication_factor(-1),
        });
    }
    CreateTopicsResponse::default().with_topics(results)
}

async fn create(
    call: &Call,
    topic: CreatableTopic,
    validate_only: bool,
) -> Result<Arc<Topic>, Refusal> {
    let partitions = partitions(call, &topic)?;
    let mut overrides = Vec::with_capacity(topic.configs.len());
    for config in topic.configs {
        let value = config.value.ok_or_else(|| {
            Refusal::new(Code::InvalidConfig, format!("setting {} has no value", config.name))
        })?;
        overrides.push((config.name.to_string(), value.to_string()));
    }
    let create = CreateTopic {
        name: topic_name(&topic.name)?,
        partitions,
        overrides,
        schema: None,
        validate_only,
    };
    call.broker().create_topic(&call.principal, create).await.map_err(|error| Refusal::from(&error))
}

/// How many partitions, if the client says. It may also say which node holds which replica; there is
/// one node, so there is one right answer.
fn partitions(call: &Call, topic: &CreatableTopic) -> Result<Option<u32>, Refusal> {
    if topic.assignments.is_empty() {
        if !matches!(topic.replication_factor, -1 | 1) {
            let asked = topic.replication_factor;
            let text = format!("replication factor {asked} asked for; there is one broker");
            return Err(Refusal::new(Code::InvalidReplicationFactor, text));
        }
        return match topic.num_partitions {
            DEFAULT => Ok(None),
            count => match u32::try_from(count) {
                Ok(count @ 1..) => Ok(Some(count)),
                _ => {
                    let text = format!("{count} partitions asked for; a topic has at least 1");
                    Err(Refusal::new(Code::InvalidPartitions, text))
                }
            },
        };
    }
    if topic.num_partitions != DEFAULT || topic.replication_factor != -1 {
        let text = "replicas are assigned, so partitions and replication factor must be -1";
        return Err(Refusal::new(Code::InvalidRequest, text));
    }
    let count = u32::try_from(topic.assignments.len()).unwrap_or(u32::MAX);
    let assigned: BTreeSet<i32> = topic.assignments.iter().map(|one| one.partition_index).collect();
    let expected: BTreeSet<i32> =
        (0..count).map(|index| PartitionIndex::new(index).to_wire()).collect();
    let all_here = topic.assignments.iter().all(|one| is_this_node(call, &one.broker_ids));
    if assigned != expected || !all_here {
        let node = call.node.node_id();
        let text = format!("partitions from 0 must each be assigned to broker {node} alone");
        return Err(Refusal::new(Code::InvalidReplicaAssignment, text));
    }
    Ok(Some(count))
}

pub(super) fn is_this_node(call: &Call, brokers: &[kafka_protocol::messages::BrokerId]) -> bool {
    matches!(brokers, [broker] if broker.0 == call.node.node_id())
}

fn describe(
    call: &Call,
    answer: CreatableTopicResult,
    topic: &Topic,
    validate_only: bool,
) -> CreatableTopicResult {
    let answer = answer.with_topic_id(if validate_only { Uuid::nil() } else { topic.id.0 });
    let resource = Resource::Topic(&topic.name);
    if !call.broker().shows(&call.principal, Operation::DescribeConfigs, resource) {
        // Who may make a topic need not see how it is set.
        return answer
            .with_topic_config_error_code(Code::TopicAuthorizationFailed.code())
            .with_num_partitions(-1)
            .with_replication_factor(-1)
            .with_configs(None);
    }
    let entries = call.broker().topic_config_entries(topic);
    let configs = entries.into_iter().map(|entry| {
        CreatableTopicConfigs::default()
            .with_name(StrBytes::from_static_str(entry.name))
            .with_config_source(source_of(&entry))
            .with_value(Some(StrBytes::from_string(entry.value)))
    });
    answer
        .with_num_partitions(i32::try_from(topic.partitions).unwrap_or(i32::MAX))
        .with_replication_factor(1)
        .with_configs(Some(configs.collect()))
}
