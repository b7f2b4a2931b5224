//! Topics over HTTP.

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::support::{Node, json as json_of};

#[tokio::test]
async fn a_topic_is_made_described_changed_and_deleted() {
    let (_directory, node) = Node::start().await;
    let topic = json!({
        "name": "orders", "partitions": 2, "config": { "retention.ms": 86_400_000 },
        "schema": { "format": "json", "columns": [{ "name": "total", "type": "DOUBLE" }] },
    });
    let made = json_of(node.post("/topics", topic.to_string()).await, StatusCode::CREATED).await;
    assert_eq!(made["partitions"].as_array().unwrap().len(), 2);
    assert_eq!(
        made["schema"],
        json!({
            "format": "json", "columns": [{ "name": "total", "type": "DOUBLE" }], "on_error": "null",
        })
    );
    let retention = |topic: &serde_json::Value| {
        let entries = topic["config"].as_array().unwrap();
        let entry = entries.iter().find(|entry| entry["name"] == "retention.ms").unwrap();
        (entry["value"].as_str().unwrap().to_owned(), entry["overridden"].as_bool().unwrap())
    };
    assert_eq!(retention(&made), ("86400000".to_owned(), true));

    let change = json!({ "config": { "retention.ms": null }, "partitions": 3 });
    let request = node.request(Method::PATCH, "/topics/orders").json(&change);
    let changed = json_of(request.send().await.unwrap(), StatusCode::OK).await;
    assert_eq!(changed["partitions"].as_array().unwrap().len(), 3);
    assert!(!retention(&changed).1);

    let listed = node.get_json("/topics").await;
    assert_eq!(listed[0]["name"], "orders");
    assert_eq!(listed.as_array().unwrap().len(), 1, "internal topics are not listed: {listed}");
    let deleted = node.request(Method::DELETE, "/topics/orders").send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    let request = node.request(Method::GET, "/topics/orders");
    assert_eq!(node.problem(request, 404).await["code"], "unknown_topic");
    node.stop().await;
}

#[tokio::test]
async fn what_cannot_be_a_topic_says_why() {
    let (_directory, node) = Node::start().await;
    for (body, status, code) in [
        (json!({ "name": "" }), 400, "invalid_topic_name"),
        (json!({ "name": "a", "partitions": 0 }), 400, "invalid_partitions"),
        (json!({ "name": "a", "config": { "retention.ms": "soon" } }), 400, "invalid_config"),
        (json!({ "name": "a", "config": { "no.such.setting": "1" } }), 400, "invalid_config"),
        (json!({ "nam": "a" }), 400, "invalid_body"),
    ] {
        let request = node.request(Method::POST, "/topics").json(&body);
        assert_eq!(node.problem(request, status).await["code"], code, "{body}");
    }
    json_of(node.post("/topics", r#"{"name":"a"}"#).await, StatusCode::CREATED).await;
    let request = node.request(Method::POST, "/topics").body(r#"{"name":"a"}"#);
    assert_eq!(node.problem(request, 409).await["code"], "topic_exists");
    node.stop().await;
}

#[tokio::test]
async fn a_name_may_be_spelled_as_itself_or_as_kafka_does() {
    let (_directory, node) = Node::start().await;
    json_of(node.post("/topics", r#"{"name":"orders:eu/1"}"#).await, StatusCode::CREATED).await;
    for path in ["/topics/orders%3Aeu%2F1", "/topics/orders_x3Aeu_x2F1"] {
        assert_eq!(node.get_json(path).await["name"], "orders:eu/1", "{path}");
    }
    node.stop().await;
}

#[tokio::test]
async fn what_is_not_there_says_what_is() {
    let (_directory, node) = Node::start().await;
    let problem = node.problem(node.request(Method::GET, "/topic"), 404).await;
    assert_eq!(problem["code"], "unknown_path");
    let problem = node.problem(node.request(Method::PUT, "/topics"), 405).await;
    assert_eq!(problem["code"], "unknown_method");
    let request =
        node.request(Method::POST, "/topics/a/records").header("origin", "https://evil.example");
    assert_eq!(node.problem(request.body("x"), 403).await["code"], "cross_site");
    node.stop().await;
}
