//! Committing, fetching and deleting offsets.

use std::collections::BTreeMap;

use posthouse_log::Ticket;
use posthouse_types::{PartitionIndex, Principal, TopicName};

use super::shard::Inner;
use crate::groups::Moment;
use crate::offsets::{Kept, OffsetsCommand};
use crate::{
    AppendFailure, Broker, CommitError, CommittedOffset, DeleteGroupError, GroupError, LookupError,
    OffsetCommit, Operation, TopicRef, metrics,
};

impl Broker {
    /// Keeps offsets; durable when it returns. One result for each commit, in order.
    ///
    /// `generation` is negative and `member_id` empty for a client outside the group protocol.
    ///
    /// # Errors
    /// [`CommitError`] when none was kept.
    ///
    /// # Cancellation
    /// Safe to drop; the offsets may be kept all the same.
    pub async fn commit_offsets(
        &self,
        principal: &Principal,
        group: &str,
        generation: i32,
        member_id: &str,
        instance_id: Option<&str>,
        commits: Vec<OffsetCommit>,
    ) -> Result<Vec<Result<(), CommitError>>, CommitError> {
        let shard = self.coordinator(principal, Operation::Read, group)?;
        let (results, ticket) = shard.call(|inner, at| {
            inner.groups.check_commit(at, group, generation, member_id, instance_id)?;
            // Looked up under the shard's lock: a topic that is deleted is hidden first and then
            // forgotten under this lock, so no commit slips in behind it.
            let results: Vec<_> =
                commits.iter().map(|commit| self.check_commit(principal, commit)).collect();
            let kept = commits.into_iter().zip(&results).filter(|(_, result)| result.is_ok());
            let ticket = inner.commit(at, group, kept.map(|(commit, _)| commit))?;
            Ok::<_, CommitError>((results, ticket))
        })?;
        if let Some(ticket) = ticket {
            ticket.durable().await.map_err(|error| CommitError::Storage(error.into()))?;
        }
        metrics::offsets_committed(results.iter().filter(|result| result.is_ok()).count());
        Ok(results)
    }

    /// Committed offsets: those asked for (`None` where nothing is committed), or all of the
    /// group's.
    ///
    /// # Errors
    /// [`GroupError`] when the coordinator cannot answer.
    pub async fn committed_offsets(
        &self,
        principal: &Principal,
        group: &str,
        partitions: Option<Vec<(TopicName, PartitionIndex)>>,
    ) -> Result<Vec<(TopicName, PartitionIndex, Option<CommittedOffset>)>, GroupError> {
        let shard = self.coordinator(principal, Operation::Describe, group)?;
        let (found, settled) = {
            let inner = shard.inner.lock();
            let offsets = inner.offsets.machine();
            let found: Vec<_> = match partitions {
                Some(partitions) => partitions
                    .into_iter()
                    .map(|(topic, index)| {
                        let committed = offsets.committed(group, &topic, index).cloned();
                        (topic, index, committed)
                    })
                    .collect(),
                None => offsets
                    .all_committed(group)
                    .map(|(topic, index, committed)| {
                        (topic.clone(), index, Some(committed.clone()))
                    })
                    .collect(),
            };
            (found, inner.offsets.settled())
        };
        // What is about to be shown must not be lost again.
        settled.wait().await.map_err(|_| GroupError::Loading(group.to_owned()))?;
        Ok(found)
    }

    /// Forgets committed offsets, where the group does not subscribe to the topic now.
    ///
    /// # Errors
    /// [`DeleteGroupError`] when none was forgotten.
    pub async fn delete_offsets(
        &self,
        principal: &Principal,
        group: &str,
        partitions: Vec<(TopicName, PartitionIndex)>,
    ) -> Result<Vec<Result<(), DeleteGroupError>>, DeleteGroupError> {
        let shard = self.coordinator(principal, Operation::Delete, group)?;
        let (results, ticket) = shard.call(|inner, at| {
            let subscribed = inner.groups.check_offset_deletion(group)?;
            let mut gone = BTreeMap::<TopicName, Vec<PartitionIndex>>::new();
            let mut results = Vec::with_capacity(partitions.len());
            for (topic, index) in partitions {
                if subscribed.includes(&topic) {
                    let group = group.to_owned();
                    results.push(Err(DeleteGroupError::Subscribed { group, topic }));
                } else {
                    gone.entry(topic).or_default().push(index);
                    results.push(Ok(()));
                }
            }
            if gone.is_empty() {
                return Ok((results, None));
            }
            let topics = gone.into_iter().collect();
            let forget = OffsetsCommand::Forgotten { group: group.to_owned(), topics };
            let kept = inner.keep(vec![forget], at);
            let ticket = kept.map_err(|error| DeleteGroupError::Storage(error.into()))?;
            Ok::<_, DeleteGroupError>((results, ticket))
        })?;
        if let Some(ticket) = ticket {
            ticket.durable().await.map_err(|error| DeleteGroupError::Storage(error.into()))?;
        }
        Ok(results)
    }

    /// Forgets every group's offsets in a topic that is gone.
    pub(crate) async fn forget_topic_offsets(&self, topic: &TopicName) {
        for shard in self.shards() {
            let kept = shard.call(|inner, at| {
                if !inner.offsets.machine().topics().contains(topic) {
                    return Ok(None);
                }
                inner.keep(vec![OffsetsCommand::TopicForgotten { topic: topic.clone() }], at)
            });
            let durable = match kept {
                Ok(None) => Ok(()),
                Ok(Some(ticket)) => ticket.durable().await.map_err(AppendFailure::from),
                Err(error) => Err(AppendFailure::from(error)),
            };
            if let Err(error) = durable {
                let error = &error as &dyn std::error::Error;
                tracing::error!(%topic, error, "offsets of a deleted topic left until the next start");
            }
        }
    }

    fn check_commit(
        &self,
        principal: &Principal,
        commit: &OffsetCommit,
    ) -> Result<(), CommitError> {
        let topic = TopicRef::Name(commit.topic.clone());
        let open = self.find_topic(principal, Operation::Read, &topic)?;
        if commit.index.value() >= open.topic.partitions {
            return Err(CommitError::Lookup(LookupError::UnknownPartition {
                topic: commit.topic.clone(),
                index: commit.index,
                partitions: open.topic.partitions,
            }));
        }
        let (size, max) = (commit.metadata.len(), self.config().offset_metadata_bytes_max);
        if size > max {
            return Err(CommitError::MetadataTooLarge { size, max });
        }
        Ok(())
    }
}

impl Inner {
    /// Keeps what passed the checks; `None` when nothing did.
    fn commit(
        &mut self,
        at: Moment,
        group: &str,
        commits: impl Iterator<Item = OffsetCommit>,
    ) -> Result<Option<Ticket>, CommitError> {
        let mut topics: Vec<(TopicName, Vec<Kept>)> = Vec::new();
        for OffsetCommit { topic, index, offset, leader_epoch, metadata } in commits {
            let kept = Kept { index, offset, leader_epoch, metadata };
            // Clients send a topic's partitions together.
            match topics.last_mut() {
                Some((last, partitions)) if *last == topic => partitions.push(kept),
                _ => topics.push((topic, vec![kept])),
            }
        }
        if topics.is_empty() {
            return Ok(None);
        }
        let command = OffsetsCommand::Committed { group: group.to_owned(), at: at.wall, topics };
        self.keep(vec![command], at).map_err(|error| CommitError::Storage(error.into()))
    }
}
