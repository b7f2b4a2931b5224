//! JoinGroup: waits until the rebalance is over, or refuses.

use std::time::Duration;

use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use kafka_protocol::protocol::StrBytes;
use posthouse_broker::{Join, JoinError, Joined};

use crate::errors;
use crate::node::Call;

/// The first version that must be told its member id before it joins (KIP-394).
const MEMBER_ID_REQUIRED_FROM: i16 = 4;
/// The first version whose protocol name may be null.
const NULLABLE_PROTOCOL_FROM: i16 = 7;
/// The first version whose leader can be told to skip its assignment (KIP-814).
const SKIP_ASSIGNMENT_FROM: i16 = 9;

pub(super) async fn handle(call: Call, request: JoinGroupRequest) -> JoinGroupResponse {
    let member_id = request.member_id.clone();
    match call.broker().join_group(&call.principal, join(&call, request)).await {
        Ok(joined) => describe(joined),
        Err(error) => refused(&call, member_id, &error),
    }
}

fn join(call: &Call, request: JoinGroupRequest) -> Join {
    let ms = |ms: i32| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    // Before version 1 one timeout serves both purposes.
    let rebalance_timeout_ms = match call.version {
        0 => request.session_timeout_ms,
        _ => request.rebalance_timeout_ms,
    };
    let protocols = request.protocols.into_iter();
    Join {
        group: request.group_id.to_string(),
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.map(|id| id.to_string()),
        client_id: String::from_utf8_lossy(&call.client_id).into_owned(),
        client_host: call.client_host.to_string(),
        session_timeout: ms(request.session_timeout_ms),
        rebalance_timeout: ms(rebalance_timeout_ms),
        protocol_type: request.protocol_type.to_string(),
        protocols: protocols
            .map(|protocol| (protocol.name.to_string(), protocol.metadata))
            .collect(),
        member_id_required: call.version >= MEMBER_ID_REQUIRED_FROM,
        supports_skipping_assignment: call.version >= SKIP_ASSIGNMENT_FROM,
        reason: request.reason.map(|reason| reason.to_string()),
    }
}

fn describe(joined: Joined) -> JoinGroupResponse {
    let text = StrBytes::from_string;
    let members = joined.members.into_iter().map(|(member_id, instance_id, metadata)| {
        JoinGroupResponseMember::default()
            .with_member_id(text(member_id))
            .with_group_instance_id(instance_id.map(text))
            .with_metadata(metadata)
    });
    JoinGroupResponse::default()
        .with_generation_id(joined.generation)
        .with_protocol_type(Some(text(joined.protocol_type)))
        .with_protocol_name(Some(text(joined.protocol)))
        .with_leader(text(joined.leader))
        .with_skip_assignment(joined.skip_assignment)
        .with_member_id(text(joined.member_id))
        .with_members(members.collect())
}

fn refused(call: &Call, asked: StrBytes, error: &JoinError) -> JoinGroupResponse {
    let member_id = match error {
        JoinError::MemberIdRequired(given) => StrBytes::from_string(given.clone()),
        JoinError::Group(_) | JoinError::SessionTimeout { .. } | JoinError::Full { .. } => asked,
    };
    let protocol = (call.version < NULLABLE_PROTOCOL_FROM).then(StrBytes::new);
    JoinGroupResponse::default()
        .with_error_code(errors::join(error).code())
        .with_generation_id(-1)
        .with_protocol_name(protocol)
        .with_member_id(member_id)
}
