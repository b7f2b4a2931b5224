//! DeleteTopics: by name or by id.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};

use crate::errors::Refusal;
use crate::node::{Call, id_ref, topic_ref, wire_name};

pub(super) async fn handle(call: Call, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let by_name = request
        .topic_names
        .into_iter()
        .map(|name| DeleteTopicState::default().with_name(Some(name)));
    let mut responses = Vec::new();
    for topic in by_name.chain(request.topics) {
        responses.push(delete(&call, topic).await);
    }
    DeleteTopicsResponse::default().with_responses(responses)
}

async fn delete(call: &Call, asked: DeleteTopicState) -> DeletableTopicResult {
    let topic = match &asked.name {
        Some(_) if !asked.topic_id.is_nil() => Err(Refusal::new(
            Code::InvalidRequest,
            "a topic is named by its name or its id, not both",
        )),
        Some(name) => topic_ref(name),
        None => Ok(id_ref(asked.topic_id)),
    };
    let deleted = match topic {
        Ok(topic) => call
            .broker()
            .delete_topic(&call.principal, &topic)
            .await
            .map_err(|error| Refusal::from(&error)),
        Err(refusal) => Err(refusal),
    };
    match deleted {
        Ok(topic) => DeletableTopicResult::default()
            .with_name(Some(wire_name(&topic)))
            .with_topic_id(topic.id.0),
        Err(refusal) => DeletableTopicResult::default()
            .with_name(asked.name)
            .with_topic_id(asked.topic_id)
            .with_error_code(refusal.code.code())
            .with_error_message(Some(refusal.message())),
    }
}
