//! DescribeGroups: members with their subscriptions and assignments.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse, GroupId};
use kafka_protocol::protocol::StrBytes;
use posthouse_broker::{GroupDescription, GroupMember, GroupState};

use super::operations;
use crate::errors::Refusal;
use crate::node::Call;

/// The first version that is told that a group does not exist (KIP-1043); before, it is `Dead`.
const NOT_FOUND_FROM: i16 = 6;

pub(super) async fn handle(call: Call, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let mut groups = Vec::with_capacity(request.groups.len());
    for group in request.groups {
        let described = call.broker().describe_group(&call.principal, &group).await;
        groups.push(match described {
            Ok(described) if described.state == GroupState::Dead => dead(&call, group),
            Ok(described) => {
                let asked = request.include_authorized_operations;
                let operations = operations::on_group(&call, &group, asked);
                describe(group, described).with_authorized_operations(operations)
            }
            Err(error) => refused(&call, group, &Refusal::from(&error)),
        });
    }
    DescribeGroupsResponse::default().with_groups(groups)
}

fn describe(group: GroupId, described: GroupDescription) -> DescribedGroup {
    DescribedGroup::default()
        .with_group_id(group)
        .with_group_state(StrBytes::from_static_str(described.state.as_str()))
        .with_protocol_type(StrBytes::from_string(described.protocol_type))
        .with_protocol_data(StrBytes::from_string(described.protocol))
        .with_members(described.members.into_iter().map(member).collect())
}

fn member(member: GroupMember) -> DescribedGroupMember {
    DescribedGroupMember::default()
        .with_member_id(StrBytes::from_string(member.member_id))
        .with_group_instance_id(member.instance_id.map(StrBytes::from_string))
        .with_client_id(StrBytes::from_string(member.client_id))
        .with_client_host(StrBytes::from_string(member.client_host))
        .with_member_metadata(member.metadata)
        .with_member_assignment(member.assignment)
}

fn dead(call: &Call, group: GroupId) -> DescribedGroup {
    let dead = DescribedGroup::default()
        .with_group_state(StrBytes::from_static_str(GroupState::Dead.as_str()));
    if call.version < NOT_FOUND_FROM {
        return dead.with_group_id(group);
    }
    let text = format!("group {} does not exist", group.as_str());
    dead.with_group_id(group)
        .with_error_code(Code::GroupIdNotFound.code())
        .with_error_message(Some(StrBytes::from_string(text)))
}

fn refused(call: &Call, group: GroupId, refusal: &Refusal) -> DescribedGroup {
    let message = (call.version >= NOT_FOUND_FROM).then(|| refusal.message());
    DescribedGroup::default()
        .with_group_id(group)
        .with_error_code(refusal.code.code())
        .with_error_message(message)
}
