//! `INSERT INTO` a topic.
//!
//! Owns partitioning, batching and waiting for durability. The encoding of a row is in
//! [`crate::encode`].
//!
//! # Invariants
//! - Every record counted is durable when the statement returns.
//! - Bytes buffered and batches in flight are bounded, whatever the number of partitions.
//! - The statement is not atomic: what was written before an error stays.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::sink::DataSink;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType};
use futures::StreamExt;
use posthouse_broker::{AppendFailure, Broker, Topic, TopicRef};
use posthouse_log::{AppendError, Ticket};
use posthouse_record::{BatchBuilder, Compression};
use posthouse_types::{PartitionIndex, Principal};

use crate::QueryError;
use crate::columns::TopicColumns;
use crate::encode::{EncodedRow, RowEncoder};
use crate::error::sqlstate;
use crate::metrics;

/// LIMIT: bytes of one batch before compression; a batch holds at least one record all the same.
const BATCH_BYTES: usize = 256 * 1024;
/// LIMIT: bytes waiting in the batches of all partitions.
const BUFFERED_BYTES_MAX: usize = 8 * 1024 * 1024;
/// LIMIT: batches appended and not yet durable.
const IN_FLIGHT_MAX: usize = 64;
/// What a record costs beside its key, value and headers, at most.
const RECORD_OVERHEAD_BYTES: usize = 64;

/// Spreads the records without keys of successive statements over the partitions.
static NEXT_PARTITION: AtomicU32 = AtomicU32::new(0);

/// Writes rows to a topic.
pub(super) struct TopicSink {
    broker: Arc<Broker>,
    principal: Principal,
    topic: Arc<Topic>,
    columns: Arc<TopicColumns>,
}

impl TopicSink {
    pub(super) fn new(
        broker: Arc<Broker>,
        principal: Principal,
        topic: Arc<Topic>,
        columns: Arc<TopicColumns>,
    ) -> TopicSink {
        TopicSink { broker, principal, topic, columns }
    }
}

#[async_trait]
impl DataSink for TopicSink {
    fn schema(&self) -> &SchemaRef {
        &self.columns.schema
    }

    async fn write_all(
        &self,
        mut data: SendableRecordBatchStream,
        _context: &Arc<TaskContext>,
    ) -> Result<u64> {
        let mut writer = Writer::new(self);
        while let Some(batch) = data.next().await {
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => return Err(writer.give_up(error).await),
            };
            if let Err(error) = writer.write(&batch).await {
                return Err(writer.give_up(error.into()).await);
            }
        }
        let written = writer.finish().await;
        let durable = writer.durable;
        metrics::records_inserted(durable);
        match written {
            Ok(()) => Ok(durable),
            Err(error) => Err(partly(durable, error.into())),
        }
    }
}

/// Batches on their way to the partitions of one topic.
struct Writer<'s> {
    sink: &'s TopicSink,
    batch_bytes: usize,
    buffers: Vec<Buffer>,
    buffered_bytes: usize,
    /// Where records without a key go now.
    keyless: u32,
    in_flight: VecDeque<(Ticket, u64)>,
    durable: u64,
}

#[derive(Default)]
struct Buffer {
    builder: Option<BatchBuilder>,
    bytes: usize,
    records: u64,
}

impl<'s> Writer<'s> {
    fn new(sink: &'s TopicSink) -> Writer<'s> {
        let partitions = sink.topic.partitions.max(1);
        Writer {
            sink,
            batch_bytes: BATCH_BYTES.min(sink.topic.config.batch_bytes_max.as_usize() / 2),
            buffers: (0..partitions).map(|_| Buffer::default()).collect(),
            buffered_bytes: 0,
            keyless: NEXT_PARTITION.fetch_add(1, Ordering::Relaxed) % partitions,
            in_flight: VecDeque::new(),
            durable: 0,
        }
    }

    async fn write(&mut self, batch: &RecordBatch) -> Result<(), QueryError> {
        for row in encode_all(&self.sink.columns, batch)? {
            let index = self.partition_of(&row)?;
            self.push(index, &row).await?;
        }
        Ok(())
    }

    fn partition_of(&self, row: &EncodedRow<'_>) -> Result<usize, QueryError> {
        let partitions = self.buffers.len();
        let index = match (row.partition, &row.key) {
            (Some(given), _) => usize::try_from(given).ok().filter(|index| *index < partitions),
            (None, Some(key)) => {
                usize::try_from(positive_murmur2(key)).ok().map(|hash| hash % partitions)
            }
            (None, None) => usize::try_from(self.keyless).ok(),
        };
        index.ok_or_else(|| {
            let message = format!(
                "topic {} has {partitions} partitions; there is no partition {}",
                self.sink.topic.name,
                row.partition.unwrap_or_default()
            );
            QueryError::new(sqlstate::INVALID_PARAMETER_VALUE, message)
        })
    }

    async fn push(&mut self, index: usize, row: &EncodedRow<'_>) -> Result<(), QueryError> {
        let size = row.bytes() + RECORD_OVERHEAD_BYTES;
        if self.buffers[index].records > 0 && self.buffers[index].bytes + size > self.batch_bytes {
            self.flush(index).await?;
            self.next_keyless();
        }
        let now = self.sink.broker.clock().wall();
        let buffer = &mut self.buffers[index];
        let builder = buffer.builder.get_or_insert_with(|| BatchBuilder::new(Compression::None));
        builder.push(
            row.timestamp.unwrap_or(now),
            row.key.as_deref(),
            row.value.as_deref(),
            &row.headers,
        );
        buffer.bytes += size;
        buffer.records += 1;
        self.buffered_bytes += size;
        if self.buffered_bytes > BUFFERED_BYTES_MAX {
            self.flush_all().await?;
        }
        Ok(())
    }

    fn next_keyless(&mut self) {
        let partitions = self.sink.topic.partitions.max(1);
        self.keyless = (self.keyless + 1) % partitions;
    }

    async fn flush_all(&mut self) -> Result<(), QueryError> {
        for index in 0..self.buffers.len() {
            self.flush(index).await?;
        }
        Ok(())
    }

    async fn flush(&mut self, index: usize) -> Result<(), QueryError> {
        let buffer = mem::take(&mut self.buffers[index]);
        let Some(builder) = buffer.builder else { return Ok(()) };
        self.buffered_bytes -= buffer.bytes;
        let batch = builder.build().map_err(|error| {
            QueryError::internal(format!("cannot build a record batch: {error}"))
        })?;
        let partition = PartitionIndex::new(u32::try_from(index).unwrap_or(u32::MAX));
        let sink = self.sink;
        let appended = sink
            .broker
            .append(&sink.principal, &TopicRef::Id(sink.topic.id), partition, batch.into_bytes())
            .await
            .map_err(|error| append_failed(&error))?;
        self.in_flight.push_back((appended.ticket, buffer.records));
        while self.in_flight.len() > IN_FLIGHT_MAX {
            self.settle_one().await?;
        }
        Ok(())
    }

    async fn settle_one(&mut self) -> Result<(), QueryError> {
        let Some((ticket, records)) = self.in_flight.pop_front() else { return Ok(()) };
        ticket.durable().await.map_err(|error| append_failed(&AppendFailure::Durability(error)))?;
        self.durable += records;
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), QueryError> {
        self.flush_all().await?;
        while !self.in_flight.is_empty() {
            self.settle_one().await?;
        }
        Ok(())
    }

    /// Waits for what is under way, so that the error can say what stays.
    async fn give_up(&mut self, error: DataFusionError) -> DataFusionError {
        while !self.in_flight.is_empty() {
            if self.settle_one().await.is_err() {
                break;
            }
        }
        partly(self.durable, error)
    }
}

/// The rows of a batch; encoded before any is written, because the encoder may not wait.
fn encode_all<'b>(
    columns: &'b TopicColumns,
    batch: &'b RecordBatch,
) -> Result<Vec<EncodedRow<'b>>, QueryError> {
    let encoder = RowEncoder::new(columns, batch)?;
    (0..batch.num_rows()).map(|row| encoder.row(row)).collect()
}

fn partly(durable: u64, error: DataFusionError) -> DataFusionError {
    if durable == 0 {
        return error;
    }
    let error = QueryError::from(error);
    let hint = format!("{durable} records were written before it and stay");
    error.with_hint(hint).into()
}

fn append_failed(error: &AppendFailure) -> QueryError {
    let state = match error {
        AppendFailure::Lookup(lookup) => return super::table::lookup_failed(lookup),
        AppendFailure::Internal(_) => sqlstate::INSUFFICIENT_PRIVILEGE,
        AppendFailure::Append(AppendError::TooLarge { .. }) => sqlstate::PROGRAM_LIMIT_EXCEEDED,
        AppendFailure::Append(AppendError::KeyMissing) => sqlstate::NOT_NULL_VIOLATION,
        AppendFailure::Append(AppendError::Failed(storage)) if storage.is_full() => {
            sqlstate::DISK_FULL
        }
        AppendFailure::Append(_) | AppendFailure::Durability(_) => sqlstate::IO_ERROR,
        AppendFailure::Batch(_) | AppendFailure::Create { .. } => sqlstate::INTERNAL_ERROR,
        #[expect(unreachable_patterns, reason = "the broker may name more failures")]
        _ => sqlstate::INTERNAL_ERROR,
    };
    QueryError::new(state, error.to_string())
}

/// The hash by which Kafka's own producers choose a key's partition.
///
/// # Source
/// Murmur2 by Austin Appleby, 32 bits, with Kafka's seed; the sign bit is cleared.
fn positive_murmur2(key: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const MULTIPLIER: u32 = 0x5bd1_e995;
    const SHIFT: u32 = 24;
    let len = u32::try_from(key.len()).unwrap_or(u32::MAX);
    let mut hash = SEED ^ len;
    let (words, tail) = key.as_chunks::<4>();
    for word in words {
        let mut word = u32::from_le_bytes(*word).wrapping_mul(MULTIPLIER);
        word = (word ^ (word >> SHIFT)).wrapping_mul(MULTIPLIER);
        hash = hash.wrapping_mul(MULTIPLIER) ^ word;
    }
    if !tail.is_empty() {
        let mut last = [0; 4];
        last[..tail.len()].copy_from_slice(tail);
        hash = (hash ^ u32::from_le_bytes(last)).wrapping_mul(MULTIPLIER);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(MULTIPLIER);
    (hash ^ (hash >> 15)) & 0x7fff_ffff
}

impl DisplayAs for TopicSink {
    fn fmt_as(
        &self,
        _format: DisplayFormatType,
        formatter: &mut fmt::Formatter<'_>,
    ) -> fmt::Result {
        write!(formatter, "topic {}", self.topic.name)
    }
}

impl fmt::Debug for TopicSink {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TopicSink({})", self.topic.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_hash_as_kafkas_producers_hash_them() {
        // Values from Apache Kafka's own tests of its Murmur2, made positive.
        for (key, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("abc", 479_470_107),
        ] {
            let positive = u32::from_ne_bytes(hash.to_ne_bytes()) & 0x7fff_ffff;
            assert_eq!(positive_murmur2(key.as_bytes()), positive, "{key}");
        }
    }
}
