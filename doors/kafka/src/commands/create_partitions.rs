//! CreatePartitions: raises a topic's number of partitions.

use std::collections::BTreeSet;

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use super::create_topics::is_this_node;
use crate::errors::Refusal;
use crate::node::{Call, topic_ref};

pub(super) async fn handle(
    call: Call,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let mut seen = BTreeSet::new();
    let names = request.topics.iter().map(|topic| topic.name.clone());
    let repeated: BTreeSet<_> = names.filter(|name| !seen.insert(name.clone())).collect();
    let mut results = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let raised = match repeated.contains(&topic.name) {
            true => Err(Refusal::new(Code::InvalidRequest, "the topic is named more than once")),
            false => raise(&call, &topic, request.validate_only).await,
        };
        let answer = CreatePartitionsTopicResult::default().with_name(topic.name);
        results.push(match raised {
            Ok(()) => answer,
            Err(refusal) => answer
                .with_error_code(refusal.code.code())
                .with_error_message(Some(refusal.message())),
        });
    }
    CreatePartitionsResponse::default().with_results(results)
}

async fn raise(
    call: &Call,
    asked: &CreatePartitionsTopic,
    validate_only: bool,
) -> Result<(), Refusal> {
    let topic = topic_ref(&asked.name)?;
    if let Some(assignments) = &asked.assignments {
        let current = call
            .broker()
            .topic(&call.principal, &topic)
            .await
            .map_err(|error| Refusal::from(&error))?
            .partitions;
        let added = i64::from(asked.count) - i64::from(current);
        let all_here = assignments.iter().all(|one| is_this_node(call, &one.broker_ids));
        if i64::try_from(assignments.len()) != Ok(added) || !all_here {
            let node = call.node.node_id();
            let text = format!(
                "each of the {added} new partitions must be assigned to broker {node} alone"
            );
            return Err(Refusal::new(Code::InvalidReplicaAssignment, text));
        }
    }
    call.broker()
        .add_partitions(&call.principal, &topic, i64::from(asked.count), validate_only)
        .await
        .map(drop)
        .map_err(|error| Refusal::from(&error))
}
