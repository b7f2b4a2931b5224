//! ApiVersions: what is served, in the way that lets a client of any age understand it.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};

use super::{CommandError, Outcome};
use crate::codec::api::Api;
use crate::codec::message;
use crate::errors::NONE;
use crate::node::Call;

/// The first version in which a client names its software.
const SOFTWARE_FROM: i16 = 3;

pub(super) async fn handle(call: Call, request: ApiVersionsRequest) -> ApiVersionsResponse {
    let named = [&request.client_software_name, &request.client_software_version];
    if call.version >= SOFTWARE_FROM && !named.iter().all(|name| is_software_name(name)) {
        return ApiVersionsResponse::default().with_error_code(Code::InvalidRequest.code());
    }
    response(NONE)
}

/// The answer to a version from the future.
///
/// SPEC: KIP-511: a body of version 0 with UNSUPPORTED_VERSION and the versions that are served, so
/// that the client can ask again.
pub(super) fn unsupported(correlation_id: i32) -> Result<Outcome, CommandError> {
    let response = response(Code::UnsupportedVersion.code());
    Ok(Outcome::Response(message::encode(Api::ApiVersions, 0, correlation_id, &response)?))
}

/// No feature is finalized: without `transaction.version` clients use the first protocol of
/// transactions, and without `group.version` the classic one of groups. Epoch 0 says that this is
/// known rather than unknown.
fn response(error_code: i16) -> ApiVersionsResponse {
    let keys = Api::all().map(|api| {
        let versions = api.announced_versions();
        ApiVersion::default()
            .with_api_key(api.key())
            .with_min_version(*versions.start())
            .with_max_version(*versions.end())
    });
    ApiVersionsResponse::default()
        .with_error_code(error_code)
        .with_api_keys(keys.collect())
        .with_finalized_features_epoch(0)
}

/// SPEC: KIP-511: `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?`.
fn is_software_name(name: &str) -> bool {
    let (first, last) = (name.bytes().next(), name.bytes().last());
    let edges =
        [first, last].iter().all(|edge| edge.is_some_and(|byte| byte.is_ascii_alphanumeric()));
    edges && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_from_the_future_is_answered_in_version_0_with_the_list() {
        let Ok(Outcome::Response(response)) = unsupported(7) else { panic!("a response") };
        let bytes = response.to_vec();
        // Length, correlation id, error code, and the array in the encoding of version 0.
        assert_eq!(&bytes[4..10], [0, 0, 0, 7, 0, 35]);
        let count =
            usize::try_from(i32::from_be_bytes(*bytes[10..].first_chunk().unwrap())).unwrap();
        assert_eq!((count, bytes.len()), (Api::all().count(), 14 + 6 * count));
    }

    #[test]
    fn software_names_follow_the_rule() {
        for good in ["a", "librdkafka", "apache-kafka-java", "4.1.0", "v1"] {
            assert!(is_software_name(good), "{good}");
        }
        for bad in ["", "-a", "a.", "a b", "ä"] {
            assert!(!is_software_name(bad), "{bad}");
        }
    }
}
