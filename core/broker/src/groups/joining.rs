//! JoinGroup: who may become or stay a member, and what it changes.

use std::collections::BTreeMap;
use std::time::Instant;

use bytes::Bytes;
use tracing::info;
use uuid::Uuid;

use super::group::{Group, Phase, StaticJoin};
use super::limits::{NEW_MEMBER_JOIN_TIMEOUT, PROTOCOLS_MAX};
use super::members::{Member, join_size};
use super::output::{Context, ReplyId};
use super::{Join, Joined};
use crate::{GroupError, JoinError};

/// A join and the name of its answer.
pub(super) struct Joiner {
    pub(super) reply: ReplyId,
    pub(super) join: Join,
}

impl Group {
    /// Takes a join. `fresh` makes the id of a new member.
    ///
    /// # Errors
    /// What the join is answered at once. Otherwise its answer is, or will be, in the queue.
    pub(super) fn join(
        &mut self,
        cx: &mut Context<'_>,
        joiner: Joiner,
        fresh: Uuid,
    ) -> Result<(), JoinError> {
        self.check_room(cx, &joiner.join)?;
        self.check_protocols(&joiner.join)?;
        if !joiner.join.member_id.is_empty() {
            return self.join_again(cx, joiner);
        }
        let id = new_member_id(&joiner.join, fresh);
        if let Some(instance) = &joiner.join.instance_id {
            match self.members.instance_holder(instance).map(str::to_owned) {
                Some(old_id) => self.replace_static(cx, joiner, &old_id, id),
                None => self.add(cx, joiner, id),
            }
            return Ok(());
        }
        if joiner.join.member_id_required {
            let expires_at = cx.at.now + joiner.join.session_timeout;
            return Err(self.reserve(cx, id, expires_at));
        }
        self.add(cx, joiner, id);
        Ok(())
    }

    /// Refuses a member too many. While a rebalance gathers, those who wait are counted, so that a
    /// group that became too large loses its last to join.
    fn check_room(&mut self, cx: &mut Context<'_>, join: &Join) -> Result<(), JoinError> {
        let max = cx.config.members_max;
        let id = join.member_id.as_str();
        let known = self.members.get(id);
        let has_room = match self.phase {
            Phase::Empty => true,
            Phase::Preparing(_) => {
                known.is_some_and(Member::is_joining) || self.members.joining_count() < max
            }
            Phase::Completing(_) | Phase::Stable(_) => known.is_some() || self.members.len() < max,
        };
        if has_room {
            return self.check_size(cx, join);
        }
        self.pending.remove(id);
        if self.members.contains(id) {
            self.remove_member(cx, id);
        }
        self.complete_join_if_all_joined(cx);
        Err(JoinError::Full { group: self.name.to_string(), max })
    }

    fn check_size(&self, cx: &Context<'_>, join: &Join) -> Result<(), JoinError> {
        let limit = |what, max| GroupError::Limit { group: self.name.to_string(), what, max };
        let holder = join.instance_id.as_deref().and_then(|id| self.members.instance_holder(id));
        let known = self.members.get(holder.unwrap_or(&join.member_id));
        if join.protocols.len() > PROTOCOLS_MAX {
            return Err(limit("protocols of a member", PROTOCOLS_MAX).into());
        }
        let size = join_size(join);
        if size > cx.config.member_bytes_max {
            return Err(limit("bytes of a member", cx.config.member_bytes_max).into());
        }
        let growth = size.saturating_sub(known.map_or(0, Member::size));
        if self.members.size() + growth > cx.config.group_bytes_max {
            return Err(limit("bytes of members", cx.config.group_bytes_max).into());
        }
        if growth > cx.room {
            return Err(limit("bytes of members of all groups", cx.config.total_bytes_max).into());
        }
        Ok(())
    }

    fn check_protocols(&self, join: &Join) -> Result<(), JoinError> {
        let fits = if self.members.is_empty() {
            !join.protocol_type.is_empty() && !join.protocols.is_empty()
        } else {
            self.protocol_type.as_deref() == Some(join.protocol_type.as_str())
                && self.members.share_one_of(&join.protocols)
        };
        if fits {
            return Ok(());
        }
        let names: Vec<_> = join.protocols.iter().map(|(name, _)| name.as_str()).collect();
        let asked = format!("{} {}", join.protocol_type, names.join(","));
        Err(GroupError::InconsistentProtocol { group: self.name.to_string(), asked }.into())
    }

    /// Gives out an id that the client must come back with, so that a client that gives up waiting
    /// and asks again does not leave a member behind each time.
    fn reserve(&mut self, cx: &Context<'_>, id: String, expires_at: Instant) -> JoinError {
        let max = cx.config.members_max;
        if self.pending.len() >= max {
            return JoinError::Full { group: self.name.to_string(), max };
        }
        self.pending.insert(id.clone(), expires_at);
        self.wake_by(expires_at);
        JoinError::MemberIdRequired(id)
    }

    fn join_again(&mut self, cx: &mut Context<'_>, joiner: Joiner) -> Result<(), JoinError> {
        let id = joiner.join.member_id.clone();
        let instance = joiner.join.instance_id.as_deref();
        // An id that was given out belongs to a dynamic member; anything else is not its owner.
        if instance.is_none() && self.pending.contains_key(&id) {
            self.add(cx, joiner, id);
            return Ok(());
        }
        self.members.check(&self.name, &id, instance)?;
        let member = self.members.get(&id).expect("checked above");
        let is_unchanged = member.offers_exactly(&joiner.join.protocols);
        let is_leader = self.is_leader(&id);
        match self.phase {
            // Perhaps it did not receive the answer to its join.
            Phase::Completing(_) if is_unchanged => {
                self.answer_with_current(cx, joiner.reply, &id, is_leader);
            }
            Phase::Stable(_) if is_unchanged && !is_leader => {
                self.answer_with_current(cx, joiner.reply, &id, false);
            }
            // The leader joins again when something beside the members changed, such as the
            // number of partitions.
            _ => {
                self.update(cx, joiner, &id);
                self.rebalance(cx, "a member joined again");
            }
        }
        Ok(())
    }

    fn answer_with_current(
        &mut self,
        cx: &mut Context<'_>,
        reply: ReplyId,
        id: &str,
        with_members: bool,
    ) {
        let joined = self.joined(id, with_members);
        cx.out.joined(reply, Ok(joined));
        self.refresh_session(cx, id);
    }

    fn add(&mut self, cx: &mut Context<'_>, joiner: Joiner, id: String) {
        let Joiner { reply, join } = joiner;
        let reason = join.reason.as_deref().unwrap_or_default();
        info!(group = %self.name, member = id, instance = join.instance_id, reason, "member joins");
        if self.members.is_empty() {
            self.protocol_type = Some(join.protocol_type.clone());
        }
        self.leader.get_or_insert_with(|| id.clone());
        self.pending.remove(&id);
        let expires_at = cx.at.now + NEW_MEMBER_JOIN_TIMEOUT;
        self.members.insert(Member::new(id, join, reply, expires_at));
        self.wake_by(expires_at);
        if let Phase::Preparing(gathering) = &mut self.phase
            && let Some(initial) = &mut gathering.initial
        {
            initial.has_grown = true;
        }
        self.rebalance(cx, "a member joined");
    }

    fn update(&mut self, cx: &mut Context<'_>, joiner: Joiner, id: &str) {
        if let Some(replaced) = self.members.update(id, joiner.join, joiner.reply) {
            cx.out.joined(replaced, Err(GroupError::Rebalancing(self.name.to_string()).into()));
        }
    }

    /// Gives a static member's place to a new process; the old one is fenced.
    fn replace_static(
        &mut self,
        cx: &mut Context<'_>,
        joiner: Joiner,
        old_id: &str,
        new_id: String,
    ) {
        let Some(mut member) = self.members.remove(old_id) else { return };
        let instance = member.instance_id.clone().unwrap_or_default();
        info!(group = %self.name, member = new_id, instance, "static member is replaced");
        Group::dismiss(cx, member.take_waiting(), GroupError::FencedInstance { instance });
        self.members.insert(member.with_id(new_id.clone()));
        let told_leader = self.leader.clone().unwrap_or_default();
        if self.is_leader(old_id) {
            self.leader = Some(new_id.clone());
        }
        if let Phase::Completing(syncing) | Phase::Stable(syncing) = &mut self.phase
            && syncing.unsynced.remove(old_id)
        {
            syncing.unsynced.insert(new_id.clone());
        }
        let can_skip = joiner.join.supports_skipping_assignment;
        self.update(cx, joiner, &new_id);
        self.refresh_session(cx, &new_id);
        let keeps_protocol = self.members.select_protocol() == self.protocol;
        match self.phase {
            Phase::Stable(_) if keeps_protocol => {
                let answer = self.static_answer(&new_id, can_skip, told_leader);
                let write = self.persist(cx, &BTreeMap::<String, Bytes>::new());
                self.static_joins.insert(write, StaticJoin { member_id: new_id, answer });
            }
            // In `Completing` the leader may already assign to the old id.
            _ => self.rebalance(cx, "a static member was replaced"),
        }
    }

    /// What a replaced static member is told when nothing else changes.
    ///
    /// A leader that can skip the assignment is told so (KIP-814). One that cannot is told that its
    /// old id leads, so that it fetches its assignment as a follower and does not make a new one.
    fn static_answer(&self, id: &str, can_skip: bool, told_leader: String) -> Joined {
        let is_leader = self.is_leader(id);
        if can_skip {
            return Joined { skip_assignment: is_leader, ..self.joined(id, is_leader) };
        }
        Joined { leader: told_leader, ..self.joined(id, false) }
    }
}

/// `<client id or instance id>-<uuid>`, as Kafka makes them.
fn new_member_id(join: &Join, fresh: Uuid) -> String {
    let prefix = join.instance_id.as_deref().unwrap_or(&join.client_id);
    format!("{prefix}-{fresh}")
}
