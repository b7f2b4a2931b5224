//! Services: one request, and its answer.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use posthouse_broker::{Absent, LiveMessage, RequestOptions};
use serde::Deserialize;
use utoipa::IntoParams;

use super::input::{NamePath, Parameters, Pieces};
use super::produce::{HEADER_PREFIX, record_headers};
use crate::errors::Problem;
use crate::routes::Door;

/// How long a request waits that does not say.
pub(crate) const DEADLINE_DEFAULT: Duration = Duration::from_secs(30);
/// LIMIT: how long a request may wait.
pub(crate) const DEADLINE_MAX: Duration = Duration::from_secs(60 * 60);

/// How long to wait, and for what.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestParameters {
    /// Milliseconds to the answer; 30 seconds when absent, an hour at most.
    deadline_ms: Option<u64>,
    /// Wait for a worker when there is none, rather than fail at once.
    wait: Option<bool>,
    /// The message's key, as text.
    key: Option<String>,
}

/// Ask a service: the body is the message's value, and so is the answer's.
///
/// Its headers are the request headers whose names begin with `record-header-`, and the answer's are
/// given the same way. Without a worker the answer is 503, after the deadline 504.
#[utoipa::path(
    post, path = "/services/{name}", tag = "services",
    params(("name" = String, Path, description = "The service"), RequestParameters),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The value"),
    responses(
        (status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = "default", body = Problem),
    )
)]
pub(crate) async fn request(
    door: Door,
    NamePath(name): NamePath,
    Parameters(parameters): Parameters<RequestParameters>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let value = Pieces::new(body, &door.config).collect().await?;
    let message = LiveMessage {
        key: parameters.key.map(Bytes::from),
        value: Some(value),
        headers: record_headers(&headers),
        timestamp: door.broker.clock().wall(),
    };
    let options = options(parameters.deadline_ms, parameters.wait.unwrap_or(false));
    let asked = door.broker.request(&door.principal, Bytes::from(name), message, options);
    let answer = tokio::select! {
        answer = asked => answer?,
        () = door.shutdown.cancelled() => return Err(Problem::stopping()),
    };
    Ok(response(answer))
}

/// What a request waits for, within the limits.
pub(crate) fn options(deadline_ms: Option<u64>, wait: bool) -> RequestOptions {
    let deadline = deadline_ms.map_or(DEADLINE_DEFAULT, Duration::from_millis).min(DEADLINE_MAX);
    RequestOptions { deadline, absent: if wait { Absent::Wait } else { Absent::Fail } }
}

/// Headers that HTTP cannot carry are left out.
fn response(answer: LiveMessage) -> Response {
    let mut response = Body::from(answer.value.unwrap_or_default()).into_response();
    let octets = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, octets);
    for one in answer.headers {
        let name = [HEADER_PREFIX.as_bytes(), &one.name].concat();
        let value = HeaderValue::from_maybe_shared(one.value.unwrap_or_default());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(&name), value) {
            response.headers_mut().append(name, value);
        }
    }
    response
}
