//! File sinks: list, make, describe, delete.

use axum::Json;
use axum::body::Body;
use axum::http::StatusCode;
use posthouse_broker::{Declaration, DeclarationKind, DeclareError, DeclareMode, TopicRef};
use posthouse_types::{Offset, PartitionIndex, Timestamp, TopicName};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::input::{NamePath, json};
use super::webhooks::ErrorBody;
use crate::codec::start::{self, Start};
use crate::errors::Problem;
use crate::routes::Door;
use crate::sinks::{Format, Match, SinkSpec, SinkState, Source, forget};

/// A file sink to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSink {
    /// Its name: letters, digits, dot, dash, underscore.
    name: String,
    /// The topic whose records are written.
    topic: Option<String>,
    /// Or the channels whose messages are written: a name, prefix or glob.
    channel: Option<String>,
    /// What `channel` is: `name` (the default), `prefix` or `glob`.
    r#match: Option<Match>,
    /// The file, below the node's `file_sink.directory`.
    file: String,
    /// `lines` (the default): the value and a line end. `json`: one JSON object a line.
    #[serde(default)]
    format: Format,
    /// Where to begin in a topic: `beginning` (the default) or `end`.
    start: Option<String>,
    /// Begin another file before this one would be longer; 64 MiB when left out, never when `null`.
    #[serde(default, deserialize_with = "super::queues::given")]
    #[schema(value_type = Option<u64>)]
    rotate_bytes: Option<Option<u64>>,
    /// Begin another file when the first line of this one is so many milliseconds old.
    rotate_ms: Option<u64>,
    /// Files kept beside the one that is written; 10 when left out.
    keep: Option<u32>,
    /// What is written is made durable after so many milliseconds; 1,000 when left out.
    sync_ms: Option<u64>,
}

/// A file sink.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SinkBody {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#match: Option<Match>,
    file: String,
    format: Format,
    rotate_bytes: Option<u64>,
    rotate_ms: Option<u64>,
    keep: u32,
    sync_ms: u64,
    status: SinkStatusBody,
}

/// What a file sink has done since the node began.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SinkStatusBody {
    /// `starting`, `writing`, or `failing`: it tries again, and skips nothing.
    state: &'static str,
    /// Lines written.
    lines: u64,
    /// Bytes of the file.
    length: u64,
    /// Records of the topic that are not durable in the file; `null` of a channel.
    lag: Option<u64>,
    /// Until when everything written is durable, in milliseconds since 1970.
    synced_at: Option<i64>,
    /// What went wrong last.
    last_error: Option<ErrorBody>,
}

/// List the file sinks.
#[utoipa::path(get, path = "/sinks", tag = "sinks",
    responses((status = 200, body = Vec<SinkBody>), (status = "default", body = Problem)))]
pub(crate) async fn list(door: Door) -> Result<Json<Vec<SinkBody>>, Problem> {
    let declared = door.broker.declarations(&door.principal, DeclarationKind::FileSink)?;
    let mut sinks = Vec::with_capacity(declared.len());
    for declaration in declared.values() {
        sinks.push(describe_one(&door, &declaration.name, decode(declaration)?).await);
    }
    Ok(Json(sinks))
}

/// Make a file sink: a topic, or channels, written into a file.
#[utoipa::path(post, path = "/sinks", tag = "sinks", request_body = NewSink,
    responses((status = 201, body = SinkBody), (status = "default", body = Problem)))]
pub(crate) async fn create(
    door: Door,
    body: Body,
) -> Result<(StatusCode, Json<SinkBody>), Problem> {
    let new: NewSink = json(body, &door.config).await?;
    if door.outlets.config().sinks_directory.is_none() {
        let detail = "this node writes no files";
        return Err(Problem::new(StatusCode::FORBIDDEN, "sinks_off", detail)
            .help("set file_sink.directory to the directory that sinks may write in"));
    }
    let spec = SinkSpec {
        id: Uuid::new_v4(),
        source: source(&door, &new).await?,
        file: new.file,
        format: new.format,
        rotate_bytes: new.rotate_bytes.unwrap_or(Some(64 << 20)),
        rotate_ms: new.rotate_ms,
        keep: new.keep.unwrap_or(10),
        sync_ms: new.sync_ms.unwrap_or(1000),
    };
    spec.check()?;
    let _changing = door.outlets.changing().await;
    for other in door.broker.declarations(&door.principal, DeclarationKind::FileSink)?.values() {
        if other.name != new.name && decode(other)?.file == spec.file {
            let detail = format!("sink {} writes into {:?}", other.name, spec.file);
            return Err(Problem::new(StatusCode::CONFLICT, "file_taken", detail).help(
                "choose another file; a sink of channels may have a glob that matches both",
            ));
        }
    }
    let (kind, name) = (DeclarationKind::FileSink, new.name);
    let declaration = Declaration { kind, name: name.clone(), spec: spec.encode() };
    door.broker.declare(&door.principal, declaration, DeclareMode::Create).await?;
    door.outlets.sinks().reconcile().await?;
    Ok((StatusCode::CREATED, Json(describe_one(&door, &name, spec).await)))
}

/// Describe a file sink, and how it is doing.
#[utoipa::path(get, path = "/sinks/{name}", tag = "sinks",
    params(("name" = String, Path, description = "The sink")),
    responses((status = 200, body = SinkBody), (status = "default", body = Problem)))]
pub(crate) async fn describe(
    door: Door,
    NamePath(name): NamePath,
) -> Result<Json<SinkBody>, Problem> {
    let spec = find(&door, &name)?;
    Ok(Json(describe_one(&door, &name, spec).await))
}

/// Delete a file sink. Its files stay.
#[utoipa::path(delete, path = "/sinks/{name}", tag = "sinks",
    params(("name" = String, Path, description = "The sink")),
    responses((status = 204), (status = "default", body = Problem)))]
pub(crate) async fn delete(door: Door, NamePath(name): NamePath) -> Result<StatusCode, Problem> {
    let _changing = door.outlets.changing().await;
    let spec = find(&door, &name);
    door.broker.undeclare(&door.principal, DeclarationKind::FileSink, &name).await?;
    door.outlets.sinks().reconcile().await?;
    if let (Ok(spec), Some(directory)) = (spec, door.outlets.config().sinks_directory.clone()) {
        let forgotten = tokio::task::spawn_blocking(move || forget(&directory, &spec.file));
        forgotten.await.map_err(|_| {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "bug", "the sink's file was not closed")
        })?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// What is written; of a topic, with the place to begin at in each partition.
async fn source(door: &Door, new: &NewSink) -> Result<Source, Problem> {
    match (&new.topic, &new.channel) {
        (Some(topic), None) => {
            if new.r#match.is_some() {
                return Err(Problem::parameter("match", topic, "is for a channel"));
            }
            let name = TopicName::from_kafka_alias(topic)?;
            let found = door.broker.topic(&door.principal, &TopicRef::Name(name.clone())).await?;
            let positions =
                positions(door, found.id, found.partitions, new.start.as_deref()).await?;
            Ok(Source::Topic { name: name.kafka_alias(), id: found.id, positions })
        }
        (None, Some(channel)) => {
            if let Some(start) = &new.start {
                return Err(Problem::parameter("start", start, "is for a topic")
                    .help("a channel has no past; a topic of its name has"));
            }
            let r#match = new.r#match.unwrap_or_default();
            Ok(Source::Channel { name: channel.clone(), r#match })
        }
        _ => Err(Problem::parameter("topic", "", "or channel is needed, and not both")),
    }
}

async fn positions(
    door: &Door,
    id: posthouse_types::TopicId,
    partitions: u32,
    start: Option<&str>,
) -> Result<Vec<(PartitionIndex, Offset)>, Problem> {
    let start = start.map_or(Ok(Start::Beginning), start::parse);
    match start {
        Ok(Start::Beginning) => return Ok(Vec::new()),
        Ok(Start::End) => {}
        _ => return Err(Problem::parameter("start", "", "is not beginning or end")),
    }
    let mut positions = Vec::new();
    for index in (0..partitions).map(PartitionIndex::new) {
        let topic = TopicRef::Id(id);
        let status = door.broker.partition_status(&door.principal, &topic, index).await?;
        positions.push((index, status.last_stable));
    }
    Ok(positions)
}

fn find(door: &Door, name: &str) -> Result<SinkSpec, Problem> {
    let kind = DeclarationKind::FileSink;
    let declared = door.broker.declarations(&door.principal, kind)?;
    let unknown = || DeclareError::Unknown { kind, name: name.to_owned() };
    decode(declared.get(name).ok_or_else(unknown)?)
}

fn decode(declaration: &Declaration) -> Result<SinkSpec, Problem> {
    SinkSpec::decode(&declaration.spec).map_err(|error| {
        let detail = format!("sink {} cannot be read: {error}", declaration.name);
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "storage", detail)
            .help("it was declared by a newer version; delete it, or go back to that version")
    })
}

async fn describe_one(door: &Door, name: &str, spec: SinkSpec) -> SinkBody {
    let status = status(door, name, &spec).await;
    let (mut topic, mut channel, mut matches) = (None, None, None);
    match spec.source {
        Source::Topic { name, .. } => {
            let spelled = TopicName::from_kafka_alias(&name);
            topic = Some(spelled.map_or(name, |name| name.to_string()));
        }
        Source::Channel { name, r#match } => (channel, matches) = (Some(name), Some(r#match)),
    }
    SinkBody {
        name: name.to_owned(),
        topic,
        channel,
        r#match: matches,
        file: spec.file,
        format: spec.format,
        rotate_bytes: spec.rotate_bytes,
        rotate_ms: spec.rotate_ms,
        keep: spec.keep,
        sync_ms: spec.sync_ms,
        status,
    }
}

async fn status(door: &Door, name: &str, spec: &SinkSpec) -> SinkStatusBody {
    let known = door.outlets.sinks().status(name).known();
    let mut lag = None;
    if let Source::Topic { name, id, positions } = &spec.source
        && let Ok(name) = TopicName::from_kafka_alias(name)
    {
        let topic = TopicRef::Name(name);
        if let Ok(found) = door.broker.topic(&door.principal, &topic).await {
            let at = |index: PartitionIndex| {
                let declared = positions.iter().find(|(one, _)| *one == index && found.id == *id);
                known.positions.get(&index).copied().or(declared.map(|(_, at)| *at))
            };
            lag = Some(0);
            for index in (0..found.partitions).map(PartitionIndex::new) {
                let status = door.broker.partition_status(&door.principal, &topic, index).await;
                let left = status
                    .ok()
                    .map(|status| status.last_stable.since(at(index).unwrap_or(status.log_start)));
                lag = lag.zip(left).map(|(lag, left)| lag + left);
            }
        }
    }
    SinkStatusBody {
        state: match known.state {
            SinkState::Starting => "starting",
            SinkState::Writing => "writing",
            SinkState::Failing => "failing",
        },
        lines: known.lines,
        length: known.length,
        lag,
        synced_at: known.synced_at.map(Timestamp::as_ms),
        last_error: known.last_error.map(ErrorBody::from),
    }
}
