//! What is not taken in: batches that are wrong, and batches for which there is no room.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use posthouse_broker::{AppendFailure, BrokerConfig, ConfigChange};
use posthouse_log::AppendError;
use posthouse_record::{BatchBuilder, BatchError, Compression};
use posthouse_types::{ByteSize, Timestamp};

use crate::harness::{
    Node, append, batch, by_name, client_bytes, create, flush_for_ever, me, partition, quick,
};

/// A valid batch with some bytes changed and its checksum made right again.
fn altered(change: impl FnOnce(&mut BytesMut)) -> BytesMut {
    let mut bytes = batch(&["x"]);
    change(&mut bytes);
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

async fn refused(batch: BytesMut) -> AppendFailure {
    let node = Node::start().await;
    create(&node.broker, "t", 1).await;
    node.broker.append(&me(), &by_name("t"), partition(0), batch).await.unwrap_err()
}

#[tokio::test]
async fn a_damaged_batch_is_refused() {
    let mut damaged = batch(&["x"]);
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    let error = refused(damaged).await;
    assert!(matches!(error, AppendFailure::Batch(BatchError::Checksum { .. })), "{error}");
}

#[tokio::test]
async fn clients_may_write_neither_control_nor_transactional_batches() {
    for (bit, field) in [(0x10, "transactional"), (0x20, "control")] {
        let error = refused(altered(|bytes| bytes[22] |= bit)).await;
        let AppendFailure::Batch(BatchError::Field { field: found, .. }) = error else {
            panic!("{error}")
        };
        assert_eq!(found, field);
    }
}

#[tokio::test]
async fn a_batch_that_miscounts_its_records_is_refused() {
    let error = refused(altered(|bytes| bytes[57..61].copy_from_slice(&2_i32.to_be_bytes()))).await;
    assert!(matches!(error, AppendFailure::Batch(_)), "{error}");
}

#[tokio::test]
async fn a_record_without_a_key_is_refused_by_a_compacted_topic() {
    let node = Node::start().await;
    create(&node.broker, "t", 1).await;
    let compact = ConfigChange::Set { name: "cleanup.policy".into(), value: "compact".into() };
    node.broker.alter_topic_config(&me(), &by_name("t"), vec![compact], false).await.unwrap();
    let mut keyless = BatchBuilder::new(Compression::Zstd);
    keyless.push(Timestamp::from_ms(1), None, Some(b"x"), &[]);
    let bytes = client_bytes(keyless);
    let error = node.broker.append(&me(), &by_name("t"), partition(0), bytes).await.unwrap_err();
    assert!(matches!(error, AppendFailure::Append(AppendError::KeyMissing)), "{error}");
    append(&node.broker, "t", 0, &["with a key"]).await.unwrap();
}

#[tokio::test]
async fn appends_wait_for_memory_rather_than_take_more() {
    let size = batch(&["x"]).len();
    let room_for_two = ByteSize(u64::try_from(size * 2).unwrap());
    let config = BrokerConfig { in_flight_bytes_max: room_for_two, ..quick() };
    let (node, memory) = Node::start_unflushed(config).await;
    for index in [0, 1] {
        append(&node.broker, "t", index, &["x"]).await.unwrap();
    }
    let waiting: Vec<_> = (0..4)
        .map(|index| {
            let broker = Arc::clone(&node.broker);
            tokio::spawn(async move { append(&broker, "t", index % 2, &["x"]).await.unwrap() })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert!(waiting.iter().all(|append| !append.is_finished()), "there is no room");
    let written = async || {
        let mut ends = 0;
        for index in [0, 1] {
            let log = node.broker.partition_log(&me(), &by_name("t"), partition(index)).await;
            ends += log.unwrap().ends().written_end.value();
        }
        ends
    };
    for expected in [4, 6] {
        memory.flush();
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert_eq!(written().await, expected, "two at a time");
    }
    memory.flush();
    for append in waiting {
        append.await.unwrap().ticket.durable().await.unwrap();
    }
}

#[tokio::test]
async fn a_batch_larger_than_all_memory_goes_alone() {
    let config = BrokerConfig { in_flight_bytes_max: ByteSize(10), ..quick() };
    let node = Node::start_with(config).await;
    create(&node.broker, "t", 1).await;
    for value in ["a", "b", "c"] {
        node.produce("t", value).await;
    }
    assert_eq!(node.values("t", 0).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_deleted_topic_gives_its_memory_back() {
    let size = batch(&["x"]).len();
    let config =
        BrokerConfig { in_flight_bytes_max: ByteSize(u64::try_from(size).unwrap()), ..quick() };
    let (node, memory) = Node::start_unflushed(config).await;
    append(&node.broker, "t", 0, &["x"]).await.unwrap();
    let broker = Arc::clone(&node.broker);
    let waiting = tokio::spawn(async move { append(&broker, "t", 1, &["x"]).await });
    tokio::time::sleep(Duration::from_millis(30)).await;
    let flushing = flush_for_ever(&memory);
    node.broker.delete_topic(&me(), &by_name("t")).await.unwrap();
    // Whether it slipped in before the topic was gone or not, it does not wait for ever.
    let _ = waiting.await.unwrap();
    create(&node.broker, "u", 1).await;
    append(&node.broker, "u", 0, &["x"]).await.unwrap();
    flushing.abort();
}
