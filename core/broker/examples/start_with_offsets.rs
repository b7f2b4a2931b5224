//! How long a node takes to start with many committed offsets.
//!
//! `cargo run --release -p posthouse-broker --example start_with_offsets -- [OFFSETS]` commits that
//! many (a million when not said) over a thousand partitions, stops, starts again and prints the
//! time and what the log holds. Fails when one of them is not found again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use posthouse_broker::{Broker, BrokerConfig, CreateTopic, OffsetCommit, TopicRef};
use posthouse_log::{Engine, LocalConfig, LocalEngine};
use posthouse_types::{Offset, PartitionIndex, Principal, SystemClock, TopicName};

const PARTITIONS: u32 = 1000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let count: u32 = std::env::args().nth(1).map_or(Ok(1_000_000), |count| count.parse())?;
    let directory = tempfile::tempdir()?;
    let topic = TopicName::new("offsets")?;

    let broker = start(&directory).await?;
    let create = CreateTopic {
        name: topic.clone(),
        partitions: Some(PARTITIONS),
        overrides: Vec::new(),
        schema: None,
        validate_only: false,
    };
    broker.create_topic(&Principal::node(), create).await?;
    let groups = count.div_ceil(PARTITIONS);
    let began = Instant::now();
    for group in 0..groups {
        commit(&broker, &topic, group).await?;
    }
    println!("committed {count} offsets of {groups} groups in {:?}", began.elapsed());
    // Time for a snapshot that has begun.
    tokio::time::sleep(Duration::from_secs(1)).await;
    report(&broker).await?;
    broker.shutdown().await?;
    drop(broker);

    let began = Instant::now();
    let broker = start(&directory).await?;
    println!("started again in {:?}", began.elapsed());
    let mut found = 0;
    for group in 0..groups {
        let name = format!("group-{group}");
        found += broker.committed_offsets(&Principal::node(), &name, None).await?.len();
    }
    broker.shutdown().await?;
    let expected = usize::try_from(groups * PARTITIONS)?;
    anyhow::ensure!(found == expected, "{found} offsets found of {expected}");
    println!("all {found} offsets are there");
    Ok(())
}

async fn start(directory: &tempfile::TempDir) -> anyhow::Result<Arc<Broker>> {
    let clock = Arc::new(SystemClock);
    let engine: Arc<dyn Engine> =
        LocalEngine::open(LocalConfig::new(directory.path()), clock.clone())?;
    Ok(Broker::open(engine, BrokerConfig::default(), clock).await?)
}

async fn commit(broker: &Broker, topic: &TopicName, group: u32) -> anyhow::Result<()> {
    let commits = (0..PARTITIONS).map(|index| OffsetCommit {
        topic: topic.clone(),
        index: PartitionIndex::new(index),
        offset: Offset::ZERO.plus(u64::from(index) * 1_000_003 + u64::from(group)),
        leader_epoch: None,
        metadata: String::new(),
    });
    let group = format!("group-{group}");
    let commits = commits.collect();
    let results = broker.commit_offsets(&Principal::node(), &group, -1, "", None, commits).await?;
    results.into_iter().collect::<Result<(), _>>()?;
    Ok(())
}

async fn report(broker: &Broker) -> anyhow::Result<()> {
    let topic = TopicRef::Name(TopicName::new("__consumer_offsets")?);
    let partitions = broker.topic(&Principal::node(), &topic).await?.partitions;
    let (mut bytes, mut records) = (0, 0);
    for index in (0..partitions).map(PartitionIndex::new) {
        let status = broker.partition_status(&Principal::node(), &topic, index).await?;
        bytes += status.stored_bytes;
        records += status.durable_end.since(status.log_start);
    }
    println!("__consumer_offsets holds {records} records to read, {bytes} bytes on disk");
    Ok(())
}
