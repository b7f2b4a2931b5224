//! Cancellation, timeouts, the client's leaving, and every bound.

use std::time::Duration;

use posthouse_listener::ConnectionLimits;
use posthouse_postgres::PostgresConfig;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_postgres::NoTls;

use crate::support::{Node, PATIENCE, failure, one, refused};

/// Runs until it is stopped, and gives rows all the while.
const ENDLESS: &str =
    "SELECT count(*) FROM generate_series(1, 100000000) a, generate_series(1, 100000) b";
const ENDLESS_ROWS: &str =
    "SELECT a.value FROM generate_series(1, 100000000) a, generate_series(1, 100) b";

fn one_client() -> PostgresConfig {
    let connections = ConnectionLimits { connections_max: 1, ..Default::default() };
    PostgresConfig { connections, ..Default::default() }
}

#[tokio::test]
async fn a_cancel_request_ends_the_running_statement() {
    let node = Node::start().await;
    let client = node.client().await;
    let token = client.cancel_token();
    for sql in [ENDLESS, ENDLESS_ROWS] {
        // A request that comes before the statement has begun does nothing, so they are repeated.
        let cancel = async {
            loop {
                sleep(Duration::from_millis(200)).await;
                token.cancel_query(NoTls).await.unwrap();
            }
        };
        let ended = async {
            tokio::select! {
                result = client.simple_query(sql) => result,
                () = cancel => unreachable!("the requests go on"),
            }
        };
        let result = timeout(PATIENCE, ended).await.expect("the statement ends");
        let (code, message, _) = failure(&result.unwrap_err());
        assert_eq!(
            (code.as_str(), message.as_str()),
            ("57014", "canceling statement due to user request")
        );
    }
    assert_eq!(one(&client, "SELECT 1").await, "1");
}

#[tokio::test]
async fn a_cancel_request_when_nothing_runs_does_nothing() {
    let node = Node::start().await;
    let client = node.client().await;
    client.cancel_token().cancel_query(NoTls).await.unwrap();
    assert_eq!(one(&client, "SELECT 1").await, "1");
}

#[tokio::test]
async fn a_statement_timeout_covers_the_streaming_of_rows() {
    let client = Node::start().await.client().await;
    client.simple_query("SET statement_timeout = '300ms'").await.unwrap();
    for sql in [ENDLESS, ENDLESS_ROWS] {
        let (code, message, _) = timeout(PATIENCE, refused(&client, sql)).await.unwrap();
        assert_eq!(code, "57014");
        assert_eq!(message, "canceling statement due to statement timeout");
    }
    client.simple_query("RESET statement_timeout").await.unwrap();
    assert_eq!(one(&client, "SELECT 1").await, "1");
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_query_with_it() {
    let node = Node::start_with(one_client()).await;
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    stream.write_all(b"\0\0\0\x12\0\x03\0\0user\0ada\0\0").await.unwrap();
    let len = u32::try_from(ENDLESS.len() + 5).unwrap().to_be_bytes();
    stream.write_all(&[b"Q", &len[..], ENDLESS.as_bytes(), b"\0"].concat()).await.unwrap();
    sleep(Duration::from_millis(300)).await;
    assert!(node.try_client("").await.is_err(), "the place is taken");
    drop(stream);
    // Its place is free again only when its statement has ended.
    let next = async {
        loop {
            match node.try_client("").await {
                Ok(client) => return client,
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let client = timeout(PATIENCE, next).await.expect("the place is freed");
    assert_eq!(one(&client, "SELECT 1").await, "1");
}

#[tokio::test]
async fn a_client_too_many_is_told_so() {
    let node = Node::start_with(one_client()).await;
    let first = node.client().await;
    let error = node.try_client("").await.map(|_| ()).unwrap_err();
    assert_eq!(failure(&error).0, "53300");
    assert_eq!(one(&first, "SELECT 1").await, "1");
}

#[tokio::test]
async fn prepared_statements_are_bounded() {
    let config = PostgresConfig { statements_max: 3, ..Default::default() };
    let client = Node::start_with(config).await.client().await;
    let mut kept = Vec::new();
    let code = loop {
        match client.prepare("SELECT 1").await {
            Ok(statement) => kept.push(statement),
            Err(error) => break failure(&error).0,
        }
    };
    assert_eq!((code.as_str(), kept.len()), ("54000", 3));
}

#[tokio::test]
async fn a_drain_lets_a_statement_finish_and_tells_idle_clients() {
    let node = Node::start().await;
    let busy = node.client().await;
    let idle = node.client().await;
    let slow = "SELECT count(*) FROM generate_series(1, 30000000)";
    let running = tokio::spawn(async move { one(&busy, slow).await });
    sleep(Duration::from_millis(100)).await;
    node.shutdown.cancel();
    assert_eq!(running.await.unwrap(), "30000000");
    timeout(PATIENCE, node.serving).await.unwrap().unwrap();
    assert!(idle.simple_query("SELECT 1").await.is_err());
    assert_eq!(node.engine.memory_used(), 0);
}
