//! A Kafka door over segment files: for measuring the door and the log without the rest of a node.
//!
//! `cargo run -p posthouse-kafka --example serve_local -- 127.0.0.1:9092 DIRECTORY`

use std::net::SocketAddr;
use std::sync::Arc;

use posthouse_broker::{Broker, BrokerConfig};
use posthouse_kafka::{KafkaConfig, serve};
use posthouse_listener::Listener;
use posthouse_log::{LocalConfig, LocalEngine};
use posthouse_types::SystemClock;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_env_filter(filter()).with_writer(std::io::stderr).init();
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9092".to_string());
    let address: SocketAddr = address.parse()?;
    let clock = Arc::new(SystemClock);
    let directory = std::env::args().nth(2).ok_or("the second argument is a directory")?;
    let engine = LocalEngine::open(LocalConfig::new(directory), clock.clone())?;
    let broker = Broker::open(engine, BrokerConfig::default(), clock).await?;
    let listener = Listener::bind("kafka", address).await?;
    println!("{}", listener.local_address());
    let shutdown = CancellationToken::new();
    let door = serve(listener, Arc::clone(&broker), None, KafkaConfig::default(), shutdown.clone());
    let interrupted = async {
        let received = tokio::signal::ctrl_c().await;
        shutdown.cancel();
        received
    };
    let ((), received) = tokio::join!(door, interrupted);
    received?;
    broker.shutdown().await?;
    Ok(())
}

fn filter() -> tracing_subscriber::EnvFilter {
    tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"))
}
