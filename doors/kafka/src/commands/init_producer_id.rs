//! InitProducerId: an id for an idempotent producer. Transactions are refused for good.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use crate::errors;
use crate::node::Call;

/// A transactional id gets TRANSACTIONAL_ID_AUTHORIZATION_FAILED: the Java client and librdkafka
/// both take it as fatal, so that a program stops with an error rather than retrying for ever.
pub(super) async fn handle(call: Call, request: InitProducerIdRequest) -> InitProducerIdResponse {
    let refused = |code: Code| {
        InitProducerIdResponse::default()
            .with_error_code(code.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1)
    };
    if request.transactional_id.is_some() {
        return refused(Code::TransactionalIdAuthorizationFailed);
    }
    match call.broker().init_producer_id(&call.principal).await {
        Ok((id, epoch)) => InitProducerIdResponse::default()
            .with_producer_id(ProducerId(id.0))
            .with_producer_epoch(epoch.0),
        Err(error) => refused(errors::producer_id(&error)),
    }
}
