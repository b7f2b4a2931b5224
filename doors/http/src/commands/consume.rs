//! Reading records: as lines of JSON, or as an event stream that a browser can follow.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use posthouse_broker::{OffsetSpec, Topic, TopicRef};
use posthouse_record::Record;
use posthouse_types::{Offset, PartitionIndex};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use utoipa::IntoParams;

use super::input::{Parameters, TopicPath, accepted};
use crate::codec::positions;
use crate::codec::record::encode_line;
use crate::codec::start::{self, Start};
use crate::errors::{Problem, chain};
use crate::metrics;
use crate::reader::{Cursor, Reader, ReaderError, find};
use crate::routes::Door;

const NDJSON: &str = "application/x-ndjson";
const EVENT_STREAM: &str = "text/event-stream";
/// How long one fetch of a reader that follows waits, where no heartbeat is due.
const FOLLOW_WAIT: Duration = Duration::from_secs(30);

/// What to read.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadParameters {
    /// Only this partition; otherwise all.
    partition: Option<u32>,
    /// Begin at this offset. The same as `from` with a number.
    offset: Option<i64>,
    /// Begin at `beginning` (the default; `end` for an event stream), `end`, an offset, or a time
    /// such as `2013-07-01T12:00:00Z`.
    from: Option<String>,
    /// Begin at these offsets, by partition: `0:17,1:4`. Other partitions are not read.
    positions: Option<String>,
    /// Begin where this consumer group has committed, and at `from` where it has not.
    group: Option<String>,
    /// Stop after this many records.
    max: Option<u64>,
    /// Wait for new records, until the client ends the connection. An event stream always does.
    follow: Option<bool>,
    /// When there is nothing to read, wait this long for the first record.
    wait_ms: Option<u64>,
}

/// Read records: `application/x-ndjson`, or `text/event-stream` when it is accepted first.
///
/// Without `follow`, what is there now is read to its end. An event's id is the position after it,
/// so `Last-Event-ID` resumes exactly.
#[utoipa::path(
    get, path = "/topics/{name}/records", tag = "records",
    params(("name" = String, Path, description = "The topic"), ReadParameters),
    responses(
        (status = 200, content((super::produce::RecordBody = "application/x-ndjson"), (String = "text/event-stream"))),
        (status = "default", body = Problem),
    )
)]
pub(crate) async fn read(
    door: Door,
    TopicPath(name): TopicPath,
    Parameters(mut parameters): Parameters<ReadParameters>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let topic = door.broker.topic(&door.principal, &TopicRef::Name(name)).await?;
    let format = match accepted(&headers, &[NDJSON, EVENT_STREAM]) {
        Some(EVENT_STREAM) => Format::Events,
        _ => Format::Lines,
    };
    if format == Format::Events {
        resume(&mut parameters, &headers);
    }
    let cursors = cursors(&door, &topic, &parameters).await?;
    let reader = Reader::new(
        Arc::clone(&door.broker),
        door.principal.clone(),
        TopicRef::Id(topic.id),
        cursors,
    );
    let follow = parameters.follow.unwrap_or(format == Format::Events);
    let wait = Duration::from_millis(parameters.wait_ms.unwrap_or(0)).min(door.config.wait_max);
    let delivery = Delivery {
        reader,
        format,
        until: if follow {
            Until::Cancelled
        } else {
            Until::End { deadline: Instant::now() + wait }
        },
        left: parameters.max.unwrap_or(u64::MAX),
        heartbeat: door.config.event_heartbeat,
        shutdown: door.shutdown.clone(),
    };
    let mut delivery = if follow { delivery.following() } else { delivery };
    // The first piece is read before the head is sent, so that an early failure is a problem.
    let first = match delivery.until {
        Until::Cancelled => Some(Bytes::new()),
        _ => delivery.next().await.map_err(|error| error.into_problem())?,
    };
    let content_type = if format == Format::Events { EVENT_STREAM } else { NDJSON };
    let head = [(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-store")];
    Ok((head, stream(first, delivery)).into_response())
}

fn resume(parameters: &mut ReadParameters, headers: &HeaderMap) {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    if let Some(last) = last.filter(|last| !last.is_empty()) {
        parameters.positions = Some(last.to_owned());
    } else if parameters.from.is_none() && parameters.offset.is_none() {
        parameters.from = Some("end".to_owned());
    }
}

fn stream(first: Option<Bytes>, delivery: Delivery) -> Body {
    let Some(first) = first else { return Body::empty() };
    let pieces = futures::stream::unfold((Some(first), delivery), |(first, mut delivery)| async {
        if let Some(first) = first {
            return Some((Ok(first), (None, delivery)));
        }
        match delivery.next().await {
            Ok(Some(piece)) => Some((Ok(piece), (None, delivery))),
            Ok(None) => None,
            Err(error) => {
                // The head is gone; cutting the body short is the one way left to say it.
                warn!(error = chain(&error), "reading for an http client failed");
                Some((Err(io::Error::other(error)), (None, delivery)))
            }
        }
    });
    Body::from_stream(pieces)
}

/// Where each partition is read from and to.
async fn cursors(
    door: &Door,
    topic: &Topic,
    parameters: &ReadParameters,
) -> Result<Vec<Cursor>, Problem> {
    let reference = TopicRef::Id(topic.id);
    let start = starting_point(parameters)?;
    let mut cursors = Vec::new();
    for (index, chosen) in chosen(door, topic, parameters).await? {
        let status = door.broker.partition_status(&door.principal, &reference, index).await?;
        let next = match (chosen, start) {
            (Some(offset), _) | (None, Start::Offset(offset)) => offset,
            (None, Start::Beginning) => status.log_start,
            (None, Start::End) => status.last_stable,
            (None, Start::Time(time)) => {
                let spec = OffsetSpec::AtOrAfter(time);
                find(&door.broker, &door.principal, &reference, index, spec)
                    .await?
                    .unwrap_or(status.last_stable)
            }
        };
        check_range(topic, index, next, status.log_start, status.last_stable)?;
        cursors.push(Cursor { index, next, until: Some(status.last_stable) });
    }
    Ok(cursors)
}

fn starting_point(parameters: &ReadParameters) -> Result<Start, Problem> {
    match (&parameters.from, parameters.offset) {
        (Some(from), Some(_)) => {
            Err(Problem::parameter("from", from, "comes with an offset; give one of the two"))
        }
        (Some(from), None) => {
            start::parse(from).map_err(|reason| Problem::parameter("from", from, reason))
        }
        (None, Some(offset)) => Offset::new(offset)
            .map(Start::Offset)
            .ok_or_else(|| Problem::parameter("offset", &offset.to_string(), "is below 0")),
        (None, None) => Ok(Start::Beginning),
    }
}

/// The partitions to read, with the offset of each that has one of its own.
async fn chosen(
    door: &Door,
    topic: &Topic,
    parameters: &ReadParameters,
) -> Result<Vec<(PartitionIndex, Option<Offset>)>, Problem> {
    let mut chosen: Vec<(PartitionIndex, Option<Offset>)> = match &parameters.positions {
        Some(text) => positions::parse(text)
            .map_err(|reason| Problem::parameter("positions", text, reason))?
            .into_iter()
            .map(|(index, offset)| (index, Some(offset)))
            .collect(),
        None => (0..topic.partitions).map(|index| (PartitionIndex::new(index), None)).collect(),
    };
    if let Some(only) = parameters.partition.map(PartitionIndex::new) {
        chosen.retain(|(index, _)| *index == only);
        if chosen.is_empty() {
            chosen.push((only, None));
        }
    }
    if let Some(group) = &parameters.group {
        let asked = chosen.iter().map(|(index, _)| (topic.name.clone(), *index)).collect();
        let committed = door.broker.committed_offsets(&door.principal, group, Some(asked)).await?;
        for ((_, offset), (_, _, committed)) in chosen.iter_mut().zip(committed) {
            *offset = committed.map(|committed| committed.offset).or(*offset);
        }
    }
    Ok(chosen)
}

fn check_range(
    topic: &Topic,
    index: PartitionIndex,
    next: Offset,
    log_start: Offset,
    end: Offset,
) -> Result<(), Problem> {
    if next <= end {
        return Ok(());
    }
    let detail = format!(
        "offset {next} is above the end of partition {index} of topic {}, which holds {log_start} to {end}",
        topic.name
    );
    Err(Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "offset_out_of_range", detail)
        .help("read from=beginning or from=end")
        .with("log_start", log_start.value())
        .with("end", end.value()))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Lines,
    Events,
}

/// When a delivery is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    /// When the client leaves, or the node drains.
    Cancelled,
    /// At the ends known at the start; if nothing is there, with the first records that come
    /// before the deadline.
    End { deadline: Instant },
    /// Now.
    Over,
}

/// Records on their way to one client.
struct Delivery {
    reader: Reader,
    format: Format,
    until: Until,
    left: u64,
    heartbeat: Duration,
    shutdown: CancellationToken,
}

impl ReaderError {
    pub(super) fn into_problem(self) -> Problem {
        match self {
            ReaderError::Fetch(error) => error.into(),
            ReaderError::Lookup(error) => error.into(),
            error @ (ReaderError::Load(_) | ReaderError::Batch(_) | ReaderError::Panicked) => {
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "storage", chain(&error))
            }
        }
    }
}

impl Delivery {
    fn following(mut self) -> Delivery {
        self.reader.follow();
        self
    }

    /// The next piece of the body; `None` at its end.
    async fn next(&mut self) -> Result<Option<Bytes>, ReaderError> {
        loop {
            if self.left == 0 || self.until == Until::Over {
                return Ok(None);
            }
            let Some(wait) = self.wait() else { return Ok(None) };
            let found = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return Ok(None),
                found = self.reader.read(wait) => found?,
            };
            if !found.is_empty() {
                return Ok(Some(self.encode(found)));
            }
            if self.format == Format::Events && self.until == Until::Cancelled {
                return Ok(Some(Bytes::from_static(b": waiting\n\n")));
            }
        }
    }

    /// How long the next read may wait; `None` when everything was read.
    fn wait(&mut self) -> Option<Duration> {
        match (self.until, self.format) {
            (Until::Cancelled, Format::Events) => Some(self.heartbeat),
            (Until::Cancelled, Format::Lines) => Some(FOLLOW_WAIT),
            (Until::End { .. }, _) if !self.reader.has_waited() && !self.reader.is_at_end() => {
                Some(Duration::ZERO)
            }
            (Until::End { deadline }, _) => {
                let left = deadline.saturating_duration_since(Instant::now());
                // Whatever comes now is new; the ends known at the start no longer bound it.
                self.reader.wait_beyond_end();
                (!left.is_zero()).then_some(left)
            }
            (Until::Over, _) => None,
        }
    }

    fn encode(&mut self, found: Vec<(PartitionIndex, Vec<Record>)>) -> Bytes {
        let mut body = Vec::new();
        let mut sent = 0;
        let mut at: Vec<(PartitionIndex, Offset)> = self.before(&found);
        for (index, records) in &found {
            for record in records {
                if self.left == 0 {
                    break;
                }
                let after = record.offset.plus(1);
                if let Some(position) = at.iter_mut().find(|(known, _)| known == index) {
                    position.1 = after;
                }
                self.encode_record(&mut body, *index, record, &at);
                self.left -= 1;
                sent += 1;
            }
        }
        metrics::records_out().increment(sent);
        // Waiting is for the first record; with records in hand the client is answered.
        if let Until::End { deadline } = &mut self.until {
            *deadline = Instant::now();
            if self.reader.has_waited() {
                self.until = Until::Over;
            }
        }
        Bytes::from(body)
    }

    /// Each partition's position before the records just found.
    fn before(&self, found: &[(PartitionIndex, Vec<Record>)]) -> Vec<(PartitionIndex, Offset)> {
        let first = |index| {
            let (_, records) = found.iter().find(|(known, _)| *known == index)?;
            records.first().map(|record| record.offset)
        };
        let position = |(index, next)| (index, first(index).unwrap_or(next));
        self.reader.positions().map(position).collect()
    }

    fn encode_record(
        &self,
        body: &mut Vec<u8>,
        index: PartitionIndex,
        record: &Record,
        at: &[(PartitionIndex, Offset)],
    ) {
        match self.format {
            Format::Lines => {
                encode_line(body, index, record);
                body.push(b'\n');
            }
            Format::Events => {
                body.extend_from_slice(b"id: ");
                body.extend_from_slice(positions::show(at.iter().copied()).as_bytes());
                body.extend_from_slice(b"\ndata: ");
                encode_line(body, index, record);
                body.extend_from_slice(b"\n\n");
            }
        }
    }
}
