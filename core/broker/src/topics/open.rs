//! Opening partitions: at start, and when a topic gets new ones.

use std::collections::HashSet;
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
    /// At start: shows every topic of the catalog, opens their partitions, and deletes data that no
    /// topic has.
    pub(crate) async fn open_topics(&self, first_start: bool) -> Result<(), OpenBrokerError> {
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
        let work = self.tasks().spawn(async move {
            let open = |(id, slot)| this.open_slot(id, slot).boxed();
            let openings: Vec<_> = opening.into_iter().map(open).collect();
            stream::iter(openings).buffer_unordered(OPENING_MAX).count().await;
        });
        if tokio::time::timeout(self.config().opening_wait, work).await.is_err() {
            tracing::warn!(partitions = count, "still opening partitions");
        }
        let elapsed_ms = began.elapsed().as_millis();
        tracing::info!(topics = entries.len(), partitions = count, elapsed_ms, "topics open");
        self.delete_orphans(&entries, stored, first_start);
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
        // The topic may have been changed, or deleted, while its log was opening.
        match (self.current_config(id.topic), log) {
            (Ok(current), Some(log)) if current != config => log.configure(current),
            (Err(_), _) => self.delete_data(&[id]).await,
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

    /// Deletes, in the background, data that is left of topics whose deletion was interrupted.
    fn delete_orphans(&self, entries: &[TopicEntry], stored: Vec<PartitionId>, first_start: bool) {
        let owned: HashSet<PartitionId> =
            entries.iter().flat_map(|entry| partitions_of(entry.id, 0..entry.partitions)).collect();
        let is_orphan = |id: &PartitionId| !is_internal(id.topic) && !owned.contains(id);
        let orphans: Vec<_> = stored.into_iter().filter(is_orphan).collect();
        if orphans.is_empty() {
            return;
        }
        if first_start {
            // An empty catalog next to data means that the catalog was lost, not the topics.
            tracing::error!(partitions = orphans.len(), "data without a catalog left alone");
            return;
        }
        tracing::info!(partitions = orphans.len(), "deleting data of deleted topics");
        let this = self.this().upgrade().expect("whoever calls holds the broker");
        self.tasks().spawn(async move { this.delete_data(&orphans).await });
    }
}

fn partitions_of(
    topic: TopicId,
    indexes: std::ops::Range<u32>,
) -> impl Iterator<Item = PartitionId> {
    indexes.map(move |index| PartitionId { topic, index: PartitionIndex::new(index) })
}
