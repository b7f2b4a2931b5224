//! Starting the shards from what they kept.

use std::sync::Arc;

use futures::future::try_join_all;
use posthouse_log::{AppendError, Engine, Log};
use posthouse_types::Clock;

use super::QueueShard;
use crate::queues::machine::QueuesCommand;
use crate::state::StateLog;
use crate::topics::{QUEUES_PARTITIONS, internal_log_config, queues_partition, queues_topic};
use crate::{Broker, OpenBrokerError, TopicRef};

/// Opens every partition of `__posthouse_queues` and recovers its queues, all at once.
pub(crate) async fn recover(
    engine: &Arc<dyn Engine>,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<(Arc<QueueShard>, Arc<dyn Log>)>, OpenBrokerError> {
    let recoveries =
        (0..QUEUES_PARTITIONS).map(|index| {
            let (engine, clock) = (Arc::clone(engine), Arc::clone(clock));
            // On tasks, because decoding takes a core each.
            let task = tokio::spawn(async move {
                let log = engine.open(queues_partition(index), internal_log_config()).await?;
                let state = StateLog::recover(queues_topic().name, Arc::clone(&log)).await?;
                Ok((QueueShard::new(state, clock), log))
            });
            async move {
                task.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
            }
        });
    try_join_all(recoveries).await
}

impl Broker {
    /// Starts the shards' tasks, once queues of topics whose deletion was interrupted are forgotten.
    pub(crate) fn start_queues(&self) {
        for shard in self.queue_shards() {
            let forgotten = shard.change(|queues, _| {
                let topics = queues.all().map(|(_, queue)| queue.key.topic);
                let gone = topics.filter(|id| self.topic_table().find(&TopicRef::Id(*id)).is_err());
                let gone: std::collections::BTreeSet<_> = gone.collect();
                let forget = |topic| QueuesCommand::TopicForgotten { topic };
                Ok::<_, AppendError>((gone.into_iter().map(forget).collect(), ()))
            });
            if let Err(error) = forgotten {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "queues of deleted topics not forgotten");
            }
            let (this, stopping) = (self.this().clone(), self.stopping().clone());
            self.tasks().spawn(Arc::clone(shard).run(this, stopping));
        }
    }

    /// Forgets the queues of a topic that is gone.
    pub(crate) async fn forget_topic_queues(&self, topic: posthouse_types::TopicId) {
        for shard in self.queue_shards() {
            if !shard.has_topic(topic) {
                continue;
            }
            let command = QueuesCommand::TopicForgotten { topic };
            let kept = shard.change(|_, _| Ok::<_, AppendError>((vec![command], ())));
            let durable = match kept {
                Ok((_, Some(ticket))) => ticket.durable().await.map_err(crate::AppendFailure::from),
                Ok((_, None)) => Ok(()),
                Err(error) => Err(error.into()),
            };
            if let Err(error) = durable {
                let error = &error as &dyn std::error::Error;
                tracing::error!(%topic, error, "queues of a deleted topic left until the next start");
            }
        }
    }

    /// Forgets what belongs to queues that are gone, and counts.
    pub(crate) fn tidy_queues(&self) {
        let (mut queues, mut pending) = (0, 0);
        for shard in self.queue_shards() {
            shard.tidy();
            let (more, entries) = shard.look(|state, _| (state.all().count(), state.entries()));
            queues += more;
            pending += entries;
        }
        crate::metrics::queues(queues, pending);
    }
}
