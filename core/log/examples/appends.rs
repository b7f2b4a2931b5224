//! Measures the local engine alone: `cargo run --release --example appends [DIRECTORY]`.
//!
//! Small batches, one record of 100 bytes each, `acks=all`: one producer that waits for each, then
//! many that pipeline over 1, 16 and 1,000 partitions; then how long it takes to open them again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use posthouse_log::{Engine, LocalConfig, LocalEngine, Log, LogConfig};
use posthouse_record::{BatchBuilder, Compression, UnplacedBatch};
use posthouse_types::{PartitionId, PartitionIndex, SystemClock, Timestamp, TopicId};
use uuid::Uuid;

const RUN: Duration = Duration::from_secs(3);
/// Appends that one producer has on their way.
const PIPELINED: usize = 1_000;
const PRODUCERS: usize = 4;

fn main() -> anyhow::Result<()> {
    let directory = std::env::args().nth(1).unwrap_or_else(|| "appends-data".to_owned());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    runtime.block_on(run(&directory))
}

async fn run(directory: &str) -> anyhow::Result<()> {
    for count in [1, 16, 1_000] {
        let _ = std::fs::remove_dir_all(directory);
        let (engine, logs) = open(directory, count).await?;
        let latencies = one_at_a_time(&logs[0]).await?;
        let rate = pipelined(&logs).await?;
        println!(
            "{count} partitions: one producer p50 {:?} p99 {:?}; {PRODUCERS} pipelining {rate:.0}/s",
            latencies[latencies.len() / 2],
            latencies[latencies.len() * 99 / 100],
        );
        drop((engine, logs));
        let started = Instant::now();
        let (engine, logs) = open(directory, count).await?;
        println!("  opened after a kill in {:?}", started.elapsed());
        drop(logs);
        let started = Instant::now();
        engine.shutdown().await?;
        println!("  shut down in {:?}", started.elapsed());
        let started = Instant::now();
        open(directory, count).await?;
        println!("  opened after a clean shutdown in {:?}", started.elapsed());
    }
    std::fs::remove_dir_all(directory)?;
    Ok(())
}

async fn open(
    directory: &str,
    count: u32,
) -> anyhow::Result<(Arc<LocalEngine>, Vec<Arc<dyn Log>>)> {
    let engine = LocalEngine::open(LocalConfig::new(directory), Arc::new(SystemClock))?;
    let topic = TopicId(Uuid::from_u128(1));
    let opening = (0..count).map(|index| {
        let partition = PartitionId { topic, index: PartitionIndex::new(index) };
        engine.open(partition, LogConfig::default())
    });
    let logs = futures::future::try_join_all(opening).await?;
    Ok((engine, logs))
}

/// A batch as it comes from the network: bytes that the append may patch.
fn batch(template: &[u8]) -> UnplacedBatch {
    UnplacedBatch::check(BytesMut::from(template)).expect("the template is a batch")
}

fn template() -> Vec<u8> {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(Timestamp::from_ms(1_700_000_000_000), None, Some(&[b'x'; 100]), &[]);
    let placed = builder
        .build()
        .expect("one record can be built")
        .place(posthouse_types::Offset::ZERO, posthouse_types::LeaderEpoch(0));
    placed.bytes().to_vec()
}

async fn one_at_a_time(log: &Arc<dyn Log>) -> anyhow::Result<Vec<Duration>> {
    let (template, mut latencies) = (template(), Vec::new());
    let started = Instant::now();
    while started.elapsed() < RUN / 3 {
        let sent = Instant::now();
        log.append(batch(&template))?.ticket.durable().await?;
        latencies.push(sent.elapsed());
    }
    latencies.sort_unstable();
    Ok(latencies)
}

async fn pipelined(logs: &[Arc<dyn Log>]) -> anyhow::Result<f64> {
    let started = Instant::now();
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|producer| {
            let logs = logs.to_vec();
            tokio::spawn(async move {
                let (template, mut appended) = (template(), 0_usize);
                let mut in_flight = std::collections::VecDeque::with_capacity(PIPELINED);
                while started.elapsed() < RUN {
                    for _ in 0..64 {
                        let log = &logs[(appended * PRODUCERS + producer) % logs.len()];
                        in_flight.push_back(log.append(batch(&template))?.ticket);
                        appended += 1;
                    }
                    while in_flight.len() > PIPELINED {
                        if let Some(ticket) = in_flight.pop_front() {
                            ticket.durable().await?;
                        }
                    }
                }
                for ticket in in_flight {
                    ticket.durable().await?;
                }
                anyhow::Ok(appended)
            })
        })
        .collect();
    let mut appended = 0;
    for producer in producers {
        appended += producer.await??;
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate is approximate")]
    let rate = appended as f64 / started.elapsed().as_secs_f64();
    Ok(rate)
}
