//! Deleting the topics of streams that no key holds any more.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::server::Server;

/// How long after a failure it is tried again, and how often keys without topics are looked for.
const AGAIN: Duration = Duration::from_secs(2);

/// Runs until `stopping`. What is left then is deleted after the next start.
pub(crate) async fn run(server: Arc<Server>, stopping: CancellationToken) {
    loop {
        if let Err(error) = server.forget_lost_streams() {
            tracing::warn!(%error, "keys of deleted topics not removed");
        }
        if let Err(error) = server.bury_streams().await {
            tracing::warn!(%error, "topics of deleted streams not deleted yet");
        }
        tokio::select! {
            () = stopping.cancelled() => return,
            () = server.keys.doomed.notified() => {}
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}
