//! Working on a queue: lease messages, acknowledge, release, reject or extend them, see what is
//! pending.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use posthouse_broker::{Acquire, Acquired, Held, Outcome, Pending, PendingQuery, PendingState};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::input::{Parameters, json, json_or_default};
use super::queues::{QueuePath, text};
use crate::codec::lease;
use crate::codec::record::encode_line;
use crate::errors::Problem;
use crate::routes::Door;

/// LIMIT: the longest lock that a lease may ask for.
const LOCK_MS_MAX: u64 = 7 * 24 * 60 * 60 * 1000;

/// A request for messages; everything may be left out.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LeaseRequest {
    /// In whose name; `http` when left out. Choose one for each worker, to see who holds what.
    owner: Option<String>,
    /// Most messages; 1 when left out.
    max: Option<usize>,
    /// Most bytes of messages, but for the first; 1 MiB when left out.
    bytes_max: Option<usize>,
    /// Wait this long for the first message.
    wait_ms: Option<u64>,
    /// How long the lease lasts, instead of the queue's own `lock_ms`; a week at most.
    lock_ms: Option<u64>,
}

/// Messages that are leased now.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what lease writes, for the OpenAPI document")]
pub(crate) struct Leased {
    /// The messages; none when the time was up.
    messages: Vec<LeasedMessage>,
}

/// A message that is leased now.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what lease writes, for the OpenAPI document")]
pub(crate) struct LeasedMessage {
    /// What to acknowledge, release, reject or extend it with.
    lease: String,
    /// How often it was delivered, this time included.
    delivery_count: u32,
    /// When the lease ends, in milliseconds since 1970; `null`: never.
    locked_until: Option<i64>,
    /// The message, as reading the topic gives it.
    #[schema(inline)]
    #[serde(flatten)]
    record: super::produce::RecordBody,
}

/// Leases to be ended.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Leases {
    /// As they were given.
    leases: Vec<String>,
}

/// Leases of messages that are not to be delivered again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rejection {
    /// As they were given.
    leases: Vec<String>,
    /// Why, for whoever looks at the dead-letter topic.
    #[serde(default)]
    reason: String,
}

/// Leases that shall last longer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Extension {
    /// As they were given.
    leases: Vec<String>,
    /// From now on; a week at most.
    lock_ms: u64,
}

/// What became of leases.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Settled {
    /// How many it was done for.
    done: usize,
    /// Leases that had ended: their messages are settled, or someone else's.
    not_held: Vec<String>,
}

/// Which pending messages.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct PendingParameters {
    /// Only this owner's.
    owner: Option<String>,
    /// Only those delivered at least this long ago.
    min_idle_ms: Option<u64>,
    /// Most messages; 100 when left out, and never more than 10,000.
    limit: Option<usize>,
}

/// A message delivered and not settled.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PendingBody {
    /// Its partition.
    partition: u32,
    /// Its offset.
    offset: i64,
    /// `leased`, `available`, or `rejected`: on its way to the dead-letter topic.
    state: &'static str,
    /// Who holds it.
    owner: Option<String>,
    /// When the lease ends, in milliseconds since 1970; `null`: never.
    locked_until: Option<i64>,
    /// Since its last delivery, in milliseconds.
    idle_ms: u64,
    /// How often it was delivered.
    delivery_count: u32,
}

/// Lease messages: nobody else gets them until the lease ends. Acknowledge each when its work is
/// done.
#[utoipa::path(post, path = "/queues/{topic}/{group}/lease", tag = "queues",
    params(("topic" = String, Path, description = "The topic"), ("group" = String, Path, description = "The group")),
    request_body = LeaseRequest,
    responses((status = 200, body = Leased), (status = "default", body = Problem)))]
pub(crate) async fn lease(
    door: Door,
    QueuePath(queue): QueuePath,
    body: Body,
) -> Result<Response, Problem> {
    let asked: LeaseRequest = json_or_default(body, &door.config).await?;
    let owner = asked.owner.unwrap_or_else(|| "http".to_owned());
    let wait_max = Duration::from_millis(asked.wait_ms.unwrap_or(0)).min(door.config.wait_max);
    let body_max = door.config.body_bytes_max.as_usize();
    let acquire = Acquire {
        bytes_max: asked.bytes_max.unwrap_or(1 << 20).min(body_max),
        lock: asked.lock_ms.map(lock).transpose()?,
        ..Acquire::new(owner.clone(), asked.max.unwrap_or(1)).waiting(wait_max)
    };
    let acquired = tokio::select! {
        biased;
        () = door.shutdown.cancelled() => Vec::new(),
        acquired = door.broker.queue_acquire(&door.principal, &queue, acquire) => acquired?,
    };
    let head = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    Ok((head, encode(&owner, &acquired)).into_response())
}

/// Acknowledge: the work is done, and the messages are never delivered again. Durable when answered.
#[utoipa::path(post, path = "/queues/{topic}/{group}/ack", tag = "queues",
    params(("topic" = String, Path, description = "The topic"), ("group" = String, Path, description = "The group")),
    request_body = Leases,
    responses((status = 200, body = Settled), (status = "default", body = Problem)))]
pub(crate) async fn ack(
    door: Door,
    QueuePath(queue): QueuePath,
    body: Body,
) -> Result<Json<Settled>, Problem> {
    let Leases { leases } = json(body, &door.config).await?;
    let held = held(&leases)?;
    let outcomes = door.broker.queue_accept(&door.principal, &queue, &held).await?;
    Ok(settled(leases, &outcomes))
}

/// Release: someone else may have the messages at once; after too many deliveries they are
/// dead-lettered.
#[utoipa::path(post, path = "/queues/{topic}/{group}/release", tag = "queues",
    params(("topic" = String, Path, description = "The topic"), ("group" = String, Path, description = "The group")),
    request_body = Leases,
    responses((status = 200, body = Settled), (status = "default", body = Problem)))]
pub(crate) async fn release(
    door: Door,
    QueuePath(queue): QueuePath,
    body: Body,
) -> Result<Json<Settled>, Problem> {
    let Leases { leases } = json(body, &door.config).await?;
    let held = held(&leases)?;
    let outcomes = door.broker.queue_release(&door.principal, &queue, &held).await?;
    Ok(settled(leases, &outcomes))
}

/// Reject: the messages are not to be delivered again, and go to the dead-letter topic, if there is
/// one.
#[utoipa::path(post, path = "/queues/{topic}/{group}/reject", tag = "queues",
    params(("topic" = String, Path, description = "The topic"), ("group" = String, Path, description = "The group")),
    request_body = Rejection,
    responses((status = 200, body = Settled), (status = "default", body = Problem)))]
pub(crate) async fn reject(
    door: Door,
    QueuePath(queue): QueuePath,
    body: Body,
) -> Result<Json<Settled>, Problem> {
    let Rejection { leases, reason } = json(body, &door.config).await?;
    let held = held(&leases)?;
    let reason = if reason.is_empty() { "rejected" } else { reason.as_str() };
    let outcomes = door.broker.queue_reject(&door.principal, &queue, &held, reason).await?;
    Ok(settled(leases, &outcomes))
}

/// Extend: the leases last longer, because the work does.
#[utoipa::path(post, path = "/queues/{topic}/{group}/extend", tag = "queues",
    params(("topic" = String, Path, description = "The topic"), ("group" = String, Path, description = "The group")),
    request_body = Extension,
    responses((status = 200, body = Settled), (status = "default", body = Problem)))]
pub(crate) async fn extend(
    door: Door,
    QueuePath(queue): QueuePath,
    body: Body,
) -> Result<Json<Settled>, Problem> {
    let Extension { leases, lock_ms } = json(body, &door.config).await?;
    let (held, lock) = (held(&leases)?, lock(lock_ms)?);
    let outcomes = door.broker.queue_extend(&door.principal, &queue, &held, Some(lock)).await?;
    Ok(settled(leases, &outcomes))
}

/// List messages that were delivered and are not settled, by partition and offset.
#[utoipa::path(get, path = "/queues/{topic}/{group}/pending", tag = "queues",
    params(("topic" = String, Path, description = "The topic"), ("group" = String, Path, description = "The group"), PendingParameters),
    responses((status = 200, body = Vec<PendingBody>), (status = "default", body = Problem)))]
pub(crate) async fn pending(
    door: Door,
    QueuePath(queue): QueuePath,
    Parameters(asked): Parameters<PendingParameters>,
) -> Result<Json<Vec<PendingBody>>, Problem> {
    let query = PendingQuery {
        owner: asked.owner.map(Bytes::from),
        min_idle: Duration::from_millis(asked.min_idle_ms.unwrap_or(0)),
        limit: asked.limit.unwrap_or(100),
        ..PendingQuery::default()
    };
    let pending = door.broker.queue_pending(&door.principal, &queue, &query).await?;
    Ok(Json(pending.into_iter().map(PendingBody::from).collect()))
}

fn lock(ms: u64) -> Result<Duration, Problem> {
    if (1..=LOCK_MS_MAX).contains(&ms) {
        return Ok(Duration::from_millis(ms));
    }
    Err(Problem::parameter("lock_ms", &ms.to_string(), "is not 1 to 604800000"))
}

fn held(leases: &[String]) -> Result<Vec<Held>, Problem> {
    let held = |lease: &String| {
        lease::parse(lease).ok_or_else(|| Problem::parameter("lease", lease, "is not one"))
    };
    leases.iter().map(held).collect()
}

fn settled(leases: Vec<String>, outcomes: &[Outcome]) -> Json<Settled> {
    let count = leases.len();
    let lost = |(lease, outcome): (String, &Outcome)| match outcome {
        Outcome::Done => None,
        Outcome::NotHeld => Some(lease),
    };
    let not_held: Vec<_> = leases.into_iter().zip(outcomes).filter_map(lost).collect();
    Json(Settled { done: count - not_held.len(), not_held })
}

/// A message is written as reading the topic writes it, with its lease before it.
pub(super) fn encode(owner: &str, acquired: &[Acquired]) -> Vec<u8> {
    let mut body = b"{\"messages\":[".to_vec();
    for (index, one) in acquired.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(b"{\"lease\":");
        let quoted = serde_json::Value::from(lease::show(owner, one)).to_string();
        body.extend_from_slice(quoted.as_bytes());
        let until = one.locked_until.map(posthouse_types::Timestamp::as_ms);
        let until = until.map_or_else(|| "null".to_owned(), |ms| ms.to_string());
        let count = one.delivery_count;
        let more = format!(",\"delivery_count\":{count},\"locked_until\":{until},");
        body.extend_from_slice(more.as_bytes());
        let mut record = Vec::new();
        encode_line(&mut record, one.partition, &one.record);
        // What follows the record's own opening brace.
        body.extend_from_slice(&record[1..]);
    }
    body.extend_from_slice(b"]}");
    body
}

impl From<Pending> for PendingBody {
    fn from(pending: Pending) -> PendingBody {
        let (state, owner, until) = match pending.state {
            PendingState::Acquired { owner, until } => ("leased", Some(text(&owner)), until),
            PendingState::Available => ("available", None, None),
            PendingState::Rejected => ("rejected", None, None),
        };
        PendingBody {
            partition: pending.id.partition.value(),
            offset: pending.id.offset.value(),
            state,
            owner,
            locked_until: until.map(posthouse_types::Timestamp::as_ms),
            idle_ms: u64::try_from(pending.idle.as_millis()).unwrap_or(u64::MAX),
            delivery_count: pending.delivery_count,
        }
    }
}

#[cfg(test)]
mod tests {
    use posthouse_record::Record;
    use posthouse_types::{Offset, PartitionIndex, Timestamp};

    use super::*;

    #[test]
    fn leased_messages_are_json_with_the_record_and_its_lease() {
        let one = |value: &'static [u8], locked_until| Acquired {
            partition: PartitionIndex::new(1),
            delivery_count: 2,
            locked_until,
            record: Record {
                offset: Offset::ZERO.plus(17),
                timestamp: Timestamp::from_ms(5),
                key: None,
                value: Some(Bytes::from_static(value)),
                headers: Vec::new(),
            },
        };
        let acquired = [one(b"a", Some(Timestamp::from_ms(9))), one(b"\xff", None)];
        let body: serde_json::Value =
            serde_json::from_slice(&encode("it's \"me\"", &acquired)).unwrap();
        let first = &body["messages"][0];
        assert_eq!(first["lease"], "1-17-2-it's \"me\"");
        assert_eq!((&first["value"], &first["locked_until"]), (&"a".into(), &9.into()));
        assert_eq!(body["messages"][1]["value_base64"], "/w==");
        assert!(body["messages"][1]["locked_until"].is_null());
        let none: serde_json::Value = serde_json::from_slice(&encode("me", &[])).unwrap();
        assert_eq!(none["messages"].as_array().unwrap().len(), 0);
    }

    #[test]
    fn leases_that_had_ended_are_named() {
        let leases = vec!["0-1-1-a".to_owned(), "0-2-1-a".to_owned()];
        let Json(settled) = settled(leases, &[Outcome::Done, Outcome::NotHeld]);
        assert_eq!((settled.done, settled.not_held), (1, vec!["0-2-1-a".to_owned()]));
    }
}
