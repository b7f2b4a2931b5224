//! FindCoordinator: this node coordinates every group; nobody coordinates transactions.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use kafka_protocol::protocol::StrBytes;
use posthouse_broker::{Operation, Resource};

use crate::errors::{NONE, Refusal, refusal};
use crate::node::Call;

/// The first version that asks for several keys at once.
const BATCHED_FROM: i16 = 4;
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

pub(super) async fn handle(call: Call, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    if call.version >= BATCHED_FROM {
        let keys = request.coordinator_keys.into_iter();
        let found = keys.map(|key| coordinator(&call, request.key_type, key)).collect();
        return FindCoordinatorResponse::default().with_coordinators(found);
    }
    let found = coordinator(&call, request.key_type, request.key);
    FindCoordinatorResponse::default()
        .with_error_code(found.error_code)
        .with_error_message(found.error_message)
        .with_node_id(found.node_id)
        .with_host(found.host)
        .with_port(found.port)
}

fn coordinator(call: &Call, key_type: i8, key: StrBytes) -> Coordinator {
    let answer = Coordinator::default().with_key(key);
    match refuse(call, key_type, &answer.key) {
        None => {
            let endpoint = &call.endpoint;
            answer
                .with_error_code(NONE)
                .with_node_id(BrokerId(endpoint.node_id))
                .with_host(endpoint.host.clone())
                .with_port(endpoint.port)
        }
        Some(refusal) => answer
            .with_error_code(refusal.code.code())
            .with_error_message(Some(refusal.message()))
            .with_node_id(BrokerId(-1))
            .with_port(-1),
    }
}

/// Transactions get the one code that the Java client and librdkafka both treat as fatal here; they
/// would ask again for ever after COORDINATOR_NOT_AVAILABLE.
fn refuse(call: &Call, key_type: i8, key: &str) -> Option<Refusal> {
    match key_type {
        GROUP => {
            let group = Resource::Group(key);
            let allowed = call.broker().authorize(&call.principal, Operation::Describe, group);
            allowed.err().map(|denied| refusal(Code::GroupAuthorizationFailed, &denied))
        }
        TRANSACTION => Some(Refusal::new(
            Code::TransactionalIdAuthorizationFailed,
            "transactions are not supported",
        )),
        _ => {
            let text = format!("coordinators of type {key_type} are not supported");
            Some(Refusal::new(Code::InvalidRequest, text))
        }
    }
}
