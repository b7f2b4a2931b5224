//! The door's entry: a listener, the broker, and settings.

use std::sync::Arc;

use posthouse_broker::Broker;
use posthouse_listener::Listener;
use tokio_util::sync::CancellationToken;

use crate::RedisConfig;
use crate::connection;
use crate::keys::Keys;
use crate::server::Server;
use crate::streams;

/// Reads the keys back and serves Redis clients until `shutdown`.
///
/// Ends at once when the keys cannot be read; the log says why.
pub async fn serve(
    listener: Listener,
    broker: Arc<Broker>,
    config: RedisConfig,
    shutdown: CancellationToken,
) {
    let keys = match Keys::open(&broker, config.keys_durability).await {
        Ok(keys) => keys,
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "keys cannot be read back");
            return;
        }
    };
    let address = listener.local_address();
    let limits = config.connections;
    let server = Server::new(broker, Arc::clone(&keys), config, address);
    let stopping = CancellationToken::new();
    let background = tokio::spawn(keys.run(stopping.clone()));
    let burial = tokio::spawn(streams::bury(Arc::clone(&server), stopping.clone()));
    let scripts = Arc::clone(&server.running_script);
    let told = shutdown.clone();
    let ends_scripts = tokio::spawn(async move {
        told.cancelled().await;
        scripts.stop();
    });
    let handle = |accepted| connection::run(accepted, Arc::clone(&server));
    listener.serve(limits, shutdown, handle).await;
    ends_scripts.abort();
    stopping.cancel();
    for (name, task) in [("keeps keys", background), ("deletes streams", burial)] {
        if let Err(failure) = task.await {
            tracing::error!(%failure, name, "a task of the redis door panicked");
        }
    }
}
