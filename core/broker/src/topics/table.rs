//! The topics that callers can see, with their open partitions.
//!
//! A copy of what the catalog says, made for look-ups: a short read lock, no allocation.
//!
//! # Invariants
//! - A topic is here only while the catalog, durably, has it.
//! - [`OpenTopic`] is immutable but for partitions that finish opening.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;
use posthouse_log::OpenError;
use posthouse_types::{PartitionIndex, TopicId, TopicName};
use tokio::sync::watch;

use super::{Topic, TopicRef};
use crate::LookupError;
use crate::partition::OpenPartition;

/// A partition that opened, failed to, or has done neither yet.
pub(crate) type Slot = Arc<OnceLock<Result<Arc<OpenPartition>, OpenError>>>;

/// A topic and its partitions.
#[derive(Clone)]
pub(crate) struct OpenTopic {
    pub(crate) topic: Arc<Topic>,
    pub(crate) slots: Vec<Slot>,
}

impl OpenTopic {
    /// A partition, if it is open.
    pub(crate) fn partition(
        &self,
        index: PartitionIndex,
    ) -> Result<&Arc<OpenPartition>, LookupError> {
        let topic = || self.topic.name.clone();
        let slot = usize::try_from(index.value()).ok().and_then(|index| self.slots.get(index));
        match slot.map(|slot| slot.get()) {
            Some(Some(Ok(partition))) => Ok(partition),
            Some(Some(Err(error))) => {
                Err(LookupError::Failed { topic: topic(), index, source: error.clone() })
            }
            Some(None) => Err(LookupError::Opening { topic: topic(), index }),
            None => Err(LookupError::UnknownPartition {
                topic: topic(),
                index,
                partitions: self.topic.partitions,
            }),
        }
    }

    /// The partitions that are open.
    pub(crate) fn open_partitions(&self) -> impl Iterator<Item = &Arc<OpenPartition>> {
        self.slots.iter().filter_map(|slot| slot.get()?.as_ref().ok())
    }
}

/// All topics. Cheap to read from many threads.
pub(crate) struct TopicTable {
    tables: RwLock<Tables>,
    /// Counts changes, for those who wait for a topic to come or to go.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct Tables {
    by_id: HashMap<TopicId, Arc<OpenTopic>>,
    by_name: HashMap<TopicName, Arc<OpenTopic>>,
}

impl TopicTable {
    /// No topics.
    pub(crate) fn new() -> TopicTable {
        TopicTable { tables: RwLock::default(), changes: watch::Sender::new(0) }
    }

    /// Finds a topic.
    pub(crate) fn find(&self, topic: &TopicRef) -> Result<Arc<OpenTopic>, LookupError> {
        let tables = self.tables.read();
        match topic {
            TopicRef::Name(name) => tables
                .by_name
                .get(name)
                .cloned()
                .ok_or_else(|| LookupError::UnknownTopic(name.clone())),
            TopicRef::Id(id) => {
                tables.by_id.get(id).cloned().ok_or(LookupError::UnknownTopicId(*id))
            }
        }
    }

    /// The topic whose name is these bytes. For every publish: nothing is allocated.
    pub(crate) fn find_bytes(&self, name: &[u8]) -> Option<Arc<OpenTopic>> {
        self.tables.read().by_name.get(name).cloned()
    }

    /// Whether a topic has this name.
    pub(crate) fn has_name(&self, name: &TopicName) -> bool {
        self.tables.read().by_name.contains_key(name)
    }

    /// All topics, in no particular order.
    pub(crate) fn all(&self) -> Vec<Arc<OpenTopic>> {
        self.tables.read().by_id.values().cloned().collect()
    }

    /// Shows a topic, in place of what it was before.
    pub(crate) fn publish(&self, topic: OpenTopic) -> Arc<OpenTopic> {
        let topic = Arc::new(topic);
        let mut tables = self.tables.write();
        tables.by_id.insert(topic.topic.id, Arc::clone(&topic));
        tables.by_name.insert(topic.topic.name.clone(), Arc::clone(&topic));
        drop(tables);
        self.touch();
        topic
    }

    /// Hides a topic.
    pub(crate) fn withdraw(&self, id: TopicId) -> Option<Arc<OpenTopic>> {
        let mut tables = self.tables.write();
        let topic = tables.by_id.remove(&id)?;
        tables.by_name.remove(&topic.topic.name);
        drop(tables);
        self.touch();
        Some(topic)
    }

    /// Tells of every topic that comes, changes or goes.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Wakes those who wait for a change, because what they wait for will not come.
    pub(crate) fn touch(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}
