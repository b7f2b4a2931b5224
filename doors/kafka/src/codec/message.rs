//! Requests and responses of the `kafka-protocol` crate, decoded only after [`super::guard`].

use bytes::Bytes;
use kafka_protocol::protocol::{Decodable, Encodable};

use super::api::Api;
use super::guard;
use super::reader::DecodeError;
use super::response::{Response, ResponseWriter};

/// Decodes a request's body. Bytes after its end are ignored, as Kafka ignores them: librdkafka sends
/// three after a flexible Metadata request.
///
/// # Errors
/// [`DecodeError`]; the connection ends.
pub(crate) fn decode<R: Decodable>(
    api: Api,
    version: i16,
    mut body: Bytes,
) -> Result<R, DecodeError> {
    let walked = guard::check(api, version, &body)?;
    let mut body = body.split_to(walked);
    let message = R::decode(&mut body, version)
        .map_err(|error| DecodeError::Message { message: api.name(), reason: error.to_string() })?;
    match body.len() {
        0 => Ok(message),
        trailing => Err(DecodeError::Trailing(trailing)),
    }
}

/// Encodes a response with its header.
///
/// # Errors
/// [`EncodeError`]: a field has no place in this version, which is a defect of the command.
pub(crate) fn encode<R: Encodable>(
    api: Api,
    version: i16,
    correlation_id: i32,
    response: &R,
) -> Result<Response, EncodeError> {
    let failed = |error| EncodeError { message: api.name(), version, reason: format!("{error:#}") };
    let size = response.compute_size(version).map_err(failed)?;
    let header_version = api.response_header_version(version);
    let mut writer = ResponseWriter::new(correlation_id, header_version, size);
    response.encode(writer.buffer(), version).map_err(failed)?;
    Ok(writer.finish())
}

/// Why a response could not be encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("response to {message} version {version} does not encode: {reason}")]
pub(crate) struct EncodeError {
    message: &'static str,
    version: i16,
    reason: String,
}
