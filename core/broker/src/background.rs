//! Work that goes on by itself: retention, compaction, expiry and snapshots.

use std::sync::Weak;
use std::time::Instant;

use posthouse_log::{Maintained, MaintenanceError};
use tokio::time::MissedTickBehavior;

use crate::{Broker, metrics};

impl Broker {
    /// Starts the work; it ends with the broker, or at shutdown.
    pub(crate) fn start_background(&self) {
        let this = Weak::clone(self.this());
        let stopping = self.stopping().clone();
        let mut ticks = tokio::time::interval(self.config().maintenance_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.tasks().spawn(stopping.run_until_cancelled_owned(async move {
            ticks.tick().await; // The first comes at once.
            loop {
                ticks.tick().await;
                let Some(broker) = this.upgrade() else { return };
                broker.maintain().await;
            }
        }));
    }

    /// One round over everything.
    pub(crate) async fn maintain(&self) {
        let began = Instant::now();
        let (mut partitions, mut stored_bytes, mut freed_bytes) = (0, 0, 0);
        let topics = self.topic_table().all();
        for topic in &topics {
            for partition in topic.open_partitions() {
                partition.settle();
                match partition.log().maintain(self.clock().wall()).await {
                    Ok(Maintained { bytes_freed, .. }) => freed_bytes += bytes_freed,
                    // Its topic is being deleted.
                    Err(MaintenanceError::Closed) => {}
                    Err(error) => {
                        metrics::partition_failed("maintain");
                        let error = &error as &dyn std::error::Error;
                        tracing::error!(partition = %partition.log().partition(), error, "partition not maintained");
                    }
                }
                partitions += 1;
                stored_bytes += partition.log().stored_bytes();
            }
        }
        for shard in self.shards() {
            shard.expire(self.config().offsets_retention);
        }
        self.tidy_queues();
        self.snapshot_catalog().await;
        metrics::inventory(topics.len(), partitions, stored_bytes);
        metrics::groups(self.shards().iter().map(|shard| shard.groups_count()).sum());
        metrics::in_flight(self.in_flight().taken());
        metrics::maintained(began.elapsed().as_secs_f64(), freed_bytes);
    }

    async fn snapshot_catalog(&self) {
        let pending = {
            let mut catalog = self.catalog().lock();
            if !catalog.snapshot_due() {
                return;
            }
            catalog.begin_snapshot()
        };
        if let Err(error) = pending.write(self.clock().wall()).await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "catalog snapshot not written"
            );
        }
        self.catalog().lock().end_snapshot();
    }
}
