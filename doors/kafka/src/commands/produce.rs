//! Produce: each partition's batch goes to its log; the answer waits as long as `acks` asks.
//!
//! # Invariants
//! - Batches are appended in the order of the request, and requests in the order of the connection.
//! - `acks=-1` is answered when every batch is durable, `acks=1` when every batch has its offsets.

use std::time::Duration;

use bytes::BytesMut;
use futures::FutureExt;
use kafka_protocol::error::ResponseError as Code;
use posthouse_broker::{AppendFailure, Paced, TopicRef};
use posthouse_log::Ticket;
use posthouse_record::{BatchHeader, Compression};
use posthouse_types::PartitionIndex;

use super::{CommandError, Outcome, throttle_time_ms};
use crate::codec::header::Request;
use crate::codec::produce::{
    ProducePartition, ProduceRequest, ProducedPartition, ProducedTopic, decode, encode,
};
use crate::codec::response::Response;
use crate::errors::{NONE, Refusal};
use crate::node::{Call, key_ref};

/// The first version whose clients understand zstd (KIP-110).
const ZSTD_FROM: i16 = 7;

/// Appends everything; the response may still have to wait.
pub(super) async fn begin(call: Call, request: Request) -> Result<Outcome, CommandError> {
    let started = call.node.broker.clock().now();
    let Request { version, correlation_id, body, .. } = request;
    let request = decode(version, body)?;
    let acks = request.acks;
    let mut pending = Pending {
        version,
        correlation_id,
        topics: Vec::new(),
        tickets: Vec::new(),
        pause: Duration::ZERO,
    };
    match refuse_whole(&request) {
        Some(refusal) => pending.refuse_all(request, &refusal),
        None => {
            call.broker().pay_off_writes(&call.principal).await;
            pending.append_all(&call, request).await;
        }
    }
    let pause = pending.pause;
    let outcome = match acks {
        0 => pending.into_nothing()?,
        -1 if !pending.tickets.is_empty() => Outcome::Accepted(
            async move {
                let response = pending.durable().await;
                let elapsed = call.node.broker.clock().now().saturating_duration_since(started);
                call.node.metrics.produce_seconds.record(elapsed);
                response
            }
            .boxed(),
        ),
        _ => Outcome::Response(pending.into_response()),
    };
    Ok(outcome.paused(pause))
}

/// What is wrong with a request as a whole.
fn refuse_whole(request: &ProduceRequest) -> Option<Refusal> {
    if request.transactional_id.is_some() {
        let text = "transactions are not supported";
        return Some(Refusal::new(Code::TransactionalIdAuthorizationFailed, text));
    }
    let acks = request.acks;
    (!matches!(acks, -1..=1))
        .then(|| Refusal::new(Code::InvalidRequiredAcks, format!("acks is {acks}, not -1, 0 or 1")))
}

/// Results so far, and what must become durable before they are true.
struct Pending {
    version: i16,
    correlation_id: i32,
    topics: Vec<ProducedTopic>,
    tickets: Vec<Waiting>,
    /// The longest of what its batches cost.
    pause: Duration,
}

/// A batch that has offsets: where its result lies, and the promise.
struct Waiting {
    topic: usize,
    partition: usize,
    ticket: Ticket,
}

impl Pending {
    async fn append_all(&mut self, call: &Call, request: ProduceRequest) {
        self.topics.reserve_exact(request.topics.len());
        for topic in request.topics {
            let topic_ref = key_ref(&topic.topic);
            let mut results = Vec::with_capacity(topic.partitions.len());
            for partition in topic.partitions {
                let index = partition.index;
                let result = match &topic_ref {
                    Ok(topic_ref) => append(call, topic_ref, partition).await,
                    Err(refusal) => Err(refusal.clone()),
                };
                results.push(match result {
                    Ok(accepted) => {
                        let (topic, partition) = (self.topics.len(), results.len());
                        self.tickets.push(Waiting { topic, partition, ticket: accepted.ticket });
                        self.pause = self.pause.max(accepted.pause);
                        accepted.result
                    }
                    Err(refusal) => refused(index, &refusal),
                });
            }
            self.topics.push(ProducedTopic { topic: topic.topic, partitions: results });
        }
    }

    fn refuse_all(&mut self, request: ProduceRequest, refusal: &Refusal) {
        for topic in request.topics {
            let partitions = topic.partitions.iter();
            let partitions =
                partitions.map(|partition| refused(partition.index, refusal)).collect();
            self.topics.push(ProducedTopic { topic: topic.topic, partitions });
        }
    }

    /// Waits until every batch is durable or lost.
    async fn durable(mut self) -> Response {
        for Waiting { topic, partition, ticket } in std::mem::take(&mut self.tickets) {
            if let Err(error) = ticket.durable().await {
                let result = &mut self.topics[topic].partitions[partition];
                *result = refused(result.index, &Refusal::from(&AppendFailure::from(error)));
            }
        }
        self.into_response()
    }

    fn into_response(self) -> Response {
        encode(self.version, self.correlation_id, &self.topics, throttle_time_ms(self.pause))
    }

    /// Nobody hears of an error at `acks=0`; Kafka closes the connection instead, so that the
    /// producer asks for metadata again.
    fn into_nothing(self) -> Result<Outcome, CommandError> {
        let results = self.topics.iter().flat_map(|topic| &topic.partitions);
        match results.filter_map(|result| result.error_message.clone()).next() {
            Some(text) => Err(CommandError::UnanswerableProduce(text)),
            None => Ok(Outcome::NoResponse),
        }
    }
}

struct Accepted {
    result: ProducedPartition,
    ticket: Ticket,
    pause: Duration,
}

async fn append(
    call: &Call,
    topic: &TopicRef,
    partition: ProducePartition,
) -> Result<Accepted, Refusal> {
    let index = PartitionIndex::from_wire(partition.index).ok_or_else(|| {
        let text = format!("there is no partition {}", partition.index);
        Refusal::new(Code::UnknownTopicOrPartition, text)
    })?;
    let records = partition.records.unwrap_or_default();
    refuse_batch(call.version, &records)?;
    let size = records.len();
    let Paced { done: appended, pause } = call
        .broker()
        .append_paced(&call.principal, topic, index, records)
        .await
        .map_err(|error| Refusal::from(&error))?;
    call.node.metrics.produced_bytes.increment(u64::try_from(size).unwrap_or(u64::MAX));
    let result = ProducedPartition {
        index: partition.index,
        error_code: NONE,
        error_message: None,
        base_offset: appended.base_offset.value(),
        log_append_time_ms: appended.log_append_time.map_or(-1, |time| time.as_ms()),
        log_start_offset: -1,
    };
    Ok(Accepted { result, ticket: appended.ticket, pause })
}

/// What a batch from a client may not be, although the log could keep it.
fn refuse_batch(version: i16, records: &BytesMut) -> Result<(), Refusal> {
    // A header that cannot be read is refused by the broker, with the reason.
    let Ok(header) = BatchHeader::parse(records) else { return Ok(()) };
    if header.control {
        return Err(Refusal::new(Code::InvalidRecord, "clients may not write control batches"));
    }
    if header.transactional {
        return Err(Refusal::new(Code::InvalidTxnState, "transactions are not supported"));
    }
    if header.compression == Compression::Zstd && version < ZSTD_FROM {
        let text = format!("zstd needs Produce version {ZSTD_FROM} or above, not {version}");
        return Err(Refusal::new(Code::UnsupportedCompressionType, text));
    }
    Ok(())
}

fn refused(index: i32, refusal: &Refusal) -> ProducedPartition {
    ProducedPartition {
        index,
        error_code: refusal.code.code(),
        error_message: Some(refusal.text.clone()),
        base_offset: -1,
        log_append_time_ms: -1,
        log_start_offset: -1,
    }
}
