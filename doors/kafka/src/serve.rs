//! Opens the door.

use std::sync::Arc;

use posthouse_broker::Broker;
use posthouse_listener::Listener;
use tokio_util::sync::CancellationToken;

use crate::connection;
use crate::node::Node;
use crate::{Advertised, Jwks, KafkaConfig};

/// Serves Kafka clients until `shutdown`, then lets what has begun finish.
///
/// `oauth` is what [`Jwks::load`] made of the settings. Clients of an address that nothing is
/// advertised for are told to connect to that address.
pub async fn serve(
    listener: Listener,
    broker: Arc<Broker>,
    oauth: Option<Jwks>,
    mut config: KafkaConfig,
    shutdown: CancellationToken,
) {
    for socket in listener.sockets() {
        if !config.advertised.iter().any(|one| one.listener == *socket.name()) {
            let address = socket.local_address();
            config.advertised.push(Advertised {
                listener: Arc::clone(socket.name()),
                is_tls: socket.is_tls(),
                host: address.ip().to_string(),
                port: address.port(),
            });
        }
    }
    let limits = config.connections;
    let node = Arc::new(Node::new(broker, oauth, config));
    listener
        .serve(limits, shutdown, move |accepted| connection::run(accepted, Arc::clone(&node)))
        .await;
}
