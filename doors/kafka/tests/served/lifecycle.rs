//! Pipelining, waiting, and the end of connections.

use std::time::{Duration, Instant};

use kafka_protocol::messages::*;
use kafka_protocol::protocol::Request;
use posthouse_broker::BrokerConfig;
use posthouse_kafka::{Advertised, KafkaConfig};
use uuid::Uuid;

use crate::client::{Door, batch, frame, produce, text};

fn fetch(id: Uuid, offset: i64, max_wait_ms: i32) -> FetchRequest {
    let partition = fetch_request::FetchPartition::default()
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1 << 20);
    let topic =
        fetch_request::FetchTopic::default().with_topic_id(id).with_partitions(vec![partition]);
    FetchRequest::default()
        .with_max_wait_ms(max_wait_ms)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_topics(vec![topic])
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_and_appended_in_order() {
    let door = Door::open().await;
    let id = door.create("orders", 1).await;
    let mut client = door.connect().await;
    let mut burst = Vec::new();
    let mut expected = Vec::new();
    for correlation_id in 1..=200 {
        // Every fourth has no answer, every fifth is not a produce request.
        let acks = [-1, 1, -1, 0][usize::try_from(correlation_id % 4).unwrap()];
        if correlation_id % 5 == 0 {
            burst.extend_from_slice(&frame(0, correlation_id, &ListGroupsRequest::default()));
            expected.push((correlation_id, ListGroupsRequest::KEY));
            continue;
        }
        let request = produce(13, "", id, acks, batch(&correlation_id.to_string()));
        burst.extend_from_slice(&frame(13, correlation_id, &request));
        if acks != 0 {
            expected.push((correlation_id, ProduceRequest::KEY));
        }
    }
    client.send_bytes(&burst).await;
    let mut last_offset = -1;
    for (correlation_id, key) in expected {
        if key == ListGroupsRequest::KEY {
            assert_eq!(client.receive::<ListGroupsRequest>(0).await.0, correlation_id);
            continue;
        }
        let (received, response) = client.receive::<ProduceRequest>(13).await;
        let partition = &response.responses[0].partition_responses[0];
        assert_eq!((received, partition.error_code), (correlation_id, 0));
        assert!(partition.base_offset > last_offset, "appended out of order");
        last_offset = partition.base_offset;
    }
    door.close().await;
}

#[tokio::test]
async fn a_fetch_waits_for_records_and_not_longer() {
    let door = Door::open().await;
    let id = door.create("orders", 1).await;
    let (mut reader, mut writer) = (door.connect().await, door.connect().await);
    let started = Instant::now();
    reader.send(18, &fetch(id, 0, 30_000)).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    writer.call(13, &produce(13, "", id, -1, batch("news"))).await;
    let (_, fetched) = reader.receive::<FetchRequest>(18).await;
    assert_eq!(fetched.responses[0].partitions[0].high_watermark, 1);
    assert!(started.elapsed() < Duration::from_secs(10), "the fetch did not wake");
    let empty = reader.call(18, &fetch(id, 1, 100)).await;
    let partition = &empty.responses[0].partitions[0];
    assert_eq!((partition.error_code, partition.records.as_ref().unwrap().len()), (0, 0));
    door.close().await;
}

#[tokio::test]
async fn a_fetch_out_of_range_is_told_at_once() {
    let door = Door::open().await;
    let id = door.create("orders", 1).await;
    let started = Instant::now();
    for offset in [-1, 7] {
        let fetched = door.connect().await.call(18, &fetch(id, offset, 30_000)).await;
        assert_eq!(fetched.responses[0].partitions[0].error_code, 1);
    }
    assert!(started.elapsed() < Duration::from_secs(10));
    door.close().await;
}

#[tokio::test]
async fn a_door_drains_though_a_client_waits_for_records() {
    let door = Door::open().await;
    let id = door.create("orders", 1).await;
    let mut reader = door.connect().await;
    reader.send(18, &fetch(id, 0, 30_000)).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let started = Instant::now();
    door.close().await;
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(reader.is_closed().await);
}

#[tokio::test]
async fn what_was_sent_before_the_client_closed_its_side_is_answered() {
    let door = Door::open().await;
    let id = door.create("orders", 1).await;
    let mut client = door.connect().await;
    let sent = client.send(13, &produce(13, "", id, -1, batch("last words"))).await;
    client.finish_sending().await;
    assert_eq!(client.receive::<ProduceRequest>(13).await.0, sent);
    assert!(client.is_closed().await);
    door.close().await;
}

#[tokio::test]
async fn metadata_makes_topics_only_where_that_is_allowed() {
    for (allowed, code) in [(true, 0), (false, 3)] {
        let config = BrokerConfig { auto_create_topics: allowed, ..BrokerConfig::default() };
        let door = Door::open_with(config, KafkaConfig::default()).await;
        let topic =
            metadata_request::MetadataRequestTopic::default().with_name(Some(text("new").into()));
        let request = MetadataRequest::default().with_topics(Some(vec![topic]));
        let metadata = door.connect().await.call(12, &request).await;
        assert_eq!(metadata.topics[0].error_code, code, "allowed: {allowed}");
        door.close().await;
    }
}

#[tokio::test]
async fn clients_are_told_the_advertised_address() {
    let config = KafkaConfig {
        advertised: vec![Advertised {
            listener: "kafka".into(),
            is_tls: false,
            host: "broker.example".to_string(),
            port: 19_092,
        }],
        rack: Some("north".to_string()),
        ..KafkaConfig::default()
    };
    let door = Door::open_with(BrokerConfig::default(), config).await;
    let metadata = door.connect().await.call(12, &MetadataRequest::default()).await;
    let broker = &metadata.brokers[0];
    assert_eq!((broker.host.as_str(), broker.port), ("broker.example", 19_092));
    assert_eq!(broker.rack.as_ref().unwrap().as_str(), "north");
    door.close().await;
}
