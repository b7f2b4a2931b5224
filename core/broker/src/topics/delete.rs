//! Deleting topics, and the heads of their partitions.
//!
//! The catalog forgets a topic first, but for its id, and its data goes after; data left by a crash
//! in between is deleted at the next start.

use std::sync::Arc;

use futures::{StreamExt, stream};
use posthouse_log::DeleteError;
use posthouse_types::{Offset, PartitionId, PartitionIndex, Principal, TopicId};

use super::{Topic, TopicRef};
use crate::catalog::CatalogCommand;
use crate::{AlterTopicError, Broker, Operation};

/// LIMIT: partitions deleted at a time.
const DELETING_MAX: usize = 16;

impl Broker {
    /// Deletes a topic and its records.
    ///
    /// # Errors
    /// [`AlterTopicError::Delete`]: the topic is gone, but some of its data takes up space until
    /// the next start. Any other: nothing was changed.
    ///
    /// # Cancellation
    /// Safe to drop; the topic may be deleted all the same.
    pub async fn delete_topic(
        &self,
        principal: &Principal,
        topic: &TopicRef,
    ) -> Result<Arc<Topic>, AlterTopicError> {
        let (principal, topic) = (principal.clone(), topic.clone());
        self.complete(|broker| async move { broker.delete(&principal, &topic).await }).await
    }

    async fn delete(
        &self,
        principal: &Principal,
        topic: &TopicRef,
    ) -> Result<Arc<Topic>, AlterTopicError> {
        let _in_order = self.topic_changes().lock().await;
        let open = self.find_topic(principal, Operation::Delete, topic)?;
        let topic = Arc::clone(&open.topic);
        if topic.internal {
            return Err(AlterTopicError::Internal(topic.name.clone()));
        }
        let command = CatalogCommand::TopicDeleted { id: topic.id };
        let kept = self.catalog().lock().commit(command, self.clock().wall());
        let (_, ticket) = kept.map_err(|error| AlterTopicError::Catalog(error.into()))?;
        ticket.durable().await.map_err(|error| AlterTopicError::Catalog(error.into()))?;
        self.topic_table().withdraw(topic.id);
        self.topic_disappeared(topic.id);
        tracing::info!(topic = %topic.name, "topic deleted");

        self.forget_topic_offsets(&topic.name).await;
        self.forget_topic_queues(topic.id).await;
        let deleted = self.delete_data(topic.id, topic.partitions).await;
        // Its appends are decided now. An append that waits for their memory holds the topic, so
        // the memory would not come back by the topic being dropped.
        open.open_partitions().for_each(|partition| partition.settle());
        deleted.map_err(AlterTopicError::Delete)?;
        Ok(topic)
    }

    /// Deletes records below `to` (`None`: all that are durable); gives the new log start.
    ///
    /// # Errors
    /// [`AlterTopicError::Truncate`] when `to` is above the durable end.
    pub async fn delete_records(
        &self,
        principal: &Principal,
        topic: &TopicRef,
        index: PartitionIndex,
        to: Option<Offset>,
    ) -> Result<Offset, AlterTopicError> {
        let open = self.find_topic(principal, Operation::Delete, topic)?;
        if open.topic.internal {
            return Err(AlterTopicError::Internal(open.topic.name.clone()));
        }
        if !open.topic.config.cleanup.delete {
            return Err(AlterTopicError::Config {
                name: "cleanup.policy".to_owned(),
                value: "compact".to_owned(),
                reason: "records are deleted by key in a compacted topic".to_owned(),
            });
        }
        let log = open.partition(index)?.log();
        let to = to.unwrap_or_else(|| log.ends().durable_end);
        log.truncate_head(to).await.map_err(AlterTopicError::Truncate)
    }

    /// Deletes the data of a topic that the catalog has forgotten, and has the catalog forget that
    /// too; what fails is left for the next start.
    pub(crate) async fn delete_data(
        &self,
        topic: TopicId,
        partitions: u32,
    ) -> Result<(), DeleteError> {
        let ids =
            (0..partitions).map(|index| PartitionId { topic, index: PartitionIndex::new(index) });
        let deletions: Vec<_> = ids.map(|id| self.engine().delete(id)).collect();
        let outcomes: Vec<_> =
            stream::iter(deletions).buffer_unordered(DELETING_MAX).collect().await;
        outcomes.into_iter().collect::<Result<(), _>>()?;
        let command = CatalogCommand::TopicDataDeleted { id: topic };
        if let Err(error) = self.catalog().lock().commit(command, self.clock().wall()) {
            // The next start finds nothing to delete, and says so then.
            tracing::debug!(%topic, %error, "end of a deletion not recorded");
        }
        Ok(())
    }
}
