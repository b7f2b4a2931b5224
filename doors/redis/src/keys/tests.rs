//! Keys that are read back, waited for, and answered when they are durable.

use std::time::Duration;

use posthouse_broker::BrokerConfig;
use posthouse_keyspace::{DatabaseIndex, End, Existing, Lifetime, Wait};
use posthouse_log::{MemoryConfig, MemoryEngine};
use posthouse_types::SystemClock;

use super::*;
use crate::table;

async fn broker() -> Arc<Broker> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let engine = MemoryEngine::new(MemoryConfig::default(), Arc::clone(&clock));
    Broker::open(engine, BrokerConfig::default(), clock).await.unwrap()
}

fn set(keys: &Keys, key: &str, value: &[u8]) -> Option<guard::Settled> {
    let mut guard = keys.lock();
    let mut database = guard.database(DatabaseIndex::default());
    database.set(key.as_bytes(), value, Existing::Any, Lifetime::Forever).unwrap();
    guard.release()
}

fn get(keys: &Keys, key: &str) -> Option<Vec<u8>> {
    let mut guard = keys.lock();
    let value = guard.database(DatabaseIndex::default()).get(key.as_bytes()).unwrap();
    guard.release();
    value.map(|value| value.to_vec())
}

#[tokio::test]
async fn keys_are_read_back_even_those_larger_than_a_record() {
    let broker = broker().await;
    let keys = Keys::open(&broker, KeysDurability::EverySecond).await.unwrap();
    let large = vec![b'x'; 3 * PIECE_BYTES_MAX + 1];
    assert!(set(&keys, "small", b"1").is_none(), "nobody waits");
    set(&keys, "large", &large);
    keys.flush().await.unwrap();
    let again = Keys::open(&broker, KeysDurability::EverySecond).await.unwrap();
    assert_eq!(get(&again, "small").unwrap(), b"1");
    assert!(get(&again, "large").unwrap() == large);
}

#[tokio::test]
async fn an_answer_waits_for_the_disk_when_it_is_told_to() {
    let broker = broker().await;
    let keys = Keys::open(&broker, KeysDurability::Always).await.unwrap();
    set(&keys, "a", b"1").expect("the change is not durable yet").await.unwrap();
    let again = Keys::open(&broker, KeysDurability::Always).await.unwrap();
    assert_eq!(get(&again, "a").unwrap(), b"1");
}

#[tokio::test]
async fn the_client_that_waits_longest_is_served_and_the_late_one_takes_nothing() {
    let broker = broker().await;
    let keys = Keys::open(&broker, KeysDurability::EverySecond).await.unwrap();
    let db = DatabaseIndex::default();
    let wait = |client| {
        let wait = Wait::PopItems { end: End::Left, count: 1 };
        let timeout = Some(Duration::from_secs(1));
        let words = (Reply::Null, (|_| Reply::OK) as fn(Served) -> Reply);
        let mut guard = keys.lock();
        let blocked = guard.wait(client, db, &[b"list"], wait, timeout, words);
        guard.release();
        match blocked.wait {
            table::Wait::Answer(receiver) => receiver,
            table::Wait::Future(_) => panic!("keys answer"),
        }
    };
    let (mut late, mut first, mut second) = (wait(1), wait(2), wait(3));
    keys.stop_waiting(1);
    let mut guard = keys.lock();
    guard.database(db).push(b"list", End::Right, &[b"item"], false).unwrap();
    guard.release();
    assert!(late.try_recv().is_err());
    assert_eq!(first.try_recv(), Ok(Reply::OK));
    assert!(second.try_recv().is_err());
}
