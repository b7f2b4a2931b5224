//! The door's entry: a listener, the broker, and settings.

use std::sync::Arc;

use posthouse_broker::Broker;
use posthouse_listener::Listener;
use tokio_util::sync::CancellationToken;

use crate::RedisConfig;
use crate::connection;
use crate::server::Server;

/// Serves Redis clients until `shutdown`.
pub async fn serve(
    listener: Listener,
    broker: Arc<Broker>,
    config: RedisConfig,
    shutdown: CancellationToken,
) {
    let address = listener.local_address();
    let limits = config.connections;
    let server = Server::new(broker, config, address);
    listener
        .serve(limits, shutdown, |accepted| connection::run(accepted, Arc::clone(&server)))
        .await;
}
