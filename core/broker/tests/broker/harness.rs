//! A node whose data outlives it.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use posthouse_broker::{
    AppendFailure, Broker, BrokerConfig, CreateTopic, Fetch, FetchPartition, Fetched, Isolation,
    Topic, TopicRef,
};
use posthouse_log::{Appended, Engine, MemoryConfig, MemoryEngine, MemoryStore};
use posthouse_record::{Batch, BatchBuilder, Compression};
use posthouse_types::{
    Clock, ManualClock, Offset, PartitionIndex, Principal, SystemClock, Timestamp, TopicName,
};

/// A node.
pub(crate) struct Node {
    store: Arc<MemoryStore>,
    pub(crate) engine: Arc<MemoryEngine>,
    pub(crate) broker: Arc<Broker>,
}

/// Settings under which nothing waits for long.
pub(crate) fn quick() -> BrokerConfig {
    BrokerConfig {
        initial_rebalance_delay: Duration::ZERO,
        session_timeout_min: Duration::from_millis(1),
        ..BrokerConfig::default()
    }
}

impl Node {
    /// A new node.
    pub(crate) async fn start() -> Node {
        Node::start_with(quick()).await
    }

    pub(crate) async fn start_with(config: BrokerConfig) -> Node {
        Node::over(Arc::default(), config, Arc::new(SystemClock), MemoryConfig::default()).await
    }

    /// A node on which nothing becomes durable until [`MemoryEngine::flush`], once it has started.
    pub(crate) async fn start_unflushed(config: BrokerConfig) -> Node {
        let manual = MemoryConfig { flush_interval: None, read_latency: Duration::ZERO };
        let engine = MemoryEngine::new(manual, Arc::new(SystemClock));
        let flusher = tokio::spawn({
            let engine = Arc::clone(&engine);
            async move {
                loop {
                    tokio::task::yield_now().await;
                    engine.flush();
                }
            }
        });
        let log_engine: Arc<dyn Engine> = Arc::clone(&engine) as _;
        let broker = Broker::open(log_engine, config, Arc::new(SystemClock)).await.unwrap();
        create(&broker, "t", 2).await;
        flusher.abort();
        let _ = flusher.await;
        Node { store: Arc::default(), engine, broker }
    }

    pub(crate) async fn start_at(wall: Timestamp, config: BrokerConfig) -> (Node, ManualClock) {
        let clock = ManualClock::new(wall);
        let node =
            Node::over(Arc::default(), config, Arc::new(clock.clone()), MemoryConfig::default());
        (node.await, clock)
    }

    /// Stops the node cleanly and starts it again.
    pub(crate) async fn restart(self) -> Node {
        self.broker.shutdown().await.unwrap();
        self.crash().await
    }

    /// Starts the node again without stopping it: what was not durable is gone.
    pub(crate) async fn crash(self) -> Node {
        let (config, clock) = (self.broker.config().clone(), Arc::clone(self.broker.clock()));
        Node::over(Arc::clone(&self.store), config, clock, MemoryConfig::default()).await
    }

    async fn over(
        store: Arc<MemoryStore>,
        config: BrokerConfig,
        clock: Arc<dyn Clock>,
        memory: MemoryConfig,
    ) -> Node {
        let engine = MemoryEngine::over(Arc::clone(&store), memory, Arc::clone(&clock));
        let log_engine: Arc<dyn Engine> = Arc::clone(&engine) as _;
        let broker = Broker::open(log_engine, config, clock).await.unwrap();
        Node { store, engine, broker }
    }

    /// Appends one record, and waits until it is durable.
    pub(crate) async fn produce(&self, topic: &str, value: &str) -> Offset {
        let appended = append(&self.broker, topic, 0, &[value]).await.unwrap();
        appended.ticket.durable().await.unwrap();
        appended.base_offset
    }

    /// The values of a partition from `offset` on that can be read now.
    pub(crate) async fn values(&self, topic: &str, offset: u64) -> Vec<String> {
        let fetch = fetch(&[(topic, 0, offset)], Duration::ZERO);
        values(&self.broker.fetch(&me(), fetch).await, 0)
    }
}

pub(crate) fn me() -> Principal {
    Principal::anonymous()
}

pub(crate) fn name(topic: &str) -> TopicName {
    TopicName::new(topic).unwrap()
}

pub(crate) fn by_name(topic: &str) -> TopicRef {
    TopicRef::Name(name(topic))
}

pub(crate) fn partition(index: u32) -> PartitionIndex {
    PartitionIndex::new(index)
}

pub(crate) fn offset(offset: u64) -> Offset {
    Offset::ZERO.plus(offset)
}

pub(crate) fn to_create(topic: &str, partitions: u32) -> CreateTopic {
    CreateTopic {
        name: name(topic),
        partitions: Some(partitions),
        overrides: Vec::new(),
        schema: None,
        validate_only: false,
    }
}

pub(crate) async fn create(broker: &Broker, topic: &str, partitions: u32) -> Arc<Topic> {
    broker.create_topic(&me(), to_create(topic, partitions)).await.unwrap()
}

/// A batch as a client sends it.
pub(crate) fn batch(values: &[&str]) -> BytesMut {
    let mut builder = BatchBuilder::new(Compression::None);
    for value in values {
        builder.push(Timestamp::from_ms(1000), Some(b"key"), Some(value.as_bytes()), &[]);
    }
    client_bytes(builder)
}

/// The bytes that a builder's batch has on the wire.
pub(crate) fn client_bytes(builder: BatchBuilder) -> BytesMut {
    let unplaced = builder.build().unwrap();
    let placed = unplaced.place(Offset::ZERO, posthouse_types::LeaderEpoch(-1));
    BytesMut::from(&placed.bytes()[..])
}

pub(crate) async fn append(
    broker: &Broker,
    topic: &str,
    index: u32,
    values: &[&str],
) -> Result<Appended, AppendFailure> {
    broker.append(&me(), &by_name(topic), partition(index), batch(values)).await
}

/// A fetch of partitions, each from an offset, for at least one byte.
pub(crate) fn fetch(partitions: &[(&str, u32, u64)], wait_max: Duration) -> Fetch {
    let partitions = partitions.iter().map(|&(topic, index, from)| FetchPartition {
        topic: by_name(topic),
        index: partition(index),
        offset: offset(from),
        leader_epoch: None,
        bytes_max: 1 << 20,
    });
    Fetch {
        partitions: partitions.collect(),
        bytes_min: 1,
        bytes_max: 10 << 20,
        wait_max,
        isolation: Isolation::ReadCommitted,
    }
}

/// The values that a fetch gave for one of its partitions.
pub(crate) fn values(fetched: &Fetched, place: usize) -> Vec<String> {
    let chunks = &fetched.partitions[place].as_ref().unwrap().chunks;
    let mut values = Vec::new();
    for chunk in chunks {
        let mut bytes: Bytes = chunk.load().unwrap();
        while let Some(batch) = Batch::next(&mut bytes).unwrap() {
            for record in batch.records(1 << 20).unwrap() {
                let value = record.unwrap().value.unwrap();
                values.push(String::from_utf8(value.to_vec()).unwrap());
            }
        }
    }
    values
}
