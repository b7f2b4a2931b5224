//! Making, changing, describing and deleting queues.

use std::time::Duration;

use posthouse_types::{Offset, PartitionIndex, Principal, TopicName};

use super::place::Place;
use super::settle::durable;
use crate::queues::limits::{QUEUES_MAX, WINDOW_MAX};
use crate::queues::machine::{Queue, QueuesCommand};
use crate::queues::{
    QueueChange, QueueConfig, QueueDescription, QueueError, QueuePartition, QueueRef, QueueStart,
    QueueSummary,
};
use crate::topics::OpenTopic;
use crate::{Broker, LookupError, Operation, Resource, TopicRef};

/// LIMIT: the longest lock that a queue may have by itself; one that never ends is said so.
const LOCK_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

impl Broker {
    /// Makes a queue over a topic that exists. A dead-letter topic that does not exist is made now,
    /// where the node makes topics by itself. Durable when it returns.
    ///
    /// # Errors
    /// [`QueueError::Exists`] when there is one of this name; nothing was made.
    pub async fn queue_create(
        &self,
        principal: &Principal,
        queue: &QueueRef,
        start: QueueStart,
        config: QueueConfig,
    ) -> Result<(), QueueError> {
        let place = self.queue_place(principal, Operation::Create, queue)?;
        if place.open.topic.internal {
            return Err(QueueError::Internal(place.open.topic.name.clone()));
        }
        self.check_config(principal, &place, &config).await?;
        let all = (0..place.open.topic.partitions).map(PartitionIndex::new);
        let next = positions(&place.open, all, &start)?;
        let (_, ticket) = place.shard.change(|queues, _| {
            // Looked up under the shard's lock: a topic that is deleted is hidden first and then
            // forgotten under this lock, so no queue slips in behind it.
            self.topic_table().find(&TopicRef::Id(place.key.topic))?;
            if queues.find(&place.key).is_some() {
                return Err(place.exists());
            }
            if queues.all().count() >= QUEUES_MAX {
                return Err(QueueError::Limit { what: "queues", max: QUEUES_MAX });
            }
            let (number, key) = (queues.next_number(), place.key.clone());
            Ok((vec![QueuesCommand::Created { number, key, config, next }], ()))
        })?;
        durable(ticket).await
    }

    /// Changes a queue. Durable when it returns.
    ///
    /// # Errors
    /// [`QueueError`]; nothing was changed.
    pub async fn queue_set(
        &self,
        principal: &Principal,
        queue: &QueueRef,
        change: QueueChange,
    ) -> Result<(), QueueError> {
        let place = self.queue_place(principal, Operation::Alter, queue)?;
        if let Some(config) = &change.config {
            self.check_config(principal, &place, config).await?;
        }
        let next = match &change.position {
            None => None,
            Some(position) => {
                let all = || (0..place.open.topic.partitions).map(PartitionIndex::new);
                let asked = position.partition;
                let chosen: Vec<_> = asked.map_or_else(|| all().collect(), |index| vec![index]);
                Some(positions(&place.open, chosen, &position.start)?)
            }
        };
        let (_, ticket) = place.shard.change(|queues, _| {
            let number = place.number(queues)?;
            let configured =
                change.config.map(|config| QueuesCommand::Configured { number, config });
            let positioned = next.map(|next| QueuesCommand::Positioned { number, next });
            Ok::<_, QueueError>((configured.into_iter().chain(positioned).collect(), ()))
        })?;
        durable(ticket).await
    }

    /// Deletes a queue and what it knows; the topic stays. Durable when it returns. Whoever waits
    /// for its records is told.
    ///
    /// # Errors
    /// [`QueueError::NotFound`] when there is none.
    pub async fn queue_delete(
        &self,
        principal: &Principal,
        queue: &QueueRef,
    ) -> Result<(), QueueError> {
        let place = self.queue_place(principal, Operation::Delete, queue)?;
        let (_, ticket) = place.shard.change(|queues, _| {
            let number = place.number(queues)?;
            Ok::<_, QueueError>((vec![QueuesCommand::Deleted { number }], ()))
        })?;
        durable(ticket).await
    }

    /// A queue in full.
    ///
    /// # Errors
    /// [`QueueError::NotFound`] when there is none.
    pub async fn queue_describe(
        &self,
        principal: &Principal,
        queue: &QueueRef,
    ) -> Result<QueueDescription, QueueError> {
        let place = self.queue_place(principal, Operation::Describe, queue)?;
        place.shard.look(|queues, _| {
            let queue = queues.queue(place.number(queues)?).ok_or_else(|| place.not_found())?;
            Ok(described(&place, queue))
        })
    }

    /// The queues of one topic, or of all, by topic and group; those that the principal may describe.
    pub async fn queue_list(
        &self,
        principal: &Principal,
        topic: Option<&TopicRef>,
    ) -> Result<Vec<QueueSummary>, LookupError> {
        let find = |topic| self.find_topic(principal, Operation::Describe, topic);
        let only = topic.map(find).transpose()?.map(|open| open.topic.id);
        let mut found = Vec::new();
        for shard in self.queue_shards() {
            let listed = shard.look(|queues, _| {
                let asked =
                    queues.all().filter(|(_, queue)| only.is_none_or(|id| id == queue.key.topic));
                let entry = |(_, queue): (_, &Queue)| {
                    (queue.key.clone(), queue.owners.len(), queue.pending())
                };
                asked.map(entry).collect::<Vec<_>>()
            });
            found.extend(listed);
        }
        let summary = |(key, owners, pending): (crate::queues::machine::QueueKey, usize, usize)| {
            let topic = self.topic_table().find(&TopicRef::Id(key.topic)).ok()?.topic.name.clone();
            let resource = Resource::Queue { topic: &topic, group: &key.group };
            self.shows(principal, Operation::Describe, resource).then_some(())?;
            Some(QueueSummary { topic, group: key.group, owners, pending })
        };
        let mut found: Vec<_> = found.into_iter().filter_map(summary).collect();
        found.sort_unstable_by(|left, right| {
            (&left.topic, &left.group).cmp(&(&right.topic, &right.group))
        });
        Ok(found)
    }

    async fn check_config(
        &self,
        principal: &Principal,
        place: &Place<'_>,
        config: &QueueConfig,
    ) -> Result<(), QueueError> {
        if !(1..=WINDOW_MAX).contains(&config.window_max) {
            return Err(QueueError::Window { asked: config.window_max, max: WINDOW_MAX });
        }
        if config.deliveries_max == Some(0) {
            return Err(QueueError::Deliveries);
        }
        if let Some(asked) = config.lock_timeout
            && !(Duration::from_millis(1)..=LOCK_MAX).contains(&asked)
        {
            return Err(QueueError::Timeout { what: "lock timeout", asked });
        }
        if let Some(dead_letter) = &config.dead_letter {
            self.check_dead_letter(principal, &place.open.topic.name, dead_letter).await?;
        }
        Ok(())
    }

    /// Finds or makes the dead-letter topic, which whoever configures the queue must be able to
    /// write.
    async fn check_dead_letter(
        &self,
        principal: &Principal,
        topic: &TopicName,
        dead_letter: &TopicName,
    ) -> Result<(), QueueError> {
        if topic == dead_letter {
            return Err(QueueError::DeadLetterToItself(topic.clone()));
        }
        let made = self.topic_or_create(principal, dead_letter).await;
        let made = made.map_err(QueueError::DeadLetter)?;
        if made.internal {
            return Err(QueueError::Internal(dead_letter.clone()));
        }
        self.find_topic(principal, Operation::Write, &TopicRef::Id(made.id))?;
        Ok(())
    }
}

/// Where each partition's delivery begins.
fn positions(
    open: &OpenTopic,
    partitions: impl IntoIterator<Item = PartitionIndex>,
    start: &QueueStart,
) -> Result<Vec<(PartitionIndex, Offset)>, LookupError> {
    let position = |index| {
        let partition = open.partition(index)?;
        let ends = partition.log().ends();
        let next = match start {
            QueueStart::Earliest => ends.log_start,
            QueueStart::Latest => ends.last_stable,
            QueueStart::Offset(offset) => *offset,
        };
        Ok((index, next))
    };
    partitions.into_iter().map(position).collect()
}

fn described(place: &Place<'_>, queue: &Queue) -> QueueDescription {
    let partition = |index: u32| {
        let index = PartitionIndex::new(index);
        let end = place.open.partition(index).ok().map(|open| open.log().ends().last_stable);
        let (next, start, counts) = match queue.windows.get(&index) {
            Some(window) => (window.next, window.start(), window.counts()),
            None => (Offset::ZERO, Offset::ZERO, (0, 0, 0)),
        };
        let (acquired, available, rejected) = counts;
        QueuePartition { index, next, start, acquired, available, rejected, end }
    };
    QueueDescription {
        topic: place.open.topic.name.clone(),
        group: place.key.group.clone(),
        config: queue.config.clone(),
        partitions: (0..place.open.topic.partitions).map(partition).collect(),
        owners: queue.owners.len(),
    }
}
