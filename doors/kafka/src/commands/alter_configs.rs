//! AlterConfigs: replaces all of a topic's settings; what is not named returns to its default.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};

use super::settings::{outcome, topic_target};
use crate::errors::Refusal;
use crate::node::Call;

pub(super) async fn handle(call: Call, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in request.resources {
        let (code, message) = outcome(alter(&call, &resource, request.validate_only).await);
        responses.push(
            AlterConfigsResourceResponse::default()
                .with_error_code(code)
                .with_error_message(message)
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name),
        );
    }
    AlterConfigsResponse::default().with_responses(responses)
}

async fn alter(
    call: &Call,
    resource: &AlterConfigsResource,
    validate_only: bool,
) -> Result<(), Refusal> {
    let topic = topic_target(call, resource.resource_type, &resource.resource_name)?;
    let mut overrides = Vec::with_capacity(resource.configs.len());
    for config in &resource.configs {
        let value = config.value.as_ref().ok_or_else(|| {
            Refusal::new(Code::InvalidRequest, format!("setting {} has no value", config.name))
        })?;
        overrides.push((config.name.to_string(), value.to_string()));
    }
    call.broker()
        .replace_topic_config(&call.principal, &topic, overrides, validate_only)
        .await
        .map(drop)
        .map_err(|error| Refusal::from(&error))
}
