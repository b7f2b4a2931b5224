//! Consumer groups over HTTP.

use reqwest::{Method, StatusCode};

use super::support::{Node, values};

#[tokio::test]
async fn a_group_is_moved_described_and_deleted() {
    let (_directory, node) = Node::start().await;
    let body: String = (0..10).map(|number| format!("{{\"value\":\"{number}\"}}\n")).collect();
    node.post_json("/topics/t/records/batch", body).await;
    let moved = node.post_json("/groups/g/offsets", r#"{"topic":"t","to":"4"}"#).await;
    assert_eq!(moved["offsets"][0]["lag"], 6);
    assert_eq!(node.get_json("/groups").await[0]["group"], "g");
    let found = node.records("/topics/t/records?group=g&max=2").await;
    assert_eq!(values(&found), ["4", "5"]);
    let body = r#"{"offsets":[{"topic":"t","partition":0,"offset":6}]}"#;
    node.post_json("/groups/g/offsets", body).await;
    assert_eq!(node.get_json("/groups/g").await["offsets"][0]["offset"], 6);

    let deleted = node.request(Method::DELETE, "/groups/g").send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    let request = node.request(Method::GET, "/groups/g");
    assert_eq!(node.problem(request, 404).await["code"], "unknown_group");
    node.stop().await;
}

#[tokio::test]
async fn a_move_to_nowhere_says_what_to_send() {
    let (_directory, node) = Node::start().await;
    node.post_json("/topics/t/records", "x").await;
    for (body, status, code) in [
        ("{}", 400, "invalid_body"),
        (r#"{"topic":"t"}"#, 400, "invalid_body"),
        (r#"{"topic":"t","to":"nowhere"}"#, 400, "invalid_parameter"),
        (r#"{"topic":"u","to":"end"}"#, 404, "unknown_topic"),
        (r#"{"topic":"t","to":"end","partitions":[7]}"#, 404, "unknown_partition"),
    ] {
        let request = node.request(Method::POST, "/groups/g/offsets").body(body);
        assert_eq!(node.problem(request, status).await["code"], code, "{body}");
    }
    node.stop().await;
}
