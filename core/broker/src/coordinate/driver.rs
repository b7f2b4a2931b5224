//! A shard's task: timers, writes that have become durable, snapshots, expiry.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Fuse, FusedFuture};
use futures::stream::FuturesOrdered;
use futures::{FutureExt, StreamExt};
use tokio_util::sync::CancellationToken;

use super::shard::{Shard, Writes};
use crate::groups::Persisted;
use crate::{GroupState, GroupSummary, metrics};

/// How long the task sleeps when nothing is to be done.
const IDLE: Duration = Duration::from_secs(60 * 60);

impl Shard {
    /// Runs until the node stops, then lets go of everyone who waits.
    pub(super) async fn run(self: Arc<Shard>, mut writes: Writes, stopping: CancellationToken) {
        let mut unfinished = FuturesOrdered::new();
        let mut snapshot = pin!(Fuse::terminated());
        loop {
            if snapshot.is_terminated() && self.snapshot_due() {
                snapshot.set(self.take_snapshot().fuse());
            }
            let sleep = self.arm();
            tokio::select! {
                () = stopping.cancelled() => break,
                Some((id, ticket)) = writes.recv() => {
                    unfinished.push_back(async move { (id, ticket.durable().await) });
                }
                Some((id, outcome)) = unfinished.next() => {
                    let how = if outcome.is_ok() { Persisted::Durable } else { Persisted::Failed };
                    self.call(|inner, at| inner.groups.on_persisted(at, id, how));
                }
                () = tokio::time::sleep(sleep) => {
                    self.call(|inner, at| inner.groups.on_timeout(at));
                }
                () = self.wake.notified() => {}
                () = &mut snapshot => {}
            }
        }
        self.dismiss();
    }

    /// Forgets offsets past their retention, and groups of which nothing is left.
    pub(crate) fn expire(&self, retention: Duration) {
        let expired = self.call(|inner, at| {
            let groups = &inner.groups;
            let rule = |group: &str| groups.offset_expiry(group);
            let commands = inner.offsets.machine().expired(at.wall, retention, rule);
            let count = commands.len();
            inner.keep(commands, at)?;
            inner.remove_blank_groups();
            Ok(count)
        });
        match expired {
            Ok(0) => {}
            Ok(groups) => {
                metrics::offsets_expired(groups);
                tracing::info!(groups, "committed offsets expired");
            }
            Err(error) => {
                let error: posthouse_log::AppendError = error;
                tracing::error!(error = &error as &dyn std::error::Error, "offsets not expired");
            }
        }
    }

    /// Notes when to wake, and gives how long that is.
    fn arm(&self) -> Duration {
        let mut inner = self.inner.lock();
        inner.armed = inner.groups.next_deadline();
        let next = inner.armed.map(|at| at.saturating_duration_since(self.clock.now()));
        next.unwrap_or(IDLE)
    }

    fn snapshot_due(&self) -> bool {
        self.inner.lock().offsets.snapshot_due()
    }

    async fn take_snapshot(&self) {
        let pending = self.inner.lock().offsets.begin_snapshot();
        if let Err(error) = pending.write(self.clock.wall()).await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "offsets snapshot not written");
        }
        self.inner.lock().offsets.end_snapshot();
    }
}

impl super::shard::Inner {
    /// Forgets groups that have neither members nor offsets.
    fn remove_blank_groups(&mut self) {
        let offsets = self.offsets.machine();
        let mut groups = self.groups.list();
        groups
            .retain(|group| group.state == GroupState::Empty && !offsets.has_offsets(&group.group));
        for GroupSummary { group, .. } in groups {
            if let Err(error) = self.groups.remove(&group) {
                tracing::debug!(group, %error, "blank group not removed");
            }
        }
    }
}
