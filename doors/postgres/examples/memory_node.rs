//! A node in memory with only the Postgres door open, to try clients against it by hand.
//!
//! `cargo run -p posthouse-postgres --example memory_node -- 127.0.0.1:5432`

use std::sync::Arc;

use posthouse_broker::{Broker, BrokerConfig};
use posthouse_listener::Listener;
use posthouse_log::{MemoryConfig, MemoryEngine};
use posthouse_postgres::{PostgresConfig, serve};
use posthouse_query::{QueryConfig, QueryEngine};
use posthouse_types::{Clock, SystemClock};
use tokio_util::sync::CancellationToken;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned()).parse()?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let log = MemoryEngine::new(MemoryConfig::default(), Arc::clone(&clock));
        let broker = Broker::open(log, BrokerConfig::default(), clock).await?;
        let engine = QueryEngine::start(broker, QueryConfig::default())?;
        let listener = Listener::bind("postgres", address).await?;
        println!("{}", listener.local_address());
        serve(listener, engine, PostgresConfig::default(), CancellationToken::new()).await;
        Ok(())
    })
}
