//! Records that lie in segment files and in no cache.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use posthouse_broker::BrokerConfig;
use posthouse_kafka::KafkaConfig;
use posthouse_log::{LocalConfig, LocalEngine};
use posthouse_record::{BatchBuilder, Compression};
use posthouse_types::{SystemClock, Timestamp};
use uuid::Uuid;

use crate::client::{Door, bytes_of, produce};

const BATCHES: usize = 40;
const BATCH_BYTES: usize = 300_000;

async fn open(directory: &Path) -> Door {
    let engine = LocalEngine::open(LocalConfig::new(directory), Arc::new(SystemClock)).unwrap();
    Door::open_over(engine, BrokerConfig::default(), KafkaConfig::default()).await
}

fn value(index: usize) -> Vec<u8> {
    (0..BATCH_BYTES).map(|at| u8::try_from((at * 31 + index * 7) % 251).unwrap()).collect()
}

fn fetch(id: Uuid) -> FetchRequest {
    let partition = FetchPartition::default().with_partition_max_bytes(i32::MAX);
    let topic = FetchTopic::default().with_topic_id(id).with_partitions(vec![partition]);
    FetchRequest::default().with_max_bytes(i32::MAX).with_topics(vec![topic])
}

#[tokio::test]
async fn records_in_files_arrive_whole_though_the_client_reads_late() {
    let directory = tempfile::tempdir().unwrap();
    let door = open(directory.path()).await;
    let id = door.create("orders", 1).await;
    let mut client = door.connect().await;
    let mut sent = Vec::new();
    for index in 0..BATCHES {
        let mut batch = BatchBuilder::new(Compression::None);
        batch.push(Timestamp::from_ms(5), None, Some(&value(index)), &[]);
        let bytes = bytes_of(batch);
        sent.push(bytes.slice(16..));
        let produced = client.call(13, &produce(13, "", id, -1, bytes)).await;
        assert_eq!(produced.responses[0].partition_responses[0].error_code, 0);
    }
    door.close().await;

    let door = open(directory.path()).await;
    let mut client = door.connect().await;
    client.send(18, &fetch(id)).await;
    // Twelve megabytes do not fit the socket: the door must wait for the client and go on.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (_, fetched) = client.receive::<FetchRequest>(18).await;
    let mut records = fetched.responses[0].partitions[0].records.clone().unwrap();
    for sent in sent {
        let batch = records.split_to(sent.len() + 16);
        assert_eq!(batch[16..], sent);
    }
    assert!(records.is_empty());
    let again = client.call(18, &fetch(id)).await;
    assert_eq!(again.responses, fetched.responses, "the connection goes on");
    door.close().await;
}
