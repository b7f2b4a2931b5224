//! What is written at this door and read back at it is identical.

use std::cell::{Cell, RefCell};

use bytes::Bytes;
use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use posthouse_record::{Batch, BatchBuilder, Compression, Header, Record};
use posthouse_types::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::client::{Client, Door, bytes_of, produce};

const EXPANDED_BYTES_MAX: usize = 1 << 20;

/// A record before it has an offset.
#[derive(Clone, Debug, PartialEq)]
struct Written {
    timestamp: Timestamp,
    key: Option<Bytes>,
    value: Option<Bytes>,
    headers: Vec<Header>,
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn written() -> impl Strategy<Value = Written> {
    let header = ("[a-z]{0,5}", prop::option::of(bytes()))
        .prop_map(|(name, value)| Header { name: Bytes::from(name), value });
    let headers = prop::collection::vec(header, 0..4);
    (0i64..4_000_000_000_000, prop::option::of(bytes()), prop::option::of(bytes()), headers)
        .prop_map(|(ms, key, value, headers)| Written {
            timestamp: Timestamp::from_ms(ms),
            key,
            value,
            headers,
        })
}

fn compression() -> impl Strategy<Value = Compression> {
    prop::sample::select(vec![
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ])
}

#[test]
fn what_is_written_at_this_door_is_read_back_identical() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let door = runtime.block_on(Door::open());
    let client = RefCell::new(runtime.block_on(door.connect()));
    let strategy = (compression(), prop::collection::vec(written(), 1..20));
    let topics = Cell::new(0);
    let mut runner = TestRunner::new(Config::with_cases(64));
    runner
        .run(&strategy, |(compression, records)| {
            let topic = format!("topic-{}", topics.replace(topics.get() + 1));
            let mut client = client.borrow_mut();
            let read =
                runtime.block_on(round_trip(&door, &mut client, &topic, compression, &records));
            prop_assert_eq!(read, records);
            Ok(())
        })
        .unwrap();
    runtime.block_on(door.close());
}

async fn round_trip(
    door: &Door,
    client: &mut Client,
    topic: &str,
    compression: Compression,
    records: &[Written],
) -> Vec<Written> {
    let id = door.create(topic, 1).await;
    let mut batch = BatchBuilder::new(compression);
    for record in records {
        batch.push(
            record.timestamp,
            record.key.as_deref(),
            record.value.as_deref(),
            &record.headers,
        );
    }
    let sent = bytes_of(batch);
    // Twice, so that the second batch has an offset to be patched in.
    for _ in 0..2 {
        let produced = client.call(13, &produce(13, topic, id, -1, sent.clone())).await;
        assert_eq!(produced.responses[0].partition_responses[0].error_code, 0);
    }
    let partition = FetchPartition::default().with_partition_max_bytes(1 << 20);
    let fetch = FetchRequest::default().with_max_bytes(1 << 20).with_topics(vec![
        FetchTopic::default().with_topic_id(id).with_partitions(vec![partition]),
    ]);
    let fetched = client.call(18, &fetch).await;
    let mut stored = fetched.responses[0].partitions[0].records.clone().unwrap();
    let first = Batch::next(&mut stored).unwrap().unwrap();
    let second = Batch::next(&mut stored).unwrap().unwrap();
    assert!(stored.is_empty());
    second.verify().unwrap();
    // All but the base offset and the leader epoch, which the log gives.
    assert_eq!(first.bytes()[16..], sent[16..]);
    assert_eq!(second.bytes()[16..], sent[16..]);
    let count = i64::try_from(records.len()).unwrap();
    assert_eq!(
        (first.header().base_offset.value(), second.header().base_offset.value()),
        (0, count)
    );
    second.records(EXPANDED_BYTES_MAX).unwrap().map(|record| written_of(record.unwrap())).collect()
}

fn written_of(record: Record) -> Written {
    let Record { timestamp, key, value, headers, .. } = record;
    Written { timestamp, key, value, headers }
}
