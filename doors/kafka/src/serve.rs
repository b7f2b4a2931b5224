//! Opens the door.

use std::sync::Arc;

use posthouse_broker::Broker;
use posthouse_listener::Listener;
use tokio_util::sync::CancellationToken;

use crate::KafkaConfig;
use crate::connection;
use crate::node::Node;

/// Serves Kafka clients until `shutdown`, then lets what has begun finish.
///
/// An advertised port of 0 becomes the port that `listener` is bound to.
pub async fn serve(
    listener: Listener,
    broker: Arc<Broker>,
    mut config: KafkaConfig,
    shutdown: CancellationToken,
) {
    if config.advertised_port == 0 {
        config.advertised_port = listener.local_address().port();
    }
    let limits = config.connections;
    let node = Arc::new(Node::new(broker, config));
    listener
        .serve(limits, shutdown, move |accepted| connection::run(accepted, Arc::clone(&node)))
        .await;
}
