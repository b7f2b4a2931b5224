//! Produce: requests taken apart without copying records, and responses.
//!
//! # Source
//! Kafka 4.1 `ProduceRequest.json` and `ProduceResponse.json`, versions 3 to 13: flexible from 9,
//! topic ids instead of names from 13. Not written: `CurrentLeader` and `NodeEndpoints` (10), which
//! are optional and would name this node.

use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;

use super::api::Api;
use super::guard::ELEMENTS_MAX;
use super::reader::DecodeError;
use super::response::{Response, ResponseWriter};
use super::taker::Taker;
use super::writer::{put_count, put_no_tagged_fields, put_text};

const FLEXIBLE_FROM: i16 = 9;
const TOPIC_IDS_FROM: i16 = 13;

/// A topic as a request names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TopicKey {
    /// UTF-8.
    Name(Bytes),
    Id(Uuid),
}

#[derive(Debug)]
pub(crate) struct ProduceRequest {
    pub(crate) transactional_id: Option<Bytes>,
    pub(crate) acks: i16,
    pub(crate) topics: Vec<ProduceTopic>,
}

#[derive(Debug)]
pub(crate) struct ProduceTopic {
    pub(crate) topic: TopicKey,
    pub(crate) partitions: Vec<ProducePartition>,
}

#[derive(Debug)]
pub(crate) struct ProducePartition {
    pub(crate) index: i32,
    /// The only owner of its bytes; `None` is null on the wire.
    pub(crate) records: Option<BytesMut>,
}

/// The answer for each topic of a request.
#[derive(Debug)]
pub(crate) struct ProducedTopic {
    pub(crate) topic: TopicKey,
    pub(crate) partitions: Vec<ProducedPartition>,
}

#[derive(Debug)]
pub(crate) struct ProducedPartition {
    pub(crate) index: i32,
    pub(crate) error_code: i16,
    pub(crate) error_message: Option<String>,
    pub(crate) base_offset: i64,
    pub(crate) log_append_time_ms: i64,
    pub(crate) log_start_offset: i64,
}

/// Reads a request's body. Bytes after its end are ignored, as Kafka ignores them.
///
/// # Errors
/// [`DecodeError`]; the connection ends.
pub(crate) fn decode(version: i16, body: BytesMut) -> Result<ProduceRequest, DecodeError> {
    let flexible = version >= FLEXIBLE_FROM;
    let mut taker = Taker::new(body);
    let transactional_id = taker.nullable_text("transactional id", flexible)?;
    let acks = taker.i16()?;
    // How long Kafka would wait for its followers; there are none.
    let _timeout_ms = taker.i32()?;
    let mut elements = Elements(0);
    let count = elements.spend(taker.read(|reader| reader.count("topics", flexible, 1))?)?;
    let mut topics = Vec::with_capacity(count);
    for _ in 0..count {
        topics.push(decode_topic(&mut taker, version, flexible, &mut elements)?);
    }
    taker.read(|reader| reader.skip_tagged_fields(flexible))?;
    Ok(ProduceRequest { transactional_id, acks, topics })
}

fn decode_topic(
    taker: &mut Taker,
    version: i16,
    flexible: bool,
    elements: &mut Elements,
) -> Result<ProduceTopic, DecodeError> {
    let topic = if version >= TOPIC_IDS_FROM {
        TopicKey::Id(taker.uuid()?)
    } else {
        let name = taker.nullable_text("topic name", flexible)?;
        TopicKey::Name(name.ok_or(DecodeError::Length { field: "topic name", len: -1 })?)
    };
    let count = elements.spend(taker.read(|reader| reader.count("partitions", flexible, 5))?)?;
    let mut partitions = Vec::with_capacity(count);
    for _ in 0..count {
        let index = taker.i32()?;
        let records = taker.nullable_blob("records", flexible)?;
        taker.read(|reader| reader.skip_tagged_fields(flexible))?;
        partitions.push(ProducePartition { index, records });
    }
    taker.read(|reader| reader.skip_tagged_fields(flexible))?;
    Ok(ProduceTopic { topic, partitions })
}

/// Array elements so far; each costs memory out of proportion to its bytes.
struct Elements(usize);

impl Elements {
    fn spend(&mut self, count: Option<usize>) -> Result<usize, DecodeError> {
        let count = count.unwrap_or(0);
        self.0 += count;
        if self.0 > ELEMENTS_MAX {
            return Err(DecodeError::Elements { max: ELEMENTS_MAX });
        }
        Ok(count)
    }
}

/// Writes a response.
pub(crate) fn encode(
    version: i16,
    correlation_id: i32,
    topics: &[ProducedTopic],
    throttle_time_ms: i32,
) -> Response {
    let flexible = version >= FLEXIBLE_FROM;
    let partitions: usize = topics.iter().map(|topic| topic.partitions.len()).sum();
    let header_version = Api::Produce.response_header_version(version);
    let capacity = 16 + 64 * topics.len() + 48 * partitions;
    let mut writer = ResponseWriter::new(correlation_id, header_version, capacity);
    let buffer = writer.buffer();
    put_count(buffer, topics.len(), flexible);
    for topic in topics {
        put_topic_key(buffer, &topic.topic, flexible);
        put_count(buffer, topic.partitions.len(), flexible);
        for partition in &topic.partitions {
            put_partition(buffer, version, partition);
        }
        put_no_tagged_fields(buffer, flexible);
    }
    buffer.put_i32(throttle_time_ms);
    put_no_tagged_fields(buffer, flexible);
    writer.finish()
}

/// A topic by its name or its id, whichever the version has.
pub(super) fn put_topic_key(buffer: &mut BytesMut, topic: &TopicKey, flexible: bool) {
    match topic {
        TopicKey::Name(name) => put_text(buffer, Some(name), flexible),
        TopicKey::Id(id) => buffer.put_slice(id.as_bytes()),
    }
}

fn put_partition(buffer: &mut BytesMut, version: i16, partition: &ProducedPartition) {
    let flexible = version >= FLEXIBLE_FROM;
    buffer.put_i32(partition.index);
    buffer.put_i16(partition.error_code);
    buffer.put_i64(partition.base_offset);
    buffer.put_i64(partition.log_append_time_ms);
    if version >= 5 {
        buffer.put_i64(partition.log_start_offset);
    }
    if version >= 8 {
        put_count(buffer, 0, flexible);
        put_text(buffer, partition.error_message.as_deref().map(str::as_bytes), flexible);
    }
    put_no_tagged_fields(buffer, flexible);
}

#[cfg(test)]
mod tests;
