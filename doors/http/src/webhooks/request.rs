//! A message as the request that carries it.
//!
//! The body is the value, byte for byte. What else there is to know stands in headers, of which
//! `webhook-id`, `-timestamp` and `-signature` are those of Standard Webhooks.

use std::collections::BTreeMap;

use axum::http::header::{CONTENT_TYPE, USER_AGENT};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http_body_util::Full;
use posthouse_broker::Acquired;
use posthouse_record::{Header, Record};
use posthouse_types::{Timestamp, TopicId, TopicName};

use super::signature::{Secret, signatures};
use super::spec::WebhookSpec;
use crate::commands::produce::HEADER_PREFIX;

/// LIMIT: bytes of a key, or of all of a record's headers, that are sent along; servers refuse more.
const HEADER_BYTES_MAX: usize = 8 * 1024;
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("posthouse/", env!("CARGO_PKG_VERSION")));

/// What is the same for every message of a webhook.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    uri: Uri,
    topic: HeaderValue,
    secrets: Vec<Secret>,
    content_type: Option<HeaderValue>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Template {
    /// `None` when the declaration was not checked.
    pub(crate) fn new(spec: &WebhookSpec, topic: &TopicName) -> Option<Template> {
        let headers = |headers: &BTreeMap<String, String>| {
            let header = |(name, value): (&String, &String)| {
                let mut value = HeaderValue::from_str(value).ok()?;
                value.set_sensitive(true);
                Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
            };
            headers.iter().map(header).collect::<Option<Vec<_>>>()
        };
        let content_type = spec.content_type.as_deref().map(HeaderValue::from_str);
        Some(Template {
            uri: spec.url.parse().ok()?,
            topic: HeaderValue::from_str(&topic.kafka_alias()).ok()?,
            secrets: spec.secrets.clone(),
            content_type: content_type.transpose().ok()?,
            headers: headers(&spec.headers)?,
        })
    }

    /// The request for one attempt.
    pub(crate) fn request(
        &self,
        topic: TopicId,
        acquired: &Acquired,
        now: Timestamp,
    ) -> Request<Full<Bytes>> {
        let record = &acquired.record;
        let body = record.value.clone().unwrap_or_default();
        let id = message_id(topic, acquired);
        let seconds = now.as_ms().div_euclid(1000);
        let signed = signatures(&self.secrets, &id, seconds, &body);
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, AGENT);
        headers.extend(self.headers.iter().cloned());
        headers.insert(CONTENT_TYPE, self.content_type(record));
        put(headers, "webhook-id", &id);
        put(headers, "webhook-timestamp", &seconds.to_string());
        put(headers, "webhook-signature", &signed);
        headers.insert("posthouse-topic", self.topic.clone());
        put(headers, "posthouse-partition", &acquired.partition.to_string());
        put(headers, "posthouse-offset", &record.offset.to_string());
        put(headers, "posthouse-timestamp", &record.timestamp.to_string());
        put(headers, "posthouse-attempt", &acquired.delivery_count.to_string());
        describe(headers, record);
        request
    }

    /// As declared; or else the record's own; or else bytes.
    fn content_type(&self, record: &Record) -> HeaderValue {
        let own = || {
            let header = |header: &&Header| header.name.eq_ignore_ascii_case(b"content-type");
            let found = record.headers.iter().find(header)?;
            HeaderValue::from_bytes(found.value.as_ref()?).ok()
        };
        self.content_type.clone().or_else(own).unwrap_or(OCTETS)
    }
}

/// The same for every attempt of a message, and for no other message, whatever becomes of its topic's
/// name. It has no dot, because the signed text is divided by dots.
fn message_id(topic: TopicId, acquired: &Acquired) -> String {
    let (partition, offset) = (acquired.partition, acquired.record.offset);
    format!("{}-{partition}-{offset}", topic.0.simple())
}

/// The key and the headers of a record, as far as HTTP can carry them.
fn describe(headers: &mut HeaderMap, record: &Record) {
    if record.value.is_none() {
        put(headers, "posthouse-tombstone", "true");
    }
    if let Some(key) = record.key.as_ref().filter(|key| key.len() <= HEADER_BYTES_MAX) {
        let plain = key.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
        let trimmed = !key.starts_with(b" ") && !key.ends_with(b" ");
        match HeaderValue::from_bytes(key) {
            Ok(value) if plain && trimmed => {
                headers.insert("posthouse-key", value);
            }
            _ => put(headers, "posthouse-key-base64", &BASE64.encode(key)),
        }
    }
    let mut left = HEADER_BYTES_MAX;
    for header in &record.headers {
        let value = header.value.clone().unwrap_or_default();
        let name = [HEADER_PREFIX.as_bytes(), &header.name].concat();
        let Some(after) = left.checked_sub(name.len() + value.len()) else { continue };
        let value = HeaderValue::from_maybe_shared(value);
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(&name), value) {
            headers.append(name, value);
            left = after;
        }
    }
}

fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    let value = HeaderValue::from_str(value).expect("it is made of plain ASCII");
    headers.insert(name, value);
}

#[cfg(test)]
mod tests {
    use posthouse_types::{Offset, PartitionIndex};

    use super::super::spec::tests::spec;
    use super::*;

    fn acquired(key: Option<&'static [u8]>, value: Option<&'static [u8]>) -> Acquired {
        let record = Record {
            offset: Offset::ZERO.plus(17),
            timestamp: Timestamp::from_ms(5),
            key: key.map(Bytes::from_static),
            value: value.map(Bytes::from_static),
            headers: vec![
                Header { name: "Content-Type".into(), value: Some("text/plain".into()) },
                Header { name: "bad name".into(), value: Some("x".into()) },
            ],
        };
        let partition = PartitionIndex::new(1);
        Acquired { partition, delivery_count: 3, locked_until: None, record }
    }

    fn request(spec: &WebhookSpec, acquired: &Acquired) -> Request<Full<Bytes>> {
        let topic = spec.topic().unwrap();
        let template = Template::new(spec, &topic).unwrap();
        template.request(spec.topic_id, acquired, Timestamp::from_ms(1_614_265_330_999))
    }

    #[test]
    fn a_request_says_what_the_message_is_and_signs_it() {
        let mut spec = spec();
        spec.headers.insert("authorization".to_owned(), "Bearer x".to_owned());
        let request = request(&spec, &acquired(Some(b"k"), Some(b"v")));
        let header = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("webhook-id"), "00000000000000000000000000000000-1-17");
        assert_eq!(header("webhook-timestamp"), "1614265330");
        let id = header("webhook-id");
        let signed = signatures(&spec.secrets, &id, 1_614_265_330, b"v");
        assert_eq!(header("webhook-signature"), signed);
        for (name, value) in [
            ("posthouse-topic", "orders"),
            ("posthouse-partition", "1"),
            ("posthouse-offset", "17"),
            ("posthouse-timestamp", "5"),
            ("posthouse-attempt", "3"),
            ("posthouse-key", "k"),
            ("content-type", "text/plain"),
            ("record-header-content-type", "text/plain"),
            ("authorization", "Bearer x"),
        ] {
            assert_eq!(header(name), value, "{name}");
        }
        assert_eq!(request.uri(), "https://example.com/in?x=1");
    }

    #[test]
    fn what_a_header_cannot_carry_is_encoded_or_left_out() {
        let declared = WebhookSpec { content_type: Some("application/json".to_owned()), ..spec() };
        let of_key = |key| request(&declared, &acquired(Some(key), None));
        let first = of_key(b"\xff\n");
        assert_eq!(first.headers()["posthouse-key-base64"], "/wo=");
        assert_eq!(first.headers()["content-type"], "application/json");
        assert_eq!(first.headers()["posthouse-tombstone"], "true");
        assert!(!first.headers().keys().any(|name| name.as_str().contains("bad")));
        assert_eq!(of_key(b" k").headers()["posthouse-key-base64"], "IGs=");
        let large: &'static [u8] = vec![b'k'; HEADER_BYTES_MAX + 1].leak();
        assert!(!of_key(large).headers().contains_key("posthouse-key"));
    }
}
