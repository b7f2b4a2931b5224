//! DescribeAcls: the rules that a filter means, by resource.

use std::collections::BTreeMap;

use kafka_protocol::messages::describe_acls_response::{AclDescription, DescribeAclsResource};
use kafka_protocol::messages::{DescribeAclsRequest, DescribeAclsResponse};
use kafka_protocol::protocol::StrBytes;
use posthouse_broker::Operation;

use super::acls::{Binding, BindingFilter, check_cluster, find};
use crate::errors::Refusal;
use crate::node::Call;

pub(super) async fn handle(call: Call, request: DescribeAclsRequest) -> DescribeAclsResponse {
    let filter = BindingFilter {
        resource_type: request.resource_type_filter,
        resource_name: request.resource_name_filter,
        pattern_type: request.pattern_type_filter,
        principal: request.principal_filter,
        host: request.host_filter,
        operation: request.operation,
        permission: request.permission_type,
    };
    let response = DescribeAclsResponse::default().with_error_message(None);
    match describe(&call, &filter) {
        Ok(resources) => response.with_resources(resources),
        Err(refusal) => response
            .with_error_code(refusal.code.code())
            .with_error_message(Some(refusal.message())),
    }
}

fn describe(call: &Call, filter: &BindingFilter) -> Result<Vec<DescribeAclsResource>, Refusal> {
    check_cluster(call, Operation::Describe)?;
    let mut by_resource = BTreeMap::<_, Vec<Binding>>::new();
    for binding in find(call, filter)?.into_iter().flat_map(|meant| meant.bindings) {
        let Binding { resource_type, pattern_type, .. } = binding;
        let resource = (resource_type, binding.resource_name.clone(), pattern_type);
        by_resource.entry(resource).or_default().push(binding);
    }
    let resources =
        by_resource.into_iter().map(|((resource_type, name, pattern_type), bindings)| {
            DescribeAclsResource::default()
                .with_resource_type(resource_type)
                .with_resource_name(StrBytes::from_string(name))
                .with_pattern_type(pattern_type)
                .with_acls(bindings.into_iter().map(description).collect())
        });
    Ok(resources.collect())
}

fn description(binding: Binding) -> AclDescription {
    AclDescription::default()
        .with_principal(StrBytes::from_string(binding.principal))
        .with_host(StrBytes::from_string(binding.host))
        .with_operation(binding.operation)
        .with_permission_type(binding.permission)
}
