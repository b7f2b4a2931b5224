//! Fetch: a long poll over many partitions, answered with stored batches as they lie.
//!
//! Fetch sessions (KIP-227) are not kept: every answer has session id 0, which tells a client to
//! name its partitions each time. That is what a broker answers whose session cache is full.

use std::time::Duration;

use kafka_protocol::error::ResponseError as Code;
use posthouse_broker::{
    Fetch, FetchError, FetchPartition, Fetched, FetchedPartition, Isolation, Paced,
};
use posthouse_log::Chunk;
use posthouse_record::{Batch, Compression};
use posthouse_types::{LeaderEpoch, Offset, PartitionIndex};

use super::{CommandError, Outcome, throttle_time_ms};
use crate::codec::fetch::{self as wire, FetchRequest, FetchResponse};
use crate::codec::header::Request;
use crate::errors::{self, NONE};
use crate::node::{Call, key_ref};

/// The first version whose clients understand zstd (KIP-110).
const ZSTD_FROM: i16 = 10;
const READ_COMMITTED: i8 = 1;
const NO_SESSION: i32 = 0;
/// The epoch of a full fetch without a session.
const FINAL_EPOCH: i32 = -1;
/// The epoch of a full fetch that asks for a session.
const INITIAL_EPOCH: i32 = 0;

pub(super) async fn begin(call: Call, request: Request) -> Result<Outcome, CommandError> {
    let Request { version, correlation_id, body, .. } = request;
    let request = wire::decode(version, &body.freeze())?;
    let (error_code, Paced { done: topics, pause }) = match refuse_session(&request) {
        Some(code) => (code.code(), Paced { done: Vec::new(), pause: Duration::ZERO }),
        None => (NONE, fetch(&call, request).await),
    };
    let response = FetchResponse {
        throttle_time_ms: throttle_time_ms(pause),
        error_code,
        session_id: NO_SESSION,
        topics: &topics,
    };
    Ok(Outcome::Response(wire::encode(version, correlation_id, response)).paused(pause))
}

/// A session that this node never gave out.
fn refuse_session(request: &FetchRequest) -> Option<Code> {
    match (request.session_id, request.session_epoch) {
        (_, FINAL_EPOCH) | (NO_SESSION, INITIAL_EPOCH) => None,
        (NO_SESSION, _) => Some(Code::InvalidFetchSessionEpoch),
        _ => Some(Code::FetchSessionIdNotFound),
    }
}

async fn fetch(call: &Call, request: FetchRequest) -> Paced<Vec<wire::FetchedTopic>> {
    let read_committed = request.isolation_level == READ_COMMITTED;
    let mut plan = Plan::new(call, &request, read_committed);
    let Paced { done: fetched, pause } = match plan.asked.is_empty() {
        true => Paced { done: Fetched { partitions: Vec::new() }, pause: Duration::ZERO },
        false => call.broker().fetch_paced(&call.principal, plan.fetch(call, &request)).await,
    };
    plan.fill(call, fetched).await;
    Paced { done: plan.topics, pause }
}

/// The answer, with gaps for what the broker is asked for.
struct Plan {
    topics: Vec<wire::FetchedTopic>,
    asked: Vec<FetchPartition>,
    /// Where in `topics` the answer to each of `asked` belongs.
    places: Vec<(usize, usize)>,
    read_committed: bool,
}

impl Plan {
    fn new(call: &Call, request: &FetchRequest, read_committed: bool) -> Plan {
        let mut plan =
            Plan { topics: Vec::new(), asked: Vec::new(), places: Vec::new(), read_committed };
        for topic in &request.topics {
            let topic_ref = key_ref(&topic.topic);
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in &topic.partitions {
                let asked = topic_ref
                    .clone()
                    .map_err(|refusal| refusal.code)
                    .and_then(|topic| ask(call, topic, partition));
                let error_code = match asked {
                    Ok(asked) => {
                        plan.places.push((plan.topics.len(), partitions.len()));
                        plan.asked.push(asked);
                        NONE
                    }
                    Err(code) => code.code(),
                };
                partitions.push(unanswered(partition.index, error_code, read_committed));
            }
            let topic = topic.topic.clone();
            plan.topics.push(wire::FetchedTopic { topic, partitions });
        }
        plan
    }

    fn fetch(&mut self, call: &Call, request: &FetchRequest) -> Fetch {
        let has_refusal = self.asked.len()
            < self.topics.iter().map(|topic| topic.partitions.len()).sum::<usize>();
        let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
        Fetch {
            partitions: std::mem::take(&mut self.asked),
            bytes_min: usize::try_from(request.min_bytes).unwrap_or(0),
            bytes_max: limit(call, request.max_bytes),
            // An error is told at once.
            wait_max: if has_refusal {
                Duration::ZERO
            } else {
                wait.min(call.node.config.fetch_wait_max)
            },
            isolation: match self.read_committed {
                true => Isolation::ReadCommitted,
                false => Isolation::ReadUncommitted,
            },
        }
    }

    async fn fill(&mut self, call: &Call, fetched: Fetched) {
        let mut bytes = 0;
        for (result, &(topic, partition)) in fetched.partitions.into_iter().zip(&self.places) {
            let gap = &mut self.topics[topic].partitions[partition];
            match result {
                Ok(fetched) => answer(call, gap, fetched).await,
                Err(error) => gap.error_code = code(&error),
            }
            bytes += gap.records.iter().map(Chunk::len).sum::<usize>();
        }
        call.node.metrics.fetched_bytes.increment(u64::try_from(bytes).unwrap_or(u64::MAX));
    }
}

fn ask(
    call: &Call,
    topic: posthouse_broker::TopicRef,
    partition: &wire::FetchPartition,
) -> Result<FetchPartition, Code> {
    let index = PartitionIndex::from_wire(partition.index).ok_or(Code::UnknownTopicOrPartition)?;
    let offset = Offset::new(partition.fetch_offset).ok_or(Code::OffsetOutOfRange)?;
    let epoch = partition.current_leader_epoch;
    Ok(FetchPartition {
        topic,
        index,
        offset,
        leader_epoch: (epoch >= 0).then_some(LeaderEpoch(epoch)),
        bytes_max: limit(call, partition.max_bytes),
    })
}

fn limit(call: &Call, asked: i32) -> usize {
    usize::try_from(asked).unwrap_or(0).min(call.node.config.fetch_bytes_max.as_usize())
}

fn unanswered(index: i32, error_code: i16, read_committed: bool) -> wire::FetchedPartition {
    wire::FetchedPartition {
        index,
        error_code,
        high_watermark: -1,
        last_stable_offset: -1,
        log_start_offset: -1,
        read_committed,
        records: Vec::new(),
    }
}

async fn answer(call: &Call, gap: &mut wire::FetchedPartition, fetched: FetchedPartition) {
    gap.high_watermark = fetched.durable_end.value();
    gap.last_stable_offset = fetched.last_stable.value();
    gap.log_start_offset = fetched.log_start.value();
    if call.version < ZSTD_FROM && has_zstd(&fetched.chunks).await {
        gap.error_code = Code::UnsupportedCompressionType.code();
    } else {
        gap.records = fetched.chunks;
    }
}

fn code(error: &FetchError) -> i16 {
    errors::fetch(error).code()
}

/// Whether any batch is compressed with zstd. Reads files, so only clients older than 2018 pay.
async fn has_zstd(chunks: &[Chunk]) -> bool {
    let chunks = chunks.to_vec();
    let scan = move || {
        chunks.iter().any(|chunk| {
            let Ok(mut bytes) = chunk.load() else { return false };
            while let Ok(Some(batch)) = Batch::next(&mut bytes) {
                if batch.header().compression == Compression::Zstd {
                    return true;
                }
            }
            false
        })
    };
    tokio::task::spawn_blocking(scan).await.unwrap_or(false)
}
