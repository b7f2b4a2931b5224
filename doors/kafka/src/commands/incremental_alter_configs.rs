//! IncrementalAlterConfigs: changes some of a topic's settings, all of the changes or none.

use std::collections::BTreeSet;

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use posthouse_broker::ConfigChange;

use super::settings::{outcome, topic_target};
use crate::errors::Refusal;
use crate::node::Call;

/// Kafka's `AlterConfigOp.OpType`.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

pub(super) async fn handle(
    call: Call,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
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
    IncrementalAlterConfigsResponse::default().with_responses(responses)
}

async fn alter(
    call: &Call,
    resource: &AlterConfigsResource,
    validate_only: bool,
) -> Result<(), Refusal> {
    let topic = topic_target(call, resource.resource_type, &resource.resource_name)?;
    let mut seen = BTreeSet::new();
    if let Some(repeated) = resource.configs.iter().find(|config| !seen.insert(&config.name)) {
        let text = format!("setting {} is changed more than once", repeated.name);
        return Err(Refusal::new(Code::InvalidRequest, text));
    }
    let changes = resource.configs.iter().map(change).collect::<Result<Vec<_>, _>>()?;
    call.broker()
        .alter_topic_config(&call.principal, &topic, changes, validate_only)
        .await
        .map(drop)
        .map_err(|error| Refusal::from(&error))
}

fn change(config: &AlterableConfig) -> Result<ConfigChange, Refusal> {
    let name = config.name.to_string();
    if config.config_operation == DELETE {
        return Ok(ConfigChange::Delete { name });
    }
    let Some(value) = config.value.as_ref().map(ToString::to_string) else {
        return Err(Refusal::new(Code::InvalidRequest, format!("setting {name} has no value")));
    };
    match config.config_operation {
        SET => Ok(ConfigChange::Set { name, value }),
        APPEND => Ok(ConfigChange::Append { name, value }),
        SUBTRACT => Ok(ConfigChange::Subtract { name, value }),
        operation => {
            let text = format!("operation {operation} on setting {name} has no meaning");
            Err(Refusal::new(Code::InvalidRequest, text))
        }
    }
}
