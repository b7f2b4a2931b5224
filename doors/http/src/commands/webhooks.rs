//! Webhooks: list, make, describe, change, delete; and a new secret.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Body;
use axum::http::StatusCode;
use posthouse_broker::{
    Declaration, DeclarationKind, DeclareError, DeclareMode, PendingQuery, PendingState,
    QueueChange, QueueError, QueuePartition, QueueStart, TopicRef,
};
use posthouse_types::{Timestamp, TopicName};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::input::{NamePath, json};
use super::queues::{given, position};
use crate::errors::Problem;
use crate::routes::Door;
use crate::webhooks::{Order, Secret, SecretError, WebhookSpec, WebhookState};

/// A webhook to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewWebhook {
    /// Its name: letters, digits, dot, dash, underscore.
    name: String,
    /// The topic.
    topic: String,
    /// Where its messages go: `http://` or `https://`.
    url: String,
    /// `beginning`, `end` (the default), or an offset.
    start: Option<String>,
    /// What signs: `whsec_` and 24 to 64 bytes in base64. One is made when it is left out.
    secret: Option<String>,
    /// How it delivers.
    #[serde(flatten)]
    #[schema(inline)]
    how: How,
}

/// How a webhook delivers; what is left out has its default, or stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct How {
    /// `none` (the default): messages may overtake each other. `partition`: one at a time of each
    /// partition, in order, and one that fails holds up its partition.
    order: Option<Order>,
    /// Most requests at once; 8.
    concurrency: Option<u32>,
    /// How long a request may take, in milliseconds; 15,000.
    timeout_ms: Option<u64>,
    /// Attempts of one message before it is dead-lettered; 24; any number when `null`.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<u32>)]
    attempts_max: Option<Option<u32>>,
    /// The wait before the second attempt, in milliseconds; it doubles each time; 1,000.
    backoff_ms: Option<u64>,
    /// The longest wait, in milliseconds; 3,600,000.
    backoff_max_ms: Option<u64>,
    /// The dead-letter topic; made when it does not exist.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    dead_letter: Option<Option<String>>,
    /// The type of every body; when left out, a message's own `content-type` header or bytes.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    content_type: Option<Option<String>>,
    /// Headers added to every request. They may hold passwords: only their names are shown again.
    headers: Option<BTreeMap<String, String>>,
}

/// A change of a webhook; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangedWebhook {
    /// Where its messages go from now on.
    url: Option<String>,
    /// `false`: deliver nothing for now. `true`: deliver again, also after the destination ended it.
    enabled: Option<bool>,
    /// How it delivers.
    #[serde(flatten)]
    #[schema(inline)]
    how: How,
}

/// A webhook.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookBody {
    name: String,
    topic: String,
    url: String,
    order: Order,
    concurrency: u32,
    timeout_ms: u64,
    attempts_max: Option<u32>,
    backoff_ms: u64,
    backoff_max_ms: u64,
    dead_letter: Option<String>,
    content_type: Option<String>,
    /// The names of the headers it adds.
    headers: Vec<String>,
    enabled: bool,
    /// Why it is not enabled.
    disabled: Option<String>,
    /// The queue that holds its progress: `GET /queues/{topic}/{queue}/pending` shows what waits.
    queue: String,
    status: WebhookStatusBody,
}

/// What a webhook has done since the node began.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookStatusBody {
    /// `starting`, `delivering`, `paused` (the destination fails, and is left alone for a while),
    /// `failing` (the node itself cannot go on) or `disabled`.
    state: &'static str,
    /// Messages accepted by the destination.
    delivered: u64,
    /// Attempts that failed.
    failed: u64,
    /// Messages given up.
    dead_lettered: u64,
    /// Requests under way.
    in_flight: usize,
    /// Messages that wait for another attempt.
    waiting: usize,
    /// Messages of the topic that are not settled; `null` while that cannot be known.
    lag: Option<u64>,
    /// When a message was last accepted, in milliseconds since 1970.
    last_delivered_at: Option<i64>,
    /// What went wrong last.
    last_error: Option<ErrorBody>,
    /// The next attempt of a message that waits, or of the destination, in milliseconds since 1970.
    next_attempt_at: Option<i64>,
}

/// Something that went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// When, in milliseconds since 1970.
    at: i64,
    /// What.
    error: String,
}

/// A webhook that was made, or given another secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookSecret {
    /// The secret, which is not shown again.
    secret: String,
    /// The webhook.
    #[serde(flatten)]
    #[schema(inline)]
    webhook: WebhookBody,
}

/// List the webhooks.
#[utoipa::path(get, path = "/webhooks", tag = "webhooks",
    responses((status = 200, body = Vec<WebhookBody>), (status = "default", body = Problem)))]
pub(crate) async fn list(door: Door) -> Result<Json<Vec<WebhookBody>>, Problem> {
    let declared = door.broker.declarations(&door.principal, DeclarationKind::Webhook)?;
    let mut webhooks = Vec::with_capacity(declared.len());
    for declaration in declared.values() {
        let spec = decode(declaration)?;
        webhooks.push(describe_one(&door, &declaration.name, spec).await);
    }
    Ok(Json(webhooks))
}

/// Make a webhook: a topic delivered to a URL. The answer has its secret, which is not shown again.
#[utoipa::path(post, path = "/webhooks", tag = "webhooks", request_body = NewWebhook,
    responses((status = 201, body = WebhookSecret), (status = "default", body = Problem)))]
pub(crate) async fn create(
    door: Door,
    body: Body,
) -> Result<(StatusCode, Json<WebhookSecret>), Problem> {
    let new: NewWebhook = json(body, &door.config).await?;
    let start = new.start.as_deref().map(position).transpose()?.unwrap_or(QueueStart::Latest);
    let secret = match new.secret {
        Some(text) => Secret::try_from(text)?,
        None => new_secret()?,
    };
    let topic_name = TopicName::from_kafka_alias(&new.topic)?;
    let topic = door.broker.topic(&door.principal, &TopicRef::Name(topic_name.clone())).await?;
    let mut spec = WebhookSpec {
        topic: topic_name.kafka_alias(),
        topic_id: topic.id,
        url: new.url,
        secrets: vec![secret.clone()],
        order: Order::default(),
        concurrency: 8,
        timeout_ms: 15_000,
        attempts_max: Some(24),
        backoff_ms: 1_000,
        backoff_max_ms: 3_600_000,
        dead_letter: None,
        content_type: None,
        headers: BTreeMap::new(),
        disabled: None,
    };
    new.how.apply(&mut spec);
    spec.check()?;
    let _changing = door.outlets.changing().await;
    let declared = door.broker.declarations(&door.principal, DeclarationKind::Webhook)?;
    if declared.contains_key(&new.name) {
        let kind = DeclarationKind::Webhook;
        return Err(DeclareError::Exists { kind, name: new.name }.into());
    }
    let (queue, config) = (spec.queue(&new.name)?, spec.queue_config()?);
    // One that is there is what a crash left of a webhook that was never declared, or not deleted.
    match door.broker.queue_delete(&door.principal, &queue).await {
        Ok(()) | Err(QueueError::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    door.broker.queue_create(&door.principal, &queue, start, config).await?;
    if let Err(error) = declare(&door, &new.name, &spec, DeclareMode::Create).await {
        // What cannot be undone is undone by the next one of this name.
        let _ = door.broker.queue_delete(&door.principal, &queue).await;
        return Err(error);
    }
    let webhook = describe_one(&door, &new.name, spec).await;
    Ok((StatusCode::CREATED, Json(WebhookSecret { secret: secret.reveal(), webhook })))
}

/// Describe a webhook, and how it is doing.
#[utoipa::path(get, path = "/webhooks/{name}", tag = "webhooks",
    params(("name" = String, Path, description = "The webhook")),
    responses((status = 200, body = WebhookBody), (status = "default", body = Problem)))]
pub(crate) async fn describe(
    door: Door,
    NamePath(name): NamePath,
) -> Result<Json<WebhookBody>, Problem> {
    let spec = find(&door, &name)?;
    Ok(Json(describe_one(&door, &name, spec).await))
}

/// Change a webhook. Messages that wait for another attempt keep their time.
#[utoipa::path(patch, path = "/webhooks/{name}", tag = "webhooks", request_body = ChangedWebhook,
    params(("name" = String, Path, description = "The webhook")),
    responses((status = 200, body = WebhookBody), (status = "default", body = Problem)))]
pub(crate) async fn alter(
    door: Door,
    NamePath(name): NamePath,
    body: Body,
) -> Result<Json<WebhookBody>, Problem> {
    let changed: ChangedWebhook = json(body, &door.config).await?;
    let _changing = door.outlets.changing().await;
    let mut spec = find(&door, &name)?;
    if let Some(url) = changed.url {
        spec.url = url;
    }
    match changed.enabled {
        Some(true) => spec.disabled = None,
        Some(false) => spec.disabled = Some("disabled by request".to_owned()),
        None => {}
    }
    changed.how.apply(&mut spec);
    spec.check()?;
    // Whoever carries it out does the same, but could tell nobody why not.
    let change = QueueChange { config: Some(spec.queue_config()?), position: None };
    match door.broker.queue_set(&door.principal, &spec.queue(&name)?, change).await {
        Ok(()) | Err(QueueError::NotFound { .. } | QueueError::Lookup(_)) => {}
        Err(error) => return Err(error.into()),
    }
    declare(&door, &name, &spec, DeclareMode::Replace).await?;
    Ok(Json(describe_one(&door, &name, spec).await))
}

/// Give a webhook another secret. The one before it signs as well, until the next time.
#[utoipa::path(post, path = "/webhooks/{name}/rotate", tag = "webhooks",
    params(("name" = String, Path, description = "The webhook")),
    responses((status = 200, body = WebhookSecret), (status = "default", body = Problem)))]
pub(crate) async fn rotate(
    door: Door,
    NamePath(name): NamePath,
) -> Result<Json<WebhookSecret>, Problem> {
    let _changing = door.outlets.changing().await;
    let mut spec = find(&door, &name)?;
    let secret = new_secret()?;
    spec.secrets.insert(0, secret.clone());
    spec.secrets.truncate(2);
    declare(&door, &name, &spec, DeclareMode::Replace).await?;
    let webhook = describe_one(&door, &name, spec).await;
    Ok(Json(WebhookSecret { secret: secret.reveal(), webhook }))
}

/// Delete a webhook, with what it had not delivered. The topic stays.
#[utoipa::path(delete, path = "/webhooks/{name}", tag = "webhooks",
    params(("name" = String, Path, description = "The webhook")),
    responses((status = 204), (status = "default", body = Problem)))]
pub(crate) async fn delete(door: Door, NamePath(name): NamePath) -> Result<StatusCode, Problem> {
    let _changing = door.outlets.changing().await;
    let spec = find(&door, &name)?;
    door.broker.undeclare(&door.principal, DeclarationKind::Webhook, &name).await?;
    // Ended before its queue is deleted, which it would make again.
    door.outlets.webhooks().reconcile().await?;
    match door.broker.queue_delete(&door.principal, &spec.queue(&name)?).await {
        Ok(()) | Err(QueueError::NotFound { .. } | QueueError::Lookup(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(StatusCode::NO_CONTENT)
}

impl How {
    fn apply(self, spec: &mut WebhookSpec) {
        fn set<T>(to: &mut T, from: Option<T>) {
            if let Some(value) = from {
                *to = value;
            }
        }
        let How { order, concurrency, timeout_ms, attempts_max, .. } = self;
        let How { backoff_ms, backoff_max_ms, dead_letter, content_type, headers, .. } = self;
        set(&mut spec.order, order);
        set(&mut spec.concurrency, concurrency);
        set(&mut spec.timeout_ms, timeout_ms);
        set(&mut spec.attempts_max, attempts_max);
        set(&mut spec.backoff_ms, backoff_ms);
        set(&mut spec.backoff_max_ms, backoff_max_ms);
        set(&mut spec.dead_letter, dead_letter);
        set(&mut spec.content_type, content_type);
        set(&mut spec.headers, headers);
    }
}

/// Declares, and has it carried out.
async fn declare(
    door: &Door,
    name: &str,
    spec: &WebhookSpec,
    mode: DeclareMode,
) -> Result<(), Problem> {
    let (kind, name) = (DeclarationKind::Webhook, name.to_owned());
    let declaration = Declaration { kind, name, spec: spec.encode() };
    door.broker.declare(&door.principal, declaration, mode).await?;
    Ok(door.outlets.webhooks().reconcile().await?)
}

fn find(door: &Door, name: &str) -> Result<WebhookSpec, Problem> {
    let kind = DeclarationKind::Webhook;
    let declared = door.broker.declarations(&door.principal, kind)?;
    let unknown = || DeclareError::Unknown { kind, name: name.to_owned() };
    decode(declared.get(name).ok_or_else(unknown)?)
}

fn decode(declaration: &Declaration) -> Result<WebhookSpec, Problem> {
    WebhookSpec::decode(&declaration.spec).map_err(|error| {
        let detail = format!("webhook {} cannot be read: {error}", declaration.name);
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "storage", detail)
            .help("it was declared by a newer version; delete it, or go back to that version")
    })
}

fn new_secret() -> Result<Secret, Problem> {
    Secret::random().map_err(|error| {
        let detail = format!("cannot make a secret: {error}");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no_randomness", detail).help("give a secret")
    })
}

async fn describe_one(door: &Door, name: &str, spec: WebhookSpec) -> WebhookBody {
    let status = status(door, name, &spec).await;
    WebhookBody {
        name: name.to_owned(),
        queue: format!("webhook.{name}"),
        topic: spec.topic().map_or_else(|_| spec.topic.clone(), |topic| topic.to_string()),
        url: spec.url,
        order: spec.order,
        concurrency: spec.concurrency,
        timeout_ms: spec.timeout_ms,
        attempts_max: spec.attempts_max,
        backoff_ms: spec.backoff_ms,
        backoff_max_ms: spec.backoff_max_ms,
        dead_letter: spec.dead_letter,
        content_type: spec.content_type,
        headers: spec.headers.into_keys().collect(),
        enabled: spec.disabled.is_none(),
        disabled: spec.disabled,
        status,
    }
}

async fn status(door: &Door, name: &str, spec: &WebhookSpec) -> WebhookStatusBody {
    let known = door.outlets.webhooks().status(name).known();
    let (mut waiting, mut lag, mut next) = (0, None, None);
    if let Ok(queue) = spec.queue(name) {
        if let Ok(description) = door.broker.queue_describe(&door.principal, &queue).await {
            let sum = |count: fn(&QueuePartition) -> usize| {
                description.partitions.iter().map(count).sum::<usize>()
            };
            let pending = sum(|one| one.acquired + one.available);
            waiting = pending.saturating_sub(known.in_flight);
            let pending = pending + sum(|one| one.rejected);
            let left = |one: &QueuePartition| one.end.map(|end| end.since(one.next));
            let fresh = description.partitions.iter().map(left).sum::<Option<u64>>();
            lag = fresh.map(|fresh| fresh + u64::try_from(pending).unwrap_or(0));
        }
        let query = PendingQuery { limit: 1000, ..PendingQuery::default() };
        if waiting > 0
            && let Ok(pending) = door.broker.queue_pending(&door.principal, &queue, &query).await
        {
            let until = |state| match state {
                PendingState::Acquired { until, .. } => until,
                PendingState::Available | PendingState::Rejected => None,
            };
            next = pending.into_iter().filter_map(|one| until(one.state)).min();
        }
    }
    let state = match known.state {
        _ if spec.disabled.is_some() => "disabled",
        WebhookState::Starting => "starting",
        WebhookState::Delivering => "delivering",
        WebhookState::Paused { until } => {
            next = Some(until);
            "paused"
        }
        WebhookState::Failing => "failing",
    };
    WebhookStatusBody {
        state,
        delivered: known.delivered,
        failed: known.failed,
        dead_lettered: known.dead_lettered,
        in_flight: known.in_flight,
        waiting,
        lag,
        last_delivered_at: known.delivered_at.map(Timestamp::as_ms),
        last_error: known.last_error.map(ErrorBody::from),
        next_attempt_at: next.filter(|_| spec.disabled.is_none()).map(Timestamp::as_ms),
    }
}

impl From<(Timestamp, String)> for ErrorBody {
    fn from((at, error): (Timestamp, String)) -> ErrorBody {
        ErrorBody { at: at.as_ms(), error }
    }
}

impl From<SecretError> for Problem {
    fn from(error: SecretError) -> Problem {
        // Not repeated: it may be one that is used elsewhere.
        Problem::new(StatusCode::BAD_REQUEST, "invalid_parameter", format!("the secret {error}"))
            .with("parameter", "secret")
    }
}
