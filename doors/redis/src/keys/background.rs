//! What happens to keys without a command: writing, expiry, snapshots.

use std::sync::Arc;

use posthouse_keyspace::{Snapshot, SnapshotStep};
use posthouse_types::Offset;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{FLUSH_INTERVAL, Inner, Keys};

/// Expired keys removed at a time, so that commands do not wait long.
const EXPIRED_PER_STEP: usize = 1000;

/// Bytes of keys written in one step of a snapshot.
const STEP_BYTES: usize = 256 * 1024;

/// LIMIT: a snapshot is not worth taking for fewer bytes of changes.
const SNAPSHOT_BYTES_MIN: usize = 16 << 20;

impl Keys {
    /// Runs until `stopping`, then writes what is left.
    pub(crate) async fn run(self: Arc<Keys>, stopping: CancellationToken) {
        let mut tick = interval(FLUSH_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stopping.cancelled() => break,
                _ = tick.tick() => self.tick(),
                () = self.wake.notified() => {}
            }
            if !self.has_failed() && self.inner().snapshot_due() {
                tokio::select! {
                    () = stopping.cancelled() => break,
                    () = self.take_snapshot() => {}
                }
            }
        }
        if let Err(error) = self.flush().await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "the last changes of keys are not kept");
        }
    }

    fn tick(&self) {
        loop {
            // A script may hold the keys for long; a thread that waited for it would serve nobody.
            let Some(mut guard) = self.try_lock() else { return };
            let now = guard.now();
            let removed = guard.keyspace().expire_some(now, EXPIRED_PER_STEP);
            guard.release();
            if removed < EXPIRED_PER_STEP {
                break;
            }
        }
        if let Some(mut inner) = self.inner.try_lock() {
            inner.write(self);
        }
    }

    /// Writes every key, step by step, and forgets the changes that led to them.
    async fn take_snapshot(&self) {
        let mut snapshot = None;
        let outcome = self.write_snapshot(&mut snapshot).await;
        if let Some(snapshot) = snapshot {
            self.inner().keyspace.abandon_snapshot(snapshot);
        }
        match outcome {
            Ok(Some(begun)) => {
                if let Err(error) = self.log.truncate_head(begun).await {
                    // The snapshot is good; what is before it only takes up space.
                    tracing::warn!(%error, "changes before the snapshot of keys not deleted");
                }
                tracing::debug!(offset = %begun, "snapshot of keys written");
            }
            Ok(None) => tracing::debug!("snapshot of keys given up: databases changed places"),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "snapshot of keys not written");
            }
        }
    }

    /// Gives where the snapshot begins, once it is durable; `None` when it became void.
    async fn write_snapshot(
        &self,
        snapshot: &mut Option<Snapshot>,
    ) -> Result<Option<Offset>, posthouse_log::DurabilityError> {
        let begun = {
            let mut inner = self.inner();
            inner.write(self);
            *snapshot = Some(inner.keyspace.begin_snapshot());
            inner.since_snapshot = 0;
            inner.snapshot_wanted = false;
            inner.written
        };
        loop {
            let (until, ends) = {
                let mut inner = self.inner();
                // Changes made before this step come before it.
                inner.write(self);
                let Some(under_way) = snapshot.as_mut() else { return Ok(None) };
                let (effects, ends) = match inner.keyspace.snapshot_step(under_way, STEP_BYTES) {
                    SnapshotStep::More(effects) => (effects, false),
                    SnapshotStep::Last(effects) => (effects, true),
                    SnapshotStep::Void => {
                        *snapshot = None;
                        return Ok(None);
                    }
                };
                for effect in effects {
                    effect.encode(&mut inner.pending);
                }
                let before = inner.since_snapshot;
                inner.write(self);
                inner.since_snapshot = before;
                (inner.written, ends)
            };
            if ends {
                // It has ended by itself; there is nothing to abandon.
                *snapshot = None;
            }
            self.durable(until).await?;
            if ends {
                return Ok(Some(begun));
            }
        }
    }
}

impl Inner {
    /// Whether somebody asked for a snapshot, or the changes since the last outweigh the keys.
    pub(super) fn snapshot_due(&self) -> bool {
        let outweighed = self.since_snapshot >= SNAPSHOT_BYTES_MIN.max(self.keyspace.memory());
        self.snapshot_wanted || outweighed
    }
}
