//! Channels that are topics: what is published is kept, and what is received is durable.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use posthouse_broker::{
    Broker, LiveMessage, Overflow, Pattern, SubscribeFrom, Subscriber, SubscriberConfig,
};
use posthouse_types::Timestamp;

use crate::harness::{Node, append, by_name, create, flush_for_ever, me, offset, partition, quick};
use crate::live_channels::{exact, glob, holding, message, prefix, roomy};

/// LIMIT: how long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

async fn from(
    broker: &Broker,
    config: SubscriberConfig,
    pattern: Pattern,
    from: SubscribeFrom,
) -> Subscriber {
    let subscriber = broker.subscriber(&me(), config);
    subscriber.subscribe(pattern, from).await.unwrap();
    subscriber
}

/// The next value, with its offset if it has one.
async fn next(subscriber: &Subscriber) -> (Option<i64>, String) {
    let delivery = tokio::time::timeout(PATIENCE, subscriber.next()).await.unwrap().unwrap();
    let value = delivery.message().value.clone().unwrap();
    let offset = delivery.event.at.map(|at| at.offset.value());
    (offset, String::from_utf8(value.to_vec()).unwrap())
}

async fn values(subscriber: &Subscriber, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    while found.len() < count {
        found.push(next(subscriber).await.1);
    }
    found
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[tokio::test]
async fn publishing_to_a_topic_appends_and_every_subscriber_reads_it() {
    for node in Node::start_everywhere().await {
        create(&node.broker, "t1", 1).await;
        let mut subscribers = Vec::new();
        for pattern in [exact("t1"), glob("t*"), prefix("t")] {
            subscribers.push(from(&node.broker, roomy(), pattern, SubscribeFrom::Now).await);
        }
        let published = node.broker.publish(&me(), Bytes::from("t1"), message("x")).await.unwrap();
        assert_eq!(published.receivers, 3);
        assert_eq!(published.at, Some((partition(0), offset(0))));
        // What comes in by another door arrives just so.
        node.produce("t1", "y").await;
        for subscriber in &subscribers {
            assert_eq!(next(subscriber).await, (Some(0), "x".to_owned()));
            assert_eq!(next(subscriber).await, (Some(1), "y".to_owned()));
        }
        assert_eq!(node.values("t1", 0).await, ["x", "y"]);
    }
}

#[tokio::test]
async fn nothing_is_received_before_it_is_durable() {
    let (node, memory) = Node::start_unflushed(quick()).await;
    let subscriber = from(&node.broker, roomy(), exact("t"), SubscribeFrom::Now).await;
    let publisher = node.broker.publisher(&me());
    let publishing = publisher.start(Bytes::from("t"), message("x")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(subscriber.queued().0, 0);
    memory.flush();
    publishing.finish().await.unwrap();
    assert_eq!(next(&subscriber).await.1, "x");
}

#[tokio::test]
async fn a_subscriber_may_begin_in_the_past_and_misses_nothing() {
    for node in Node::start_everywhere().await {
        create(&node.broker, "t", 1).await;
        for number in 0..50 {
            node.produce("t", &number.to_string()).await;
        }
        let producer = {
            let broker = Arc::clone(&node.broker);
            tokio::spawn(async move {
                for number in 50..150 {
                    let appended = append(&broker, "t", 0, &[&number.to_string()]).await.unwrap();
                    appended.ticket.durable().await.unwrap();
                }
            })
        };
        // One by one, so that they move between following and catching up.
        let slow = holding(1, Overflow::Block);
        let beginning = from(&node.broker, slow, exact("t"), SubscribeFrom::Beginning).await;
        let positions = SubscribeFrom::Positions(vec![(partition(0), offset(30))]);
        let middle =
            from(&node.broker, holding(3, Overflow::DropNewest), glob("t*"), positions).await;
        let (all, later) = tokio::join!(values(&beginning, 150), values(&middle, 20));
        assert_eq!(all, numbers(0..150));
        assert_eq!(later, numbers(30..50));
        producer.await.unwrap();
    }
}

#[tokio::test]
async fn a_subscriber_may_begin_at_a_time() {
    let node = Node::start().await;
    create(&node.broker, "t", 1).await;
    for at_ms in [1000, 2000, 3000] {
        let timestamp = Timestamp::from_ms(at_ms);
        let message = LiveMessage::of_value(at_ms.to_string(), timestamp);
        node.broker.publish(&me(), Bytes::from("t"), message).await.unwrap();
    }
    let at = SubscribeFrom::Timestamp(Timestamp::from_ms(1500));
    let subscriber = from(&node.broker, roomy(), exact("t"), at).await;
    assert_eq!(values(&subscriber, 2).await, ["2000", "3000"]);
}

#[tokio::test]
async fn a_channel_that_becomes_a_topic_is_read_from_its_first_record() {
    let node = Node::start().await;
    let one = from(&node.broker, roomy(), exact("t"), SubscribeFrom::Now).await;
    let two = from(&node.broker, roomy(), glob("*"), SubscribeFrom::Now).await;
    let publisher = node.broker.publisher(&me());
    let publish = async |value: &'static str| {
        publisher.publish(Bytes::from("t"), message(value)).await.unwrap()
    };
    assert_eq!(publish("live").await.at, None);
    create(&node.broker, "t", 1).await;
    assert_eq!(publish("kept").await.at, Some((partition(0), offset(0))));
    for subscriber in [&one, &two] {
        assert_eq!(next(subscriber).await, (None, "live".to_owned()));
        assert_eq!(next(subscriber).await, (Some(0), "kept".to_owned()));
    }
    node.broker.delete_topic(&me(), &by_name("t")).await.unwrap();
    assert_eq!(publish("live again").await.at, None);
    assert_eq!(next(&one).await, (None, "live again".to_owned()));
    create(&node.broker, "t", 1).await;
    publish("another").await;
    assert_eq!(next(&one).await, (Some(0), "another".to_owned()));
}

#[tokio::test]
async fn partitions_that_are_added_are_followed_too() {
    let node = Node::start().await;
    create(&node.broker, "t", 1).await;
    let subscriber = from(&node.broker, roomy(), exact("t"), SubscribeFrom::Now).await;
    node.broker.add_partitions(&me(), &by_name("t"), 3, false).await.unwrap();
    for index in 0..3 {
        append(&node.broker, "t", index, &["x"]).await.unwrap();
    }
    assert_eq!(values(&subscriber, 3).await, ["x", "x", "x"]);
}

#[tokio::test]
async fn keyless_records_of_one_publisher_stay_in_order() {
    let node = Node::start().await;
    create(&node.broker, "t", 4).await;
    let subscriber = from(&node.broker, roomy(), exact("t"), SubscribeFrom::Now).await;
    let publisher = node.broker.publisher(&me());
    let mut partitions = std::collections::HashSet::new();
    for number in 0..40 {
        let published = publisher.start(Bytes::from("t"), message(number.to_string())).await;
        partitions.insert(published.unwrap().finish().await.unwrap().at.unwrap().0);
    }
    assert_eq!(partitions.len(), 1);
    assert_eq!(values(&subscriber, 40).await, numbers(0..40));
}

#[tokio::test]
async fn a_slow_follower_reads_on_from_where_it_was() {
    let node = Node::start().await;
    create(&node.broker, "t", 1).await;
    let slow =
        from(&node.broker, holding(2, Overflow::Block), exact("t"), SubscribeFrom::Now).await;
    for number in 0..30 {
        node.produce("t", &number.to_string()).await;
    }
    assert!(slow.queued().0 <= 2);
    assert_eq!(values(&slow, 30).await, numbers(0..30));
}

#[tokio::test]
async fn what_was_unsubscribed_is_not_followed() {
    let node = Node::start().await;
    create(&node.broker, "t", 1).await;
    let subscriber = from(&node.broker, roomy(), exact("t"), SubscribeFrom::Beginning).await;
    node.produce("t", "first").await;
    assert_eq!(next(&subscriber).await.1, "first");
    assert!(subscriber.unsubscribe(&exact("t")));
    node.produce("t", "unheard").await;
    subscriber.subscribe(exact("t"), SubscribeFrom::Now).await.unwrap();
    node.produce("t", "heard").await;
    assert_eq!(next(&subscriber).await.1, "heard");
}

#[tokio::test]
async fn internal_topics_are_not_channels() {
    let node = Node::start().await;
    let subscriber = from(&node.broker, roomy(), glob("*"), SubscribeFrom::Beginning).await;
    create(&node.broker, "t", 1).await;
    node.produce("t", "mine").await;
    assert_eq!(next(&subscriber).await.1, "mine");
    let offsets = Bytes::from("__consumer_offsets");
    node.broker.publish(&me(), offsets, message("x")).await.unwrap_err();
}

#[tokio::test]
async fn a_batch_that_was_compressed_is_received_whole() {
    use posthouse_record::{BatchBuilder, Compression};
    let node = Node::start().await;
    create(&node.broker, "t", 1).await;
    let subscriber = from(&node.broker, roomy(), exact("t"), SubscribeFrom::Now).await;
    let mut builder = BatchBuilder::new(Compression::Zstd);
    for number in 0..20 {
        builder.push(Timestamp::from_ms(1), None, Some(number.to_string().as_bytes()), &[]);
    }
    let bytes = crate::harness::client_bytes(builder);
    node.broker.append(&me(), &by_name("t"), partition(0), bytes).await.unwrap();
    assert_eq!(values(&subscriber, 20).await, numbers(0..20));
}

#[tokio::test]
async fn subscribers_do_not_keep_a_node_from_stopping() {
    let (node, memory) = Node::start_unflushed(quick()).await;
    let flushing = flush_for_ever(&memory);
    let _follower = from(&node.broker, roomy(), glob("*"), SubscribeFrom::Now).await;
    let _behind =
        from(&node.broker, holding(1, Overflow::Block), glob("*"), SubscribeFrom::Beginning).await;
    for _ in 0..3 {
        node.produce("t", "x").await;
    }
    tokio::time::timeout(PATIENCE, node.broker.shutdown()).await.unwrap().unwrap();
    flushing.abort();
}
