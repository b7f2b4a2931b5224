//! Consumer groups over restarts; their protocol is tested with the machine.

use std::time::Duration;

use bytes::Bytes;
use posthouse_broker::{
    BrokerConfig, GroupError, GroupState, Join, JoinError, Joined, Leave, OffsetCommit, Sync,
};

use crate::harness::{Node, create, me, name, offset, partition, quick};

fn join(member_id: &str) -> Join {
    Join {
        group: "g".into(),
        member_id: member_id.into(),
        instance_id: None,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout: Duration::from_secs(10),
        rebalance_timeout: Duration::from_secs(10),
        protocol_type: "consumer".into(),
        protocols: vec![("range".into(), Bytes::from_static(b"metadata"))],
        member_id_required: false,
        supports_skipping_assignment: false,
        reason: None,
    }
}

fn sync(joined: &Joined, assignment: Option<&'static [u8]>) -> Sync {
    let assignments = assignment
        .map(|bytes| (joined.member_id.clone(), Bytes::from_static(bytes)))
        .into_iter()
        .collect();
    Sync {
        group: "g".into(),
        generation: joined.generation,
        member_id: joined.member_id.clone(),
        instance_id: None,
        protocol_type: None,
        protocol: None,
        assignments,
    }
}

/// A group of one member with an assignment.
async fn stable(node: &Node) -> Joined {
    let joined = node.broker.join_group(&me(), join("")).await.unwrap();
    let synced = node.broker.sync_group(&me(), sync(&joined, Some(b"all"))).await.unwrap();
    assert_eq!(synced.assignment, "all");
    joined
}

#[tokio::test]
async fn a_member_carries_on_after_a_crash_without_a_rebalance() {
    let node = Node::start().await;
    create(&node.broker, "t", 1).await;
    let joined = stable(&node).await;
    let node = node.crash().await;
    let Joined { generation, member_id, .. } = &joined;
    node.broker.heartbeat(&me(), "g", *generation, member_id, None).await.unwrap();
    let commit = OffsetCommit {
        topic: name("t"),
        index: partition(0),
        offset: offset(1),
        leader_epoch: None,
        metadata: String::new(),
    };
    let commits =
        node.broker.commit_offsets(&me(), "g", *generation, member_id, None, vec![commit]).await;
    assert!(commits.unwrap()[0].is_ok());
    let synced = node.broker.sync_group(&me(), sync(&joined, None)).await.unwrap();
    assert_eq!(synced.assignment, "all");
    let group = node.broker.describe_group(&me(), "g").await.unwrap();
    assert_eq!((group.state, group.members.len()), (GroupState::Stable, 1));
}

#[tokio::test]
async fn a_second_member_starts_a_rebalance_that_both_come_out_of() {
    let node = Node::start().await;
    let first = stable(&node).await;
    let broker = std::sync::Arc::clone(&node.broker);
    let second = tokio::spawn(async move { broker.join_group(&me(), join("")).await });
    let told = loop {
        let Joined { generation, member_id, .. } = &first;
        match node.broker.heartbeat(&me(), "g", *generation, member_id, None).await {
            Ok(()) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(error) => break error,
        }
    };
    assert!(matches!(told, GroupError::Rebalancing(_)), "{told}");
    let again = node.broker.join_group(&me(), join(&first.member_id)).await.unwrap();
    let second = second.await.unwrap().unwrap();
    assert_eq!(again.generation, second.generation);
    assert_eq!(again.leader, second.leader);
    assert_eq!(again.members.len() + second.members.len(), 2, "only the leader is told of all");
}

#[tokio::test]
async fn a_silent_member_is_removed() {
    let node = Node::start().await;
    let mut quiet = join("");
    quiet.session_timeout = Duration::from_millis(50);
    let joined = node.broker.join_group(&me(), quiet).await.unwrap();
    node.broker.sync_group(&me(), sync(&joined, Some(b"all"))).await.unwrap();
    loop {
        let group = node.broker.describe_group(&me(), "g").await.unwrap();
        if group.members.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let late = node.broker.heartbeat(&me(), "g", joined.generation, &joined.member_id, None).await;
    assert!(matches!(late, Err(GroupError::UnknownMember { .. })), "{late:?}");
}

#[tokio::test]
async fn an_empty_group_is_found_empty_after_a_crash() {
    let node = Node::start().await;
    let joined = stable(&node).await;
    let leave = Leave { member_id: joined.member_id.clone(), instance_id: None, reason: None };
    let left = node.broker.leave_group(&me(), "g", vec![leave]).await.unwrap();
    left[0].result.as_ref().unwrap();
    // A clean stop makes the last write durable.
    let node = node.restart().await;
    let group = node.broker.describe_group(&me(), "g").await.unwrap();
    assert!(group.members.is_empty());
    assert_eq!(group.state, GroupState::Empty);
    let next = node.broker.join_group(&me(), join("")).await.unwrap();
    assert!(next.generation > joined.generation, "generations never go back");
}

#[tokio::test]
async fn whoever_waits_is_let_go_at_shutdown() {
    let config = BrokerConfig { initial_rebalance_delay: Duration::from_secs(60), ..quick() };
    let node = Node::start_with(config).await;
    let broker = std::sync::Arc::clone(&node.broker);
    let waiting = tokio::spawn(async move { broker.join_group(&me(), join("")).await });
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert!(!waiting.is_finished());
    node.broker.shutdown().await.unwrap();
    let answer = waiting.await.unwrap();
    assert!(matches!(answer, Err(JoinError::Group(GroupError::Loading(_)))), "{answer:?}");
}

#[tokio::test]
async fn a_session_timeout_out_of_range_is_refused() {
    let node = Node::start().await;
    let mut long = join("");
    long.session_timeout = Duration::from_secs(60 * 60 * 24);
    let refused = node.broker.join_group(&me(), long).await;
    assert!(matches!(refused, Err(JoinError::SessionTimeout { .. })), "{refused:?}");
}
