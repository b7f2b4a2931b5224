//! A small Kafka producer: idempotent, `acks=all`, several requests on their way.
//!
//! It exists so that the demo's records take the way that any Kafka client's take.
//!
//! # Invariants
//! - Batches of one partition are sent in order, with sequences that follow each other, on one
//!   connection; answers come in the order of the requests.
//! - A record counts as acknowledged when its answer says so, never before.

use std::collections::VecDeque;
use std::net::SocketAddr;

use anyhow::{Context as _, bail, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiKey, InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProduceResponse,
    RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use posthouse_record::{BatchBuilder, Compression};
use posthouse_types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// Versions that every broker since Kafka 2.4 speaks.
const PRODUCE_VERSION: i16 = 9;
const INIT_PRODUCER_ID_VERSION: i16 = 4;
/// Kafka's own limit for an idempotent producer.
const IN_FLIGHT_MAX: usize = 5;
/// LIMIT: an answer of the broker; those asked for here are small.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// A batch is sent once it holds this many bytes, before compression.
const BATCH_BYTES: usize = 256 * 1024;
const TIMEOUT_MS: i32 = 60_000;

/// Writes to one topic.
pub(super) struct Producer {
    topic: TopicName,
    writer: OwnedWriteHalf,
    reader: BufReader<OwnedReadHalf>,
    id: ProducerId,
    epoch: ProducerEpoch,
    partitions: Vec<Partition>,
    in_flight: VecDeque<InFlight>,
    correlation: i32,
    acknowledged: u64,
}

struct Partition {
    batch: BatchBuilder,
    next: Sequence,
}

struct InFlight {
    correlation: i32,
    records: u64,
}

impl Producer {
    /// Connects and gets a producer id.
    pub(super) async fn connect(
        broker: SocketAddr,
        topic: &str,
        partitions: u32,
    ) -> anyhow::Result<Producer> {
        let stream = TcpStream::connect(broker)
            .await
            .with_context(|| format!("cannot reach the kafka door at {broker}"))?;
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        let mut producer = Producer {
            topic: TopicName(StrBytes::from_string(topic.to_owned())),
            writer,
            reader: BufReader::new(reader),
            id: ProducerId(-1),
            epoch: ProducerEpoch(-1),
            partitions: Vec::new(),
            in_flight: VecDeque::new(),
            correlation: 0,
            acknowledged: 0,
        };
        producer.init_id().await?;
        for _ in 0..partitions {
            let batch = producer.batch(Sequence(0));
            producer.partitions.push(Partition { batch, next: Sequence(0) });
        }
        Ok(producer)
    }

    /// Records that the broker has acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Takes a record; sends a batch when one is full.
    pub(super) async fn push(
        &mut self,
        timestamp: Timestamp,
        key: &[u8],
        value: &[u8],
    ) -> anyhow::Result<()> {
        let index = partition_of(key, self.partitions.len());
        let partition = &mut self.partitions[index];
        partition.batch.push(timestamp, Some(key), Some(value), &[]);
        if partition.batch.size() >= BATCH_BYTES { self.send(index).await } else { Ok(()) }
    }

    /// Sends what is left and waits for every answer.
    pub(super) async fn finish(&mut self) -> anyhow::Result<()> {
        for index in 0..self.partitions.len() {
            self.send(index).await?;
        }
        while !self.in_flight.is_empty() {
            self.confirm_oldest().await?;
        }
        Ok(())
    }

    fn batch(&self, first: Sequence) -> BatchBuilder {
        BatchBuilder::new(Compression::Lz4).producer(self.id, self.epoch, first)
    }

    async fn init_id(&mut self) -> anyhow::Result<()> {
        let request = InitProducerIdRequest::default().with_transactional_id(None);
        self.request(ApiKey::InitProducerId, INIT_PRODUCER_ID_VERSION, &request).await?;
        let mut answer = self.answer::<InitProducerIdResponse>(INIT_PRODUCER_ID_VERSION).await?;
        let response = InitProducerIdResponse::decode(&mut answer, INIT_PRODUCER_ID_VERSION)?;
        ensure!(response.error_code == 0, "no producer id: Kafka error {}", response.error_code);
        self.id = ProducerId(response.producer_id.0);
        self.epoch = ProducerEpoch(response.producer_epoch);
        Ok(())
    }

    async fn send(&mut self, index: usize) -> anyhow::Result<()> {
        let records = self.partitions[index].batch.len();
        if records == 0 {
            return Ok(());
        }
        while self.in_flight.len() >= IN_FLIGHT_MAX {
            self.confirm_oldest().await?;
        }
        let next = self.partitions[index].next.plus(u32::try_from(records)?);
        let empty = self.batch(next);
        let full = std::mem::replace(&mut self.partitions[index].batch, empty);
        self.partitions[index].next = next;
        let batch = full.build()?.place(Offset::ZERO, LeaderEpoch(-1));
        let data = PartitionProduceData::default()
            .with_index(i32::try_from(index)?)
            .with_records(Some(batch.bytes().clone()));
        let topic = TopicProduceData::default()
            .with_name(self.topic.clone())
            .with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_transactional_id(None)
            .with_acks(-1)
            .with_timeout_ms(TIMEOUT_MS)
            .with_topic_data(vec![topic]);
        let correlation = self.request(ApiKey::Produce, PRODUCE_VERSION, &request).await?;
        self.in_flight.push_back(InFlight { correlation, records: u64::try_from(records)? });
        Ok(())
    }

    async fn confirm_oldest(&mut self) -> anyhow::Result<()> {
        let Some(oldest) = self.in_flight.pop_front() else { return Ok(()) };
        let mut answer =
            self.answer_to::<ProduceResponse>(oldest.correlation, PRODUCE_VERSION).await?;
        let response = ProduceResponse::decode(&mut answer, PRODUCE_VERSION)?;
        for partition in response.responses.iter().flat_map(|topic| &topic.partition_responses) {
            if partition.error_code != 0 {
                let text = partition.error_message.as_ref().map(|text| text.to_string());
                bail!(
                    "records were refused: Kafka error {} {}",
                    partition.error_code,
                    text.unwrap_or_default()
                );
            }
        }
        self.acknowledged += oldest.records;
        Ok(())
    }

    async fn request<R: Encodable + HeaderVersion>(
        &mut self,
        key: ApiKey,
        version: i16,
        request: &R,
    ) -> anyhow::Result<i32> {
        self.correlation += 1;
        let header = RequestHeader::default()
            .with_request_api_key(key as i16)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(StrBytes::from_static_str("posthouse-demo")));
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        header.encode(&mut frame, R::header_version(version))?;
        request.encode(&mut frame, version)?;
        let len = i32::try_from(frame.len() - 4)?;
        frame[..4].copy_from_slice(&len.to_be_bytes());
        self.writer.write_all(&frame).await?;
        Ok(self.correlation)
    }

    async fn answer<R: HeaderVersion>(&mut self, version: i16) -> anyhow::Result<Bytes> {
        self.answer_to::<R>(self.correlation, version).await
    }

    async fn answer_to<R: HeaderVersion>(
        &mut self,
        correlation: i32,
        version: i16,
    ) -> anyhow::Result<Bytes> {
        let len = usize::try_from(self.reader.read_i32().await?)?;
        ensure!(len <= ANSWER_BYTES_MAX, "the broker's answer has {len} bytes");
        let mut frame = vec![0; len];
        self.reader.read_exact(&mut frame).await?;
        let mut answer = Bytes::from(frame);
        let header = ResponseHeader::decode(&mut answer, R::header_version(version))?;
        ensure!(
            header.correlation_id == correlation,
            "the broker answered request {} instead of {correlation}",
            header.correlation_id
        );
        ensure!(answer.has_remaining(), "the broker's answer is empty");
        Ok(answer)
    }
}

/// Any function of the key keeps its records together; this one is FNV-1a.
fn partition_of(key: &[u8], partitions: usize) -> usize {
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    usize::try_from(hash >> 32).unwrap_or(0) % partitions.max(1)
}
