//! A node in memory with only this door open.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use posthouse_broker::{AuthenticationConfig, Broker, BrokerConfig};
use posthouse_listener::Listener;
use posthouse_log::{MemoryConfig, MemoryEngine};
use posthouse_postgres::{PostgresConfig, serve};
use posthouse_query::{QueryConfig, QueryEngine};
use posthouse_types::{Clock, SystemClock};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use tokio_util::sync::CancellationToken;

/// Long enough for a loaded machine, short enough to fail a test that hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: CancellationToken,
    pub(crate) serving: JoinHandle<()>,
    pub(crate) engine: Arc<QueryEngine>,
}

impl Node {
    pub(crate) async fn start() -> Node {
        Node::start_with(PostgresConfig::default()).await
    }

    /// A node that asks its clients who they are.
    pub(crate) async fn start_asking() -> Node {
        let authentication =
            AuthenticationConfig { required: true, ..AuthenticationConfig::default() };
        let broker = BrokerConfig { authentication, ..BrokerConfig::default() };
        Node::start_node(PostgresConfig::default(), broker).await
    }

    pub(crate) async fn start_with(config: PostgresConfig) -> Node {
        Node::start_node(config, BrokerConfig::default()).await
    }

    async fn start_node(config: PostgresConfig, broker: BrokerConfig) -> Node {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let log = MemoryEngine::new(MemoryConfig::default(), Arc::clone(&clock));
        let broker = Broker::open(log, broker, clock).await.unwrap();
        let queries = QueryConfig { threads: 2, ..QueryConfig::default() };
        let engine = QueryEngine::start(broker, queries).unwrap();
        let listener = Listener::bind("postgres", "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_address();
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, Arc::clone(&engine), config, shutdown.clone()));
        Node { address, shutdown, serving, engine }
    }

    /// A connected client.
    pub(crate) async fn client(&self) -> Client {
        self.try_client("").await.unwrap()
    }

    /// A client with parameters of its own; its connection runs until it is dropped.
    pub(crate) async fn try_client(&self, more: &str) -> Result<Client, tokio_postgres::Error> {
        let parameters = format!(
            "host={} port={} user=ada dbname=posthouse {more}",
            self.address.ip(),
            self.address.port()
        );
        let (client, connection) = tokio_postgres::connect(&parameters, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }
}

/// The rows of a simple query as text; null is `∅`.
pub(crate) async fn rows(client: &Client, sql: &str) -> Vec<Vec<String>> {
    let messages =
        client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    messages
        .into_iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                let cell = |index| row.get(index).unwrap_or("∅").to_owned();
                Some((0..row.len()).map(cell).collect())
            }
            _ => None,
        })
        .collect()
}

/// The one cell of a result.
pub(crate) async fn one(client: &Client, sql: &str) -> String {
    let rows = rows(client, sql).await;
    assert_eq!((rows.len(), rows.first().map(Vec::len)), (1, Some(1)), "{sql}: {rows:?}");
    rows[0][0].clone()
}

/// Code, message and 1-based position of a statement's error.
pub(crate) fn failure(error: &tokio_postgres::Error) -> (String, String, Option<u32>) {
    let error = error.as_db_error().unwrap_or_else(|| panic!("not the server's: {error:?}"));
    let position = match error.position() {
        Some(tokio_postgres::error::ErrorPosition::Original(position)) => Some(*position),
        _ => None,
    };
    (error.code().code().to_owned(), error.message().to_owned(), position)
}

pub(crate) async fn refused(client: &Client, sql: &str) -> (String, String, Option<u32>) {
    match client.simple_query(sql).await {
        Ok(rows) => panic!("{sql} gave {rows:?}"),
        Err(error) => failure(&error),
    }
}
