//! Committed offsets.

use std::time::Duration;

use posthouse_broker::{
    BrokerConfig, CommitError, DeleteGroupError, GroupError, LookupError, OffsetCommit,
};
use posthouse_types::{LeaderEpoch, Timestamp};

use crate::harness::{Node, create, me, name, offset, partition, quick};

fn commit(topic: &str, index: u32, at: u64) -> OffsetCommit {
    OffsetCommit {
        topic: name(topic),
        index: partition(index),
        offset: offset(at),
        leader_epoch: Some(LeaderEpoch(3)),
        metadata: format!("at {at}"),
    }
}

/// Commits as a client outside the group protocol.
async fn commit_all(
    node: &Node,
    group: &str,
    commits: Vec<OffsetCommit>,
) -> Result<Vec<Result<(), CommitError>>, CommitError> {
    node.broker.commit_offsets(&me(), group, -1, "", None, commits).await
}

/// Everything a group has committed.
async fn committed(node: &Node, group: &str) -> Vec<(String, u32, i64)> {
    let all = node.broker.committed_offsets(&me(), group, None).await.unwrap();
    let row = |(topic, index, offset): (posthouse_types::TopicName, _, Option<_>)| {
        let offset: posthouse_broker::CommittedOffset = offset.unwrap();
        let index: posthouse_types::PartitionIndex = index;
        (topic.to_string(), index.value(), offset.offset.value())
    };
    all.into_iter().map(row).collect()
}

#[tokio::test]
async fn commits_survive_a_crash_with_everything_that_was_said() {
    let node = Node::start().await;
    create(&node.broker, "t", 2).await;
    let results = commit_all(&node, "g", vec![commit("t", 0, 5), commit("t", 1, 7)]).await;
    assert!(results.unwrap().iter().all(Result::is_ok));
    commit_all(&node, "g", vec![commit("t", 0, 6)]).await.unwrap();
    let node = node.crash().await;
    assert_eq!(committed(&node, "g").await, [("t".into(), 0, 6), ("t".into(), 1, 7)]);
    let asked = vec![(name("t"), partition(1)), (name("t"), partition(9))];
    let found = node.broker.committed_offsets(&me(), "g", Some(asked)).await.unwrap();
    let one = found[0].2.as_ref().unwrap();
    assert_eq!((one.leader_epoch, one.metadata.as_str()), (Some(LeaderEpoch(3)), "at 7"));
    assert!(found[1].2.is_none());
    assert!(committed(&node, "other").await.is_empty());
}

#[tokio::test]
async fn each_commit_has_its_own_result() {
    let config = BrokerConfig { offset_metadata_bytes_max: 5, ..quick() };
    let node = Node::start_with(config).await;
    create(&node.broker, "t", 1).await;
    let commits =
        vec![commit("t", 0, 5), commit("t", 1, 5), commit("gone", 0, 5), commit("t", 0, 500)];
    let results = commit_all(&node, "g", commits).await.unwrap();
    let unknown = &results[1..3];
    assert!(results[0].is_ok());
    assert!(matches!(unknown[0], Err(CommitError::Lookup(LookupError::UnknownPartition { .. }))));
    assert!(matches!(unknown[1], Err(CommitError::Lookup(LookupError::UnknownTopic(_)))));
    assert!(matches!(results[3], Err(CommitError::MetadataTooLarge { size: 6, max: 5 })));
    assert_eq!(committed(&node, "g").await, [("t".into(), 0, 5)]);
}

#[tokio::test]
async fn a_commit_with_a_generation_needs_a_member() {
    let node = Node::start().await;
    create(&node.broker, "t", 1).await;
    let refused =
        node.broker.commit_offsets(&me(), "g", 4, "m", None, vec![commit("t", 0, 1)]).await;
    assert!(matches!(refused, Err(CommitError::Group(GroupError::IllegalGeneration { .. }))));
    assert!(committed(&node, "g").await.is_empty());
}

#[tokio::test]
async fn what_is_fetched_is_durable() {
    let (node, memory) = Node::start_unflushed(quick()).await;
    let broker = std::sync::Arc::clone(&node.broker);
    let committing = tokio::spawn(async move {
        broker.commit_offsets(&me(), "g", -1, "", None, vec![commit("t", 0, 5)]).await
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    let broker = std::sync::Arc::clone(&node.broker);
    let fetching =
        tokio::spawn(
            async move { broker.committed_offsets(&me(), "g", None).await.unwrap().len() },
        );
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!committing.is_finished() && !fetching.is_finished());
    memory.flush();
    assert!(committing.await.unwrap().unwrap()[0].is_ok());
    assert_eq!(fetching.await.unwrap(), 1);
}

#[tokio::test]
async fn deleting_a_topic_forgets_its_offsets() {
    let node = Node::start().await;
    for topic in ["t", "u"] {
        create(&node.broker, topic, 1).await;
    }
    for group in ["g", "h"] {
        commit_all(&node, group, vec![commit("t", 0, 5), commit("u", 0, 5)]).await.unwrap();
    }
    node.broker.delete_topic(&me(), &crate::harness::by_name("t")).await.unwrap();
    create(&node.broker, "t", 1).await;
    let node = node.crash().await;
    for group in ["g", "h"] {
        assert_eq!(committed(&node, group).await, [("u".into(), 0, 5)]);
    }
}

#[tokio::test]
async fn offsets_and_groups_can_be_deleted() {
    let node = Node::start().await;
    create(&node.broker, "t", 2).await;
    commit_all(&node, "g", vec![commit("t", 0, 5), commit("t", 1, 5)]).await.unwrap();
    let gone = vec![(name("t"), partition(0))];
    let results = node.broker.delete_offsets(&me(), "g", gone.clone()).await.unwrap();
    assert!(results[0].is_ok());
    let node = node.crash().await;
    assert_eq!(committed(&node, "g").await, [("t".into(), 1, 5)]);
    node.broker.delete_group(&me(), "g").await.unwrap();
    let node = node.crash().await;
    assert!(committed(&node, "g").await.is_empty());
    assert!(node.broker.groups(&me()).await.is_empty());
    let again = node.broker.delete_group(&me(), "g").await;
    assert!(matches!(again, Err(DeleteGroupError::NotFound(_))), "{again:?}");
    let unknown = node.broker.delete_offsets(&me(), "g", gone).await;
    assert!(matches!(unknown, Err(DeleteGroupError::NotFound(_))));
}

#[tokio::test]
async fn offsets_outside_the_group_protocol_expire_by_their_commit() {
    let config = BrokerConfig {
        offsets_retention: Duration::from_secs(60),
        maintenance_interval: Duration::from_millis(5),
        ..quick()
    };
    let (node, clock) = Node::start_at(Timestamp::from_ms(1_000_000), config).await;
    create(&node.broker, "t", 2).await;
    commit_all(&node, "g", vec![commit("t", 0, 5)]).await.unwrap();
    clock.advance(Duration::from_secs(40));
    commit_all(&node, "g", vec![commit("t", 1, 5)]).await.unwrap();
    clock.advance(Duration::from_secs(30));
    until(async || committed(&node, "g").await == [("t".into(), 1, 5)]).await;
    clock.advance(Duration::from_secs(60));
    until(async || node.broker.groups(&me()).await.is_empty()).await;
    let node = node.crash().await;
    assert!(committed(&node, "g").await.is_empty());
}

/// Waits for background work to bring something about.
async fn until(mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..1000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it did not come about");
}
