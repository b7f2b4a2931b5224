//! One consumer group: its state, its members and what is asked of both.
//!
//! The transitions are in the sibling modules: [`joining`](super::joining),
//! [`rebalance`](super::rebalance), [`syncing`](super::syncing), [`leaving`](super::leaving),
//! [`expiry`](super::expiry) and [`commits`](super::commits).
//!
//! # Invariants
//! - `Empty` has no members; every other state but `Preparing` has some.
//! - The leader is a member, and is known whenever there are members.
//! - A member waits in a join only in `Preparing`, or in `Stable` while its static rejoin is
//!   written; it waits in a sync only in `Completing`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use posthouse_types::Timestamp;

use super::members::{Member, Members};
use super::output::{Context, GroupWrite, Moment, PersistId, ReplyId};
use super::{GroupDescription, GroupRecord, GroupState, GroupSummary, Joined};
use crate::{GroupError, JoinError};

/// One group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: Arc<str>,
    pub(super) phase: Phase,
    /// When it came into its state, by the wall clock.
    pub(super) since: Timestamp,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) leader: Option<String>,
    pub(super) members: Members,
    /// Ids given out (KIP-394) and not yet used, with the time at which they lapse.
    pub(super) pending: BTreeMap<String, Instant>,
    /// Static members whose new id is being written.
    pub(super) static_joins: BTreeMap<PersistId, StaticJoin>,
    /// Something of it is stored, or may be.
    pub(super) is_stored: bool,
    /// It has, or had, offsets committed from outside the group protocol.
    pub(super) is_simple: bool,
    /// When to look at its timeouts: never later than the first of them, perhaps earlier.
    pub(super) wake_at: Option<Instant>,
}

/// Where it is in its life.
#[derive(Debug)]
pub(super) enum Phase {
    /// No members.
    Empty,
    /// Waiting for the members to join.
    Preparing(Gathering),
    /// Everyone has joined; waiting for the leader's assignment.
    Completing(Syncing),
    /// Everyone may have its assignment.
    Stable(Syncing),
}

/// A rebalance that waits for joins.
#[derive(Debug)]
pub(super) struct Gathering {
    /// When it goes on without those who have not joined.
    pub(super) deadline: Instant,
    /// The first rebalance of an empty group waits for more members instead.
    pub(super) initial: Option<InitialDelay>,
}

/// How much longer a first rebalance may wait.
#[derive(Debug)]
pub(super) struct InitialDelay {
    /// What is left of the rebalance timeout after the current deadline.
    pub(super) remaining: Duration,
    /// A member has joined since the deadline was set.
    pub(super) has_grown: bool,
}

/// A generation whose members fetch their assignments.
#[derive(Debug)]
pub(super) struct Syncing {
    /// When those who have not synced are removed.
    pub(super) deadline: Instant,
    /// Members that have not synced.
    pub(super) unsynced: BTreeSet<String>,
    /// The assignment that is being written.
    pub(super) storing: Option<Storing>,
}

/// An assignment on its way to the log.
#[derive(Debug)]
pub(super) struct Storing {
    pub(super) id: PersistId,
    pub(super) assignments: BTreeMap<String, Bytes>,
}

/// A static member that waits until its new id is written.
#[derive(Debug)]
pub(super) struct StaticJoin {
    pub(super) member_id: String,
    pub(super) answer: Joined,
}

impl Group {
    pub(super) fn new(name: Arc<str>, at: Moment) -> Group {
        Group {
            name,
            phase: Phase::Empty,
            since: at.wall,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: Members::default(),
            pending: BTreeMap::new(),
            static_joins: BTreeMap::new(),
            is_stored: false,
            is_simple: false,
            wake_at: None,
        }
    }

    /// The group as it was stored. Its members have a full session timeout to show up.
    ///
    /// Members that cannot form a group are left out, as if they had gone.
    pub(super) fn restore(record: GroupRecord, at: Moment) -> Group {
        let mut group = Group::new(Arc::from(record.group), at);
        group.is_stored = true;
        group.since = record.since;
        group.generation = record.generation;
        group.protocol_type = record.protocol_type;
        for member in record.members {
            let agrees = record
                .protocol
                .as_ref()
                .is_some_and(|protocol| member.protocols.iter().any(|(name, _)| name == protocol));
            if agrees {
                group.members.remove(&member.id);
                group.members.insert(Member::restore(member, at.now));
            }
        }
        let first = group.members.iter().next().map(|member| member.id.clone());
        if let Some(first) = first {
            let leader = record.leader.filter(|leader| group.members.contains(leader));
            group.leader = Some(leader.unwrap_or(first));
            group.protocol = record.protocol;
            group.phase = Phase::Stable(Syncing {
                deadline: at.now,
                unsynced: BTreeSet::new(),
                storing: None,
            });
        }
        group.reset_alarm();
        group
    }

    /// The group as it is to be found after a restart, with these assignments.
    pub(super) fn record(&self, assignments: &BTreeMap<String, Bytes>) -> GroupRecord {
        let stored = |member: &Member| {
            let mut record = member.record();
            if let Some(assignment) = assignments.get(&member.id) {
                record.assignment = assignment.clone();
            }
            record
        };
        GroupRecord {
            group: self.name.to_string(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            since: self.since,
            members: self.members.iter().map(stored).collect(),
        }
    }

    pub(super) fn persist(
        &mut self,
        cx: &mut Context<'_>,
        assignments: &BTreeMap<String, Bytes>,
    ) -> PersistId {
        self.is_stored = true;
        let record = self.record(assignments);
        cx.out.persist(&self.name, GroupWrite::Put(record))
    }

    pub(super) fn state(&self) -> GroupState {
        match self.phase {
            Phase::Empty => GroupState::Empty,
            Phase::Preparing(_) => GroupState::PreparingRebalance,
            Phase::Completing(_) => GroupState::CompletingRebalance,
            Phase::Stable(_) => GroupState::Stable,
        }
    }

    /// Nothing would be lost by forgetting it.
    pub(super) fn is_blank(&self) -> bool {
        let is_empty = matches!(self.phase, Phase::Empty) && self.pending.is_empty();
        is_empty && !self.is_stored && !self.is_simple
    }

    pub(super) fn summary(&self) -> GroupSummary {
        GroupSummary {
            group: self.name.to_string(),
            state: self.state(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
        }
    }

    /// The assignor and what depends on it are shown only when stable, as Kafka does.
    pub(super) fn describe(&self) -> GroupDescription {
        let is_stable = matches!(self.phase, Phase::Stable(_));
        let protocol = self.protocol.as_deref().filter(|_| is_stable);
        GroupDescription {
            group: self.name.to_string(),
            state: self.state(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol: protocol.unwrap_or_default().to_owned(),
            members: self.members.iter().map(|member| member.describe(protocol)).collect(),
        }
    }

    pub(super) fn heartbeat(
        &mut self,
        cx: &mut Context<'_>,
        generation: i32,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), GroupError> {
        self.members.check(&self.name, member_id, instance_id)?;
        self.check_generation(generation)?;
        self.refresh_session(cx, member_id);
        match self.phase {
            Phase::Preparing(_) => Err(GroupError::Rebalancing(self.name.to_string())),
            // A consumer may send heartbeats as soon as its join is answered.
            Phase::Empty | Phase::Completing(_) | Phase::Stable(_) => Ok(()),
        }
    }

    pub(super) fn check_generation(&self, asked: i32) -> Result<(), GroupError> {
        let current = self.generation;
        if asked == current {
            return Ok(());
        }
        Err(GroupError::IllegalGeneration { group: self.name.to_string(), asked, current })
    }

    pub(super) fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    pub(super) fn enter(&mut self, at: Moment, phase: Phase) {
        self.phase = phase;
        self.since = at.wall;
    }

    /// Gives a member its full session timeout again.
    pub(super) fn refresh_session(&mut self, cx: &Context<'_>, member_id: &str) {
        if let Some(member) = self.members.get_mut(member_id) {
            let expires_at = cx.at.now + member.session_timeout;
            member.expires_at = expires_at;
            self.wake_by(expires_at);
        }
    }

    /// Answers the join in which a member waits, if it does.
    pub(super) fn answer_join(
        &mut self,
        cx: &mut Context<'_>,
        member_id: &str,
        result: Result<Joined, JoinError>,
    ) {
        if let Some(reply) = self.members.take_joining(member_id) {
            cx.out.joined(reply, result);
            self.refresh_session(cx, member_id);
        }
    }

    /// What a member is told of the current generation; `with_members` for the leader.
    pub(super) fn joined(&self, member_id: &str, with_members: bool) -> Joined {
        let protocol = self.protocol.clone().unwrap_or_default();
        let listed = |member: &Member| {
            (member.id.clone(), member.instance_id.clone(), member.metadata(&protocol))
        };
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            leader: self.leader.clone().unwrap_or_default(),
            member_id: member_id.to_owned(),
            skip_assignment: false,
            members: if with_members { self.members.iter().map(listed).collect() } else { vec![] },
            protocol,
        }
    }

    /// Removes a member. What it waits for is answered, so that its client, if it is still there,
    /// joins anew. The caller sees to the rebalance.
    pub(super) fn remove_member(&mut self, cx: &mut Context<'_>, member_id: &str) {
        let Some(mut member) = self.members.remove(member_id) else { return };
        let unknown = GroupError::UnknownMember {
            group: self.name.to_string(),
            member: member_id.to_owned(),
        };
        Group::dismiss(cx, member.take_waiting(), unknown);
        if let Phase::Completing(syncing) | Phase::Stable(syncing) = &mut self.phase {
            syncing.unsynced.remove(member_id);
        }
        if self.is_leader(member_id) {
            self.leader = self.members.iter().next().map(|member| member.id.clone());
        }
    }

    /// Answers a member's waiting requests with an error.
    pub(super) fn dismiss(
        cx: &mut Context<'_>,
        (joining, syncing): (Option<ReplyId>, Option<ReplyId>),
        error: GroupError,
    ) {
        if let Some(reply) = joining {
            cx.out.joined(reply, Err(error.clone().into()));
        }
        if let Some(reply) = syncing {
            cx.out.synced(reply, Err(error));
        }
    }
}
