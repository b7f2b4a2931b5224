//! What a node refuses to start with.

use posthouse::config::{DoorAddress, EngineKind};
use posthouse::start;
use tokio_util::sync::CancellationToken;

use super::support::{Node, config};

async fn refused(change: impl FnOnce(&mut posthouse::config::Config)) -> String {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(&directory);
    change(&mut config);
    match start(config, CancellationToken::new()).await {
        Ok(_) => panic!("the node started"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_node_that_nobody_could_reach_does_not_start() {
    let error = refused(|config| {
        config.node.kafka_address = DoorAddress::Off;
        config.node.redis_address = DoorAddress::Off;
        config.node.http_address = DoorAddress::Off;
        config.node.postgres_address = DoorAddress::Off;
    })
    .await;
    assert!(error.contains("every door is off"), "{error}");
}

#[tokio::test]
async fn a_data_directory_has_one_node_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let first = Node::with(config(&directory)).await;
    let second = start(config(&directory), CancellationToken::new()).await;
    let error = second.err().map(|error| format!("{error:?}")).unwrap_or_default();
    assert!(error.contains("InUse"), "{error}");
    first.stop().await;
    Node::with(config(&directory)).await.stop().await;
}

#[tokio::test]
async fn the_memory_engine_touches_no_disk() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(&directory);
    config.node.engine = EngineKind::Memory;
    let node = Node::with(config).await;
    node.post_json("/topics/a/records", "x").await;
    assert_eq!(node.records("/topics/a/records").await.len(), 1);
    node.stop().await;
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}
