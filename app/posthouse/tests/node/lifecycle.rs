//! Ready, drain, restart.

use reqwest::StatusCode;

use super::support::{Node, config, values};

#[tokio::test]
async fn the_ready_file_is_there_while_the_node_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ready.json");
    let mut config = config(&directory);
    config.node.ready_file = Some(path.clone());
    let node = Node::with(config).await;
    let doors: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(doors["http"], node.http.to_string());
    assert!(doors["kafka"].is_string() && doors["postgres"].is_string(), "{doors}");
    node.stop().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_reader_that_follows_is_let_go_when_the_node_drains() {
    let (_directory, node) = Node::start().await;
    node.post_json("/topics/a/records", "before").await;
    let mut response = node.get("/topics/a/records?follow=true").await;
    let mut read = Vec::new();
    while !read.ends_with(b"\n") {
        read.extend_from_slice(&response.chunk().await.unwrap().unwrap());
    }
    node.begin_drain();
    assert_eq!(response.chunk().await.unwrap(), None, "the stream ends, and is not cut");
    node.stop().await;
}

#[tokio::test]
async fn records_topics_and_offsets_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with(config(&directory)).await;
    node.post_json("/topics/a/records/batch", "{\"value\":\"1\"}\n{\"value\":\"2\"}\n").await;
    let body = r#"{"topic":"a","to":"1"}"#;
    node.post_json("/groups/g/offsets", body).await;
    node.stop().await;

    let node = Node::with(config(&directory)).await;
    let all = node.records("/topics/a/records").await;
    assert_eq!(values(&all), ["1", "2"]);
    let rest = node.records("/topics/a/records?group=g").await;
    assert_eq!(values(&rest), ["2"]);
    node.stop().await;
}

#[tokio::test]
async fn health_and_metrics_answer() {
    let (_directory, node) = Node::start().await;
    assert_eq!(node.get("/healthz").await.status(), StatusCode::OK);
    assert_eq!(node.get("/readyz").await.status(), StatusCode::OK);
    node.post_json("/topics/a/records", "x").await;
    let metrics = node.get("/metrics").await.text().await.unwrap();
    for name in [
        "posthouse_http_requests_total{",
        "posthouse_http_records_in_total",
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
    ] {
        assert!(metrics.contains(name), "{name} is not in\n{metrics}");
    }
    let document = node.get_json("/openapi.json").await;
    assert!(document["paths"]["/sql"]["post"].is_object());
    let page = node.get("/").await.text().await.unwrap();
    assert!(page.contains(&format!("{}/sql", node.http)), "{page}");
    node.stop().await;
}
