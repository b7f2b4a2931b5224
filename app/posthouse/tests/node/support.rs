//! A node of a test's own, on free ports and over a directory of its own.

use std::net::SocketAddr;

use posthouse::config::{Config, DoorAddress, HostPort};
use posthouse::{Running, StartError, start};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A running node; it drains when told, and dies with the test's runtime otherwise.
pub(crate) struct Node {
    pub(crate) http: SocketAddr,
    pub(crate) client: Client,
    shutdown: CancellationToken,
    finished: JoinHandle<Result<(), StartError>>,
}

pub(crate) fn free_port() -> DoorAddress {
    DoorAddress::At(HostPort { host: "127.0.0.1".to_owned(), port: 0 })
}

/// The defaults on free ports, over `directory`.
pub(crate) fn config(directory: &TempDir) -> Config {
    let mut config = Config::default();
    config.node.data_dir = directory.path().join("data");
    config.node.kafka_address = free_port();
    config.node.redis_address = free_port();
    config.node.http_address = free_port();
    config.node.postgres_address = free_port();
    config
}

impl Node {
    /// A node with the defaults; the directory goes with the test.
    pub(crate) async fn start() -> (TempDir, Node) {
        let directory = tempfile::tempdir().unwrap();
        let node = Node::with(config(&directory)).await;
        (directory, node)
    }

    pub(crate) async fn with(config: Config) -> Node {
        let shutdown = CancellationToken::new();
        let running: Running = start(config, shutdown.clone()).await.unwrap();
        let http = running.address("http").unwrap();
        let finished = tokio::spawn(running.finish());
        // The client can speak TLS, though nothing here does, so it must know with what. Another test
        // may have told it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Node { http, client: Client::builder().no_proxy().build().unwrap(), shutdown, finished }
    }

    pub(crate) fn begin_drain(&self) {
        self.shutdown.cancel();
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.finished.await.unwrap().unwrap();
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.http))
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Response {
        self.request(Method::POST, path).body(body).send().await.unwrap()
    }

    /// The answer's JSON, which must be a success.
    pub(crate) async fn get_json(&self, path: &str) -> Value {
        json(self.get(path).await, StatusCode::OK).await
    }

    pub(crate) async fn post_json(&self, path: &str, body: impl Into<reqwest::Body>) -> Value {
        json(self.post(path, body).await, StatusCode::OK).await
    }

    /// The records of a read, by line.
    pub(crate) async fn records(&self, path: &str) -> Vec<Value> {
        let response = self.get(path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        lines(&response.text().await.unwrap())
    }

    /// The code of the problem that a request must end with.
    pub(crate) async fn problem(&self, request: RequestBuilder, status: u16) -> Value {
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        json(response, StatusCode::from_u16(status).unwrap()).await
    }
}

pub(crate) async fn json(response: Response, status: StatusCode) -> Value {
    let found = response.status();
    let text = response.text().await.unwrap();
    assert_eq!(found, status, "{text}");
    serde_json::from_str(&text).unwrap()
}

pub(crate) fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn values(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["value"].as_str().unwrap()).collect()
}
