use posthouse_types::SystemClock;

use super::*;
use crate::AppendError;
use crate::testkit::{append, partition, read_values, values};

fn manual() -> MemoryConfig {
    MemoryConfig { flush_interval: None, read_latency: Duration::ZERO }
}

#[tokio::test]
async fn nothing_is_durable_before_the_flush() {
    let engine = MemoryEngine::new(manual(), Arc::new(SystemClock));
    let log = engine.open(partition(0), LogConfig::default()).await.unwrap();
    let ticket = append(&*log, values(&["a"])).ticket;
    assert!(ticket.poll_durable().is_none());
    assert!(read_values(&*log).await.is_empty());
    engine.flush();
    assert!(ticket.poll_durable().unwrap().is_ok());
    assert_eq!(read_values(&*log).await.len(), 1);
}

#[tokio::test]
async fn the_timer_flushes() {
    let engine = MemoryEngine::new(MemoryConfig::default(), Arc::new(SystemClock));
    let log = engine.open(partition(0), LogConfig::default()).await.unwrap();
    append(&*log, values(&["a"])).ticket.durable().await.unwrap();
}

#[tokio::test]
async fn an_engine_elsewhere_fences_the_writer() {
    let store = Arc::new(MemoryStore::default());
    let here = MemoryEngine::over(store.clone(), manual(), Arc::new(SystemClock));
    let there = MemoryEngine::over(store, manual(), Arc::new(SystemClock));
    let fenced = here.open(partition(0), LogConfig::default()).await.unwrap();
    let lost = append(&*fenced, values(&["lost"])).ticket;
    let log = there.open(partition(0), LogConfig::default()).await.unwrap();
    append(&*log, values(&["kept"]));
    there.flush();
    here.flush();
    assert!(matches!(lost.durable().await, Err(DurabilityError::Fenced { .. })));
    assert!(matches!(fenced.append(values(&["late"])), Err(AppendError::Fenced { .. })));
    assert_eq!(read_values(&*log).await, [(0, "kept".to_owned())]);
}
