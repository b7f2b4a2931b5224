//! Channels that are no topics: who receives what, and what becomes of those who fall behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use posthouse_broker::{
    Broker, Encoding, LiveMessage, Overflow, PATTERN_BYTES_MAX, Pattern, SubscribeError,
    SubscribeFrom, Subscriber, SubscriberConfig, SubscriberEnded,
};
use posthouse_types::{ByteSize, Timestamp};

use crate::harness::{Node, me};

pub(crate) fn roomy() -> SubscriberConfig {
    SubscriberConfig {
        bytes_max: ByteSize::mib(64),
        messages_max: 1_000_000,
        overflow: Overflow::Disconnect,
    }
}

pub(crate) fn holding(messages_max: usize, overflow: Overflow) -> SubscriberConfig {
    SubscriberConfig { messages_max, overflow, ..roomy() }
}

pub(crate) fn message(value: impl Into<Bytes>) -> LiveMessage {
    LiveMessage::of_value(value, Timestamp::from_ms(1000))
}

pub(crate) fn exact(channel: &'static str) -> Pattern {
    Pattern::Exact(Bytes::from_static(channel.as_bytes()))
}

pub(crate) fn glob(glob: &'static str) -> Pattern {
    Pattern::Glob(Bytes::from_static(glob.as_bytes()))
}

pub(crate) fn prefix(prefix: &'static str) -> Pattern {
    Pattern::Prefix(Bytes::from_static(prefix.as_bytes()))
}

pub(crate) async fn subscribed(
    broker: &Broker,
    config: SubscriberConfig,
    pattern: Pattern,
) -> Subscriber {
    let subscriber = broker.subscriber(&me(), config);
    assert!(subscriber.subscribe(pattern, SubscribeFrom::Now).await.unwrap());
    subscriber
}

async fn publish(broker: &Broker, channel: &'static str, value: &'static str) -> u64 {
    let published = broker.publish(&me(), Bytes::from(channel), message(value)).await.unwrap();
    assert_eq!(published.at, None);
    published.receivers
}

/// What is queued now, as channel and value.
fn waiting(subscriber: &Subscriber) -> Vec<String> {
    let mut found = Vec::new();
    while let Ok(Some(delivery)) = subscriber.try_next() {
        let value = delivery.message().value.clone().unwrap();
        found.push(format!("{:?} {}", delivery.channel(), String::from_utf8_lossy(&value)));
    }
    found
}

#[tokio::test]
async fn a_message_reaches_every_kind_of_subscription() {
    let node = Node::start().await;
    let mut subscribers = Vec::new();
    for pattern in [exact("news.eu"), glob("news.*"), prefix("news"), glob("*")] {
        subscribers.push(subscribed(&node.broker, roomy(), pattern).await);
    }
    let other = subscribed(&node.broker, roomy(), exact("news")).await;
    assert_eq!(publish(&node.broker, "news.eu", "x").await, 4);
    for subscriber in &subscribers {
        assert_eq!(waiting(subscriber), [r#"b"news.eu" x"#]);
    }
    assert!(waiting(&other).is_empty());
}

#[tokio::test]
async fn what_matches_twice_is_delivered_twice() {
    let node = Node::start().await;
    let subscriber = subscribed(&node.broker, roomy(), exact("a")).await;
    assert!(subscriber.subscribe(glob("*"), SubscribeFrom::Now).await.unwrap());
    assert!(!subscriber.subscribe(glob("*"), SubscribeFrom::Now).await.unwrap(), "known already");
    assert_eq!(publish(&node.broker, "a", "x").await, 2);
    let first = subscriber.next().await.unwrap();
    let second = subscriber.next().await.unwrap();
    let patterns = [first.pattern().clone(), second.pattern().clone()];
    assert_eq!(patterns, [exact("a"), glob("*")]);
    assert!(Arc::ptr_eq(&first.event, &second.event), "one buffer");
}

#[tokio::test]
async fn nothing_is_given_out_after_unsubscribe() {
    let node = Node::start().await;
    let subscriber = subscribed(&node.broker, roomy(), exact("a")).await;
    subscriber.subscribe(exact("b"), SubscribeFrom::Now).await.unwrap();
    publish(&node.broker, "a", "queued").await;
    publish(&node.broker, "b", "stays").await;
    assert!(subscriber.unsubscribe(&exact("a")));
    assert!(!subscriber.unsubscribe(&exact("a")));
    assert_eq!(publish(&node.broker, "a", "late").await, 0);
    assert_eq!(waiting(&subscriber), [r#"b"b" stays"#]);
}

#[tokio::test]
async fn a_dropped_subscriber_is_gone() {
    let node = Node::start().await;
    let subscriber = subscribed(&node.broker, roomy(), exact("a")).await;
    subscriber.subscribe(glob("a*"), SubscribeFrom::Now).await.unwrap();
    drop(subscriber);
    assert_eq!(publish(&node.broker, "a", "x").await, 0);
    assert_eq!(node.broker.live_channels(None).await, Vec::<Bytes>::new());
    assert_eq!(node.broker.live_patterns().await, 0);
}

#[tokio::test]
async fn channels_and_patterns_can_be_listed() {
    let node = Node::start().await;
    let one = subscribed(&node.broker, roomy(), exact("news.eu")).await;
    let _two = subscribed(&node.broker, roomy(), exact("news.eu")).await;
    one.subscribe(exact("sport"), SubscribeFrom::Now).await.unwrap();
    one.subscribe(glob("n*"), SubscribeFrom::Now).await.unwrap();
    let mut all = node.broker.live_channels(None).await;
    all.sort();
    assert_eq!(all, ["news.eu", "sport"]);
    assert_eq!(node.broker.live_channels(Some(b"new*")).await, ["news.eu"]);
    assert_eq!(node.broker.live_subscriptions(b"news.eu").await, 2);
    assert_eq!(node.broker.live_patterns().await, 1);
}

#[tokio::test]
async fn a_full_queue_does_what_is_declared() {
    let node = Node::start().await;
    let newest = subscribed(&node.broker, holding(2, Overflow::DropNewest), exact("a")).await;
    let oldest = subscribed(&node.broker, holding(2, Overflow::DropOldest), exact("a")).await;
    let ended = subscribed(&node.broker, holding(2, Overflow::Disconnect), exact("a")).await;
    for value in ["1", "2", "3"] {
        publish(&node.broker, "a", value).await;
    }
    assert_eq!(waiting(&newest), [r#"b"a" 1"#, r#"b"a" 2"#]);
    assert_eq!(waiting(&oldest), [r#"b"a" 2"#, r#"b"a" 3"#]);
    assert_eq!(ended.next().await.unwrap_err(), SubscriberEnded::Overflow);
    assert_eq!(publish(&node.broker, "a", "4").await, 2, "the ended one does not count");
}

#[tokio::test]
async fn bytes_are_bounded_too_but_one_message_always_fits() {
    let node = Node::start().await;
    let config = SubscriberConfig {
        bytes_max: ByteSize(1000),
        messages_max: 100,
        overflow: Overflow::DropNewest,
    };
    let subscriber = subscribed(&node.broker, config, exact("a")).await;
    for _ in 0..3 {
        let large = message(vec![0; 2000]);
        node.broker.publish(&me(), Bytes::from("a"), large).await.unwrap();
    }
    assert_eq!(subscriber.queued().0, 1);
}

#[tokio::test]
async fn a_publisher_waits_for_a_subscriber_that_blocks() {
    let node = Node::start().await;
    let subscriber = subscribed(&node.broker, holding(1, Overflow::Block), exact("a")).await;
    publish(&node.broker, "a", "1").await;
    let broker = Arc::clone(&node.broker);
    let second = tokio::spawn(async move { publish(&broker, "a", "2").await });
    tokio::task::yield_now().await;
    assert!(!second.is_finished());
    for expected in ["1", "2"] {
        let delivery = subscriber.next().await.unwrap();
        assert_eq!(delivery.message().value.as_deref(), Some(expected.as_bytes()));
    }
    assert_eq!(second.await.unwrap(), 1);
}

#[tokio::test]
async fn a_publisher_that_waits_is_freed_when_the_subscriber_leaves() {
    for leave_by_drop in [true, false] {
        let node = Node::start().await;
        let subscriber = subscribed(&node.broker, holding(1, Overflow::Block), exact("a")).await;
        publish(&node.broker, "a", "1").await;
        let broker = Arc::clone(&node.broker);
        let second = tokio::spawn(async move { publish(&broker, "a", "2").await });
        tokio::task::yield_now().await;
        if leave_by_drop {
            drop(subscriber);
        } else {
            subscriber.unsubscribe(&exact("a"));
        }
        assert_eq!(second.await.unwrap(), 0);
    }
}

#[tokio::test]
async fn each_publishers_order_is_kept() {
    let node = Node::start().await;
    let subscriber = subscribed(&node.broker, roomy(), prefix("c")).await;
    let publishers: Vec<_> = (0..4u8)
        .map(|who| {
            let publisher = node.broker.publisher(&me());
            tokio::spawn(async move {
                for count in 0..500u32 {
                    let value = [&[who][..], &count.to_be_bytes()].concat();
                    publisher.publish(Bytes::from("c1"), message(value)).await.unwrap();
                    if count % 50 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            })
        })
        .collect();
    let (mut next, mut taken) = ([0u32; 4], Vec::new());
    while next.iter().sum::<u32>() < 2000 {
        subscriber.next_many(64, &mut taken).await.unwrap();
        for delivery in taken.drain(..) {
            let value = delivery.message().value.clone().unwrap();
            let count = u32::from_be_bytes(value[1..].try_into().unwrap());
            assert_eq!(count, next[usize::from(value[0])]);
            next[usize::from(value[0])] += 1;
        }
    }
    for publisher in publishers {
        publisher.await.unwrap();
    }
}

#[tokio::test]
async fn an_encoding_is_made_once_for_all_receivers() {
    let node = Node::start().await;
    let one = subscribed(&node.broker, roomy(), exact("a")).await;
    let two = subscribed(&node.broker, roomy(), exact("a")).await;
    publish(&node.broker, "a", "x").await;
    let (one, two) = (one.next().await.unwrap(), two.next().await.unwrap());
    let first = one.event.encoded(Encoding("upper"), |_| Bytes::from("X"));
    let again = two.event.encoded(Encoding("upper"), |_| unreachable!("made already"));
    let other = two.event.encoded(Encoding("double"), |_| Bytes::from("xx"));
    assert_eq!([&first[..], &again, &other], [&b"X"[..], b"X", b"xx"]);
}

#[tokio::test]
async fn a_subscriber_that_is_closed_says_so() {
    let node = Node::start().await;
    let subscriber = Arc::new(subscribed(&node.broker, roomy(), exact("a")).await);
    let waiting = Arc::clone(&subscriber);
    let waiting = tokio::spawn(async move { waiting.next().await.map(|_| ()) });
    tokio::time::sleep(Duration::from_millis(1)).await;
    subscriber.close();
    assert_eq!(waiting.await.unwrap(), Err(SubscriberEnded::Closed));
}

#[tokio::test]
async fn a_pattern_that_is_too_long_is_refused() {
    let node = Node::start().await;
    let subscriber = node.broker.subscriber(&me(), roomy());
    let long = Pattern::Prefix(Bytes::from(vec![b'a'; PATTERN_BYTES_MAX + 1]));
    let refused = subscriber.subscribe(long, SubscribeFrom::Now).await.unwrap_err();
    assert!(matches!(refused, SubscribeError::PatternTooLong { .. }), "{refused}");
    assert!(subscriber.patterns().is_empty());
}

#[tokio::test]
async fn what_is_published_quietly_is_found_whole_by_whoever_is_woken() {
    let node = Node::start().await;
    let subscriber = subscribed(&node.broker, roomy(), exact("a")).await;
    let publisher = node.broker.publisher(&me());
    let wakes = Arc::new(WakeCounter::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut context = Context::from_waker(&waker);
    let mut taken = Vec::new();
    assert!(subscriber.poll_many(&mut context, 10, &mut taken).is_pending());
    for value in ["x", "y", "z"] {
        publisher.start_quietly(Bytes::from("a"), message(value)).await.unwrap();
    }
    assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
    publisher.wake();
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    assert!(matches!(subscriber.poll_many(&mut context, 10, &mut taken), Poll::Ready(Ok(3))));

    assert!(subscriber.poll_many(&mut context, 10, &mut taken).is_pending());
    publisher.start_quietly(Bytes::from("a"), message("last")).await.unwrap();
    drop(publisher);
    assert_eq!(wakes.0.load(Ordering::Relaxed), 2, "nobody is forgotten");
}

#[derive(Default)]
struct WakeCounter(AtomicUsize);

impl Wake for WakeCounter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
