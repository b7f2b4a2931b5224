//! An engine that fails or takes its time, and what the node makes of it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use posthouse_broker::{AlterTopicError, Broker, BrokerConfig, CreateTopicError, LookupError};
use posthouse_log::{
    DeleteError, Engine, Log, LogConfig, MemoryConfig, MemoryEngine, MemoryStore, OpenError,
    StorageError,
};
use posthouse_types::{PartitionId, PartitionIndex, SystemClock};
use tokio::sync::Semaphore;

use crate::harness::{append, by_name, create, me, partition, quick, to_create};

/// Fails on the second partition of every topic, or makes it wait, when told to.
struct Moody {
    inner: Arc<MemoryEngine>,
    fails_opening: AtomicBool,
    fails_deleting: AtomicBool,
    /// A permit for each opening of a second partition.
    openings: Semaphore,
}

impl Moody {
    fn over(store: &Arc<MemoryStore>) -> Arc<Moody> {
        let (config, clock) = (MemoryConfig::default(), Arc::new(SystemClock));
        Arc::new(Moody {
            inner: MemoryEngine::over(Arc::clone(store), config, clock),
            fails_opening: AtomicBool::new(false),
            fails_deleting: AtomicBool::new(false),
            openings: Semaphore::new(Semaphore::MAX_PERMITS),
        })
    }

    async fn start(self: &Arc<Moody>, config: BrokerConfig) -> Arc<Broker> {
        Broker::open(Arc::clone(self) as _, config, Arc::new(SystemClock)).await.unwrap()
    }
}

/// Internal topics, whose ids are small numbers, are not of interest.
fn is_second(partition: PartitionId) -> bool {
    partition.index == PartitionIndex::new(1) && partition.topic.0.as_u128() > 0xff
}

fn broken(action: &'static str) -> StorageError {
    let source = Arc::new(io::Error::other("broken"));
    StorageError { action, path: "disk".into(), source }
}

impl Engine for Moody {
    fn open(
        &self,
        partition: PartitionId,
        config: LogConfig,
    ) -> BoxFuture<'_, Result<Arc<dyn Log>, OpenError>> {
        async move {
            if is_second(partition) {
                self.openings.acquire().await.unwrap().forget();
                if self.fails_opening.load(Ordering::SeqCst) {
                    return Err(broken("open").into());
                }
            }
            self.inner.open(partition, config).await
        }
        .boxed()
    }

    fn delete(&self, partition: PartitionId) -> BoxFuture<'_, Result<(), DeleteError>> {
        if is_second(partition) && self.fails_deleting.load(Ordering::SeqCst) {
            return async { Err(broken("delete").into()) }.boxed();
        }
        self.inner.delete(partition)
    }

    fn stored(&self) -> BoxFuture<'_, Result<Vec<PartitionId>, OpenError>> {
        self.inner.stored()
    }

    fn shutdown(&self) -> BoxFuture<'_, Result<(), OpenError>> {
        self.inner.shutdown()
    }
}

#[tokio::test]
async fn a_partition_that_does_not_open_does_not_stop_the_node() {
    let store = Arc::default();
    let broker = Moody::over(&store).start(quick()).await;
    create(&broker, "t", 3).await;
    broker.shutdown().await.unwrap();

    let engine = Moody::over(&store);
    engine.fails_opening.store(true, Ordering::SeqCst);
    let broker = engine.start(quick()).await;
    for index in [0, 2] {
        append(&broker, "t", index, &["x"]).await.unwrap();
    }
    let failed = broker.partition_log(&me(), &by_name("t"), partition(1)).await.err().unwrap();
    assert!(matches!(failed, LookupError::Failed { .. }), "{failed}");
    // The topic can be changed and deleted all the same.
    broker.add_partitions(&me(), &by_name("t"), 4, false).await.unwrap();
    append(&broker, "t", 3, &["x"]).await.unwrap();
    broker.delete_topic(&me(), &by_name("t")).await.unwrap();
}

#[tokio::test]
async fn a_topic_that_cannot_be_opened_is_not_made() {
    let store = Arc::default();
    let engine = Moody::over(&store);
    let broker = engine.start(quick()).await;
    engine.fails_opening.store(true, Ordering::SeqCst);
    let refused = broker.create_topic(&me(), to_create("t", 2)).await;
    assert!(matches!(refused, Err(CreateTopicError::Storage(_))), "{refused:?}");
    assert!(broker.topic(&me(), &by_name("t")).await.is_err());
    engine.fails_opening.store(false, Ordering::SeqCst);
    let made = create(&broker, "t", 2).await;
    broker.shutdown().await.unwrap();
    let broker = Moody::over(&store).start(quick()).await;
    assert_eq!(broker.topic(&me(), &by_name("t")).await.unwrap().id, made.id);
}

#[tokio::test]
async fn a_partition_that_opens_slowly_does_not_hold_up_the_others() {
    let store = Arc::default();
    let broker = Moody::over(&store).start(quick()).await;
    create(&broker, "t", 2).await;
    broker.shutdown().await.unwrap();

    let engine = Moody::over(&store);
    engine.openings.forget_permits(Semaphore::MAX_PERMITS);
    let config = BrokerConfig { opening_wait: Duration::from_millis(20), ..quick() };
    let broker = engine.start(config).await;
    append(&broker, "t", 0, &["x"]).await.unwrap();
    let (principal, topic) = (me(), by_name("t"));
    let slow = || broker.partition_log(&principal, &topic, partition(1));
    assert!(matches!(slow().await.err().unwrap(), LookupError::Opening { .. }));
    engine.openings.add_permits(1);
    while slow().await.is_err() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    append(&broker, "t", 1, &["x"]).await.unwrap();
}

#[tokio::test]
async fn a_node_stops_while_a_partition_is_still_opening() {
    let store = Arc::default();
    let broker = Moody::over(&store).start(quick()).await;
    create(&broker, "t", 2).await;
    broker.shutdown().await.unwrap();

    let engine = Moody::over(&store);
    engine.openings.forget_permits(Semaphore::MAX_PERMITS);
    let config = BrokerConfig { opening_wait: Duration::from_millis(1), ..quick() };
    let broker = engine.start(config).await;
    tokio::time::timeout(Duration::from_secs(30), broker.shutdown()).await.unwrap().unwrap();
}

#[tokio::test]
async fn data_that_could_not_be_deleted_goes_at_the_next_start() {
    let store = Arc::default();
    let engine = Moody::over(&store);
    let broker = engine.start(quick()).await;
    create(&broker, "t", 2).await;
    for index in [0, 1] {
        append(&broker, "t", index, &["x"]).await.unwrap().ticket.durable().await.unwrap();
    }
    engine.fails_deleting.store(true, Ordering::SeqCst);
    let failed = broker.delete_topic(&me(), &by_name("t")).await;
    assert!(matches!(failed, Err(AlterTopicError::Delete(_))), "{failed:?}");
    assert!(broker.topic(&me(), &by_name("t")).await.is_err());
    let left = async |engine: &Moody| {
        engine.stored().await.unwrap().into_iter().filter(|id| is_second(*id)).count()
    };
    assert_eq!(left(&engine).await, 1);
    broker.shutdown().await.unwrap();

    let engine = Moody::over(&store);
    let _broker = engine.start(quick()).await;
    while left(&engine).await > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn data_without_a_catalog_is_left_alone() {
    let store = Arc::default();
    let engine = Moody::over(&store);
    let topic = posthouse_types::TopicId(uuid::Uuid::from_u128(9));
    let data = PartitionId { topic, index: PartitionIndex::ZERO };
    let log = engine.open(data, LogConfig::default()).await.unwrap();
    let mut batch = posthouse_record::BatchBuilder::new(posthouse_record::Compression::None);
    batch.push(posthouse_types::Timestamp::from_ms(1), None, Some(b"precious"), &[]);
    log.append(batch.build().unwrap()).unwrap().ticket.durable().await.unwrap();
    let mut broker = engine.start(quick()).await;
    for _ in 0..2 {
        broker.shutdown().await.unwrap();
        let engine = Moody::over(&store);
        broker = engine.start(quick()).await;
        assert!(engine.stored().await.unwrap().contains(&data));
    }
    broker.shutdown().await.unwrap();
    assert!(Moody::over(&store).stored().await.unwrap().contains(&data));
}
