//! Fetch: requests, and responses around stored batches that are not copied.
//!
//! # Source
//! Kafka 4.1 `FetchRequest.json` and `FetchResponse.json`, versions 4 to 18: sessions from 7,
//! flexible from 12, topic ids instead of names from 13. Not written: `DivergingEpoch`,
//! `CurrentLeader`, `SnapshotId`, `NodeEndpoints`, which are optional and serve replicas.

use bytes::{BufMut, Bytes, BytesMut};
use posthouse_log::Chunk;

use super::api::Api;
use super::guard::ELEMENTS_MAX;
use super::produce::{TopicKey, put_topic_key};
use super::reader::{DecodeError, Reader};
use super::response::{COPY_BELOW_BYTES, Response, ResponseWriter};
use super::writer::{put_count, put_no_tagged_fields, put_varint};

const FLEXIBLE_FROM: i16 = 12;
const TOPIC_IDS_FROM: i16 = 13;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FetchRequest {
    pub(crate) max_wait_ms: i32,
    pub(crate) min_bytes: i32,
    pub(crate) max_bytes: i32,
    pub(crate) isolation_level: i8,
    pub(crate) session_id: i32,
    pub(crate) session_epoch: i32,
    pub(crate) topics: Vec<FetchTopic>,
    /// Partitions that a session is to forget.
    pub(crate) forgotten: Vec<(TopicKey, Vec<i32>)>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FetchTopic {
    pub(crate) topic: TopicKey,
    pub(crate) partitions: Vec<FetchPartition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FetchPartition {
    pub(crate) index: i32,
    /// -1 when the reader does not say.
    pub(crate) current_leader_epoch: i32,
    pub(crate) fetch_offset: i64,
    pub(crate) max_bytes: i32,
}

/// The answer for one topic.
#[derive(Debug)]
pub(crate) struct FetchedTopic {
    pub(crate) topic: TopicKey,
    pub(crate) partitions: Vec<FetchedPartition>,
}

#[derive(Debug)]
pub(crate) struct FetchedPartition {
    pub(crate) index: i32,
    pub(crate) error_code: i16,
    pub(crate) high_watermark: i64,
    pub(crate) last_stable_offset: i64,
    pub(crate) log_start_offset: i64,
    /// Whether the list of aborted transactions is empty rather than null, as for read_committed.
    pub(crate) read_committed: bool,
    pub(crate) records: Vec<Chunk>,
}

/// Reads a request's body. Bytes after its end are ignored, as Kafka ignores them.
///
/// # Errors
/// [`DecodeError`]; the connection ends.
pub(crate) fn decode(version: i16, body: &Bytes) -> Result<FetchRequest, DecodeError> {
    let mut decoder = Decoder {
        reader: Reader::new(body),
        body,
        version,
        flexible: version >= FLEXIBLE_FROM,
        elements: 0,
    };
    decoder.request()
}

struct Decoder<'a> {
    reader: Reader<'a>,
    /// What `reader` reads, for names that are slices of it.
    body: &'a Bytes,
    version: i16,
    flexible: bool,
    elements: usize,
}

impl Decoder<'_> {
    fn request(&mut self) -> Result<FetchRequest, DecodeError> {
        if self.version <= 14 {
            // The replica id; from version 15 it is a tagged field. Only followers have one.
            self.reader.i32()?;
        }
        let max_wait_ms = self.reader.i32()?;
        let min_bytes = self.reader.i32()?;
        let max_bytes = self.reader.i32()?;
        let isolation_level = self.reader.i8()?;
        let (session_id, session_epoch) =
            if self.version >= 7 { (self.reader.i32()?, self.reader.i32()?) } else { (0, -1) };
        let topics = self.topics()?;
        let forgotten = if self.version >= 7 { self.forgotten()? } else { Vec::new() };
        if self.version >= 11 {
            self.reader.text("rack id", self.flexible)?;
        }
        self.end_of_struct()?;
        Ok(FetchRequest {
            max_wait_ms,
            min_bytes,
            max_bytes,
            isolation_level,
            session_id,
            session_epoch,
            topics,
            forgotten,
        })
    }

    fn topics(&mut self) -> Result<Vec<FetchTopic>, DecodeError> {
        let count = self.count("topics", 5)?;
        let mut topics = Vec::with_capacity(count);
        for _ in 0..count {
            let topic = self.topic_key()?;
            let count = self.count("partitions", 16)?;
            let mut partitions = Vec::with_capacity(count);
            for _ in 0..count {
                partitions.push(self.partition()?);
            }
            self.end_of_struct()?;
            topics.push(FetchTopic { topic, partitions });
        }
        Ok(topics)
    }

    fn partition(&mut self) -> Result<FetchPartition, DecodeError> {
        let index = self.reader.i32()?;
        let current_leader_epoch = if self.version >= 9 { self.reader.i32()? } else { -1 };
        let fetch_offset = self.reader.i64()?;
        if self.version >= 12 {
            // The last fetched epoch, by which a follower finds where its log diverges.
            self.reader.i32()?;
        }
        if self.version >= 5 {
            // The follower's log start.
            self.reader.i64()?;
        }
        let max_bytes = self.reader.i32()?;
        self.end_of_struct()?;
        Ok(FetchPartition { index, current_leader_epoch, fetch_offset, max_bytes })
    }

    fn forgotten(&mut self) -> Result<Vec<(TopicKey, Vec<i32>)>, DecodeError> {
        let count = self.count("forgotten topics", 3)?;
        let mut forgotten = Vec::with_capacity(count);
        for _ in 0..count {
            let topic = self.topic_key()?;
            let count = self.count("forgotten partitions", 4)?;
            let mut partitions = Vec::with_capacity(count);
            for _ in 0..count {
                partitions.push(self.reader.i32()?);
            }
            self.end_of_struct()?;
            forgotten.push((topic, partitions));
        }
        Ok(forgotten)
    }

    fn topic_key(&mut self) -> Result<TopicKey, DecodeError> {
        if self.version >= TOPIC_IDS_FROM {
            return Ok(TopicKey::Id(self.reader.uuid()?));
        }
        let name = self.reader.text("topic name", self.flexible)?;
        Ok(TopicKey::Name(self.body.slice_ref(name.as_bytes())))
    }

    fn count(&mut self, field: &'static str, bytes_min: usize) -> Result<usize, DecodeError> {
        let count = self.reader.count(field, self.flexible, bytes_min)?.unwrap_or(0);
        self.elements += count;
        if self.elements > ELEMENTS_MAX {
            return Err(DecodeError::Elements { max: ELEMENTS_MAX });
        }
        Ok(count)
    }

    fn end_of_struct(&mut self) -> Result<(), DecodeError> {
        self.reader.skip_tagged_fields(self.flexible).map(drop)
    }
}

/// The fields around the topics of a response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FetchResponse<'a> {
    pub(crate) throttle_time_ms: i32,
    pub(crate) error_code: i16,
    pub(crate) session_id: i32,
    pub(crate) topics: &'a [FetchedTopic],
}

/// Writes a response; stored batches are passed on as they are.
pub(crate) fn encode(version: i16, correlation_id: i32, fetched: FetchResponse<'_>) -> Response {
    let flexible = version >= FLEXIBLE_FROM;
    let partitions: usize = fetched.topics.iter().map(|topic| topic.partitions.len()).sum();
    let header_version = Api::Fetch.response_header_version(version);
    let capacity = 32 + 64 * fetched.topics.len() + 56 * partitions + copied_bytes(fetched.topics);
    let mut writer = ResponseWriter::new(correlation_id, header_version, capacity);
    writer.buffer().put_i32(fetched.throttle_time_ms);
    if version >= 7 {
        writer.buffer().put_i16(fetched.error_code);
        writer.buffer().put_i32(fetched.session_id);
    }
    put_count(writer.buffer(), fetched.topics.len(), flexible);
    for topic in fetched.topics {
        put_topic_key(writer.buffer(), &topic.topic, flexible);
        put_count(writer.buffer(), topic.partitions.len(), flexible);
        for partition in &topic.partitions {
            put_partition(&mut writer, version, partition);
        }
        put_no_tagged_fields(writer.buffer(), flexible);
    }
    put_no_tagged_fields(writer.buffer(), flexible);
    writer.finish()
}

/// Bytes of the batches that the response copies.
fn copied_bytes(topics: &[FetchedTopic]) -> usize {
    let partitions = topics.iter().flat_map(|topic| &topic.partitions);
    let chunks = partitions.flat_map(|partition| &partition.records);
    let small = chunks
        .filter(|chunk| matches!(chunk, Chunk::Memory(bytes) if bytes.len() < COPY_BELOW_BYTES));
    small.map(Chunk::len).sum()
}

fn put_partition(writer: &mut ResponseWriter, version: i16, partition: &FetchedPartition) {
    let flexible = version >= FLEXIBLE_FROM;
    let buffer = writer.buffer();
    buffer.put_i32(partition.index);
    buffer.put_i16(partition.error_code);
    buffer.put_i64(partition.high_watermark);
    buffer.put_i64(partition.last_stable_offset);
    if version >= 5 {
        buffer.put_i64(partition.log_start_offset);
    }
    put_aborted_transactions(buffer, partition.read_committed, flexible);
    if version >= 11 {
        let preferred_read_replica = -1;
        buffer.put_i32(preferred_read_replica);
    }
    put_count(buffer, partition.records.iter().map(Chunk::len).sum(), flexible);
    for chunk in &partition.records {
        writer.put_chunk(chunk.clone());
    }
    put_no_tagged_fields(writer.buffer(), flexible);
}

/// There are no transactions: an empty list for who asked, as Kafka sends it, and null otherwise.
fn put_aborted_transactions(buffer: &mut BytesMut, read_committed: bool, flexible: bool) {
    match (read_committed, flexible) {
        (true, _) => put_count(buffer, 0, flexible),
        (false, true) => put_varint(buffer, 0),
        (false, false) => buffer.put_i32(-1),
    }
}

#[cfg(test)]
mod tests;
