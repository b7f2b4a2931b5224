//! SQL over HTTP.

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::support::{Node, json as json_of, lines};

async fn orders() -> (tempfile::TempDir, Node) {
    let (directory, node) = Node::start().await;
    let topic = json!({ "name": "orders", "schema": { "format": "json", "columns": [
        { "name": "id", "type": "INT" }, { "name": "total", "type": "DOUBLE" },
    ] } });
    json_of(node.post("/topics", topic.to_string()).await, StatusCode::CREATED).await;
    let body = "{\"key\":\"k\",\"value\":{\"id\":1,\"total\":2.5}}\n{\"value\":{\"id\":2,\"total\":null}}\n";
    node.post_json("/topics/orders/records/batch", body).await;
    (directory, node)
}

#[tokio::test]
async fn rows_come_as_lines_array_or_csv() {
    let (_directory, node) = orders().await;
    let sql = "SELECT id, total FROM orders ORDER BY id";
    let ask = |accept: &'static str| {
        node.request(Method::POST, "/sql").header("accept", accept).body(sql).send()
    };
    let text = ask("application/x-ndjson").await.unwrap().text().await.unwrap();
    assert_eq!(lines(&text), [json!({"id": 1, "total": 2.5}), json!({"id": 2, "total": null})]);
    let array = json_of(ask("application/json").await.unwrap(), StatusCode::OK).await;
    assert_eq!(array, json!([{"id": 1, "total": 2.5}, {"id": 2, "total": null}]));
    let csv = ask("text/csv").await.unwrap().text().await.unwrap();
    assert_eq!(csv, "id,total\n1,2.5\n2,\n");
    let request = node.request(Method::POST, "/sql").header("accept", "image/png").body(sql);
    assert_eq!(node.problem(request, 406).await["code"], "not_acceptable");
    node.stop().await;
}

#[tokio::test]
async fn arrays_tell_their_columns_and_their_end() {
    let (_directory, node) = orders().await;
    let text = node.post("/sql?shape=arrays", "SELECT _key, id FROM orders ORDER BY id").await;
    let found = lines(&text.text().await.unwrap());
    assert_eq!(found[0]["columns"][0]["name"], "_key");
    assert_eq!(found[1..], [json!(["k", 1]), json!([null, 2]), json!({"rows": 2})]);
    node.stop().await;
}

#[tokio::test]
async fn an_error_tells_its_position() {
    let (_directory, node) = orders().await;
    let request = node.request(Method::POST, "/sql").body("SELECT totl FROM orders");
    let problem = node.problem(request, 400).await;
    assert_eq!((&problem["code"], &problem["position"]), (&json!("sql"), &json!(8)), "{problem}");
    let request = node.request(Method::POST, "/sql").body("SELECT * FROM ordres");
    let problem = node.problem(request, 404).await;
    assert_eq!(problem["sqlstate"], "42P01", "{problem}");
    let request = node.request(Method::POST, "/sql").body("");
    assert_eq!(node.problem(request, 400).await["code"], "invalid_body");
    node.stop().await;
}

#[tokio::test]
async fn a_statement_without_rows_answers_its_tag() {
    let (_directory, node) = Node::start().await;
    let sql = "CREATE TOPIC made (id INT) WITH (partitions = 2, format = 'json')";
    let response = node.post("/sql", sql).await;
    assert!(response.headers()["posthouse-tag"].to_str().unwrap().starts_with("CREATE"));
    let done = json_of(response, StatusCode::OK).await;
    assert!(done["tag"].as_str().unwrap().starts_with("CREATE"), "{done}");
    assert_eq!(node.get_json("/topics/made").await["partitions"].as_array().unwrap().len(), 2);
    node.stop().await;
}
