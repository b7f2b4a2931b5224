//! Writing and reading records.

use std::time::Duration;

use posthouse::config::Config;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::support::{Node, config, json as json_of, lines, values};

#[tokio::test]
async fn a_body_is_a_value_byte_for_byte() {
    let (_directory, node) = Node::start().await;
    for body in [&b"plain"[..], b"", b"line\r\nend\n", b"\xff\x00\xfe", "ü".as_bytes()] {
        let acknowledged = node.post_json("/topics/a/records", body.to_vec()).await;
        let offset = acknowledged["offset"].as_i64().unwrap();
        let found = node.records(&format!("/topics/a/records?offset={offset}&max=1")).await;
        match std::str::from_utf8(body) {
            Ok(text) => assert_eq!(found[0]["value"], text),
            Err(_) => assert_eq!(found[0]["value_base64"], "/wD+"),
        }
    }
    node.stop().await;
}

#[tokio::test]
async fn key_headers_timestamp_and_tombstone_come_from_the_request() {
    let (_directory, node) = Node::start().await;
    let request = node
        .request(Method::POST, "/topics/a/records?key=k&timestamp=1372680000000&tombstone=true")
        .header("Record-Header-Trace", "7");
    json_of(request.send().await.unwrap(), StatusCode::OK).await;
    let found = node.records("/topics/a/records").await;
    let expected = json!({
        "partition": 0, "offset": 0, "timestamp": 1_372_680_000_000_i64,
        "key": "k", "value": null, "headers": [{ "name": "trace", "value": "7" }],
    });
    assert_eq!(found, [expected]);
    node.stop().await;
}

#[tokio::test]
async fn what_is_read_can_be_written_again_and_is_identical() {
    let (_directory, node) = Node::start().await;
    let body = [
        r#"{"key":"a","value":{"id": 1, "total": 9.50},"timestamp":5}"#,
        r#"{"key_base64":"/wA=","value":"x\ny","headers":[{"name":"h","value":null}],"timestamp":6}"#,
        r#"{"value":null,"timestamp":7}"#,
    ]
    .join("\n");
    node.post_json("/topics/a/records/batch", body).await;
    let first = node.get("/topics/a/records").await.text().await.unwrap();
    node.post_json("/topics/b/records/batch", first.clone()).await;
    let second = node.get("/topics/b/records").await.text().await.unwrap();
    assert_eq!(first, second);
    assert_eq!(lines(&first)[0]["value"], "{\"id\": 1, \"total\": 9.50}");
    node.stop().await;
}

#[tokio::test]
async fn a_batch_is_lines_or_an_array_and_keeps_its_order() {
    let (_directory, node) = Node::start().await;
    let many: Vec<String> = (0..5000).map(|number| format!(r#"{{"value":"{number}"}}"#)).collect();
    let answer = node.post_json("/topics/a/records/batch", many.join("\n")).await;
    assert_eq!(answer["records"], 5000);
    let found = node.records("/topics/a/records").await;
    let expected: Vec<String> = (0..5000).map(|number| number.to_string()).collect();
    assert_eq!(values(&found), expected);
    let request = node
        .request(Method::POST, "/topics/a/records/batch")
        .header("content-type", "application/json")
        .body(r#"[{"value":"x"},{"value":"y"}]"#);
    assert_eq!(json_of(request.send().await.unwrap(), StatusCode::OK).await["records"], 2);
    node.stop().await;
}

#[tokio::test]
async fn a_refused_line_tells_what_is_durable_before_it() {
    let (_directory, node) = Node::start().await;
    node.post_json("/topics/a/records", "there").await;
    let request = node
        .request(Method::POST, "/topics/a/records/batch")
        .body("{\"value\":\"1\"}\n{\"value\":\"2\",\"partition\":9}\n");
    let problem = node.problem(request, 404).await;
    assert_eq!(problem["code"], "unknown_partition");
    assert_eq!(problem["record"], 2);
    let request = node.request(Method::POST, "/topics/a/records/batch").body("{\"valu\":1}\n");
    let problem = node.problem(request, 400).await;
    assert!(problem["detail"].as_str().unwrap().contains("record 1"), "{problem}");
    node.stop().await;
}

#[tokio::test]
async fn keys_choose_partitions_as_apache_kafkas_clients_do() {
    let (_directory, node) = Node::start().await;
    let topic = r#"{"name":"wide","partitions":8}"#;
    json_of(node.post("/topics", topic).await, StatusCode::CREATED).await;
    // murmur2("abc") is 479470107.
    let acknowledged = node.post_json("/topics/wide/records?key=abc", "x").await;
    assert_eq!(acknowledged["partition"], 479_470_107 % 8);
    let mut partitions = Vec::new();
    for _ in 0..4 {
        partitions.push(node.post_json("/topics/wide/records", "x").await["partition"].clone());
    }
    partitions.dedup();
    assert_eq!(partitions.len(), 1, "one connection keeps one partition: {partitions:?}");
    node.stop().await;
}

#[tokio::test]
async fn a_reader_begins_where_it_says() {
    let (_directory, node) = Node::start().await;
    for (value, timestamp) in [("a", 1000), ("b", 2000), ("c", 3000)] {
        node.post_json(&format!("/topics/t/records?timestamp={timestamp}"), value).await;
    }
    for (query, expected) in [
        ("", &["a", "b", "c"][..]),
        ("?from=1", &["b", "c"]),
        ("?offset=2", &["c"]),
        ("?from=end", &[]),
        ("?max=2", &["a", "b"]),
        ("?positions=0:1&max=1", &["b"]),
        ("?from=1970-01-01T00:00:02Z", &["b", "c"]),
        ("?from=1970-01-01T00:00:09Z", &[]),
    ] {
        let found = node.records(&format!("/topics/t/records{query}")).await;
        assert_eq!(values(&found), expected, "{query}");
    }
    for (query, status, code) in [
        ("?from=yesterday", 400, "invalid_parameter"),
        ("?offset=-1", 400, "invalid_parameter"),
        ("?form=end", 400, "invalid_parameter"),
        ("?positions=0", 400, "invalid_parameter"),
        ("?offset=4", 416, "offset_out_of_range"),
        ("?partition=1", 404, "unknown_partition"),
    ] {
        let request = node.request(Method::GET, &format!("/topics/t/records{query}"));
        assert_eq!(node.problem(request, status).await["code"], code, "{query}");
    }
    node.stop().await;
}

#[tokio::test]
async fn a_long_poll_ends_with_the_first_record() {
    let (_directory, node) = Node::start().await;
    node.post_json("/topics/t/records", "old").await;
    let waiting = node.request(Method::GET, "/topics/t/records?from=end&wait_ms=30000").send();
    let writing = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        node.post_json("/topics/t/records", "new").await
    };
    let (response, _) = tokio::join!(waiting, writing);
    let found = lines(&response.unwrap().text().await.unwrap());
    assert_eq!(values(&found), ["new"]);
    let nothing = node.records("/topics/t/records?from=end&wait_ms=1").await;
    assert_eq!(nothing, Vec::<Value>::new());
    node.stop().await;
}

/// Reads events until `count` have come; gives their ids and values.
async fn events(response: &mut reqwest::Response, count: usize) -> Vec<(String, String)> {
    let mut text = String::new();
    while text.matches("data: ").count() < count || !text.ends_with("\n\n") {
        text += std::str::from_utf8(&response.chunk().await.unwrap().unwrap()).unwrap();
    }
    let event = |block: &str| {
        let (id, data) = block.strip_prefix("id: ")?.split_once("\ndata: ")?;
        let record: Value = serde_json::from_str(data).unwrap();
        Some((id.to_owned(), record["value"].as_str().unwrap().to_owned()))
    };
    text.split("\n\n").filter_map(event).collect()
}

#[tokio::test]
async fn an_event_stream_resumes_after_the_last_event() {
    let (_directory, node) = Node::start().await;
    let topic = r#"{"name":"t","partitions":2}"#;
    json_of(node.post("/topics", topic).await, StatusCode::CREATED).await;
    let body: Vec<String> =
        (0..6).map(|n| format!(r#"{{"value":"{n}","partition":{}}}"#, n % 2)).collect();
    node.post_json("/topics/t/records/batch", body.join("\n")).await;
    let stream = |last: Option<String>| {
        let mut request = node
            .request(Method::GET, "/topics/t/records?from=beginning")
            .header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        request.send()
    };
    let mut response = stream(None).await.unwrap();
    let first = events(&mut response, 6).await;
    assert_eq!(first.len(), 6);
    for (cut, (id, _)) in first.iter().enumerate().take(5) {
        let mut response = stream(Some(id.clone())).await.unwrap();
        let rest = events(&mut response, 5 - cut).await;
        let mut seen: Vec<&String> =
            first[..=cut].iter().chain(&rest).map(|(_, value)| value).collect();
        seen.sort();
        assert_eq!(seen, ["0", "1", "2", "3", "4", "5"], "resumed after {id}");
    }
    drop(response);
    node.stop().await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut config: Config = config(&directory);
    config.http.body_bytes_max = posthouse_types::ByteSize::kib(1);
    let node = Node::with(config).await;
    let large = "x".repeat(2000);
    let request = node.request(Method::POST, "/topics/t/records").body(large.clone());
    assert_eq!(node.problem(request, 413).await["code"], "body_too_large");
    let line = format!("{{\"value\":\"{large}\"}}\n");
    let request = node.request(Method::POST, "/topics/t/records/batch").body(line);
    assert_eq!(node.problem(request, 413).await["code"], "body_too_large");
    let short = "{\"value\":\"x\"}\n".repeat(1000);
    assert_eq!(node.post_json("/topics/t/records/batch", short).await["records"], 1000);
    node.stop().await;
}
