//! DeleteAcls: takes away the rules that each filter means, and says which they were.

use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::delete_acls_response::{
    DeleteAclsFilterResult, DeleteAclsMatchingAcl,
};
use kafka_protocol::messages::{DeleteAclsRequest, DeleteAclsResponse};
use kafka_protocol::protocol::StrBytes;
use posthouse_access::{Rule, RuleFilter};
use posthouse_broker::Operation;

use super::acls::{Binding, BindingFilter, Meant, check_cluster, find};
use crate::errors::Refusal;
use crate::node::Call;

pub(super) async fn handle(call: Call, request: DeleteAclsRequest) -> DeleteAclsResponse {
    let allowed = check_cluster(&call, Operation::Alter);
    let mut results = Vec::with_capacity(request.filters.len());
    for filter in request.filters {
        let deleted = match &allowed {
            Ok(()) => delete(&call, filter).await,
            Err(refusal) => Err(refusal.clone()),
        };
        let result = DeleteAclsFilterResult::default().with_error_message(None);
        results.push(match deleted {
            Ok(bindings) => {
                result.with_matching_acls(bindings.into_iter().map(deleted_acl).collect())
            }
            Err(refusal) => result
                .with_error_code(refusal.code.code())
                .with_error_message(Some(refusal.message())),
        });
    }
    DeleteAclsResponse::default().with_filter_results(results)
}

async fn delete(call: &Call, filter: DeleteAclsFilter) -> Result<Vec<Binding>, Refusal> {
    let filter = BindingFilter {
        resource_type: filter.resource_type_filter,
        resource_name: filter.resource_name_filter,
        pattern_type: filter.pattern_type_filter,
        principal: filter.principal_filter,
        host: filter.host_filter,
        operation: filter.operation,
        permission: filter.permission_type,
    };
    let mut deleted = Vec::new();
    for Meant { rule, bindings, rest } in find(call, &filter)? {
        // What is left of a rule holds before the rule goes, so that nothing else changes meanwhile.
        if let Some(rest) = rest {
            let kept = call.broker().add_rules(&call.principal, vec![rest]).await;
            kept.map_err(|error| Refusal::from(&error))?;
        }
        let removed = call.broker().remove_rules(&call.principal, exactly(rule)).await;
        removed.map_err(|error| Refusal::from(&error))?;
        deleted.extend(bindings);
    }
    Ok(deleted)
}

fn exactly(rule: Rule) -> RuleFilter {
    RuleFilter {
        grantee: Some(rule.grantee),
        effect: Some(rule.effect),
        operations: Some(rule.operations),
        kind: Some(rule.kind),
        pattern: Some(rule.pattern),
        matching: None,
    }
}

fn deleted_acl(binding: Binding) -> DeleteAclsMatchingAcl {
    DeleteAclsMatchingAcl::default()
        .with_error_message(None)
        .with_resource_type(binding.resource_type)
        .with_resource_name(StrBytes::from_string(binding.resource_name))
        .with_pattern_type(binding.pattern_type)
        .with_principal(StrBytes::from_string(binding.principal))
        .with_host(StrBytes::from_string(binding.host))
        .with_operation(binding.operation)
        .with_permission_type(binding.permission)
}
