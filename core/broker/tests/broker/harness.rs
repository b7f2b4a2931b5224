//! A node whose data outlives it.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use posthouse_broker::{
    AppendFailure, Broker, BrokerConfig, CreateTopic, Fetch, FetchPartition, Fetched, Isolation,
    Topic, TopicRef,
};
use posthouse_log::{
    Appended, Engine, LocalConfig, LocalEngine, MemoryConfig, MemoryEngine, MemoryStore,
};
use posthouse_record::{Batch, BatchBuilder, Compression};
use posthouse_types::{
    Clock, ManualClock, Offset, PartitionIndex, Principal, SystemClock, Timestamp, TopicName,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// A node.
pub(crate) struct Node {
    place: Place,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) broker: Arc<Broker>,
}

/// Where a node's data is.
#[derive(Clone)]
enum Place {
    Memory(Arc<MemoryStore>),
    Disk(Arc<TempDir>),
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
        Node::at(Place::Memory(Arc::default()), config, Arc::new(SystemClock)).await
    }

    /// A new node with its data in files.
    pub(crate) async fn start_on_disk() -> Node {
        let place = Place::Disk(Arc::new(tempfile::tempdir().unwrap()));
        Node::at(place, quick(), Arc::new(SystemClock)).await
    }

    /// A new node of each kind.
    pub(crate) async fn start_everywhere() -> [Node; 2] {
        [Node::start().await, Node::start_on_disk().await]
    }

    pub(crate) async fn start_at(wall: Timestamp, config: BrokerConfig) -> (Node, ManualClock) {
        let clock = ManualClock::new(wall);
        let place = Place::Memory(Arc::default());
        (Node::at(place, config, Arc::new(clock.clone())).await, clock)
    }

    /// A node with a topic `t` of two partitions, on which from now on nothing becomes durable
    /// until [`MemoryEngine::flush`].
    pub(crate) async fn start_unflushed(config: BrokerConfig) -> (Node, Arc<MemoryEngine>) {
        let manual = MemoryConfig { flush_interval: None, read_latency: Duration::ZERO };
        let memory = MemoryEngine::new(manual, Arc::new(SystemClock));
        let engine: Arc<dyn Engine> = Arc::clone(&memory) as _;
        let flushing = flush_for_ever(&memory);
        let broker = Broker::open(Arc::clone(&engine), config, Arc::new(SystemClock)).await;
        let broker = broker.unwrap();
        create(&broker, "t", 2).await;
        flushing.abort();
        let _ = flushing.await;
        let place = Place::Memory(Arc::default());
        (Node { place, engine, broker }, memory)
    }

    /// Stops the node cleanly and starts it again.
    pub(crate) async fn restart(self) -> Node {
        self.broker.shutdown().await.unwrap();
        let Node { place, broker, engine } = self;
        let (config, clock) = (broker.config().clone(), Arc::clone(broker.clock()));
        drop((broker, engine));
        Node::at(place, config, clock).await
    }

    /// Starts a node in memory again without stopping it: what was not durable is gone.
    pub(crate) async fn crash(self) -> Node {
        assert!(matches!(self.place, Place::Memory(_)), "a data directory has one owner");
        let (config, clock) = (self.broker.config().clone(), Arc::clone(self.broker.clock()));
        Node::at(self.place.clone(), config, clock).await
    }

    async fn at(place: Place, config: BrokerConfig, clock: Arc<dyn Clock>) -> Node {
        let engine: Arc<dyn Engine> = match &place {
            Place::Memory(store) => {
                let memory = MemoryConfig::default();
                MemoryEngine::over(Arc::clone(store), memory, Arc::clone(&clock))
            }
            Place::Disk(directory) => {
                let local = LocalConfig::new(directory.path());
                LocalEngine::open(local, Arc::clone(&clock)).unwrap()
            }
        };
        let broker = Broker::open(Arc::clone(&engine), config, clock).await.unwrap();
        Node { place, engine, broker }
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

/// Makes everything durable at once, until the task is aborted.
pub(crate) fn flush_for_ever(engine: &Arc<MemoryEngine>) -> JoinHandle<()> {
    let engine = Arc::clone(engine);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            engine.flush();
        }
    })
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
