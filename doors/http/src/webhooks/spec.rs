//! What is declared of a webhook, as the catalog keeps it.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Uri};
use posthouse_broker::{QueueConfig, QueueRef, TopicRef};
use posthouse_types::{NameError, TopicId, TopicName};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::schedule::RetryPolicy;
use super::signature::Secret;

/// LIMIT: attempts of one webhook at once.
pub(crate) const CONCURRENCY_MAX: u32 = 256;
/// LIMIT: how long an attempt may take.
pub(crate) const TIMEOUT_MS_MAX: u64 = 5 * 60 * 1000;
/// LIMIT: how long a message may wait for its next attempt.
pub(crate) const BACKOFF_MS_MAX: u64 = 7 * 24 * 60 * 60 * 1000;
/// LIMIT: bytes of a URL.
const URL_BYTES_MAX: usize = 4096;
/// LIMIT: headers that a webhook adds by itself, and bytes of one.
const HEADERS_MAX: usize = 32;
const HEADER_BYTES_MAX: usize = 4096;
/// LIMIT: messages of a partition that wait for another attempt; new ones wait behind them.
const WINDOW_MAX: u32 = 10_000;
/// How much longer than an attempt its message is locked, for what comes before and after.
const LOCK_MARGIN: Duration = Duration::from_secs(5);

/// Whether messages may overtake each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Order {
    /// Up to `concurrency` at once; one that fails is overtaken.
    #[default]
    None,
    /// One at a time of each partition; one that fails holds up its partition.
    Partition,
}

/// A webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookSpec {
    /// The topic, as Kafka spells it.
    pub(crate) topic: String,
    /// Which topic it was when this was declared; one made later is read from its beginning.
    pub(crate) topic_id: TopicId,
    pub(crate) url: String,
    /// Those that sign, the newest first; one, or two after it was changed.
    pub(crate) secrets: Vec<Secret>,
    pub(crate) order: Order,
    pub(crate) concurrency: u32,
    pub(crate) timeout_ms: u64,
    pub(crate) attempts_max: Option<u32>,
    pub(crate) backoff_ms: u64,
    pub(crate) backoff_max_ms: u64,
    pub(crate) dead_letter: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) headers: BTreeMap<String, String>,
    /// Why nothing is delivered; nothing is wrong when `None`.
    pub(crate) disabled: Option<String>,
}

/// Why something cannot be declared: the member, its value, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{member} {value:?} {reason}")]
pub(crate) struct SpecError {
    pub(crate) member: &'static str,
    pub(crate) value: String,
    pub(crate) reason: String,
}

impl WebhookSpec {
    /// Reads what the catalog keeps.
    ///
    /// # Errors
    /// It was written by a version that knows more.
    pub(crate) fn decode(spec: &Value) -> Result<WebhookSpec, serde_json::Error> {
        WebhookSpec::deserialize(spec)
    }

    pub(crate) fn encode(&self) -> Value {
        serde_json::to_value(self).expect("its maps have text as keys")
    }

    pub(crate) fn topic(&self) -> Result<TopicName, NameError> {
        TopicName::from_kafka_alias(&self.topic)
    }

    /// The queue that holds its progress.
    pub(crate) fn queue(&self, name: &str) -> Result<QueueRef, NameError> {
        Ok(QueueRef::new(TopicRef::Name(self.topic()?), format!("webhook.{name}")))
    }

    /// How that queue behaves. Order is a window of one: nothing new is given out while a message of
    /// the partition is on its way, waits for another attempt, or for its dead letter.
    pub(crate) fn queue_config(&self) -> Result<QueueConfig, NameError> {
        let dead_letter = self.dead_letter.as_deref().map(TopicName::from_kafka_alias);
        Ok(QueueConfig {
            lock_timeout: Some(self.lock()),
            deliveries_max: self.attempts_max,
            window_max: match self.order {
                Order::None => WINDOW_MAX,
                Order::Partition => 1,
            },
            dead_letter: dead_letter.transpose()?,
        })
    }

    /// How long a message is locked while it is sent. When the node dies in the middle, it is sent
    /// again after this time at the latest.
    pub(crate) fn lock(&self) -> Duration {
        self.timeout() + LOCK_MARGIN
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    pub(crate) fn policy(&self) -> RetryPolicy {
        RetryPolicy {
            concurrency: usize::try_from(self.concurrency).unwrap_or(usize::MAX),
            attempts_max: self.attempts_max,
            backoff: Duration::from_millis(self.backoff_ms),
            backoff_max: Duration::from_millis(self.backoff_max_ms),
        }
    }

    /// Checks everything that does not need the node.
    ///
    /// # Errors
    /// [`SpecError`] for the first member that cannot be used.
    pub(crate) fn check(&self) -> Result<(), SpecError> {
        check_url(&self.url)?;
        within("concurrency", u64::from(self.concurrency), 1, u64::from(CONCURRENCY_MAX))?;
        within("timeout_ms", self.timeout_ms, 1, TIMEOUT_MS_MAX)?;
        within("backoff_ms", self.backoff_ms, 1, BACKOFF_MS_MAX)?;
        within("backoff_max_ms", self.backoff_max_ms, self.backoff_ms, BACKOFF_MS_MAX)?;
        if let Some(attempts) = self.attempts_max {
            within("attempts_max", u64::from(attempts), 1, u64::from(u32::MAX))?;
        }
        if let Some(text) = &self.content_type
            && HeaderValue::from_str(text).is_err()
        {
            return Err(wrong("content_type", text, "cannot stand in a header"));
        }
        self.check_headers()
    }

    fn check_headers(&self) -> Result<(), SpecError> {
        within("headers", count(self.headers.len()), 0, count(HEADERS_MAX))?;
        for (name, value) in &self.headers {
            let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
                return Err(wrong("headers", name, "is not the name of a header"));
            };
            if is_ours(header.as_str()) {
                return Err(wrong("headers", name, "is set by the node itself"));
            }
            let len = name.len() + value.len();
            if HeaderValue::from_str(value).is_err() || len > HEADER_BYTES_MAX {
                // The value may be a password.
                return Err(wrong("headers", name, "has a value that a header cannot have"));
            }
        }
        Ok(())
    }
}

/// Headers that say what a message is, and those that belong to the connection.
fn is_ours(name: &str) -> bool {
    const OURS: [&str; 8] = [
        "host",
        "content-length",
        "content-type",
        "connection",
        "transfer-encoding",
        "upgrade",
        "te",
        "trailer",
    ];
    let prefixes = ["webhook-", "posthouse-", "record-header-"];
    OURS.contains(&name) || prefixes.iter().any(|prefix| name.starts_with(prefix))
}

fn check_url(text: &str) -> Result<(), SpecError> {
    let shown: String = text.chars().take(200).collect();
    let refuse = |reason: &str| Err(wrong("url", &shown, reason));
    if text.len() > URL_BYTES_MAX {
        return refuse("is longer than 4096 bytes");
    }
    let Ok(uri) = text.parse::<Uri>() else { return refuse("is not a URL") };
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return refuse("does not begin with http:// or https://");
    }
    match uri.authority() {
        Some(authority) if authority.as_str().contains('@') => {
            // Shown to whoever lists the webhooks, which a header is not.
            let reason = "holds a name and password; give an authorization header instead";
            Err(wrong("url", "with @", reason))
        }
        Some(authority) if !authority.host().is_empty() => Ok(()),
        _ => refuse("names no host"),
    }
}

fn within(member: &'static str, value: u64, min: u64, max: u64) -> Result<(), SpecError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(wrong(member, &value.to_string(), &format!("is not {min} to {max}")))
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

fn wrong(member: &'static str, value: &str, reason: &str) -> SpecError {
    SpecError { member, value: value.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::webhooks) fn spec() -> WebhookSpec {
        WebhookSpec {
            topic: "orders".to_owned(),
            topic_id: TopicId(uuid::Uuid::nil()),
            url: "https://example.com/in?x=1".to_owned(),
            secrets: vec![Secret::random().unwrap()],
            order: Order::None,
            concurrency: 8,
            timeout_ms: 15_000,
            attempts_max: Some(24),
            backoff_ms: 1_000,
            backoff_max_ms: 3_600_000,
            dead_letter: Some("orders.dead".to_owned()),
            content_type: None,
            headers: BTreeMap::new(),
            disabled: None,
        }
    }

    fn refused(change: impl FnOnce(&mut WebhookSpec)) -> &'static str {
        let mut spec = spec();
        change(&mut spec);
        spec.check().unwrap_err().member
    }

    #[test]
    fn what_was_declared_reads_back() {
        let spec = spec();
        assert_eq!(WebhookSpec::decode(&spec.encode()).unwrap(), spec);
        assert_eq!(spec.check(), Ok(()));
    }

    #[test]
    fn order_is_a_window_of_one() {
        let mut spec = spec();
        assert_eq!(spec.queue_config().unwrap().window_max, WINDOW_MAX);
        spec.order = Order::Partition;
        assert_eq!(spec.queue_config().unwrap().window_max, 1);
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        for url in ["", "example.com", "ftp://h/", "http://", "http://u:p@h/", "http://h /"] {
            assert_eq!(refused(|spec| spec.url = url.to_owned()), "url", "{url}");
        }
        assert_eq!(refused(|spec| spec.concurrency = 0), "concurrency");
        assert_eq!(refused(|spec| spec.timeout_ms = 0), "timeout_ms");
        assert_eq!(refused(|spec| spec.backoff_max_ms = 1), "backoff_max_ms");
        assert_eq!(refused(|spec| spec.attempts_max = Some(0)), "attempts_max");
        assert_eq!(refused(|spec| spec.content_type = Some("a\nb".to_owned())), "content_type");
        for (name, value) in [("Webhook-Id", "1"), ("host", "x"), ("a b", "x"), ("a", "\r\nb: c")] {
            let header = (name.to_owned(), value.to_owned());
            assert_eq!(refused(|spec| spec.headers.extend([header])), "headers", "{name}");
        }
    }

    #[test]
    fn a_refused_password_is_not_repeated() {
        let mut spec = spec();
        spec.url = "http://me:hunter2@h/".to_owned();
        assert!(!spec.check().unwrap_err().to_string().contains("hunter2"));
        spec = self::spec();
        spec.headers.insert("authorization".to_owned(), "hunter2\n".to_owned());
        assert!(!spec.check().unwrap_err().to_string().contains("hunter2"));
    }
}
