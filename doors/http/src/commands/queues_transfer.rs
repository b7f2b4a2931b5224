//! Handing a queue's messages over: from a worker that is gone to one that is there.

use std::time::Duration;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use posthouse_broker::{
    Acquired, PendingQuery, PendingState, QueueRef, RecordId, TopicRef, Transfer,
};
use posthouse_types::{Offset, PartitionIndex};
use serde::Deserialize;
use utoipa::ToSchema;

use super::input::json;
use super::queues::QueuePath;
use super::queues_work::{Leased, encode};
use crate::errors::Problem;
use crate::reader::{Cursor, Reader, ReaderError};
use crate::routes::Door;

/// LIMIT: messages in one call, which all are held in memory.
const MESSAGES_MAX: usize = 100;

/// Messages to be handed over.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TransferRequest {
    /// Who holds them from now on.
    to: String,
    /// Which ones, as `pending` lists them; 100 at most.
    messages: Vec<MessageId>,
    /// Only those that were delivered at least this long ago: of two who take over from the same
    /// worker, one gets each message.
    #[serde(default)]
    min_idle_ms: u64,
}

/// A message of the topic.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessageId {
    /// Its partition.
    partition: u32,
    /// Its offset.
    offset: i64,
}

/// Transfer: another worker holds the messages from now on, whoever held them before. The answer has
/// those that were handed over, with their new leases. Durable when answered.
#[utoipa::path(post, path = "/queues/{topic}/{group}/transfer", tag = "queues",
    params(("topic" = String, Path, description = "The topic"), ("group" = String, Path, description = "The group")),
    request_body = TransferRequest,
    responses((status = 200, body = Leased), (status = "default", body = Problem)))]
pub(crate) async fn transfer(
    door: Door,
    QueuePath(queue): QueuePath,
    body: Body,
) -> Result<Response, Problem> {
    let TransferRequest { to, messages, min_idle_ms } = json(body, &door.config).await?;
    if messages.len() > MESSAGES_MAX {
        let count = messages.len().to_string();
        return Err(Problem::parameter("messages", &count, "are more than 100 at once"));
    }
    let ids = messages.into_iter().map(id).collect::<Result<_, _>>()?;
    let min_idle = Duration::from_millis(min_idle_ms);
    let transfer = Transfer { min_idle, ..Transfer::new(ids, to.clone()) };
    let moved = door.broker.queue_transfer(&door.principal, &queue, &transfer).await?;
    let mut held = Vec::with_capacity(moved.len());
    for id in moved {
        held.extend(held_message(&door, &queue, id, &transfer.to).await?);
    }
    let head = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    Ok((head, encode(&to, &held)).into_response())
}

fn id(message: MessageId) -> Result<RecordId, Problem> {
    let MessageId { partition, offset } = message;
    let offset = Offset::new(offset)
        .ok_or_else(|| Problem::parameter("offset", &offset.to_string(), "is negative"))?;
    Ok(RecordId { partition: PartitionIndex::new(partition), offset })
}

/// A message that was just handed over; `None` when retention removed it, or it is somebody else's
/// already.
async fn held_message(
    door: &Door,
    queue: &QueueRef,
    id: RecordId,
    owner: &Bytes,
) -> Result<Option<Acquired>, Problem> {
    let owner = Some(owner.clone());
    let query = PendingQuery { from: id, to: Some(id), owner, limit: 1, ..PendingQuery::default() };
    let pending = door.broker.queue_pending(&door.principal, queue, &query).await?;
    let Some(pending) = pending.into_iter().next() else { return Ok(None) };
    let PendingState::Acquired { until, .. } = pending.state else { return Ok(None) };
    let topic: TopicRef = queue.topic.clone();
    let cursor = Cursor { index: id.partition, next: id.offset, until: Some(id.offset.plus(1)) };
    let principal = door.principal.clone();
    let mut reader = Reader::new(door.broker.clone(), principal, topic, vec![cursor]);
    let read = reader.read(Duration::ZERO).await.map_err(ReaderError::into_problem)?;
    let record = read.into_iter().flat_map(|(_, records)| records).next();
    Ok(record.map(|record| Acquired {
        partition: id.partition,
        delivery_count: pending.delivery_count,
        locked_until: until,
        record,
    }))
}
