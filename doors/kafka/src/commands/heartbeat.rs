//! Heartbeat: a member shows that it is alive.

use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use crate::errors::{self, NONE};
use crate::node::Call;

pub(super) async fn handle(call: Call, request: HeartbeatRequest) -> HeartbeatResponse {
    let instance_id = request.group_instance_id.as_deref();
    let beat = call
        .broker()
        .heartbeat(
            &call.principal,
            &request.group_id,
            request.generation_id,
            &request.member_id,
            instance_id,
        )
        .await;
    let code = beat.map_or_else(|error| errors::group(&error).code(), |()| NONE);
    HeartbeatResponse::default().with_error_code(code)
}
