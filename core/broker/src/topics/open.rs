//! Opening partitions: at start, and when a topic gets new ones.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use futures::{FutureExt, StreamExt, stream};
use posthouse_log::{Log, LogConfig, OpenError};
use posthouse_types::{PartitionId, PartitionIndex, TopicId};
use tokio::sync::Semaphore;

use super::table::{OpenTopic, Slot};
use super::{Topic, is_internal, settings};
use crate::catalog::TopicEntry;
use crate::partition::OpenPartition;
use crate::{Broker, LookupError, OpenBrokerError, metrics};

/// LIMIT: logs opened at a time; each may read a segment to recover.
const OPENING_MAX: usize = 32;

impl OpenTopic {
    /// A topic whose logs are all open.
    pub(crate) fn new(
        topic: Topic,
        logs: impl IntoIterator<Item = Arc<dyn Log>>,
        budget: &Arc<Semaphore>,
    ) -> OpenTopic {
        let slot = |log| {
            let partition = Arc::new(OpenPartition::new(log, Arc::clone(budget)));
            Arc::new(OnceLock::from(Ok(partition)))
        };
        let slots = logs.into_iter().map(slot).collect();
        OpenTopic { topic: Arc::new(topic), slots }
    }
}

impl Broker {
    /// At start: shows every topic of the catalog, opens their partitions, and deletes what is left
    /// of deleted topics.
    pub(crate) async fn open_topics(&self) -> Result<(), OpenBrokerError> {
        let began = Instant::now();
        let entries: Vec<TopicEntry> = self.catalog().lock().machine().topics().cloned().collect();
        let mut opening = Vec::new();
        for entry in &entries {
            let slots: Vec<Slot> = (0..entry.partitions).map(|_| Slot::default()).collect();
            let topic = Arc::new(self.topic_of(entry));
            opening.extend(partitions_of(entry.id, 0..entry.partitions).zip(slots.clone()));
            self.topic_table().publish(OpenTopic { topic, slots });
        }
        let stored = self.engine().stored().await?;
        let count = opening.len();
        let this = self.this().upgrade().expect("whoever calls holds the broker");
        let stopping = self.stopping().clone();
        let work = self.tasks().spawn(stopping.run_until_cancelled_owned(async move {
            let open = |(id, slot)| this.open_slot(id, slot).boxed();
            let openings: Vec<_> = opening.into_iter().map(open).collect();
            stream::iter(openings).buffer_unordered(OPENING_MAX).count().await;
        }));
        if tokio::time::timeout(self.config().opening_wait, work).await.is_err() {
            tracing::warn!(partitions = count, "still opening partitions");
        }
        let elapsed_ms = began.elapsed().as_millis();
        tracing::info!(topics = entries.len(), partitions = count, elapsed_ms, "topics open");
        self.delete_orphans(&entries, stored);
        Ok(())
    }

    /// Opens what a topic has and `slots` does not.
    pub(crate) async fn open_new_slots(
        &self,
        topic: &Topic,
        mut slots: Vec<Slot>,
    ) -> Result<Vec<Slot>, OpenError> {
        let present =
            u32::try_from(slots.len()).expect("a topic's partitions are counted in 32 bits");
        let openings: Vec<_> = partitions_of(topic.id, present..topic.partitions)
            .map(|id| self.open_partition(id, topic.config.clone()).boxed())
            .collect();
        let opened: Vec<_> = stream::iter(openings).buffered(OPENING_MAX).collect().await;
        let failed = opened.iter().find_map(|opened| opened.as_ref().err().cloned());
        slots.extend(opened.into_iter().map(|opened| Arc::new(OnceLock::from(opened))));
        // Kept with the others, so that the caller decides what one failure means.
        match failed {
            Some(error) if present == 0 => Err(error),
            _ => Ok(slots),
        }
    }

    /// A topic as callers see it. Settings that this version refuses do not act.
    pub(crate) fn topic_of(&self, entry: &TopicEntry) -> Topic {
        let defaults = &self.config().topic_defaults;
        let (config, refused) = settings::resolve_stored(defaults, &entry.overrides);
        for setting in refused {
            let (name, value, reason) = (setting.name, setting.value, setting.reason);
            tracing::warn!(topic = %entry.name, name, value, reason, "stored setting ignored");
        }
        Topic {
            id: entry.id,
            name: entry.name.clone(),
            kafka_alias: entry.name.kafka_alias(),
            partitions: entry.partitions,
            internal: false,
            overrides: entry.overrides.clone(),
            config,
            schema: entry.schema.clone(),
        }
    }

    async fn open_slot(&self, id: PartitionId, slot: Slot) {
        let Ok(config) = self.current_config(id.topic) else { return };
        let opened = self.open_partition(id, config.clone()).await;
        let log = opened.as_ref().ok().map(|partition| Arc::clone(partition.log()));
        slot.set(opened).map_err(|_| "set twice").expect("each slot is opened once");
        self.topic_table().touch();
        // The topic may have been changed, or deleted, while its log was opening.
        match (self.current_config(id.topic), log) {
            (Ok(current), Some(log)) if current != config => log.configure(current),
            (Err(_), _) => {
                let deleted = self.engine().delete(id).await;
                tracing::debug!(partition = %id, ok = deleted.is_ok(), "opened after its deletion");
            }
            _ => {}
        }
    }

    fn current_config(&self, topic: TopicId) -> Result<LogConfig, LookupError> {
        Ok(self.topic_table().find(&crate::TopicRef::Id(topic))?.topic.config.clone())
    }

    async fn open_partition(
        &self,
        id: PartitionId,
        config: LogConfig,
    ) -> Result<Arc<OpenPartition>, OpenError> {
        match self.engine().open(id, config).await {
            Ok(log) => Ok(Arc::new(OpenPartition::new(log, Arc::clone(self.in_flight().budget())))),
            Err(error) => {
                metrics::partition_failed("open");
                tracing::error!(partition = %id, error = &error as &dyn std::error::Error, "partition not opened");
                Err(error)
            }
        }
    }

    /// Deletes, in the background, data of topics whose deletion was interrupted. Other data that no
    /// topic has is left alone: perhaps it is the catalog that was lost, and not the topic.
    fn delete_orphans(&self, entries: &[TopicEntry], stored: Vec<PartitionId>) {
        let owned: HashSet<PartitionId> =
            entries.iter().flat_map(|entry| partitions_of(entry.id, 0..entry.partitions)).collect();
        let deleted = self.catalog().lock().machine().deleted_topics().clone();
        // The number of partitions of a deleted topic is forgotten, but for what is stored of them.
        let mut orphans: HashMap<TopicId, u32> = deleted.into_iter().map(|id| (id, 0)).collect();
        let mut unknown = 0;
        for id in stored {
            if let Some(partitions) = orphans.get_mut(&id.topic) {
                *partitions = (*partitions).max(id.index.value().saturating_add(1));
            } else if !is_internal(id.topic) && !owned.contains(&id) {
                unknown += 1;
            }
        }
        if unknown > 0 {
            tracing::error!(partitions = unknown, "data that is not in the catalog left alone");
        }
        let this = self.this().upgrade().expect("whoever calls holds the broker");
        self.tasks().spawn(async move {
            for (topic, partitions) in orphans {
                tracing::info!(%topic, partitions, "deleting data of a deleted topic");
                if let Err(error) = this.delete_data(topic, partitions).await {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(%topic, error, "data left until the next start");
                }
            }
        });
    }
}

fn partitions_of(
    topic: TopicId,
    indexes: std::ops::Range<u32>,
) -> impl Iterator<Item = PartitionId> {
    indexes.map(move |index| PartitionId { topic, index: PartitionIndex::new(index) })
}
