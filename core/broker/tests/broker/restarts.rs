//! What a node finds when it starts again.

use std::time::Duration;

use posthouse_broker::{ConfigChange, OffsetCommit};

use crate::harness::{Node, by_name, create, me, name, offset, partition};

#[tokio::test]
async fn a_node_keeps_its_identity() {
    for node in Node::start_everywhere().await {
        let identity = node.broker.identity().clone();
        assert_eq!(identity.cluster_id.len(), 22);
        let node = node.restart().await;
        assert_eq!(node.broker.identity(), &identity);
        assert_ne!(Node::start().await.broker.identity().cluster_id, identity.cluster_id);
    }
}

#[tokio::test]
async fn everything_is_found_again_many_times() {
    for mut node in Node::start_everywhere().await {
        create(&node.broker, "t", 3).await;
        for life in 0..4_u64 {
            let offset = node.produce("t", &format!("life {life}")).await;
            assert_eq!(offset.value(), life.cast_signed());
            let commit = OffsetCommit {
                topic: name("t"),
                index: partition(2),
                offset,
                leader_epoch: None,
                metadata: String::new(),
            };
            let kept = node.broker.commit_offsets(&me(), "g", -1, "", None, vec![commit]).await;
            assert!(kept.unwrap()[0].is_ok());
            create(&node.broker, &format!("of-life-{life}"), 1).await;
            node = node.restart().await;
            let found = node.broker.committed_offsets(&me(), "g", None).await.unwrap();
            assert_eq!(found[0].2.as_ref().unwrap().offset, offset);
        }
        assert_eq!(node.values("t", 0).await, ["life 0", "life 1", "life 2", "life 3"]);
        let topics = node.broker.topics(&me()).await;
        assert_eq!(topics.iter().filter(|topic| !topic.internal).count(), 1 + 4);
    }
}

#[tokio::test]
async fn snapshots_keep_the_history_short() {
    for node in Node::start_everywhere().await {
        create(&node.broker, "t", 1).await;
        let commit = |at| OffsetCommit {
            topic: name("t"),
            index: partition(0),
            offset: offset(at),
            leader_epoch: None,
            metadata: "m".repeat(4000),
        };
        const COMMITS: u64 = 400;
        for at in 0..COMMITS {
            let commits = vec![commit(at)];
            node.broker.commit_offsets(&me(), "g", -1, "", None, commits).await.unwrap();
        }
        let history = async || {
            let mut records = 0;
            for index in 0..8 {
                let topic = by_name("__consumer_offsets");
                let status = node.broker.partition_status(&me(), &topic, partition(index)).await;
                let status = status.unwrap();
                records += status.durable_end.since(status.log_start);
            }
            records
        };
        while history().await >= COMMITS {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let node = node.restart().await;
        let found = node.broker.committed_offsets(&me(), "g", None).await.unwrap();
        let found = found[0].2.as_ref().unwrap();
        assert_eq!((found.offset, found.metadata.len()), (offset(COMMITS - 1), 4000));
    }
}

#[tokio::test]
async fn topics_settings_and_records_survive_a_crash() {
    let node = Node::start().await;
    let made = create(&node.broker, "t", 1).await;
    let topic = by_name("t");
    let set = ConfigChange::Set { name: "retention.ms".into(), value: "-1".into() };
    node.broker.alter_topic_config(&me(), &topic, vec![set], false).await.unwrap();
    node.broker.add_partitions(&me(), &topic, 3, false).await.unwrap();
    node.produce("t", "kept").await;
    let node = node.crash().await;
    let found = node.broker.topic(&me(), &topic).await.unwrap();
    assert_eq!((found.id, found.partitions), (made.id, 3));
    assert_eq!(found.config.retention_age, None);
    assert_eq!(node.values("t", 0).await, ["kept"]);
    node.broker.partition_log(&me(), &topic, partition(2)).await.unwrap();
}
