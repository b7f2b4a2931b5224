//! LeaveGroup: one member goes, or from version 3 several are removed.

use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};
use kafka_protocol::protocol::StrBytes;
use posthouse_broker::{GroupError, Leave, LeftMember};

use crate::errors::{self, NONE};
use crate::node::Call;

/// The first version that names several members.
const BATCHED_FROM: i16 = 3;

pub(super) async fn handle(call: Call, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let members = match call.version {
        BATCHED_FROM.. => request.members.into_iter().map(leave).collect(),
        _ => vec![Leave {
            member_id: request.member_id.to_string(),
            instance_id: None,
            reason: None,
        }],
    };
    let left = call.broker().leave_group(&call.principal, &request.group_id, members).await;
    match left {
        Err(error) => LeaveGroupResponse::default().with_error_code(code(Err(error))),
        Ok(left) if call.version >= BATCHED_FROM => {
            LeaveGroupResponse::default().with_members(left.into_iter().map(describe).collect())
        }
        Ok(left) => {
            let only = left.into_iter().next().map_or(NONE, |member| code(member.result));
            LeaveGroupResponse::default().with_error_code(only)
        }
    }
}

fn leave(member: MemberIdentity) -> Leave {
    Leave {
        member_id: member.member_id.to_string(),
        instance_id: member.group_instance_id.map(|id| id.to_string()),
        reason: member.reason.map(|reason| reason.to_string()),
    }
}

fn describe(member: LeftMember) -> MemberResponse {
    MemberResponse::default()
        .with_member_id(StrBytes::from_string(member.member_id))
        .with_group_instance_id(member.instance_id.map(StrBytes::from_string))
        .with_error_code(code(member.result))
}

fn code(result: Result<(), GroupError>) -> i16 {
    result.map_or_else(|error| errors::group(&error).code(), |()| NONE)
}
