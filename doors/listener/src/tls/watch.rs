//! Looks at the files from time to time.
//!
//! The contents are compared, not names or times: Kubernetes swaps a symbolic link two directories
//! up, and others write in place. A pair that is being written, new certificate and old key, is a
//! bad pair once and a good one at the next look.

use std::time::Duration;

use posthouse_types::chain;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::identity::{Reload, Tls, count_reload};

impl Tls {
    /// Reloads the files whenever they change, until `shutdown`.
    pub async fn watch(self, every: Duration, shutdown: CancellationToken) {
        let mut looks = interval(every);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                () = shutdown.cancelled() => return,
            }
            let tls = self.clone();
            match spawn_blocking(move || tls.reload()).await {
                Ok(Ok(Reload::Unchanged)) => {}
                Ok(Ok(Reload::Replaced)) => {
                    count_reload("replaced");
                    let certificate = self.files().certificate.display();
                    info!(%certificate, "certificate replaced; new connections use it");
                }
                Ok(Err(refused)) => {
                    count_reload("refused");
                    let reason = chain(&refused);
                    error!(%reason, "the new certificate cannot be used; the one before stays in force");
                }
                Err(failure) => error!(%failure, "a look at the certificate panicked"),
            }
        }
    }
}
