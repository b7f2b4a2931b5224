//! What the door refuses, and in which of the protocol's own words.

use bytes::Bytes;
use kafka_protocol::messages::*;
use posthouse_record::{BatchBuilder, Compression};
use posthouse_types::{ProducerEpoch, ProducerId, Sequence, Timestamp};
use uuid::Uuid;

use crate::client::{Door, batch, bytes_of, frame, produce, take_i32, text};

#[tokio::test]
async fn a_request_that_cannot_be_answered_ends_its_connection_only() {
    let door = Door::open().await;
    let mut witness = door.connect().await;
    witness.call(0, &ApiVersionsRequest::default()).await;
    let refused: [&[u8]; 6] = [
        // A length of 2 GiB less one, and a negative one.
        b"\x7f\xff\xff\xff",
        b"\xff\xff\xff\xff",
        // EndTxn, which is not served.
        b"\0\0\0\x0a\0\x1a\0\0\0\0\0\x01\xff\xff",
        // Produce version 2, whose record format Kafka 4 does not serve either.
        b"\0\0\0\x0a\0\0\0\x02\0\0\0\x01\xff\xff",
        // Metadata version 0 with 50 million topics in no bytes.
        b"\0\0\0\x0e\0\x03\0\0\0\0\0\x01\xff\xff\x03\0\0\x03",
        b"GET / HTTP/1.1\r\nHost: posthouse\r\n\r\n",
    ];
    for bytes in refused {
        let mut client = door.connect().await;
        client.send_bytes(bytes).await;
        assert!(client.is_closed().await, "{bytes:?}");
    }
    witness.call(0, &ApiVersionsRequest::default()).await;
    door.close().await;
}

#[tokio::test]
async fn api_versions_from_the_future_are_answered_in_version_0() {
    let door = Door::open().await;
    let mut client = door.connect().await;
    client.send_bytes(b"\0\0\0\x0c\0\x12\0\x63\0\0\0\x09\xff\xff\0\0").await;
    let mut frame = client.receive_frame().await.unwrap();
    assert_eq!(take_i32(&mut frame), 9);
    assert_eq!(frame[..2], [0, 35]);
    client
        .call(
            4,
            &ApiVersionsRequest::default()
                .with_client_software_name(text("a"))
                .with_client_software_version(text("1")),
        )
        .await;
    door.close().await;
}

/// librdkafka sends three bytes behind a flexible Metadata request; Kafka does not mind.
#[tokio::test]
async fn bytes_behind_a_request_are_ignored() {
    let door = Door::open().await;
    let mut client = door.connect().await;
    client.send_bytes(b"\0\0\0\x0d\0\x12\0\0\0\0\0\x09\xff\xff\0\0\0").await;
    assert_eq!(take_i32(&mut client.receive_frame().await.unwrap()), 9);
    door.close().await;
}

#[tokio::test]
async fn software_without_a_name_is_an_invalid_request() {
    let door = Door::open().await;
    let response = door.connect().await.call(3, &ApiVersionsRequest::default()).await;
    assert_eq!(response.error_code, 42);
    door.close().await;
}

#[tokio::test]
async fn transactions_are_refused_for_good() {
    let door = Door::open().await;
    let id = door.create("orders", 1).await;
    let mut client = door.connect().await;
    let find = FindCoordinatorRequest::default()
        .with_key_type(1)
        .with_coordinator_keys(vec![text("transaction")]);
    assert_eq!(client.call(6, &find).await.coordinators[0].error_code, 53);
    let init =
        InitProducerIdRequest::default().with_transactional_id(Some(text("transaction").into()));
    let refused = client.call(5, &init).await;
    assert_eq!((refused.error_code, refused.producer_id), (53, ProducerId_(-1)));
    let produce = produce(12, "orders", id, -1, batch("one"))
        .with_transactional_id(Some(text("transaction").into()));
    let refused = client.call(12, &produce).await;
    assert_eq!(refused.responses[0].partition_responses[0].error_code, 53);
    door.close().await;
}

use kafka_protocol::messages::ProducerId as ProducerId_;

#[tokio::test]
async fn batches_that_clients_may_not_write_are_refused_with_kafkas_codes() {
    let door = Door::open().await;
    let id = door.create("orders", 1).await;
    let mut client = door.connect().await;
    let built = |compression, change: fn(BatchBuilder) -> BatchBuilder| {
        let mut batch = change(BatchBuilder::new(compression));
        batch.push(Timestamp::from_ms(5), Some(b"key"), Some(b"value"), &[]);
        bytes_of(batch)
    };
    let sequenced = |batch: BatchBuilder| {
        batch.producer(ProducerId(1), ProducerEpoch(0), Sequence(0)).transactional()
    };
    let changed = |at: usize| {
        let mut bytes = batch("one").to_vec();
        bytes[at] ^= 0x40;
        Bytes::from(bytes)
    };
    let two = Bytes::from([batch("one"), batch("two")].concat());
    let table = [
        ("a changed byte", 9, changed(70), 2),
        ("an older format", 9, changed(16), 87),
        ("cut short", 9, batch("one").slice(..66), 2),
        ("empty", 9, Bytes::new(), 2),
        ("two batches", 9, two, 87),
        ("a transaction", 9, built(Compression::None, sequenced), 48),
        ("zstd from an old client", 6, built(Compression::Zstd, |batch| batch), 76),
        ("zstd", 7, built(Compression::Zstd, |batch| batch), 0),
        ("good", 9, batch("one"), 0),
    ];
    for (what, version, records, code) in table {
        let request = produce(version, "orders", id, -1, records);
        let produced = client.call(version, &request).await;
        let partition = &produced.responses[0].partition_responses[0];
        assert_eq!(partition.error_code, code, "{what}: {:?}", partition.error_message);
        assert_eq!(partition.error_message.is_some(), code != 0 && version >= 8, "{what}");
    }
    door.close().await;
}

#[tokio::test]
async fn acks_that_mean_nothing_are_refused() {
    let door = Door::open().await;
    let id = door.create("orders", 1).await;
    let produced = door.connect().await.call(9, &produce(9, "orders", id, 2, batch("one"))).await;
    assert_eq!(produced.responses[0].partition_responses[0].error_code, 21);
    door.close().await;
}

#[tokio::test]
async fn a_produce_without_acks_that_fails_closes_the_connection() {
    let door = Door::open().await;
    let mut client = door.connect().await;
    let unknown = produce(13, "", Uuid::from_u128(9), 0, batch("one"));
    client.send(13, &unknown).await;
    assert!(client.is_closed().await);
    door.close().await;
}

#[tokio::test]
async fn topics_that_are_not_there_have_kafkas_codes() {
    let door = Door::open().await;
    let mut client = door.connect().await;
    let unknown = Uuid::from_u128(9);
    let produced = client.call(13, &produce(13, "", unknown, -1, batch("one"))).await;
    assert_eq!(produced.responses[0].partition_responses[0].error_code, 100);
    let produced = client.call(9, &produce(9, "nowhere", unknown, -1, batch("one"))).await;
    assert_eq!(produced.responses[0].partition_responses[0].error_code, 3);
    for (name, code) in [("nowhere", 3), ("no where", 17), ("", 17), ("..", 17)] {
        let topic =
            metadata_request::MetadataRequestTopic::default().with_name(Some(text(name).into()));
        let request = MetadataRequest::default()
            .with_topics(Some(vec![topic]))
            .with_allow_auto_topic_creation(false);
        assert_eq!(client.call(12, &request).await.topics[0].error_code, code, "{name:?}");
    }
    let topic =
        metadata_request::MetadataRequestTopic::default().with_name(None).with_topic_id(unknown);
    let request = MetadataRequest::default().with_topics(Some(vec![topic]));
    assert_eq!(client.call(13, &request).await.topics[0].error_code, 100);
    door.close().await;
}

#[tokio::test]
async fn fetch_sessions_that_were_never_given_out_are_refused() {
    let door = Door::open().await;
    let mut client = door.connect().await;
    for (id, epoch, code) in [(0, -1, 0), (0, 0, 0), (0, 1, 71), (5, 1, 70), (5, -1, 0)] {
        let request = FetchRequest::default().with_session_id(id).with_session_epoch(epoch);
        let response = client.call(12, &request).await;
        assert_eq!((response.error_code, response.session_id), (code, 0), "{id} {epoch}");
    }
    door.close().await;
}

#[tokio::test]
async fn a_request_that_stops_half_way_takes_nothing_with_it() {
    let door = Door::open().await;
    let whole = frame(12, 1, &MetadataRequest::default());
    for len in 0..whole.len() {
        let mut client = door.connect().await;
        client.send_bytes(&whole[..len]).await;
        client.finish_sending().await;
        assert!(client.is_closed().await, "{len}");
    }
    door.close().await;
}
