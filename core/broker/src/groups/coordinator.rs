//! All groups of one coordinator: finding them, making and forgetting them, and their alarms.
//!
//! How to drive it is described in [`super`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use uuid::Uuid;

use super::group::{Group, Phase};
use super::joining::Joiner;
use super::output::{Context, GroupWrite, Outbox};
use super::{
    GroupDescription, GroupRecord, GroupState, GroupSummary, GroupsConfig, Join, Leave, LeftMember,
    Moment, OffsetExpiry, Output, PersistId, Persisted, ReplyId, SubscribedTopics, Sync,
};
use crate::{DeleteGroupError, GroupError, JoinError};

/// The coordinator of many groups. A state machine; see [`super`].
#[derive(Debug)]
pub(crate) struct GroupCoordinator {
    config: GroupsConfig,
    groups: BTreeMap<Arc<str>, Group>,
    /// The alarm of every group that has one.
    alarms: BTreeSet<(Instant, Arc<str>)>,
    /// Bytes held by the members of all groups.
    size: usize,
    out: Outbox,
}

impl GroupCoordinator {
    /// A coordinator of no groups.
    pub(crate) fn new(config: GroupsConfig) -> GroupCoordinator {
        GroupCoordinator {
            config,
            groups: BTreeMap::new(),
            alarms: BTreeSet::new(),
            size: 0,
            out: Outbox::default(),
        }
    }

    /// Takes a stored group; a later record of the same group replaces an earlier one.
    pub(crate) fn restore(&mut self, at: Moment, record: GroupRecord) {
        self.forget(&Arc::from(record.group.as_str()));
        let group = Group::restore(record, at);
        self.size += group.members.size();
        self.alarms.extend(group.wake_at.map(|at| (at, Arc::clone(&group.name))));
        self.groups.insert(Arc::clone(&group.name), group);
    }

    /// Makes a group known that has committed offsets and perhaps nothing else.
    pub(crate) fn restore_offsets_only(&mut self, at: Moment, group: &str) {
        let name: Arc<str> = Arc::from(group);
        let entry = self.groups.entry(Arc::clone(&name));
        entry.or_insert_with(|| Group::new(name, at)).is_simple = true;
    }

    /// A member joins, or joins again. Answered by [`Output::Joined`]. `fresh` is a new random
    /// UUID, from which the id of a new member is made.
    pub(crate) fn join(&mut self, at: Moment, reply: ReplyId, join: Join, fresh: Uuid) {
        if let Err(error) = self.try_join(at, reply, join, fresh) {
            self.out.joined(reply, Err(error));
        }
    }

    /// A member brings or asks for its assignment. Answered by [`Output::Synced`].
    pub(crate) fn sync(&mut self, at: Moment, reply: ReplyId, sync: Sync) {
        let name = sync.group.clone();
        let unknown = unknown_member(&name, &sync.member_id);
        let result = check_name(&name).and_then(|()| {
            self.with_group(at, &name, |group, cx| group.sync(cx, reply, sync))
                .unwrap_or(Err(unknown))
        });
        if let Err(error) = result {
            self.out.synced(reply, Err(error));
        }
    }

    /// A member is alive.
    pub(crate) fn heartbeat(
        &mut self,
        at: Moment,
        group: &str,
        generation: i32,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), GroupError> {
        check_name(group)?;
        self.with_group(at, group, |group, cx| {
            group.heartbeat(cx, generation, member_id, instance_id)
        })
        .unwrap_or_else(|| Err(unknown_member(group, member_id)))
    }

    /// Members leave.
    pub(crate) fn leave(
        &mut self,
        at: Moment,
        group: &str,
        members: Vec<Leave>,
    ) -> Result<Vec<LeftMember>, GroupError> {
        check_name(group)?;
        self.with_group(at, group, |group, cx| group.leave(cx, members))
            .ok_or_else(|| unknown_member(group, ""))
    }

    /// Whether offsets may be committed. The group comes into being, without members, if this is
    /// the first that is heard of it and the client is outside the group protocol.
    pub(crate) fn check_commit(
        &mut self,
        at: Moment,
        group: &str,
        generation: i32,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), GroupError> {
        if generation < 0 {
            self.make_group(at, group)?;
        }
        let current = 0;
        self.with_group(at, group, |group, cx| {
            group.check_commit(cx, generation, member_id, instance_id)
        })
        .unwrap_or_else(|| {
            let (group, asked) = (group.to_owned(), generation);
            Err(GroupError::IllegalGeneration { group, asked, current })
        })
    }

    /// Whether offsets may be deleted, and of which topics they may not.
    pub(crate) fn check_offset_deletion(
        &self,
        group: &str,
    ) -> Result<SubscribedTopics, DeleteGroupError> {
        let found = self.groups.get(group);
        found.ok_or_else(|| DeleteGroupError::NotFound(group.to_owned()))?.check_offset_deletion()
    }

    /// When a group's offsets expire; by their commits, for a group that is not known.
    pub(crate) fn offset_expiry(&self, group: &str) -> OffsetExpiry {
        let except = SubscribedTopics::Known(BTreeSet::new());
        let found = self.groups.get(group);
        found.map_or(OffsetExpiry::AfterCommit { except }, Group::offset_expiry)
    }

    /// A group in full; `Dead` if there is none.
    pub(crate) fn describe(&self, group: &str) -> GroupDescription {
        let dead = || GroupDescription {
            group: group.to_owned(),
            state: GroupState::Dead,
            protocol_type: String::new(),
            protocol: String::new(),
            members: Vec::new(),
        };
        self.groups.get(group).map_or_else(dead, Group::describe)
    }

    /// All groups, by name.
    pub(crate) fn list(&self) -> Vec<GroupSummary> {
        self.groups.values().map(Group::summary).collect()
    }

    #[cfg(test)]
    pub(super) fn group(&self, name: &str) -> Option<&Group> {
        self.groups.get(name)
    }

    /// Bytes held over all groups, counted again.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.size, self.groups.values().map(|group| group.members.size()).sum())
    }

    /// How many groups there are.
    pub(crate) fn len(&self) -> usize {
        self.groups.len()
    }

    /// Forgets a group without members, for a person or because its last offset expired. The caller
    /// removes its offsets; `Some` names the [`GroupWrite::Delete`] that is now in the queue, and
    /// `None` says that nothing of the group itself was ever stored.
    pub(crate) fn remove(&mut self, group: &str) -> Result<Option<PersistId>, DeleteGroupError> {
        let found = self.groups.get(group);
        let found = found.ok_or_else(|| DeleteGroupError::NotFound(group.to_owned()))?;
        if !matches!(found.phase, Phase::Empty) {
            return Err(DeleteGroupError::NotEmpty(group.to_owned()));
        }
        let (name, is_stored) = (Arc::clone(&found.name), found.is_stored);
        self.forget(&name);
        let write = || self.out.persist(&name, GroupWrite::Delete(group.to_owned()));
        Ok(is_stored.then(write))
    }

    /// A write is durable, or has failed.
    pub(crate) fn on_persisted(&mut self, at: Moment, id: PersistId, how: Persisted) {
        if let Some(group) = self.out.take_write(id) {
            self.with_group(at, &group, |group, cx| group.on_persisted(cx, id, how));
        }
    }

    /// Sees to everything whose time has come.
    pub(crate) fn on_timeout(&mut self, at: Moment) {
        while let Some((due, name)) = self.alarms.first().cloned() {
            if due > at.now {
                return;
            }
            self.with_group(at, &name, |group, cx| group.on_timeout(cx));
        }
    }

    /// When to call [`on_timeout`](GroupCoordinator::on_timeout).
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.alarms.first().map(|(due, _)| *due)
    }

    /// The next thing for the caller to do.
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.out.poll()
    }

    fn try_join(
        &mut self,
        at: Moment,
        reply: ReplyId,
        join: Join,
        fresh: Uuid,
    ) -> Result<(), JoinError> {
        let name = join.group.clone();
        check_name(&name)?;
        self.check_session_timeout(&join)?;
        if join.member_id.is_empty() {
            self.make_group(at, &name)?;
        }
        let unknown = unknown_member(&name, &join.member_id);
        self.with_group(at, &name, |group, cx| group.join(cx, Joiner { reply, join }, fresh))
            .unwrap_or(Err(unknown.into()))
    }

    fn check_session_timeout(&self, join: &Join) -> Result<(), JoinError> {
        let (min, max) = (self.config.session_timeout_min, self.config.session_timeout_max);
        if (min..=max).contains(&join.session_timeout) {
            return Ok(());
        }
        Err(JoinError::SessionTimeout {
            asked_ms: join.session_timeout.as_millis(),
            min_ms: min.as_millis(),
            max_ms: max.as_millis(),
        })
    }

    fn make_group(&mut self, at: Moment, group: &str) -> Result<(), GroupError> {
        if self.groups.contains_key(group) {
            return Ok(());
        }
        let max = self.config.groups_max;
        if self.groups.len() >= max {
            return Err(GroupError::Limit { group: group.to_owned(), what: "groups", max });
        }
        let name: Arc<str> = Arc::from(group);
        self.groups.insert(Arc::clone(&name), Group::new(name, at));
        Ok(())
    }

    /// Runs one transition of a group and keeps what is counted over all groups right. Forgets the
    /// group if nothing is left of it. `None` if there is no such group.
    fn with_group<T>(
        &mut self,
        at: Moment,
        name: &str,
        act: impl FnOnce(&mut Group, &mut Context<'_>) -> T,
    ) -> Option<T> {
        let group = self.groups.get_mut(name)?;
        let (alarm_before, size_before) = (group.wake_at, group.members.size());
        let room = self.config.total_bytes_max.saturating_sub(self.size);
        let mut cx = Context { at, config: &self.config, room, out: &mut self.out };
        let result = act(group, &mut cx);
        self.size = self.size - size_before + group.members.size();
        if group.wake_at != alarm_before {
            self.alarms.extend(group.wake_at.map(|at| (at, Arc::clone(&group.name))));
            let old = alarm_before.map(|at| (at, Arc::clone(&group.name)));
            old.map(|old| self.alarms.remove(&old));
        }
        if group.is_blank() {
            let name = Arc::clone(&group.name);
            self.forget(&name);
        }
        Some(result)
    }

    fn forget(&mut self, name: &Arc<str>) {
        if let Some(group) = self.groups.remove(name) {
            self.size -= group.members.size();
            group.wake_at.map(|at| self.alarms.remove(&(at, Arc::clone(name))));
        }
    }
}

fn check_name(group: &str) -> Result<(), GroupError> {
    if group.is_empty() { Err(GroupError::InvalidGroup(String::new())) } else { Ok(()) }
}

fn unknown_member(group: &str, member: &str) -> GroupError {
    GroupError::UnknownMember { group: group.to_owned(), member: member.to_owned() }
}
