//! Starting the coordinators from what they kept.

use std::sync::Arc;

use futures::future::try_join_all;
use posthouse_log::{Engine, Log};
use posthouse_types::Clock;

use super::shard::{Shard, Writes};
use crate::groups::{GroupCoordinator, GroupRecord, GroupsConfig, Moment};
use crate::offsets::{Offsets, OffsetsCommand};
use crate::state::StateLog;
use crate::topics::{OFFSETS_PARTITIONS, internal_log_config, offsets_partition, offsets_topic};
use crate::{Broker, BrokerConfig, OpenBrokerError};

/// A recovered coordinator, whose task is not running yet.
pub(crate) struct Recovered {
    pub(crate) shard: Arc<Shard>,
    pub(crate) writes: Writes,
    pub(crate) log: Arc<dyn Log>,
}

/// Opens every partition of `__consumer_offsets` and recovers its groups, all at once.
pub(crate) async fn recover(
    engine: &Arc<dyn Engine>,
    config: &BrokerConfig,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<Recovered>, OpenBrokerError> {
    let recoveries =
        (0..OFFSETS_PARTITIONS).map(|index| {
            let (engine, clock) = (Arc::clone(engine), Arc::clone(clock));
            let config = groups_config(config);
            // On tasks, because decoding takes a core each.
            let task = tokio::spawn(async move { recover_one(engine, index, config, clock).await });
            async move {
                task.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
            }
        });
    try_join_all(recoveries).await
}

impl Broker {
    /// Starts the coordinators' tasks.
    pub(crate) fn start_coordinators(&self, writes: Vec<Writes>) {
        for (shard, writes) in self.shards().iter().zip(writes) {
            self.tasks().spawn(Arc::clone(shard).run(writes, self.stopping().clone()));
        }
    }

    /// Forgets offsets in topics whose deletion was interrupted.
    pub(crate) async fn forget_orphaned_offsets(&self) {
        for shard in self.shards() {
            let orphans: Vec<_> = {
                let inner = shard.inner.lock();
                let topics = inner.offsets.machine().topics().into_iter();
                topics.filter(|topic| !self.topic_table().has_name(topic)).cloned().collect()
            };
            let forget = orphans.into_iter().map(|topic| OffsetsCommand::TopicForgotten { topic });
            let kept = shard.call(|inner, at| inner.keep(forget.collect(), at));
            if let Err(error) = kept {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "offsets of deleted topics not forgotten");
            }
        }
    }
}

async fn recover_one(
    engine: Arc<dyn Engine>,
    index: u32,
    config: GroupsConfig,
    clock: Arc<dyn Clock>,
) -> Result<Recovered, OpenBrokerError> {
    let log = engine.open(offsets_partition(index), internal_log_config()).await?;
    let topic = offsets_topic().name;
    let offsets: StateLog<Offsets> = StateLog::recover(topic, Arc::clone(&log)).await?;
    let mut groups = GroupCoordinator::new(config);
    let at = Moment::read(clock.as_ref());
    for (name, record) in offsets.machine().groups() {
        match record.map(|record| GroupRecord::decode(record)) {
            Some(Ok(record)) => groups.restore(at, record),
            // Records are checked when they are read.
            Some(Err(error)) => tracing::error!(group = name, %error, "group not restored"),
            None => groups.restore_offsets_only(at, name),
        }
    }
    let (shard, writes) = Shard::new(groups, offsets, clock);
    Ok(Recovered { shard, writes, log })
}

/// Limits on all groups are shared out over the coordinators.
fn groups_config(config: &BrokerConfig) -> GroupsConfig {
    let mut groups = GroupsConfig::from(config);
    let share = usize::try_from(OFFSETS_PARTITIONS).expect("a handful");
    groups.groups_max /= share;
    groups.total_bytes_max /= share;
    groups
}
