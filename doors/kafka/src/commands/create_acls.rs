//! CreateAcls: rules, each refused on its own; those that are good are kept together.

use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::create_acls_response::AclCreationResult;
use kafka_protocol::messages::{CreateAclsRequest, CreateAclsResponse};
use posthouse_access::Rule;
use posthouse_broker::Operation;

use super::acls::{Binding, check_cluster};
use crate::errors::Refusal;
use crate::node::Call;

pub(super) async fn handle(call: Call, request: CreateAclsRequest) -> CreateAclsResponse {
    let allowed = check_cluster(&call, Operation::Alter);
    let rules = request.creations.iter().map(|creation| {
        allowed.clone()?;
        rule(creation)
    });
    let rules: Vec<_> = rules.collect();
    let kept = keep(&call, rules.iter().flatten().cloned().collect()).await;
    let results = rules.into_iter().map(|rule| {
        let result = AclCreationResult::default().with_error_message(None);
        match rule.and(kept.clone()) {
            Ok(()) => result,
            Err(refusal) => result
                .with_error_code(refusal.code.code())
                .with_error_message(Some(refusal.message())),
        }
    });
    CreateAclsResponse::default().with_results(results.collect())
}

fn rule(creation: &AclCreation) -> Result<Rule, Refusal> {
    let binding = Binding {
        resource_type: creation.resource_type,
        resource_name: creation.resource_name.to_string(),
        pattern_type: creation.resource_pattern_type,
        principal: creation.principal.to_string(),
        host: creation.host.to_string(),
        operation: creation.operation,
        permission: creation.permission_type,
    };
    binding.to_rule()
}

/// Keeps all that are good at once: a request of a thousand is one change of what is in force.
async fn keep(call: &Call, rules: Vec<Rule>) -> Result<(), Refusal> {
    if rules.is_empty() {
        return Ok(());
    }
    let added = call.broker().add_rules(&call.principal, rules).await;
    added.map_err(|error| Refusal::from(&error))
}
