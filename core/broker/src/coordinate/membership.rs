//! Joining, syncing, heartbeats, leaving; describing, listing and deleting groups.

use posthouse_log::AppendError;
use posthouse_types::Principal;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::offsets::OffsetsCommand;
use crate::{
    AppendFailure, Broker, DeleteGroupError, GroupDescription, GroupError, GroupSummary, Join,
    JoinError, Joined, Leave, LeftMember, Operation, Resource, Sync, Synced,
};

impl Broker {
    /// Joins; answers when the rebalance is over.
    ///
    /// # Errors
    /// [`JoinError`], each one of Kafka's codes.
    ///
    /// # Cancellation
    /// Dropping the future does not leave the group.
    pub async fn join_group(&self, principal: &Principal, join: Join) -> Result<Joined, JoinError> {
        let group = join.group.clone();
        let shard = self.coordinator(principal, Operation::Read, &group)?;
        let answer = shard.call(|inner, at| {
            let (id, answer) = inner.expect_join();
            inner.groups.join(at, id, join, Uuid::new_v4());
            answer
        });
        answer.await.unwrap_or_else(|gone| Err(stopping(group, gone).into()))
    }

    /// Brings or waits for the assignment.
    ///
    /// # Errors
    /// [`GroupError`], each one of Kafka's codes.
    pub async fn sync_group(
        &self,
        principal: &Principal,
        sync: Sync,
    ) -> Result<Synced, GroupError> {
        let group = sync.group.clone();
        let shard = self.coordinator(principal, Operation::Read, &group)?;
        let answer = shard.call(|inner, at| {
            let (id, answer) = inner.expect_sync();
            inner.groups.sync(at, id, sync);
            answer
        });
        answer.await.unwrap_or_else(|gone| Err(stopping(group, gone)))
    }

    /// Shows that a member is alive.
    ///
    /// # Errors
    /// [`GroupError`], each one of Kafka's codes.
    pub async fn heartbeat(
        &self,
        principal: &Principal,
        group: &str,
        generation: i32,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), GroupError> {
        self.coordinator(principal, Operation::Read, group)?
            .call(|inner, at| inner.groups.heartbeat(at, group, generation, member_id, instance_id))
    }

    /// Removes members.
    ///
    /// # Errors
    /// [`GroupError`] when there is no such group; each member's own result is in the answer.
    pub async fn leave_group(
        &self,
        principal: &Principal,
        group: &str,
        members: Vec<Leave>,
    ) -> Result<Vec<LeftMember>, GroupError> {
        let shard = self.coordinator(principal, Operation::Read, group)?;
        shard.call(|inner, at| inner.groups.leave(at, group, members))
    }

    /// A group in full.
    ///
    /// # Errors
    /// [`GroupError::Denied`]; a group that does not exist is described as dead.
    pub async fn describe_group(
        &self,
        principal: &Principal,
        group: &str,
    ) -> Result<GroupDescription, GroupError> {
        let shard = self.coordinator(principal, Operation::Describe, group)?;
        Ok(shard.inner.lock().groups.describe(group))
    }

    /// All groups that the principal may describe, by name.
    pub async fn groups(&self, principal: &Principal) -> Vec<GroupSummary> {
        let mut groups: Vec<_> =
            self.shards().iter().flat_map(|shard| shard.inner.lock().groups.list()).collect();
        groups.retain(|summary| {
            let group = Resource::Group(&summary.group);
            self.shows(principal, Operation::Describe, group)
        });
        groups.sort_unstable_by(|left, right| left.group.cmp(&right.group));
        groups
    }

    /// Deletes a group without members, with its offsets.
    ///
    /// # Errors
    /// [`DeleteGroupError`]; nothing was deleted, unless it is a failure to store the deletion.
    pub async fn delete_group(
        &self,
        principal: &Principal,
        group: &str,
    ) -> Result<(), DeleteGroupError> {
        let shard = self.coordinator(principal, Operation::Delete, group)?;
        shard.call(|inner, at| {
            inner.groups.remove(group)?;
            let forget = OffsetsCommand::GroupForgotten { group: group.to_owned() };
            inner.keep(vec![forget], at).map_err(not_stored)
        })?;
        // The deletion of the group's own record follows that of its offsets, without a ticket.
        let settled = shard.inner.lock().offsets.settled();
        settled.wait().await.map_err(|error| DeleteGroupError::Storage(error.into()))
    }
}

/// The node stops, so the answer will not come; another coordinator may give it.
fn stopping(group: String, _: oneshot::error::RecvError) -> GroupError {
    GroupError::Loading(group)
}

fn not_stored(error: AppendError) -> DeleteGroupError {
    DeleteGroupError::Storage(AppendFailure::from(error))
}
