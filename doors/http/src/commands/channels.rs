//! Channels: publishing one message, and following what is published as an event stream.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use posthouse_broker::{
    Delivery, LookupError, OffsetSpec, Overflow, Pattern, SubscribeFrom, Subscriber,
    SubscriberConfig, TopicRef,
};
use posthouse_types::{ByteSize, Offset, PartitionIndex, TopicName};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use utoipa::{IntoParams, ToSchema};

use super::input::{NamePath, Parameters, Pieces};
use super::produce::{RecordParameters, record_headers};
use crate::codec::frame::Begin;
use crate::codec::start::{self, Start};
use crate::codec::{event, positions};
use crate::errors::Problem;
use crate::metrics;
use crate::reader::find;
use crate::routes::Door;
use crate::session::{ConnectionNumber, FallenBehind};

/// LIMIT: what waits for one live reader; beyond it the stream is cut, and whoever resumes it at a
/// topic's position misses nothing.
pub(crate) const LIVE_READER: SubscriberConfig = SubscriberConfig {
    bytes_max: ByteSize::mib(8),
    messages_max: 10_000,
    overflow: Overflow::Disconnect,
};
/// LIMIT: events written at a time.
const EVENTS_MAX: usize = 256;

/// What became of a published message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Published {
    /// The channel.
    channel: String,
    /// Subscriptions that it goes to.
    receivers: u64,
    /// Its partition, when the channel is a topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>)]
    partition: Option<PartitionIndex>,
    /// Its offset, when the channel is a topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    offset: Option<Offset>,
}

/// Publish one message on a channel: the body is its value, byte for byte.
///
/// When a topic has the channel's name, the message is appended to it, and the answer comes when it
/// is durable. Otherwise it goes to whoever listens now, and is not kept.
#[utoipa::path(
    post, path = "/channels/{name}", tag = "channels",
    params(("name" = String, Path, description = "The channel"), RecordParameters),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The value"),
    responses((status = 200, body = Published), (status = "default", body = Problem))
)]
pub(crate) async fn publish(
    door: Door,
    Extension(connection): Extension<ConnectionNumber>,
    NamePath(name): NamePath,
    Parameters(parameters): Parameters<RecordParameters>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Published>, Problem> {
    let value = Pieces::new(body, &door.config).collect().await?;
    let message = parameters.message(value, record_headers(&headers), &door)?;
    let channel = Bytes::from(name.clone());
    let publisher = door.broker.publisher_of(&door.principal, connection.0);
    let published = publisher.publish(channel, message).await?;
    metrics::live_in();
    let (partition, offset) = published.at.unzip();
    Ok(Json(Published { channel: name, receivers: published.receivers, partition, offset }))
}

/// What to follow.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct FollowParameters {
    /// What the name is: `name` (the default), `prefix` or `glob` of channels.
    #[serde(default)]
    #[param(inline)]
    r#match: Match,
    /// Where to begin in topics: `end` (the default), `beginning`, or a time.
    from: Option<String>,
    /// Begin at these offsets of the topic: `0:17,1:4`.
    positions: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Match {
    #[default]
    Name,
    Prefix,
    Glob,
}

/// Follow channels as an event stream: each message is an event, as JSON.
///
/// Where the channel is a topic, an event's id is the position after it, so `Last-Event-ID` resumes
/// exactly. Messages of other channels have no id, because they are not kept.
#[utoipa::path(
    get, path = "/channels/{name}", tag = "channels",
    params(("name" = String, Path, description = "The channel, prefix or glob"), FollowParameters),
    responses(
        (status = 200, content((String = "text/event-stream"))),
        (status = "default", body = Problem),
    )
)]
pub(crate) async fn follow(
    door: Door,
    Extension(behind): Extension<FallenBehind>,
    NamePath(name): NamePath,
    Parameters(mut parameters): Parameters<FollowParameters>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    if let Some(last) = last.filter(|last| !last.is_empty()) {
        parameters.positions = Some(last.to_owned());
        parameters.from = None;
    }
    let begin = parameters.begin()?;
    let name = Bytes::from(name);
    let pattern = match parameters.r#match {
        Match::Name => Pattern::Exact(name),
        Match::Prefix => Pattern::Prefix(name),
        Match::Glob => Pattern::Glob(name),
    };
    let from = resolve(&door, &pattern, begin).await?;
    let at = match (&pattern, &from) {
        (Pattern::Exact(_), SubscribeFrom::Positions(known)) => known.iter().copied().collect(),
        _ => BTreeMap::new(),
    };
    let resumable = matches!(pattern, Pattern::Exact(_));
    let subscriber = door.broker.subscriber(&door.principal, LIVE_READER);
    subscriber.tell_overflow(behind.0);
    subscriber.subscribe(pattern, from).await?;
    let stream = Stream {
        subscriber,
        at: resumable.then_some(at),
        heartbeat: door.config.event_heartbeat,
        shutdown: door.shutdown.clone(),
        taken: Vec::new(),
    };
    let head = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    let first = futures::stream::iter([Ok::<_, std::convert::Infallible>(Bytes::new())]);
    let pieces = futures::stream::unfold(stream, |mut stream| async move {
        let piece = stream.next().await?;
        Some((Ok(piece), stream))
    });
    Ok((head, Body::from_stream(futures::StreamExt::chain(first, pieces))).into_response())
}

impl FollowParameters {
    fn begin(&self) -> Result<Begin, Problem> {
        match (&self.from, &self.positions) {
            (Some(from), Some(_)) => {
                Err(Problem::parameter("from", from, "comes with positions; give one of the two"))
            }
            (Some(from), None) => start::parse(from)
                .map(Begin::Start)
                .map_err(|reason| Problem::parameter("from", from, reason)),
            (None, Some(text)) => positions::parse(text)
                .map(Begin::Positions)
                .map_err(|reason| Problem::parameter("positions", text, reason)),
            (None, None) => Ok(Begin::Start(Start::End)),
        }
    }
}

/// Where to begin, for each partition if the channel is a topic, so that every event can say where
/// the stream stands in all of them.
pub(crate) async fn resolve(
    door: &Door,
    pattern: &Pattern,
    begin: Begin,
) -> Result<SubscribeFrom, Problem> {
    let start = match begin {
        Begin::Positions(positions) => return Ok(SubscribeFrom::Positions(positions)),
        Begin::Start(start) => start,
    };
    let unresolved = match start {
        Start::Beginning => SubscribeFrom::Beginning,
        Start::End => SubscribeFrom::Now,
        Start::Time(time) => SubscribeFrom::Timestamp(time),
        Start::Offset(offset) => {
            let offset = offset.to_string();
            let help = "give positions, such as 0:17,1:4";
            return Err(Problem::parameter("from", &offset, "says no partition").help(help));
        }
    };
    let Pattern::Exact(name) = pattern else { return Ok(unresolved) };
    let Ok(name) = TopicName::new(name) else { return Ok(unresolved) };
    let name = TopicRef::Name(name);
    let topic = match door.broker.topic(&door.principal, &name).await {
        Ok(topic) => topic,
        // Where it is none that may be known of, subscribing decides.
        Err(LookupError::UnknownTopic(_) | LookupError::Denied(_)) => return Ok(unresolved),
        Err(error) => return Err(error.into()),
    };
    let topic_ref = TopicRef::Id(topic.id);
    let mut positions = Vec::new();
    for index in (0..topic.partitions).map(PartitionIndex::new) {
        let status = door.broker.partition_status(&door.principal, &topic_ref, index).await?;
        let offset = match start {
            Start::Beginning | Start::Offset(_) => status.log_start,
            Start::End => status.last_stable,
            Start::Time(time) => {
                let spec = OffsetSpec::AtOrAfter(time);
                let found = find(&door.broker, &door.principal, &topic_ref, index, spec).await?;
                found.unwrap_or(status.last_stable)
            }
        };
        positions.push((index, offset));
    }
    Ok(SubscribeFrom::Positions(positions))
}

/// Deliveries on their way to one client.
struct Stream {
    subscriber: Subscriber,
    /// The position after what was sent; none where the stream cannot be resumed.
    at: Option<BTreeMap<PartitionIndex, Offset>>,
    heartbeat: Duration,
    shutdown: CancellationToken,
    taken: Vec<Delivery>,
}

impl Stream {
    /// The next piece of the body; `None` at its end.
    async fn next(&mut self) -> Option<Bytes> {
        let deliveries = self.subscriber.next_many(EVENTS_MAX, &mut self.taken);
        let waited = tokio::select! {
            biased;
            () = self.shutdown.cancelled() => return None,
            waited = timeout(self.heartbeat, deliveries) => waited,
        };
        match waited {
            Err(_) => Some(Bytes::from_static(b": waiting\n\n")),
            Ok(Err(_)) => None,
            Ok(Ok(_)) => Some(self.encode()),
        }
    }

    fn encode(&mut self) -> Bytes {
        let mut body = Vec::new();
        for delivery in self.taken.drain(..) {
            if let (Some(position), Some(at)) = (delivery.event.at, &mut self.at) {
                at.insert(position.partition, position.offset.plus(1));
                let at = at.iter().map(|(index, offset)| (*index, *offset));
                body.extend_from_slice(b"id: ");
                body.extend_from_slice(positions::show(at).as_bytes());
                body.push(b'\n');
            }
            body.extend_from_slice(b"data: ");
            body.extend_from_slice(&event::event(&delivery.event));
            body.extend_from_slice(b"\n\n");
            metrics::live_out();
        }
        Bytes::from(body)
    }
}
