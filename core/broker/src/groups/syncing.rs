//! SyncGroup: the leader's assignment, its way to the log, and its way to the members.

use std::collections::BTreeMap;
use std::mem;

use bytes::Bytes;
use tracing::{info, warn};

use super::group::{Group, Phase, Storing};
use super::output::{Context, PersistId, Persisted, ReplyId};
use super::{Sync, Synced};
use crate::GroupError;

impl Group {
    /// Takes a sync.
    ///
    /// # Errors
    /// What the sync is answered at once. Otherwise its answer is, or will be, in the queue.
    pub(super) fn sync(
        &mut self,
        cx: &mut Context<'_>,
        reply: ReplyId,
        sync: Sync,
    ) -> Result<(), GroupError> {
        self.members.check(&self.name, &sync.member_id, sync.instance_id.as_deref())?;
        self.check_generation(sync.generation)?;
        self.check_agreed(sync.protocol_type.as_deref(), self.protocol_type.as_deref())?;
        self.check_agreed(sync.protocol.as_deref(), self.protocol.as_deref())?;
        let id = sync.member_id.clone();
        match self.phase {
            Phase::Completing(_) => self.wait_for_assignment(cx, reply, sync)?,
            Phase::Stable(_) => cx.out.synced(reply, Ok(self.synced(&id))),
            Phase::Empty | Phase::Preparing(_) => {
                return Err(GroupError::Rebalancing(self.name.to_string()));
            }
        }
        if let Phase::Completing(syncing) | Phase::Stable(syncing) = &mut self.phase {
            syncing.unsynced.remove(&id);
        }
        self.refresh_session(cx, &id);
        Ok(())
    }

    /// A write is durable or has failed.
    pub(super) fn on_persisted(&mut self, cx: &mut Context<'_>, id: PersistId, how: Persisted) {
        if how == Persisted::Failed {
            warn!(group = %self.name, generation = self.generation, "group was not stored");
        }
        if let Some(waiting) = self.static_joins.remove(&id) {
            // A rebalance that began meanwhile answers it instead.
            if matches!(self.phase, Phase::Stable(_)) {
                // On failure the new id stays in place: the client asks again and replaces it.
                let result = match how {
                    Persisted::Durable => Ok(waiting.answer),
                    Persisted::Failed => Err(GroupError::Unavailable(self.name.to_string()).into()),
                };
                self.answer_join(cx, &waiting.member_id, result);
            }
        }
        // A rebalance that began meanwhile has put another phase, without this write, in place.
        if let Phase::Completing(syncing) = &mut self.phase
            && syncing.storing.as_ref().is_some_and(|storing| storing.id == id)
        {
            let storing = syncing.storing.take();
            let assignments = storing.map(|storing| storing.assignments).unwrap_or_default();
            self.finish_generation(cx, assignments, how);
        }
    }

    pub(super) fn answer_sync(
        &mut self,
        cx: &mut Context<'_>,
        member_id: &str,
        result: Result<Synced, GroupError>,
    ) {
        let Some(member) = self.members.get_mut(member_id) else { return };
        if let Some(reply) = member.syncing.take() {
            cx.out.synced(reply, result);
            self.refresh_session(cx, member_id);
        }
    }

    fn check_agreed(&self, asked: Option<&str>, agreed: Option<&str>) -> Result<(), GroupError> {
        match (asked, agreed) {
            (Some(asked), Some(agreed)) if asked != agreed => {
                let (group, asked) = (self.name.to_string(), asked.to_owned());
                Err(GroupError::InconsistentProtocol { group, asked })
            }
            _ => Ok(()),
        }
    }

    fn wait_for_assignment(
        &mut self,
        cx: &mut Context<'_>,
        reply: ReplyId,
        sync: Sync,
    ) -> Result<(), GroupError> {
        let is_leader = self.is_leader(&sync.member_id);
        if is_leader {
            self.store_assignments(cx, sync.assignments)?;
        }
        let member = self.members.get_mut(&sync.member_id).expect("checked by the caller");
        if let Some(replaced) = member.syncing.replace(reply) {
            cx.out.synced(replaced, Err(GroupError::Rebalancing(self.name.to_string())));
        }
        Ok(())
    }

    /// Writes the leader's assignment, unless it is on its way already and the leader repeats itself.
    fn store_assignments(
        &mut self,
        cx: &mut Context<'_>,
        given: Vec<(String, Bytes)>,
    ) -> Result<(), GroupError> {
        if matches!(&self.phase, Phase::Completing(syncing) if syncing.storing.is_some()) {
            return Ok(());
        }
        let mut assignments: BTreeMap<String, Bytes> =
            self.members.iter().map(|member| (member.id.clone(), Bytes::new())).collect();
        for (id, assignment) in given {
            if let Some(place) = assignments.get_mut(&id) {
                *place = assignment;
            }
        }
        let size = assignments.values().map(Bytes::len).sum::<usize>();
        let max = cx.config.group_bytes_max;
        if self.members.size() + size > max || size > cx.room {
            let what = "bytes of members and assignments";
            return Err(GroupError::Limit { group: self.name.to_string(), what, max });
        }
        let id = self.persist(cx, &assignments);
        if let Phase::Completing(syncing) = &mut self.phase {
            syncing.storing = Some(Storing { id, assignments });
        }
        Ok(())
    }

    fn finish_generation(
        &mut self,
        cx: &mut Context<'_>,
        assignments: BTreeMap<String, Bytes>,
        how: Persisted,
    ) {
        if how == Persisted::Failed {
            self.reset_assignments(cx, &GroupError::Unavailable(self.name.to_string()));
            self.rebalance(cx, "the assignment was not stored");
            return;
        }
        for (id, assignment) in assignments {
            self.members.set_assignment(&id, &assignment);
        }
        if let Phase::Completing(syncing) = mem::replace(&mut self.phase, Phase::Empty) {
            self.enter(cx.at, Phase::Stable(syncing));
        }
        let (generation, members) = (self.generation, self.members.len());
        info!(group = %self.name, generation, members, "group is stable");
        for id in self.members.ids_where(|member| member.syncing.is_some()) {
            let synced = self.synced(&id);
            self.answer_sync(cx, &id, Ok(synced));
        }
    }

    fn synced(&self, member_id: &str) -> Synced {
        let member = self.members.get(member_id);
        Synced {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol: self.protocol.clone().unwrap_or_default(),
            assignment: member.map(|member| member.assignment().clone()).unwrap_or_default(),
        }
    }
}
