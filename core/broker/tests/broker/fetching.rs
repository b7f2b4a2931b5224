//! Reading: long polls, limits, epochs, positions.

use std::time::{Duration, Instant};

use posthouse_broker::{FetchError, Fetched, Isolation, LookupError, OffsetSpec};
use posthouse_log::{Chunk, ReadError};
use posthouse_types::{LeaderEpoch, Timestamp};

use crate::harness::{Node, append, by_name, create, fetch, me, offset, partition, quick, values};

const LONG: Duration = Duration::from_secs(30);

fn size(fetched: &Fetched) -> usize {
    let chunks = fetched.partitions.iter().flatten().flat_map(|partition| &partition.chunks);
    chunks.map(Chunk::len).sum()
}

#[tokio::test]
async fn a_fetch_never_passes_the_durable_end() {
    let (node, memory) = Node::start_unflushed(quick()).await;
    append(&node.broker, "t", 0, &["a"]).await.unwrap();
    let fetched = node.broker.fetch(&me(), fetch(&[("t", 0, 0)], Duration::ZERO)).await;
    assert!(values(&fetched, 0).is_empty());
    assert_eq!(fetched.partitions[0].as_ref().unwrap().durable_end, offset(0));
    memory.flush();
    append(&node.broker, "t", 0, &["b"]).await.unwrap();
    let fetched = node.broker.fetch(&me(), fetch(&[("t", 0, 0)], Duration::ZERO)).await;
    assert_eq!(values(&fetched, 0), ["a"]);
}

#[tokio::test]
async fn a_long_poll_wakes_when_a_record_becomes_durable() {
    let (node, memory) = Node::start_unflushed(quick()).await;
    let polls = fetch(&[("t", 0, 0), ("t", 1, 0)], LONG);
    let broker = std::sync::Arc::clone(&node.broker);
    let poll = tokio::spawn(async move { broker.fetch(&me(), polls).await });
    append(&node.broker, "t", 1, &["x"]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert!(!poll.is_finished(), "the record is not durable yet");
    memory.flush();
    let fetched = poll.await.unwrap();
    assert!(values(&fetched, 0).is_empty());
    assert_eq!(values(&fetched, 1), ["x"]);
}

#[tokio::test]
async fn a_long_poll_waits_for_the_least_bytes_over_all_partitions() {
    let node = Node::start().await;
    create(&node.broker, "t", 2).await;
    let one = append(&node.broker, "t", 0, &["a"]).await.unwrap();
    one.ticket.durable().await.unwrap();
    let mut polls = fetch(&[("t", 0, 0), ("t", 1, 0)], LONG);
    polls.bytes_min = 100;
    let broker = std::sync::Arc::clone(&node.broker);
    let poll = tokio::spawn(async move { broker.fetch(&me(), polls).await });
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert!(!poll.is_finished(), "one batch is not enough");
    append(&node.broker, "t", 1, &["b"]).await.unwrap();
    let fetched = poll.await.unwrap();
    assert_eq!((values(&fetched, 0), values(&fetched, 1)), (vec!["a".into()], vec!["b".into()]));
}

#[tokio::test]
async fn a_long_poll_ends_when_its_time_is_up() {
    let node = Node::start().await;
    create(&node.broker, "t", 1).await;
    let wait = Duration::from_millis(50);
    let began = Instant::now();
    let fetched = node.broker.fetch(&me(), fetch(&[("t", 0, 0)], wait)).await;
    assert!(began.elapsed() >= wait);
    assert_eq!(size(&fetched), 0);
}

#[tokio::test]
async fn a_long_poll_ends_when_its_topic_is_deleted() {
    let node = Node::start().await;
    create(&node.broker, "t", 1).await;
    create(&node.broker, "u", 1).await;
    let broker = std::sync::Arc::clone(&node.broker);
    let polls = fetch(&[("t", 0, 0), ("u", 0, 0)], LONG);
    let poll = tokio::spawn(async move { broker.fetch(&me(), polls).await });
    tokio::time::sleep(Duration::from_millis(30)).await;
    create(&node.broker, "unrelated", 1).await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert!(!poll.is_finished());
    node.broker.delete_topic(&me(), &by_name("t")).await.unwrap();
    let fetched = poll.await.unwrap();
    let error = fetched.partitions[0].as_ref().unwrap_err();
    assert!(matches!(error, FetchError::Lookup(LookupError::UnknownTopic(_))), "{error}");
    assert!(fetched.partitions[1].is_ok());
}

#[tokio::test]
async fn a_long_poll_ends_at_shutdown() {
    let node = Node::start().await;
    create(&node.broker, "t", 1).await;
    let broker = std::sync::Arc::clone(&node.broker);
    let poll = tokio::spawn(async move { broker.fetch(&me(), fetch(&[("t", 0, 0)], LONG)).await });
    tokio::time::sleep(Duration::from_millis(30)).await;
    node.broker.shutdown().await.unwrap();
    assert_eq!(size(&poll.await.unwrap()), 0);
}

#[tokio::test]
async fn an_error_answers_at_once() {
    let node = Node::start().await;
    create(&node.broker, "t", 1).await;
    let began = Instant::now();
    let fetched = node.broker.fetch(&me(), fetch(&[("t", 0, 0), ("t", 9, 0)], LONG)).await;
    assert!(fetched.partitions[0].is_ok() && fetched.partitions[1].is_err());
    let fetched = node.broker.fetch(&me(), fetch(&[("t", 0, 7)], LONG)).await;
    let error = fetched.partitions[0].as_ref().unwrap_err();
    assert!(matches!(error, FetchError::Read(ReadError::OutOfRange { .. })), "{error}");
    assert!(began.elapsed() < LONG);
}

#[tokio::test]
async fn a_fetch_below_the_log_start_is_out_of_range() {
    let node = Node::start().await;
    create(&node.broker, "t", 1).await;
    for value in ["a", "b", "c"] {
        node.produce("t", value).await;
    }
    let topic = by_name("t");
    let start = node.broker.delete_records(&me(), &topic, partition(0), Some(offset(2))).await;
    assert_eq!(start.unwrap(), offset(2));
    let fetched = node.broker.fetch(&me(), fetch(&[("t", 0, 1)], LONG)).await;
    let error = fetched.partitions[0].as_ref().unwrap_err();
    assert!(matches!(error, FetchError::Read(ReadError::OutOfRange { .. })), "{error}");
    assert_eq!(node.values("t", 2).await, ["c"]);
    let all = node.broker.delete_records(&me(), &topic, partition(0), None).await;
    assert_eq!(all.unwrap(), offset(3));
    let above = node.broker.delete_records(&me(), &topic, partition(0), Some(offset(4))).await;
    assert!(above.is_err());
}

#[tokio::test]
async fn only_the_first_batch_may_exceed_the_limits() {
    let node = Node::start().await;
    create(&node.broker, "t", 2).await;
    for index in [0, 1] {
        for value in ["a", "b"] {
            let appended = append(&node.broker, "t", index, &[value]).await.unwrap();
            appended.ticket.durable().await.unwrap();
        }
    }
    let mut tiny = fetch(&[("t", 0, 0), ("t", 1, 0)], Duration::ZERO);
    tiny.bytes_max = 1;
    let fetched = node.broker.fetch(&me(), tiny.clone()).await;
    assert_eq!((values(&fetched, 0), values(&fetched, 1)), (vec!["a".to_owned()], vec![]));

    tiny.bytes_max = 1 << 20;
    tiny.partitions[0].bytes_max = 1;
    let fetched = node.broker.fetch(&me(), tiny.clone()).await;
    assert_eq!(values(&fetched, 0), ["a"]);
    assert_eq!(values(&fetched, 1), ["a", "b"]);

    // Room for three and a half batches.
    let batch_size = size(&fetched) / 3;
    tiny.partitions[0].bytes_max = 1 << 20;
    tiny.bytes_max = batch_size * 7 / 2;
    let fetched = node.broker.fetch(&me(), tiny).await;
    assert_eq!(size(&fetched), batch_size * 3);
}

#[tokio::test]
async fn a_fetch_from_the_middle_of_a_batch_gives_the_whole_batch() {
    let node = Node::start().await;
    create(&node.broker, "t", 1).await;
    let appended = append(&node.broker, "t", 0, &["a", "b", "c"]).await.unwrap();
    appended.ticket.durable().await.unwrap();
    assert_eq!(node.values("t", 1).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_reader_of_another_epoch_is_told() {
    let node = Node::start().await;
    create(&node.broker, "t", 1).await;
    let node = node.restart().await;
    let topic = by_name("t");
    let current = node.broker.partition_status(&me(), &topic, partition(0)).await.unwrap().epoch;
    let error = async |epoch: i32| {
        let mut asked = fetch(&[("t", 0, 0)], Duration::ZERO);
        asked.partitions[0].leader_epoch = Some(LeaderEpoch(epoch));
        node.broker.fetch(&me(), asked).await.partitions.remove(0).err()
    };
    assert!(matches!(error(current.0 - 1).await, Some(FetchError::FencedEpoch { .. })));
    assert!(error(current.0).await.is_none());
    assert!(matches!(error(current.0 + 1).await, Some(FetchError::UnknownEpoch { .. })));
}

#[tokio::test]
async fn positions_carry_the_epoch_that_wrote_them() {
    let node = Node::start().await;
    create(&node.broker, "t", 1).await;
    let topic = by_name("t");
    let epoch = async |node: &Node| {
        node.broker.partition_status(&me(), &topic, partition(0)).await.unwrap().epoch
    };
    node.produce("t", "a").await;
    let first = epoch(&node).await;
    let node = node.restart().await;
    node.produce("t", "b").await;
    let second = epoch(&node).await;
    assert!(second > first);

    let list = async |spec| {
        let isolation = Isolation::ReadUncommitted;
        let me = me();
        let found = node.broker.list_offset(&me, &topic, partition(0), None, spec, isolation);
        found.await.unwrap().map(|found| (found.offset, found.epoch))
    };
    assert_eq!(list(OffsetSpec::Earliest).await, Some((offset(0), first)));
    assert_eq!(list(OffsetSpec::Latest).await, Some((offset(2), second)));
    let at = OffsetSpec::AtOrAfter(Timestamp::from_ms(1000));
    assert_eq!(list(at).await, Some((offset(0), first)));
    assert_eq!(list(OffsetSpec::AtOrAfter(Timestamp::from_ms(1001))).await, None);
    assert_eq!(list(OffsetSpec::MaxTimestamp).await, Some((offset(0), first)));

    let end = async |asked| {
        let end = node.broker.epoch_end(&me(), &topic, partition(0), None, asked).await.unwrap();
        end.map(|end| (end.epoch, end.start))
    };
    assert_eq!(end(first).await, Some((first, offset(1))));
    assert_eq!(end(second).await, Some((second, offset(2))));
    assert_eq!(end(LeaderEpoch(second.0 + 1)).await, None);
}

#[tokio::test]
async fn one_fetch_waits_on_a_thousand_partitions() {
    let node = Node::start().await;
    create(&node.broker, "wide", 1000).await;
    let partitions: Vec<_> = (0..1000).map(|index| ("wide", index, 0)).collect();
    let polls = fetch(&partitions, LONG);
    let broker = std::sync::Arc::clone(&node.broker);
    let poll = tokio::spawn(async move { broker.fetch(&me(), polls).await });
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert!(!poll.is_finished());
    append(&node.broker, "wide", 777, &["here"]).await.unwrap();
    let fetched = poll.await.unwrap();
    assert_eq!(values(&fetched, 777), ["here"]);
}
