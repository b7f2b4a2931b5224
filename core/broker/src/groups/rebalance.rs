//! The rebalance: from the reason for it to the next generation.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::Duration;

use bytes::Bytes;
use tracing::{debug, info};

use super::group::{Gathering, Group, InitialDelay, Phase, Syncing};
use super::output::Context;
use crate::{GroupError, metrics};

/// How long a rebalance waits at least once every member has failed to join it.
const SILENCE_WAIT_MIN: Duration = Duration::from_secs(1);

impl Group {
    /// Begins a rebalance, or goes on with the one under way.
    pub(super) fn rebalance(&mut self, cx: &mut Context<'_>, reason: &str) {
        if matches!(self.phase, Phase::Preparing(_)) {
            self.complete_join_if_all_joined(cx);
        } else {
            self.prepare(cx, reason);
        }
    }

    /// Begins the next generation if everyone who is expected has joined.
    ///
    /// The first rebalance of a group waits its delay whoever has joined: nobody knows who will.
    pub(super) fn complete_join_if_all_joined(&mut self, cx: &mut Context<'_>) {
        let Phase::Preparing(Gathering { initial: None, .. }) = self.phase else { return };
        if self.members.joining_count() == self.members.len() && self.pending.is_empty() {
            self.complete_join(cx);
        }
    }

    /// Begins the next generation with those who have joined.
    ///
    /// Static members that have not joined stay until their session ends; the others are removed.
    pub(super) fn complete_join(&mut self, cx: &mut Context<'_>) {
        let absent =
            |member: &super::members::Member| !member.is_joining() && member.instance_id.is_none();
        for id in self.members.ids_where(absent) {
            info!(group = %self.name, member = id, "member did not join in time");
            metrics::group_member_expired();
            self.remove_member(cx, &id);
        }
        if self.members.is_empty() {
            self.become_empty(cx);
        } else if self.elect_joined_leader() {
            self.begin_generation(cx);
        } else {
            // Only static members are left, all silent: their sessions decide.
            let deadline = cx.at.now + self.members.rebalance_timeout().max(SILENCE_WAIT_MIN);
            self.phase = Phase::Preparing(Gathering { deadline, initial: None });
            self.wake_by(deadline);
        }
    }

    fn prepare(&mut self, cx: &mut Context<'_>, reason: &str) {
        info!(group = %self.name, generation = self.generation, reason, "group rebalances");
        metrics::group_rebalanced();
        match mem::replace(&mut self.phase, Phase::Empty) {
            Phase::Empty => {
                self.wait_for_first_members(cx);
                return;
            }
            Phase::Completing(_) => {
                self.reset_assignments(cx, &GroupError::Rebalancing(self.name.to_string()));
            }
            Phase::Preparing(_) | Phase::Stable(_) => {}
        }
        let deadline = cx.at.now + self.members.rebalance_timeout();
        self.enter(cx.at, Phase::Preparing(Gathering { deadline, initial: None }));
        self.wake_by(deadline);
        self.complete_join_if_all_joined(cx);
    }

    /// Several consumers usually start together: without the delay each would cause a rebalance.
    fn wait_for_first_members(&mut self, cx: &mut Context<'_>) {
        let delay = cx.config.initial_rebalance_delay;
        let remaining = self.members.rebalance_timeout().saturating_sub(delay);
        let deadline = cx.at.now + delay;
        let initial = Some(InitialDelay { remaining, has_grown: false });
        self.enter(cx.at, Phase::Preparing(Gathering { deadline, initial }));
        self.wake_by(deadline);
    }

    /// Takes assignments back and answers everyone who waits for one with an error.
    pub(super) fn reset_assignments(&mut self, cx: &mut Context<'_>, error: &GroupError) {
        for id in self.members.ids_where(|_| true) {
            self.members.set_assignment(&id, &Bytes::new());
            self.answer_sync(cx, &id, Err(error.clone()));
        }
    }

    fn become_empty(&mut self, cx: &mut Context<'_>) {
        self.next_generation();
        self.protocol = None;
        self.leader = None;
        self.enter(cx.at, Phase::Empty);
        info!(group = %self.name, generation = self.generation, "group is empty");
        self.persist(cx, &BTreeMap::new());
    }

    fn begin_generation(&mut self, cx: &mut Context<'_>) {
        self.next_generation();
        self.protocol = self.members.select_protocol();
        let ids = self.members.ids_where(|_| true);
        let deadline = cx.at.now + self.members.rebalance_timeout();
        let unsynced: BTreeSet<_> = ids.iter().cloned().collect();
        self.enter(cx.at, Phase::Completing(Syncing { deadline, unsynced, storing: None }));
        self.wake_by(deadline);
        let (generation, members) = (self.generation, ids.len());
        debug!(group = %self.name, generation, members, "group waits for its leader");
        for id in ids {
            let joined = self.joined(&id, self.is_leader(&id));
            self.answer_join(cx, &id, Ok(joined));
            self.refresh_session(cx, &id);
            if let Some(member) = self.members.get_mut(&id) {
                member.is_new = false;
            }
        }
    }

    /// Keeps the leader if it has joined, otherwise takes one that has; `false` if nobody has.
    fn elect_joined_leader(&mut self) -> bool {
        let current = self.leader.as_deref().and_then(|leader| self.members.get(leader));
        if current.is_some_and(|leader| leader.is_joining()) {
            return true;
        }
        let joined = self.members.iter().find(|member| member.is_joining());
        let Some(id) = joined.map(|member| member.id.clone()) else { return false };
        self.leader = Some(id);
        true
    }

    /// After two thousand million rebalances it starts again at 1; clients compare for equality.
    fn next_generation(&mut self) {
        self.generation = self.generation.checked_add(1).unwrap_or(1);
    }
}
