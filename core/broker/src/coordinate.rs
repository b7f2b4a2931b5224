//! Consumer groups: the calls.

use posthouse_types::{PartitionIndex, Principal, TopicName};

use crate::*;

#[expect(unused_variables, clippy::todo, reason = "signatures first; bodies follow")]
impl Broker {
    /// Joins; answers when the rebalance is over. Dropping the future does not leave the group.
    pub async fn join_group(&self, principal: &Principal, join: Join) -> Result<Joined, JoinError> {
        todo!()
    }
    /// Brings or waits for the assignment.
    pub async fn sync_group(
        &self,
        principal: &Principal,
        sync: Sync,
    ) -> Result<Synced, GroupError> {
        todo!()
    }
    /// Shows that a member is alive.
    pub async fn heartbeat(
        &self,
        principal: &Principal,
        group: &str,
        generation: i32,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), GroupError> {
        todo!()
    }
    /// Removes members.
    pub async fn leave_group(
        &self,
        principal: &Principal,
        group: &str,
        members: Vec<Leave>,
    ) -> Result<Vec<LeftMember>, GroupError> {
        todo!()
    }
    /// Keeps offsets; durable when it returns. One result for each commit, in order.
    ///
    /// `generation` is negative and `member_id` empty for a client outside the group protocol.
    pub async fn commit_offsets(
        &self,
        principal: &Principal,
        group: &str,
        generation: i32,
        member_id: &str,
        instance_id: Option<&str>,
        commits: Vec<OffsetCommit>,
    ) -> Result<Vec<Result<(), CommitError>>, CommitError> {
        todo!()
    }
    /// Committed offsets: those asked for (`None` where nothing is committed), or all of the group's.
    #[expect(clippy::type_complexity, reason = "a map as a list, in the order asked for")]
    pub async fn committed_offsets(
        &self,
        principal: &Principal,
        group: &str,
        partitions: Option<Vec<(TopicName, PartitionIndex)>>,
    ) -> Result<Vec<(TopicName, PartitionIndex, Option<CommittedOffset>)>, GroupError> {
        todo!()
    }
    /// Forgets committed offsets, where the group does not subscribe to the topic now.
    pub async fn delete_offsets(
        &self,
        principal: &Principal,
        group: &str,
        partitions: Vec<(TopicName, PartitionIndex)>,
    ) -> Result<Vec<Result<(), DeleteGroupError>>, DeleteGroupError> {
        todo!()
    }
    /// A group in full.
    pub async fn describe_group(
        &self,
        principal: &Principal,
        group: &str,
    ) -> Result<GroupDescription, GroupError> {
        todo!()
    }
    /// All groups.
    pub async fn groups(&self, principal: &Principal) -> Vec<GroupSummary> {
        todo!()
    }
    /// Deletes a group without members, with its offsets.
    pub async fn delete_group(
        &self,
        principal: &Principal,
        group: &str,
    ) -> Result<(), DeleteGroupError> {
        todo!()
    }
}
