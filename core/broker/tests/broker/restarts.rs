//! What a node finds when it starts again.

use posthouse_broker::ConfigChange;
use posthouse_log::{Engine, LogConfig};
use posthouse_types::{PartitionId, TopicId};

use crate::harness::{Node, by_name, create, me, partition};

#[tokio::test]
async fn a_node_keeps_its_identity() {
    let node = Node::start().await;
    let identity = node.broker.identity().clone();
    assert_eq!(identity.cluster_id.len(), 22);
    let node = node.crash().await;
    assert_eq!(node.broker.identity(), &identity);
    assert_ne!(Node::start().await.broker.identity().cluster_id, identity.cluster_id);
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

#[tokio::test]
async fn data_of_no_topic_is_deleted_at_the_next_start() {
    let node = Node::start().await;
    create(&node.broker, "t", 1).await;
    node.produce("t", "kept").await;
    let topic = TopicId(uuid::Uuid::from_u128(77));
    let orphan = PartitionId { topic, index: partition(0) };
    let log = node.engine.open(orphan, LogConfig::default()).await.unwrap();
    let mut batch = posthouse_record::BatchBuilder::new(posthouse_record::Compression::None);
    batch.push(posthouse_types::Timestamp::from_ms(1), None, Some(b"left over"), &[]);
    log.append(batch.build().unwrap()).unwrap().ticket.durable().await.unwrap();
    let node = node.restart().await;
    for _ in 0..1000 {
        if !node.engine.stored().await.unwrap().contains(&orphan) {
            assert_eq!(node.values("t", 0).await, ["kept"]);
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("the data is still there");
}
