//! A shard's task: locks that end, dead letters, snapshots.

use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{Fuse, FusedFuture};
use posthouse_log::AppendError;
use posthouse_types::Timestamp;
use tokio_util::sync::CancellationToken;

use super::QueueShard;
use crate::queues::limits::CALL_RECORDS_MAX;
use crate::{Broker, metrics};

/// LIMIT: how long the task sleeps. Locks end by the wall clock, which may be set forward while it
/// sleeps, so it looks again this often.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// How long to wait after dead letters could not be written.
const RETRY: Duration = Duration::from_secs(1);

impl QueueShard {
    /// Runs until the node stops.
    pub(super) async fn run(
        self: Arc<QueueShard>,
        broker: Weak<Broker>,
        stopping: CancellationToken,
    ) {
        let mut snapshot = pin!(Fuse::terminated());
        let mut letters = pin!(Fuse::terminated());
        loop {
            if snapshot.is_terminated() && self.snapshot_due() {
                snapshot.set(self.take_snapshot().fuse());
            }
            if letters.is_terminated() && self.look(|queues, _| queues.has_rejected()) {
                letters.set(self.bury(Weak::clone(&broker)).fuse());
            }
            let sleep = self.sleep();
            tokio::select! {
                () = stopping.cancelled() => break,
                () = tokio::time::sleep(sleep) => self.expire(),
                () = self.wake.notified() => {}
                () = &mut snapshot => {}
                () = &mut letters => {}
            }
        }
    }

    /// Gives back what has been held for too long.
    fn expire(&self) {
        let expired = self.change(|queues, now| {
            let commands = queues.expired(now, CALL_RECORDS_MAX);
            let count = commands.iter().map(|command| command.records()).sum::<usize>();
            Ok::<_, AppendError>((commands, count))
        });
        match expired {
            Ok((count, _)) => metrics::queue_locks_expired(count),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "ended locks not given back");
            }
        }
    }

    /// One round of dead letters; a pause when some could not be written.
    async fn bury(&self, broker: Weak<Broker>) {
        let Some(broker) = broker.upgrade() else { return };
        if !broker.write_dead_letters(self).await {
            drop(broker);
            tokio::time::sleep(RETRY).await;
        }
    }

    fn sleep(&self) -> Duration {
        let Some(next) = self.arm() else { return SLEEP_MAX };
        let now: Timestamp = self.clock.wall();
        let ms = next.as_ms().saturating_sub(now.as_ms()).max(0);
        Duration::from_millis(u64::try_from(ms).unwrap_or(0)).min(SLEEP_MAX)
    }
}
