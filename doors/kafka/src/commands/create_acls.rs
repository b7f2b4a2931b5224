//! CreateAcls: rules, each kept or refused on its own.

use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::create_acls_response::AclCreationResult;
use kafka_protocol::messages::{CreateAclsRequest, CreateAclsResponse};
use posthouse_broker::Operation;

use super::acls::{Binding, check_cluster};
use crate::errors::Refusal;
use crate::node::Call;

pub(super) async fn handle(call: Call, request: CreateAclsRequest) -> CreateAclsResponse {
    let allowed = check_cluster(&call, Operation::Alter);
    let mut results = Vec::with_capacity(request.creations.len());
    for creation in request.creations {
        let created = match &allowed {
            Ok(()) => create(&call, &creation).await,
            Err(refusal) => Err(refusal.clone()),
        };
        let result = AclCreationResult::default().with_error_message(None);
        results.push(match created {
            Ok(()) => result,
            Err(refusal) => result
                .with_error_code(refusal.code.code())
                .with_error_message(Some(refusal.message())),
        });
    }
    CreateAclsResponse::default().with_results(results)
}

async fn create(call: &Call, creation: &AclCreation) -> Result<(), Refusal> {
    let binding = Binding {
        resource_type: creation.resource_type,
        resource_name: creation.resource_name.to_string(),
        pattern_type: creation.resource_pattern_type,
        principal: creation.principal.to_string(),
        host: creation.host.to_string(),
        operation: creation.operation,
        permission: creation.permission_type,
    };
    let rule = binding.to_rule()?;
    call.broker()
        .add_rules(&call.principal, vec![rule])
        .await
        .map_err(|error| Refusal::from(&error))
}
