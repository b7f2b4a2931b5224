//! Writing records: one, whose body is its value, or many, as JSON.

use axum::Json;
use axum::body::Body;
use axum::extract::Extension;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use posthouse_broker::LiveMessage;
use posthouse_record::Header;
use posthouse_types::{Offset, PartitionIndex, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::input::{Parameters, Pieces, TopicPath, media_type, too_large};
use crate::codec::lines::Lines;
use crate::codec::record::{IncomingRecord, decode_line};
use crate::errors::Problem;
use crate::routes::Door;
use crate::session::ConnectionNumber;
use crate::writer::{Writer, Written};

/// A request header with this before its name is a header of the record.
pub(crate) const HEADER_PREFIX: &str = "record-header-";

/// What a single record has beside its value.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordParameters {
    /// Its key, as text.
    key: Option<String>,
    /// Its key, in standard base64, when it is not text.
    key_base64: Option<String>,
    /// The partition it is to go to; otherwise its key decides, as it does for Kafka clients.
    partition: Option<u32>,
    /// Its timestamp, in milliseconds since 1970; otherwise now.
    timestamp: Option<i64>,
    /// `true` for a record without a value (a deletion, in a compacted topic); the body must be empty.
    tombstone: Option<bool>,
}

/// Where a record is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Acknowledged {
    /// The topic.
    topic: String,
    /// The partition.
    #[schema(value_type = u32)]
    partition: PartitionIndex,
    /// The offset.
    #[schema(value_type = i64)]
    offset: Offset,
}

/// Where the records of a batch are.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BatchAcknowledged {
    /// The topic.
    topic: String,
    /// How many records are durable.
    records: u64,
    /// Where they are.
    partitions: Vec<Written>,
}

/// One record as JSON; fields of bytes may be given in base64 under their name with `_base64`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what codec::record reads, for the OpenAPI document")]
pub(crate) struct RecordBody {
    /// The key.
    key: Option<String>,
    /// The value: text, or any JSON, which is kept as it is sent.
    #[schema(value_type = Object)]
    value: Option<serde_json::Value>,
    /// The value in base64.
    value_base64: Option<String>,
    /// The headers, in order.
    headers: Option<Vec<HeaderBody>>,
    /// The partition.
    partition: Option<u32>,
    /// Milliseconds since 1970.
    timestamp: Option<i64>,
}

/// A header of a record.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what codec::record reads, for the OpenAPI document")]
pub(crate) struct HeaderBody {
    /// Its name.
    name: String,
    /// Its value.
    value: Option<String>,
}

/// Write one record: the body is its value, byte for byte.
///
/// Its key is a parameter; its headers are the request headers whose names begin with
/// `record-header-`. The answer comes when the record is durable.
#[utoipa::path(
    post, path = "/topics/{name}/records", tag = "records",
    params(("name" = String, Path, description = "The topic"), RecordParameters),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The value"),
    responses((status = 200, body = Acknowledged), (status = "default", body = Problem))
)]
pub(crate) async fn one(
    door: Door,
    Extension(connection): Extension<ConnectionNumber>,
    TopicPath(name): TopicPath,
    Parameters(parameters): Parameters<RecordParameters>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Acknowledged>, Problem> {
    let value = Pieces::new(body, &door.config).collect().await?;
    let record = parameters.record(value, record_headers(&headers))?;
    let mut writer = Writer::open(door, &name, connection).await?;
    writer.push(&record).await?;
    let written = writer.finish().await?;
    let written = written.first().ok_or_else(|| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "bug", "the record went nowhere")
    })?;
    let (partition, offset) = (written.partition, written.last_offset);
    Ok(Json(Acknowledged { topic: name.to_string(), partition, offset }))
}

impl RecordParameters {
    /// The message of a channel, which has no partition to be chosen.
    pub(crate) fn message(
        self,
        value: Bytes,
        headers: Vec<Header>,
        door: &Door,
    ) -> Result<LiveMessage, Problem> {
        if let Some(partition) = self.partition {
            let help = "write to the topic's records to choose one";
            return Err(Problem::parameter(
                "partition",
                &partition.to_string(),
                "cannot be chosen on a channel",
            )
            .help(help));
        }
        let IncomingRecord { key, value, headers, timestamp, .. } = self.record(value, headers)?;
        let timestamp = timestamp.unwrap_or_else(|| door.broker.clock().wall());
        Ok(LiveMessage { key, value, headers, timestamp })
    }

    fn record(self, value: Bytes, headers: Vec<Header>) -> Result<IncomingRecord, Problem> {
        let key = match (self.key, self.key_base64) {
            (Some(_), Some(text)) => {
                return Err(Problem::parameter(
                    "key_base64",
                    &text,
                    "comes with a key; give one of the two",
                ));
            }
            (Some(key), None) => Some(Bytes::from(key)),
            (None, Some(text)) => Some(
                BASE64
                    .decode(&text)
                    .map(Bytes::from)
                    .map_err(|_| Problem::parameter("key_base64", &text, "is not base64"))?,
            ),
            (None, None) => None,
        };
        let value = match (self.tombstone.unwrap_or(false), value.is_empty()) {
            (false, _) => Some(value),
            (true, true) => None,
            (true, false) => {
                return Err(Problem::parameter(
                    "tombstone",
                    "true",
                    "comes with a body; a record without a value has none",
                ));
            }
        };
        let partition = self.partition.map(PartitionIndex::new);
        let timestamp = self.timestamp.map(Timestamp::from_ms);
        Ok(IncomingRecord { key, value, headers, partition, timestamp })
    }
}

pub(crate) fn record_headers(headers: &HeaderMap) -> Vec<Header> {
    let header = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
        let name = name.as_str().strip_prefix(HEADER_PREFIX)?;
        Some(Header {
            name: Bytes::copy_from_slice(name.as_bytes()),
            value: Some(Bytes::copy_from_slice(value.as_bytes())),
        })
    };
    headers.iter().filter_map(header).collect()
}

/// Write many records: one JSON object a line, of any number, or one JSON array.
///
/// Lines are written as they arrive, and the answer comes when all of them are durable. When one is
/// refused, those before it are kept: the problem says how many (`acknowledged`) and where.
#[utoipa::path(
    post, path = "/topics/{name}/records/batch", tag = "records",
    params(("name" = String, Path, description = "The topic")),
    request_body(content(
        (RecordBody = "application/x-ndjson"),
        (Vec<RecordBody> = "application/json"),
    )),
    responses((status = 200, body = BatchAcknowledged), (status = "default", body = Problem))
)]
pub(crate) async fn batch(
    door: Door,
    Extension(connection): Extension<ConnectionNumber>,
    TopicPath(name): TopicPath,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<BatchAcknowledged>, Problem> {
    let config = std::sync::Arc::clone(&door.config);
    let pieces = Pieces::new(body, &config);
    let mut writer = Writer::open(door, &name, connection).await?;
    let pushed = match media_type(&headers).as_str() {
        "application/json" => push_array(&mut writer, pieces).await,
        "" | "application/x-ndjson" | "application/jsonl" | "application/x-www-form-urlencoded" => {
            push_lines(&mut writer, pieces, config.body_bytes_max.as_usize()).await
        }
        other => {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                format!("a batch of records cannot be {other:?}"),
            )
            .help("send application/x-ndjson (one record a line) or application/json (an array)"));
        }
    };
    let finished = match pushed {
        Ok(()) => writer.finish().await,
        Err(problem) => Err(problem),
    };
    match finished {
        Ok(partitions) => {
            let records = partitions.iter().map(|written| written.records).sum();
            Ok(Json(BatchAcknowledged { topic: name.to_string(), records, partitions }))
        }
        Err(problem) => {
            let partitions = writer.acknowledged_after_failure().await;
            let records: u64 = partitions.iter().map(|written| written.records).sum();
            let partitions = serde_json::to_value(partitions).unwrap_or_default();
            Err(problem.with("acknowledged", records).with("partitions", partitions))
        }
    }
}

async fn push_lines(
    writer: &mut Writer,
    mut pieces: Pieces<'_>,
    len_max: usize,
) -> Result<(), Problem> {
    let mut lines = Lines::new(len_max);
    let mut number = 0;
    while let Some(piece) = pieces.next().await? {
        lines.push(&piece);
        while let Some(line) = lines.next().map_err(|_| too_large(len_max))? {
            number += 1;
            push_line(writer, &line, number).await?;
        }
    }
    match lines.rest() {
        Some(line) => push_line(writer, &line, number + 1).await,
        None => Ok(()),
    }
}

async fn push_array(writer: &mut Writer, pieces: Pieces<'_>) -> Result<(), Problem> {
    let body = pieces.collect().await?;
    let records: Vec<&RawValue> = serde_json::from_slice(&body).map_err(|error| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "invalid_record",
            format!("the body is not a JSON array: {error}"),
        )
        .help("one record a line is application/x-ndjson")
    })?;
    for (index, record) in records.iter().enumerate() {
        push_line(writer, record.get().as_bytes(), index + 1).await?;
    }
    Ok(())
}

/// Blank lines are skipped, as in any NDJSON.
async fn push_line(writer: &mut Writer, line: &[u8], number: usize) -> Result<(), Problem> {
    if line.trim_ascii().is_empty() {
        return Ok(());
    }
    let record = decode_line(line).map_err(|error| {
        let detail = format!("record {number} is refused: {error}");
        Problem::new(StatusCode::BAD_REQUEST, "invalid_record", detail).with("record", number)
    })?;
    writer.push(&record).await.map_err(|problem| problem.with("record", number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_prefixed_request_headers_are_the_records_own() {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "text/plain".parse().unwrap());
        headers.append("record-header-trace", "a".parse().unwrap());
        headers.append("record-header-trace", "b".parse().unwrap());
        let found = record_headers(&headers);
        let pairs: Vec<_> =
            found.iter().map(|header| (&header.name[..], header.value.as_deref())).collect();
        assert_eq!(pairs, [(&b"trace"[..], Some(&b"a"[..])), (b"trace", Some(b"b"))]);
    }

    #[test]
    fn an_empty_body_is_an_empty_value_unless_it_is_a_tombstone() {
        let plain = RecordParameters::default().record(Bytes::new(), Vec::new()).unwrap();
        assert_eq!(plain.value, Some(Bytes::new()));
        let deletion = RecordParameters { tombstone: Some(true), ..RecordParameters::default() };
        assert_eq!(deletion.record(Bytes::new(), Vec::new()).unwrap().value, None);
        let both = RecordParameters { tombstone: Some(true), ..RecordParameters::default() };
        assert!(both.record(Bytes::from("x"), Vec::new()).is_err());
    }
}
