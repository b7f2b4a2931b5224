//! Queues: list, make, describe, change, delete. Working with their messages is in
//! [`super::queues_work`].

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::StatusCode;
use axum::http::request::Parts;
use posthouse_broker::{
    QueueChange, QueueConfig, QueueDescription, QueueOwner, QueuePosition, QueueRef, QueueStart,
    QueueSummary, TopicRef,
};
use posthouse_types::{PartitionIndex, TopicName};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::input::{Parameters, json_or_default, wrong_path};
use crate::codec::start::{self, Start};
use crate::errors::Problem;
use crate::routes::Door;

/// The queue that a path names: a topic, as itself or as Kafka spells it, and a group.
pub(crate) struct QueuePath(pub(crate) QueueRef);

impl<S: Send + Sync> FromRequestParts<S> for QueuePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<QueuePath, Problem> {
        let path: Result<Path<(String, String)>, PathRejection> =
            Path::from_request_parts(parts, state).await;
        let Path((topic, group)) = path.map_err(|rejection| wrong_path(&rejection))?;
        let topic = TopicRef::Name(TopicName::from_kafka_alias(&topic)?);
        Ok(QueuePath(QueueRef::new(topic, group)))
    }
}

/// A queue in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QueueEntry {
    /// The topic.
    topic: String,
    /// The group.
    group: String,
    /// Owners known.
    owners: usize,
    /// Messages leased, waiting to be leased again, or on their way to the dead-letter topic.
    pending: usize,
}

/// A queue in full.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QueueBody {
    /// The topic.
    topic: String,
    /// The group.
    group: String,
    /// How long a lease lasts by itself, in milliseconds; `null`: until it is acknowledged.
    lock_ms: Option<u64>,
    /// Deliveries of one message before it is dead-lettered; `null`: any number.
    deliveries_max: Option<u32>,
    /// Messages of one partition that may be pending.
    window_max: u32,
    /// Where rejected messages go; `null`: nowhere.
    dead_letter: Option<String>,
    /// Owners known.
    owners: usize,
    /// Every partition of the topic.
    partitions: Vec<QueuePartitionBody>,
}

/// One partition of a queue.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QueuePartitionBody {
    /// Which one.
    partition: u32,
    /// The first offset not acknowledged.
    start: i64,
    /// The first offset not delivered.
    next: i64,
    /// The end of what can be read; absent while the partition is not open.
    end: Option<i64>,
    /// Leased.
    leased: usize,
    /// Came back, and waiting to be leased again.
    available: usize,
    /// On their way to the dead-letter topic.
    rejected: usize,
}

/// A queue to be made; everything may be left out.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NewQueue {
    /// `beginning` (the default), `end`, or an offset.
    start: Option<String>,
    /// How long a lease lasts, in milliseconds; 30,000 when left out, for ever when `null`.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<u64>)]
    lock_ms: Option<Option<u64>>,
    /// Deliveries of one message before it is dead-lettered; 5 when left out, any number when `null`.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<u32>)]
    deliveries_max: Option<Option<u32>>,
    /// Messages of one partition that may be pending; 10,000 when left out.
    window_max: Option<u32>,
    /// The dead-letter topic; made when it does not exist.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    dead_letter: Option<Option<String>>,
}

/// A change of a queue; what is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ChangedQueue {
    /// Where delivery goes on: `beginning`, `end`, or an offset.
    to: Option<String>,
    /// In which partition; in all when left out.
    partition: Option<u32>,
    /// As when it was made.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<u64>)]
    lock_ms: Option<Option<u64>>,
    /// As when it was made.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<u32>)]
    deliveries_max: Option<Option<u32>>,
    /// As when it was made.
    window_max: Option<u32>,
    /// As when it was made.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    dead_letter: Option<Option<String>>,
}

/// An owner of a queue.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OwnerBody {
    /// Its name.
    owner: String,
    /// Messages it holds.
    leased: usize,
    /// When it was last heard of, in milliseconds since 1970.
    seen: i64,
}

/// Which queues.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListParameters {
    /// Only those of this topic.
    topic: Option<String>,
}

/// List the queues.
#[utoipa::path(get, path = "/queues", tag = "queues", params(ListParameters),
    responses((status = 200, body = Vec<QueueEntry>), (status = "default", body = Problem)))]
pub(crate) async fn list(
    door: Door,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Json<Vec<QueueEntry>>, Problem> {
    let topic = parameters.topic.map(|name| TopicName::from_kafka_alias(&name)).transpose()?;
    let topic = topic.map(TopicRef::Name);
    let queues = door.broker.queue_list(&door.principal, topic.as_ref()).await?;
    Ok(Json(queues.into_iter().map(QueueEntry::from).collect()))
}

/// Make a queue over a topic. An empty body makes one with the defaults.
#[utoipa::path(post, path = "/queues/{topic}/{group}", tag = "queues",
    params(("topic" = String, Path, description = "The topic"), ("group" = String, Path, description = "The group")),
    request_body = NewQueue,
    responses((status = 201, body = QueueBody), (status = "default", body = Problem)))]
pub(crate) async fn create(
    door: Door,
    QueuePath(queue): QueuePath,
    body: Body,
) -> Result<(StatusCode, Json<QueueBody>), Problem> {
    let new: NewQueue = json_or_default(body, &door.config).await?;
    let start = new.start.as_deref().map(position).transpose()?.unwrap_or_default();
    let mut config = QueueConfig::default();
    set(&mut config, new.lock_ms, new.deliveries_max, new.window_max, new.dead_letter)?;
    door.broker.queue_create(&door.principal, &queue, start, config).await?;
    let description = door.broker.queue_describe(&door.principal, &queue).await?;
    Ok((StatusCode::CREATED, Json(description.into())))
}

/// Describe a queue: how it behaves, and where it is in each partition.
#[utoipa::path(get, path = "/queues/{topic}/{group}", tag = "queues",
    params(("topic" = String, Path, description = "The topic"), ("group" = String, Path, description = "The group")),
    responses((status = 200, body = QueueBody), (status = "default", body = Problem)))]
pub(crate) async fn describe(
    door: Door,
    QueuePath(queue): QueuePath,
) -> Result<Json<QueueBody>, Problem> {
    Ok(Json(door.broker.queue_describe(&door.principal, &queue).await?.into()))
}

/// Change how a queue behaves, or where its delivery goes on. The answer is the queue as it is then.
#[utoipa::path(patch, path = "/queues/{topic}/{group}", tag = "queues",
    params(("topic" = String, Path, description = "The topic"), ("group" = String, Path, description = "The group")),
    request_body = ChangedQueue,
    responses((status = 200, body = QueueBody), (status = "default", body = Problem)))]
pub(crate) async fn alter(
    door: Door,
    QueuePath(queue): QueuePath,
    body: Body,
) -> Result<Json<QueueBody>, Problem> {
    let changed: ChangedQueue = json_or_default(body, &door.config).await?;
    let partition = changed.partition.map(PartitionIndex::new);
    let position = match (changed.to.as_deref().map(position).transpose()?, partition) {
        (Some(start), partition) => Some(QueuePosition { partition, start }),
        (None, None) => None,
        (None, Some(index)) => {
            let reason = "comes without a place to go on from; add \"to\"";
            return Err(Problem::parameter("partition", &index.to_string(), reason));
        }
    };
    let mut config = door.broker.queue_describe(&door.principal, &queue).await?.config;
    let before = config.clone();
    let ChangedQueue { lock_ms, deliveries_max, window_max, dead_letter, .. } = changed;
    set(&mut config, lock_ms, deliveries_max, window_max, dead_letter)?;
    let change = QueueChange { config: (config != before).then_some(config), position };
    door.broker.queue_set(&door.principal, &queue, change).await?;
    describe(door, QueuePath(queue)).await
}

/// Delete a queue. The topic and its messages stay.
#[utoipa::path(delete, path = "/queues/{topic}/{group}", tag = "queues",
    params(("topic" = String, Path, description = "The topic"), ("group" = String, Path, description = "The group")),
    responses((status = 204), (status = "default", body = Problem)))]
pub(crate) async fn delete(door: Door, QueuePath(queue): QueuePath) -> Result<StatusCode, Problem> {
    door.broker.queue_delete(&door.principal, &queue).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List everyone who has asked a queue for messages.
#[utoipa::path(get, path = "/queues/{topic}/{group}/owners", tag = "queues",
    params(("topic" = String, Path, description = "The topic"), ("group" = String, Path, description = "The group")),
    responses((status = 200, body = Vec<OwnerBody>), (status = "default", body = Problem)))]
pub(crate) async fn owners(
    door: Door,
    QueuePath(queue): QueuePath,
) -> Result<Json<Vec<OwnerBody>>, Problem> {
    let owner = |QueueOwner { owner, pending, seen }| OwnerBody {
        owner: text(&owner),
        leased: pending,
        seen: seen.as_ms(),
    };
    let owners = door.broker.queue_owners(&door.principal, &queue).await?;
    Ok(Json(owners.into_iter().map(owner).collect()))
}

/// A name from another door may be no text; what is none is shown as well as it can be.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) fn position(text: &str) -> Result<QueueStart, Problem> {
    match start::parse(text) {
        Ok(Start::Beginning) => Ok(QueueStart::Earliest),
        Ok(Start::End) => Ok(QueueStart::Latest),
        Ok(Start::Offset(offset)) => Ok(QueueStart::Offset(offset)),
        Ok(Start::Time(_)) | Err(_) => {
            Err(Problem::parameter("start", text, "is not beginning, end, or an offset"))
        }
    }
}

fn set(
    config: &mut QueueConfig,
    lock_ms: Option<Option<u64>>,
    deliveries_max: Option<Option<u32>>,
    window_max: Option<u32>,
    dead_letter: Option<Option<String>>,
) -> Result<(), Problem> {
    if let Some(ms) = lock_ms {
        config.lock_timeout = ms.map(Duration::from_millis);
    }
    if let Some(count) = deliveries_max {
        config.deliveries_max = count;
    }
    if let Some(count) = window_max {
        config.window_max = count;
    }
    if let Some(name) = dead_letter {
        config.dead_letter = name.map(|name| TopicName::from_kafka_alias(&name)).transpose()?;
    }
    Ok(())
}

/// Keeps `null` apart from a missing field.
pub(super) fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

impl From<QueueSummary> for QueueEntry {
    fn from(summary: QueueSummary) -> QueueEntry {
        let QueueSummary { topic, group, owners, pending } = summary;
        QueueEntry { topic: topic.to_string(), group: text(&group), owners, pending }
    }
}

impl From<QueueDescription> for QueueBody {
    fn from(description: QueueDescription) -> QueueBody {
        let QueueDescription { topic, group, config, partitions, owners } = description;
        let partition = |one: posthouse_broker::QueuePartition| QueuePartitionBody {
            partition: one.index.value(),
            start: one.start.value(),
            next: one.next.value(),
            end: one.end.map(posthouse_types::Offset::value),
            leased: one.acquired,
            available: one.available,
            rejected: one.rejected,
        };
        let ms = |timeout: Duration| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        QueueBody {
            topic: topic.to_string(),
            group: text(&group),
            lock_ms: config.lock_timeout.map(ms),
            deliveries_max: config.deliveries_max,
            window_max: config.window_max,
            dead_letter: config.dead_letter.map(|name| name.to_string()),
            owners,
            partitions: partitions.into_iter().map(partition).collect(),
        }
    }
}
