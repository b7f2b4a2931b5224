//! Sends requests and reads the answers, no further than they are needed.
//!
//! Redirects are answers like any other: a message is signed for the URL that was declared, and
//! nowhere else it is sent.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, Request, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use jiff::fmt::rfc2822::DateTimeParser;
use posthouse_types::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

use super::schedule::Outcome;
use crate::errors::chain;

/// LIMIT: what is read of an answer; the connection of a longer one is closed.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// LIMIT: characters of an answer that are shown.
const EXCERPT_CHARS_MAX: usize = 200;
/// LIMIT: connections kept open to one destination while nothing is sent, and for how long.
const IDLE_CONNECTIONS_MAX: usize = 32;
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Every webhook's way out.
#[derive(Clone, Debug)]
pub(crate) struct WebhookClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// How an attempt ended, and what there is to say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    /// The status, where there was one.
    pub(crate) status: Option<u16>,
    /// What went wrong; empty when nothing did.
    pub(crate) error: String,
}

impl WebhookClient {
    /// Trusts what the machine trusts, and `more`.
    pub(crate) fn new(more: &[CertificateDer<'static>]) -> WebhookClient {
        let mut roots = RootCertStore::empty();
        let native = rustls_native_certs::load_native_certs();
        for error in &native.errors {
            tracing::warn!(%error, "some of the machine's certificates cannot be read");
        }
        roots.add_parsable_certificates(native.certs);
        roots.add_parsable_certificates(more.iter().cloned());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has a cipher suite for each version")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_keepalive(Some(KEEPALIVE));
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .build(https);
        WebhookClient { client }
    }

    /// Sends one request; everything together takes `timeout` at most.
    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
        timeout: Duration,
        now: Timestamp,
    ) -> Answer {
        match tokio::time::timeout(timeout, self.exchange(request, now)).await {
            Ok(answer) => answer,
            Err(_) => failed(format!("no answer within {} ms", timeout.as_millis())),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>, now: Timestamp) -> Answer {
        let response = match self.client.request(request).await {
            Ok(response) => response,
            Err(error) => return failed(chain(&error)),
        };
        let (head, body) = response.into_parts();
        // A destination that answered has decided, whatever becomes of the rest of its answer.
        let excerpt = read(body).await.unwrap_or_default();
        judge(head.status, &head.headers, &excerpt, now)
    }
}

/// What a status means.
fn judge(status: StatusCode, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Answer {
    let outcome = match status {
        StatusCode::GONE => Outcome::Gone,
        _ if status.is_success() => Outcome::Accepted,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            Outcome::Failed { retry_after: retry_after(headers, now) }
        }
        _ => Outcome::Failed { retry_after: None },
    };
    let error = if outcome == Outcome::Accepted { String::new() } else { explain(status, body) };
    Answer { outcome, status: Some(status.as_u16()), error }
}

fn explain(status: StatusCode, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = words.char_indices().nth(EXCERPT_CHARS_MAX) {
        words.truncate(end);
    }
    let reason = status.canonical_reason().unwrap_or_default();
    let head = format!("{} {reason}", status.as_u16());
    if words.is_empty() {
        head.trim_end().to_owned()
    } else {
        format!("{}: {words}", head.trim_end())
    }
}

/// SPEC: RFC 9110 section 10.2.3: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = DateTimeParser::new().parse_timestamp(text).ok()?;
    let ms = date.as_millisecond().saturating_sub(now.as_ms());
    Some(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
}

/// The beginning of an answer. One that is read to its end leaves its connection to the next request.
async fn read(mut body: Incoming) -> Result<Vec<u8>, hyper::Error> {
    let mut found = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        let room = ANSWER_BYTES_MAX - found.len();
        found.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() >= room {
            break;
        }
    }
    Ok(found)
}

fn failed(error: String) -> Answer {
    Answer { outcome: Outcome::Failed { retry_after: None }, status: None, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, retry_after: Option<&str>) -> Outcome {
        let mut headers = HeaderMap::new();
        if let Some(text) = retry_after {
            headers.insert(RETRY_AFTER, text.parse().unwrap());
        }
        let now = Timestamp::from_ms(784_111_777_000);
        judge(StatusCode::from_u16(status).unwrap(), &headers, b"", now).outcome
    }

    #[test]
    fn only_2xx_is_accepted_and_410_is_the_end() {
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(judged(status, None), Outcome::Accepted, "{status}");
        }
        for status in [301, 302, 304, 308, 400, 401, 404, 408, 409, 500, 502, 504] {
            let failed = Outcome::Failed { retry_after: None };
            assert_eq!(judged(status, Some("7")), failed, "{status}");
        }
        assert_eq!(judged(410, None), Outcome::Gone);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let after = |text| match judged(503, Some(text)) {
            Outcome::Failed { retry_after } => retry_after.map(|wait| wait.as_secs()),
            _ => None,
        };
        assert_eq!(after("120"), Some(120));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:47 GMT"), Some(10));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:07 GMT"), Some(0));
        assert_eq!(after("99999999999999999999999"), Some(u64::MAX));
        assert_eq!(after("soon"), None);
        assert_eq!(
            judged(429, Some("1")),
            Outcome::Failed { retry_after: Some(Duration::from_secs(1)) }
        );
    }

    #[test]
    fn an_answer_is_shown_on_one_line_and_not_at_length() {
        let text = explain(StatusCode::BAD_REQUEST, b"no\n  such\tthing");
        assert_eq!(text, "400 Bad Request: no such thing");
        let long = explain(StatusCode::BAD_REQUEST, "ü".repeat(1000).as_bytes());
        assert_eq!(long.chars().count(), "400 Bad Request: ".len() + EXCERPT_CHARS_MAX);
        assert_eq!(explain(StatusCode::from_u16(599).unwrap(), b""), "599");
    }
}
