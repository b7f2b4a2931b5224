//! SyncGroup: the leader brings everyone's assignment, each member takes its own.

use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};
use kafka_protocol::protocol::StrBytes;
use posthouse_broker::Sync;

use crate::errors;
use crate::node::Call;

pub(super) async fn handle(call: Call, request: SyncGroupRequest) -> SyncGroupResponse {
    let owned = |text: StrBytes| text.to_string();
    let assignments = request.assignments.into_iter();
    let sync = Sync {
        group: request.group_id.to_string(),
        generation: request.generation_id,
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.map(owned),
        protocol_type: request.protocol_type.map(owned),
        protocol: request.protocol_name.map(owned),
        assignments: assignments.map(|one| (owned(one.member_id), one.assignment)).collect(),
    };
    match call.broker().sync_group(&call.principal, sync).await {
        Ok(synced) => SyncGroupResponse::default()
            .with_protocol_type(Some(StrBytes::from_string(synced.protocol_type)))
            .with_protocol_name(Some(StrBytes::from_string(synced.protocol)))
            .with_assignment(synced.assignment),
        Err(error) => SyncGroupResponse::default().with_error_code(errors::group(&error).code()),
    }
}
