//! Asking about topics.

use std::sync::Arc;

use posthouse_log::{Log, ProducerState};
use posthouse_types::{PartitionIndex, Principal};

use super::{ConfigEntry, PartitionStatus, Topic, TopicRef, settings};
use crate::{Broker, LookupError, Operation, Resource};

impl Broker {
    /// One topic.
    ///
    /// # Errors
    /// [`LookupError`] when there is none.
    pub async fn topic(
        &self,
        principal: &Principal,
        topic: &TopicRef,
    ) -> Result<Arc<Topic>, LookupError> {
        Ok(Arc::clone(&self.find_topic(principal, Operation::Describe, topic)?.topic))
    }

    /// Whether a topic has this name, internal ones included: a look-up that costs no allocation.
    pub fn has_topic(&self, name: &[u8]) -> bool {
        self.topic_table().find_bytes(name).is_some()
    }

    /// Every topic the principal may describe, by name; internal ones too.
    pub async fn topics(&self, principal: &Principal) -> Vec<Arc<Topic>> {
        let mut topics: Vec<_> = self
            .topic_table()
            .all()
            .into_iter()
            .map(|open| Arc::clone(&open.topic))
            .filter(|topic| {
                self.shows(principal, Operation::Describe, Resource::Topic(&topic.name))
            })
            .collect();
        topics.sort_unstable_by(|left, right| left.name.cmp(&right.name));
        topics
    }

    /// Every setting that acts on a topic, with its value.
    pub fn topic_config_entries(&self, topic: &Topic) -> Vec<ConfigEntry> {
        settings::entries(&self.config().topic_defaults, topic)
    }

    /// The state of one partition.
    ///
    /// # Errors
    /// [`LookupError`] when it does not exist or is not open.
    pub async fn partition_status(
        &self,
        principal: &Principal,
        topic: &TopicRef,
        index: PartitionIndex,
    ) -> Result<PartitionStatus, LookupError> {
        let open = self.find_topic(principal, Operation::Describe, topic)?;
        let log = open.partition(index)?.log();
        let ends = log.ends();
        Ok(PartitionStatus {
            index,
            epoch: log.epoch(),
            log_start: ends.log_start,
            last_stable: ends.last_stable,
            durable_end: ends.durable_end,
            stored_bytes: log.stored_bytes(),
        })
    }

    /// The open log of a partition, for scans that read it directly; same authorisation as a fetch.
    ///
    /// # Errors
    /// As [`Broker::partition_status`].
    pub async fn partition_log(
        &self,
        principal: &Principal,
        topic: &TopicRef,
        index: PartitionIndex,
    ) -> Result<Arc<dyn Log>, LookupError> {
        let open = self.find_topic(principal, Operation::Read, topic)?;
        Ok(Arc::clone(open.partition(index)?.log()))
    }

    /// Idempotent producers that a partition remembers.
    ///
    /// # Errors
    /// As [`Broker::partition_status`].
    pub async fn producers(
        &self,
        principal: &Principal,
        topic: &TopicRef,
        index: PartitionIndex,
    ) -> Result<Vec<ProducerState>, LookupError> {
        let open = self.find_topic(principal, Operation::Read, topic)?;
        Ok(open.partition(index)?.log().producers())
    }
}
