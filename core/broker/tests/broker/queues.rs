//! Queues over whole nodes, restarts and crashes included.

use std::time::Duration;

use posthouse_broker::{
    Acquire, Acquired, Broker, Held, LookupError, Outcome, OwnerRemoval, PendingQuery,
    PendingState, QueueChange, QueueConfig, QueueError, QueuePosition, QueueRef, QueueStart,
    RecordId, Transfer,
};
use posthouse_types::{Offset, Timestamp};

use crate::harness::{
    Node, append, by_name, create, flush_for_ever, me, name, offset, partition, quick,
};

/// Long enough for anything on a busy machine.
const LONG: Duration = Duration::from_secs(30);

fn queue() -> QueueRef {
    QueueRef::new(by_name("jobs"), "workers")
}

fn config() -> QueueConfig {
    QueueConfig { dead_letter: Some(name("dead")), ..QueueConfig::default() }
}

async fn with_queue(broker: &Broker, partitions: u32, config: QueueConfig) {
    create(broker, "jobs", partitions).await;
    broker.queue_create(&me(), &queue(), QueueStart::Earliest, config).await.unwrap();
}

async fn produce(broker: &Broker, index: u32, values: &[&str]) {
    let appended = append(broker, "jobs", index, values).await.unwrap();
    appended.ticket.durable().await.unwrap();
}

async fn acquire(broker: &Broker, owner: &'static str, max: usize) -> Vec<Acquired> {
    broker.queue_acquire(&me(), &queue(), Acquire::new(owner, max)).await.unwrap()
}

async fn acquire_waiting(broker: &Broker, owner: &'static str, max: usize) -> Vec<Acquired> {
    let acquire = Acquire::new(owner, max).waiting(LONG);
    broker.queue_acquire(&me(), &queue(), acquire).await.unwrap()
}

fn held(acquired: &[Acquired]) -> Vec<Held> {
    acquired.iter().map(Held::from).collect()
}

async fn accept(broker: &Broker, acquired: &[Acquired]) -> Vec<Outcome> {
    broker.queue_accept(&me(), &queue(), &held(acquired)).await.unwrap()
}

fn values(acquired: &[Acquired]) -> Vec<(String, u32)> {
    let text = |one: &Acquired| String::from_utf8(one.record.value.as_ref().unwrap().to_vec());
    acquired.iter().map(|one| (text(one).unwrap(), one.delivery_count)).collect()
}

fn once(values: &[&str]) -> Vec<(String, u32)> {
    values.iter().map(|value| ((*value).to_owned(), 1)).collect()
}

#[tokio::test]
async fn records_are_given_once_and_not_after_they_are_accepted() {
    for node in Node::start_everywhere().await {
        with_queue(&node.broker, 1, config()).await;
        produce(&node.broker, 0, &["a", "b", "c"]).await;
        let (ann, bob) =
            (acquire(&node.broker, "ann", 2).await, acquire(&node.broker, "bob", 9).await);
        assert_eq!((values(&ann), values(&bob)), (once(&["a", "b"]), once(&["c"])));
        assert_eq!(accept(&node.broker, &ann).await, [Outcome::Done; 2]);
        assert!(acquire(&node.broker, "ann", 9).await.is_empty());
        let pending = node.broker.queue_pending(&me(), &queue(), &PendingQuery::default()).await;
        assert_eq!(pending.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_restart_keeps_what_is_accepted_held_and_released() {
    for node in Node::start_everywhere().await {
        with_queue(&node.broker, 1, QueueConfig { lock_timeout: None, ..config() }).await;
        produce(&node.broker, 0, &["accepted", "held", "released", "new"]).await;
        let given = acquire(&node.broker, "ann", 3).await;
        accept(&node.broker, &given[..1]).await;
        let released = node.broker.queue_release(&me(), &queue(), &held(&given[2..])).await;
        assert_eq!(released.unwrap(), [Outcome::Done]);
        let node = node.restart().await;
        let pending = node.broker.queue_pending(&me(), &queue(), &PendingQuery::default()).await;
        let states: Vec<_> = pending.unwrap().into_iter().map(|one| one.state).collect();
        let owner = bytes::Bytes::from_static(b"ann");
        assert_eq!(
            states,
            [PendingState::Acquired { owner, until: None }, PendingState::Available]
        );
        let again = acquire(&node.broker, "bob", 9).await;
        assert_eq!(values(&again), [("released".to_owned(), 2), ("new".to_owned(), 1)]);
        assert_eq!(accept(&node.broker, &given[1..2]).await, [Outcome::Done]);
    }
}

#[tokio::test]
async fn an_acceptance_is_answered_when_it_is_durable_and_taking_at_once() {
    let (node, engine) = Node::start_unflushed(quick()).await;
    let flushing = flush_for_ever(&engine);
    with_queue(&node.broker, 1, config()).await;
    produce(&node.broker, 0, &["a"]).await;
    flushing.abort();
    let _ = flushing.await;
    let given = acquire(&node.broker, "ann", 1).await;
    assert_eq!(values(&given), once(&["a"]));
    let mut accepting = Box::pin(accept(&node.broker, &given));
    assert!(futures::poll!(&mut accepting).is_pending());
    engine.flush();
    assert_eq!(accepting.await, [Outcome::Done]);
}

#[tokio::test]
async fn what_was_taken_and_not_kept_is_delivered_again_after_a_crash() {
    let node = Node::start().await;
    with_queue(
        &node.broker,
        1,
        QueueConfig { lock_timeout: Some(Duration::from_millis(50)), ..config() },
    )
    .await;
    produce(&node.broker, 0, &["a", "b", "c"]).await;
    let given = acquire(&node.broker, "ann", 2).await;
    accept(&node.broker, &given[..1]).await;
    acquire(&node.broker, "ann", 1).await;
    let node = node.crash().await;
    let mut left = Vec::new();
    while left.len() < 2 {
        let more = acquire_waiting(&node.broker, "bob", 9).await;
        assert!(!more.is_empty(), "only {left:?} came back");
        accept(&node.broker, &more).await;
        left.extend(values(&more).into_iter().map(|(value, _)| value));
    }
    left.sort();
    assert_eq!(left, ["b", "c"]);
}

#[tokio::test]
async fn a_lock_that_ends_gives_the_record_to_whoever_waits() {
    let node = Node::start().await;
    with_queue(
        &node.broker,
        1,
        QueueConfig { lock_timeout: Some(Duration::from_millis(20)), ..config() },
    )
    .await;
    produce(&node.broker, 0, &["a"]).await;
    let late = acquire(&node.broker, "ann", 1).await;
    let again = acquire_waiting(&node.broker, "bob", 1).await;
    assert_eq!(values(&again), [("a".to_owned(), 2)]);
    assert_eq!(accept(&node.broker, &late).await, [Outcome::NotHeld]);
}

#[tokio::test]
async fn whoever_waits_is_woken_by_records_and_by_releases() {
    for node in Node::start_everywhere().await {
        with_queue(&node.broker, 2, config()).await;
        let waiting = |owner| {
            let broker = std::sync::Arc::clone(&node.broker);
            tokio::spawn(async move { acquire_waiting(&broker, owner, 1).await })
        };
        let first = waiting("ann");
        produce(&node.broker, 1, &["a"]).await;
        let given = first.await.unwrap();
        assert_eq!(values(&given), once(&["a"]));
        let second = waiting("bob");
        tokio::task::yield_now().await;
        node.broker.queue_release(&me(), &queue(), &held(&given)).await.unwrap();
        assert_eq!(values(&second.await.unwrap()), [("a".to_owned(), 2)]);
    }
}

#[tokio::test]
async fn who_has_waited_longest_is_served_first() {
    let node = Node::start().await;
    with_queue(&node.broker, 1, config()).await;
    let queue = queue();
    let wait = |owner: &'static str| {
        let acquire = Acquire::new(owner, 1).waiting(LONG);
        let (broker, queue) = (&node.broker, &queue);
        async move { broker.queue_acquire(&me(), queue, acquire).await.unwrap() }
    };
    let (mut ann, mut bob) = (Box::pin(wait("ann")), Box::pin(wait("bob")));
    assert!(futures::poll!(&mut ann).is_pending());
    assert!(futures::poll!(&mut bob).is_pending());
    produce(&node.broker, 0, &["first", "second"]).await;
    let (ann, bob) = futures::join!(ann, bob);
    assert_eq!((values(&ann), values(&bob)), (once(&["first"]), once(&["second"])));
}

#[tokio::test]
async fn a_dropped_wait_takes_nothing_and_lets_the_next_one_in() {
    let node = Node::start().await;
    with_queue(&node.broker, 1, config()).await;
    let (queue, me) = (queue(), me());
    let mut gone =
        Box::pin(node.broker.queue_acquire(&me, &queue, Acquire::new("gone", 1).waiting(LONG)));
    assert!(futures::poll!(&mut gone).is_pending());
    drop(gone);
    produce(&node.broker, 0, &["a"]).await;
    assert_eq!(values(&acquire_waiting(&node.broker, "ann", 1).await), once(&["a"]));
}

#[tokio::test]
async fn what_is_delivered_too_often_goes_to_the_dead_letter_topic_with_its_history() {
    for node in Node::start_everywhere().await {
        with_queue(&node.broker, 1, QueueConfig { deliveries_max: Some(2), ..config() }).await;
        produce(&node.broker, 0, &["poison", "good"]).await;
        for delivery in 1..=2 {
            let given = acquire(&node.broker, "ann", 1).await;
            assert_eq!(values(&given), [("poison".to_owned(), delivery)]);
            node.broker.queue_release(&me(), &queue(), &held(&given)).await.unwrap();
        }
        let dead = QueueRef::new(by_name("dead"), "undertaker");
        let start = QueueStart::Earliest;
        node.broker.queue_create(&me(), &dead, start, QueueConfig::default()).await.unwrap();
        let acquire_dead = Acquire::new("undertaker", 1).waiting(LONG);
        let letters = node.broker.queue_acquire(&me(), &dead, acquire_dead).await.unwrap();
        assert_eq!(values(&letters), once(&["poison"]));
        let headers: Vec<_> = letters[0]
            .record
            .headers
            .iter()
            .map(|header| {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                (text(&header.name), text(header.value.as_ref().unwrap()))
            })
            .collect();
        let expected = [
            ("dead-letter.topic", "jobs"),
            ("dead-letter.partition", "0"),
            ("dead-letter.offset", "0"),
            ("dead-letter.timestamp", "1000"),
            ("dead-letter.group", "workers"),
            ("dead-letter.deliveries", "2"),
            ("dead-letter.reason", "delivered 2 times"),
        ];
        assert_eq!(headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(values(&acquire(&node.broker, "ann", 9).await), once(&["good"]));
    }
}

#[tokio::test]
async fn a_rejection_survives_a_crash_before_its_letter_is_written() {
    let node = Node::start().await;
    with_queue(&node.broker, 1, config()).await;
    produce(&node.broker, 0, &["poison"]).await;
    let given = acquire(&node.broker, "ann", 1).await;
    let rejected = node.broker.queue_reject(&me(), &queue(), &held(&given), "no good").await;
    assert_eq!(rejected.unwrap(), [Outcome::Done]);
    let node = node.crash().await;
    let dead = QueueRef::new(by_name("dead"), "undertaker");
    node.broker
        .queue_create(&me(), &dead, QueueStart::Earliest, QueueConfig::default())
        .await
        .unwrap();
    let wait = Acquire::new("undertaker", 1).waiting(LONG);
    let letters = node.broker.queue_acquire(&me(), &dead, wait).await.unwrap();
    assert_eq!(values(&letters), once(&["poison"]));
    assert!(acquire(&node.broker, "ann", 1).await.is_empty());
}

#[tokio::test]
async fn every_partition_gets_its_turn() {
    let node = Node::start().await;
    with_queue(&node.broker, 3, config()).await;
    for index in 0..3 {
        produce(&node.broker, index, &["x", "y"]).await;
    }
    let mut partitions = Vec::new();
    for _ in 0..3 {
        partitions.extend(acquire(&node.broker, "ann", 1).await.iter().map(|one| one.partition));
    }
    partitions.sort();
    assert_eq!(partitions, [partition(0), partition(1), partition(2)]);
}

#[tokio::test]
async fn bytes_are_bounded_but_the_first_record_always_comes() {
    let node = Node::start().await;
    with_queue(&node.broker, 1, config()).await;
    let large = "x".repeat(1000);
    produce(&node.broker, 0, &[&large, "a", "b"]).await;
    let few = || Acquire { bytes_max: 5, ..Acquire::new("ann", 9) };
    let first = node.broker.queue_acquire(&me(), &queue(), few()).await.unwrap();
    assert_eq!(first.len(), 1);
    let second = node.broker.queue_acquire(&me(), &queue(), few()).await.unwrap();
    // A key of three bytes and a value of one.
    assert_eq!(values(&second), once(&["a"]));
}

#[tokio::test]
async fn a_filter_passes_over_records_for_good() {
    let node = Node::start().await;
    with_queue(&node.broker, 1, config()).await;
    produce(&node.broker, 0, &["no", "yes", "no"]).await;
    let filter: posthouse_broker::RecordFilter =
        std::sync::Arc::new(|_, record| record.value.as_deref() == Some(b"yes"));
    let asked = Acquire { filter: Some(filter), ..Acquire::new("ann", 9) };
    let given = node.broker.queue_acquire(&me(), &queue(), asked).await.unwrap();
    assert_eq!(values(&given), once(&["yes"]));
    assert!(acquire(&node.broker, "ann", 9).await.is_empty());
}

#[tokio::test]
async fn records_that_were_deleted_are_passed_over_and_not_pending() {
    let node = Node::start().await;
    with_queue(&node.broker, 1, config()).await;
    produce(&node.broker, 0, &["a", "b"]).await;
    produce(&node.broker, 0, &["c"]).await;
    let given = acquire(&node.broker, "ann", 1).await;
    node.broker.queue_release(&me(), &queue(), &held(&given)).await.unwrap();
    let topic = by_name("jobs");
    node.broker.delete_records(&me(), &topic, partition(0), Some(offset(2))).await.unwrap();
    assert_eq!(values(&acquire(&node.broker, "ann", 9).await), once(&["c"]));
    let pending = node.broker.queue_pending(&me(), &queue(), &PendingQuery::default()).await;
    assert_eq!(pending.unwrap().len(), 1);
}

#[tokio::test]
async fn a_queue_begins_where_it_is_told_and_can_be_set_back() {
    let node = Node::start().await;
    create(&node.broker, "jobs", 1).await;
    produce(&node.broker, 0, &["a", "b"]).await;
    node.broker.queue_create(&me(), &queue(), QueueStart::Latest, config()).await.unwrap();
    assert!(acquire(&node.broker, "ann", 9).await.is_empty());
    let start = QueueStart::Offset(offset(1));
    let position = Some(QueuePosition { partition: None, start });
    let change = QueueChange { position, config: None };
    node.broker.queue_set(&me(), &queue(), change).await.unwrap();
    assert_eq!(values(&acquire(&node.broker, "ann", 9).await), once(&["b"]));
}

#[tokio::test]
async fn a_transfer_moves_records_between_owners() {
    let node = Node::start().await;
    with_queue(&node.broker, 1, QueueConfig { lock_timeout: None, ..config() }).await;
    produce(&node.broker, 0, &["a", "b"]).await;
    acquire(&node.broker, "ann", 2).await;
    let id = RecordId { partition: partition(0), offset: Offset::ZERO };
    let moved = node.broker.queue_transfer(&me(), &queue(), &Transfer::new(vec![id], "bob")).await;
    assert_eq!(moved.unwrap(), [id]);
    let node = node.restart().await;
    let owners = node.broker.queue_owners(&me(), &queue()).await.unwrap();
    let pending: Vec<_> = owners.iter().map(|one| (&one.owner[..], one.pending)).collect();
    assert_eq!(pending, [(&b"ann"[..], 1), (&b"bob"[..], 1)]);
    let ann = bytes::Bytes::from_static(b"ann");
    let held = node.broker.queue_owner_delete(&me(), &queue(), &ann, OwnerRemoval::Release).await;
    assert_eq!(held.unwrap(), 1);
    assert_eq!(values(&acquire(&node.broker, "cid", 9).await), [("b".to_owned(), 2)]);
}

#[tokio::test]
async fn queues_are_listed_described_and_deleted_with_their_topic() {
    for node in Node::start_everywhere().await {
        with_queue(&node.broker, 2, config()).await;
        let again = node.broker.queue_create(&me(), &queue(), QueueStart::Earliest, config()).await;
        assert!(matches!(again, Err(QueueError::Exists { .. })), "{again:?}");
        produce(&node.broker, 1, &["a", "b"]).await;
        acquire(&node.broker, "ann", 1).await;
        let described = node.broker.queue_describe(&me(), &queue()).await.unwrap();
        assert_eq!((described.acquired(), described.owners), (1, 1));
        assert_eq!(described.partitions[1].next, offset(1));
        let listed = node.broker.queue_list(&me(), None).await.unwrap();
        assert_eq!((listed.len(), listed[0].pending), (1, 1));

        node.broker.delete_topic(&me(), &by_name("jobs")).await.unwrap();
        assert!(node.broker.queue_list(&me(), None).await.unwrap().is_empty());
        create(&node.broker, "jobs", 2).await;
        let described = node.broker.queue_describe(&me(), &queue()).await;
        assert!(matches!(described, Err(QueueError::NotFound { .. })), "{described:?}");
    }
}

#[tokio::test]
async fn deleting_a_queue_tells_whoever_waits() {
    let node = Node::start().await;
    with_queue(&node.broker, 1, config()).await;
    let (queue, me) = (queue(), me());
    let mut waiting =
        Box::pin(node.broker.queue_acquire(&me, &queue, Acquire::new("ann", 1).waiting(LONG)));
    assert!(futures::poll!(&mut waiting).is_pending());
    node.broker.queue_delete(&me, &queue).await.unwrap();
    assert!(matches!(waiting.await, Err(QueueError::NotFound { .. })));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let node = Node::start().await;
    create(&node.broker, "jobs", 1).await;
    let check = async |config: QueueConfig| {
        let start = QueueStart::Earliest;
        node.broker.queue_create(&me(), &queue(), start, config).await.unwrap_err().to_string()
    };
    let plain = QueueConfig::default;
    assert!(check(QueueConfig { window_max: 0, ..plain() }).await.contains("window"));
    assert!(check(QueueConfig { deliveries_max: Some(0), ..plain() }).await.contains("once"));
    let never = Some(Duration::ZERO);
    assert!(check(QueueConfig { lock_timeout: never, ..plain() }).await.contains("short"));
    let itself = Some(name("jobs"));
    assert!(check(QueueConfig { dead_letter: itself, ..plain() }).await.contains("its own"));
    let missing = QueueRef::new(by_name("nothing"), "workers");
    let error = node.broker.queue_describe(&me(), &missing).await.unwrap_err();
    assert!(matches!(error, QueueError::Lookup(LookupError::UnknownTopic(_))), "{error}");
    let nameless = QueueRef::new(by_name("jobs"), "");
    let error = node.broker.queue_describe(&me(), &nameless).await.unwrap_err();
    assert!(matches!(error, QueueError::Name { len: 0, .. }), "{error}");
}

#[tokio::test]
async fn locks_end_by_the_clock_even_over_a_restart() {
    let (node, clock) = Node::start_at(Timestamp::from_ms(1_000_000), quick()).await;
    with_queue(&node.broker, 1, QueueConfig { lock_timeout: Some(LONG), ..config() }).await;
    produce(&node.broker, 0, &["a"]).await;
    acquire(&node.broker, "ann", 1).await;
    let node = node.restart().await;
    assert!(acquire(&node.broker, "bob", 1).await.is_empty(), "still held");
    clock.advance(LONG);
    assert_eq!(values(&acquire_waiting(&node.broker, "bob", 1).await), [("a".to_owned(), 2)]);
}
