//! Appends a stream of records: groups them into batches by partition, keeps many appends on their
//! way, and knows at every moment what is durable.
//!
//! # Invariants
//! - Records of one partition are appended in the order in which they came.
//! - A record counts as acknowledged once its batch is durable, never before.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::BytesMut;
use posthouse_broker::{
    AppendFailure, LookupError, Topic, TopicRef, partition_for_connection, partition_for_key,
};
use posthouse_record::{BatchBuilder, Compression};
use posthouse_types::{LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicName};
use serde::Serialize;
use utoipa::ToSchema;

use crate::codec::record::IncomingRecord;
use crate::errors::Problem;
use crate::metrics;
use crate::routes::Door;
use crate::session::ConnectionNumber;

/// A batch is sent once it holds this many bytes.
const BATCH_BYTES: usize = 256 * 1024;
/// LIMIT: batches on their way to the disk for one request.
const IN_FLIGHT_MAX: usize = 32;
/// LIMIT: bytes in the batches that one request has open, over all partitions.
const OPEN_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What a record takes in a batch beside its key, value and headers, at most.
const RECORD_OVERHEAD: usize = 64;

/// Where the records of a request went.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct Written {
    /// The partition.
    #[schema(value_type = u32)]
    pub(crate) partition: PartitionIndex,
    /// The first record's offset.
    #[schema(value_type = i64)]
    pub(crate) first_offset: Offset,
    /// The last record's offset.
    #[schema(value_type = i64)]
    pub(crate) last_offset: Offset,
    /// How many.
    pub(crate) records: u64,
}

/// Appends the records of one request to one topic.
pub(crate) struct Writer {
    door: Door,
    topic: Arc<Topic>,
    connection: ConnectionNumber,
    open: BTreeMap<PartitionIndex, BatchBuilder>,
    open_bytes: usize,
    in_flight: VecDeque<InFlight>,
    written: BTreeMap<PartitionIndex, Written>,
}

struct InFlight {
    written: Written,
    ticket: posthouse_log::Ticket,
}

impl Writer {
    /// A writer to `name`, which is made if it does not exist and the node allows it.
    pub(crate) async fn open(
        door: Door,
        name: &TopicName,
        connection: ConnectionNumber,
    ) -> Result<Writer, Problem> {
        let topic = door.broker.topic_or_create(&door.principal, name).await?;
        Ok(Writer {
            door,
            topic,
            connection,
            open: BTreeMap::new(),
            open_bytes: 0,
            in_flight: VecDeque::new(),
            written: BTreeMap::new(),
        })
    }

    /// The timestamp of a record that brings none.
    pub(crate) fn now(&self) -> Timestamp {
        self.door.broker.clock().wall()
    }

    /// Takes one record; waits when too much is on its way.
    pub(crate) async fn push(&mut self, record: &IncomingRecord) -> Result<(), Problem> {
        let index = self.place(record)?;
        let size = RECORD_OVERHEAD
            + record.key.as_ref().map_or(0, |key| key.len())
            + record.value.as_ref().map_or(0, |value| value.len())
            + record.headers.iter().map(header_size).sum::<usize>();
        let size_max = BATCH_BYTES.min(self.topic.config.batch_bytes_max.as_usize());
        if self.open.get(&index).is_some_and(|batch| batch.size() + size > size_max) {
            self.send(index).await?;
        }
        let timestamp = record.timestamp.unwrap_or_else(|| self.now());
        let batch = self.open.entry(index).or_insert_with(|| BatchBuilder::new(Compression::None));
        batch.push(timestamp, record.key.as_deref(), record.value.as_deref(), &record.headers);
        self.open_bytes += size;
        if self.open_bytes > OPEN_BYTES_MAX {
            self.send_all().await?;
        }
        Ok(())
    }

    /// Sends what is left and waits until all of it is durable.
    pub(crate) async fn finish(&mut self) -> Result<Vec<Written>, Problem> {
        self.send_all().await?;
        while self.confirm_oldest().await? {}
        Ok(self.acknowledged())
    }

    /// What is durable after a failure: batches already accepted are waited for.
    pub(crate) async fn acknowledged_after_failure(mut self) -> Vec<Written> {
        // A second failure adds nothing to the first, which is what the client is told.
        while self.confirm_oldest().await.unwrap_or(false) {}
        self.acknowledged()
    }

    fn acknowledged(&self) -> Vec<Written> {
        self.written.values().copied().collect()
    }

    fn place(&self, record: &IncomingRecord) -> Result<PartitionIndex, Problem> {
        let partitions = self.topic.partitions;
        let index = match (record.partition, &record.key) {
            (Some(index), _) => index,
            (None, Some(key)) => partition_for_key(key, partitions),
            (None, None) => partition_for_connection(self.connection.0, partitions),
        };
        if index.value() < partitions {
            return Ok(index);
        }
        let topic = self.topic.name.clone();
        Err(LookupError::UnknownPartition { topic, index, partitions }.into())
    }

    async fn send_all(&mut self) -> Result<(), Problem> {
        while let Some(index) = self.open.keys().next().copied() {
            self.send(index).await?;
        }
        self.open_bytes = 0;
        Ok(())
    }

    async fn send(&mut self, index: PartitionIndex) -> Result<(), Problem> {
        let Some(batch) = self.open.remove(&index) else { return Ok(()) };
        self.open_bytes = self.open_bytes.saturating_sub(batch.size());
        let records = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let bytes = encode(batch)?;
        let topic = TopicRef::Id(self.topic.id);
        let appended = self.door.broker.append(&self.door.principal, &topic, index, bytes).await?;
        let (first_offset, last_offset) = (appended.base_offset, appended.last_offset);
        let written = Written { partition: index, first_offset, last_offset, records };
        self.in_flight.push_back(InFlight { written, ticket: appended.ticket });
        if self.in_flight.len() > IN_FLIGHT_MAX {
            self.confirm_oldest().await?;
        }
        Ok(())
    }

    /// Waits for the oldest batch; false when there is none.
    async fn confirm_oldest(&mut self) -> Result<bool, Problem> {
        let Some(oldest) = self.in_flight.pop_front() else { return Ok(false) };
        oldest.ticket.durable().await.map_err(AppendFailure::Durability)?;
        metrics::records_in().increment(oldest.written.records);
        self.written
            .entry(oldest.written.partition)
            .and_modify(|written| {
                written.last_offset = oldest.written.last_offset;
                written.records += oldest.written.records;
            })
            .or_insert(oldest.written);
        Ok(true)
    }
}

fn header_size(header: &posthouse_record::Header) -> usize {
    RECORD_OVERHEAD + header.name.len() + header.value.as_ref().map_or(0, |value| value.len())
}

/// The batch as a producer would send it; the log gives it its offsets.
fn encode(batch: BatchBuilder) -> Result<BytesMut, Problem> {
    let batch = batch.build().map_err(AppendFailure::Batch)?;
    let placed = batch.place(Offset::ZERO, LeaderEpoch(-1));
    let bytes = placed.bytes().clone();
    // With the batch gone the bytes have one owner, and become writable without a copy.
    drop(placed);
    Ok(BytesMut::from(bytes))
}
