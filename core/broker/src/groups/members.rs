//! The members of one group, and what is counted over them.
//!
//! # Invariants
//! - The counts (who is waiting in a join, who supports a protocol, bytes held) always equal what
//!   counting again would give; they change only here, together with the members.
//! - An instance id belongs to one member.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::limits::TIMEOUT_MAX;
use super::output::ReplyId;
use super::{GroupMember, Join, MemberRecord};
use crate::GroupError;

/// One member.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) instance_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) session_timeout: Duration,
    pub(super) rebalance_timeout: Duration,
    /// No join of it has been answered yet.
    pub(super) is_new: bool,
    /// When its silence ends its membership, unless it [waits](Member::is_waiting).
    pub(super) expires_at: Instant,
    /// The sync of it that waits.
    pub(super) syncing: Option<ReplyId>,
    protocols: Vec<(String, Bytes)>,
    assignment: Bytes,
    joining: Option<ReplyId>,
}

impl Member {
    /// The member that a join makes; it waits under `reply`.
    pub(super) fn new(id: String, join: Join, reply: ReplyId, expires_at: Instant) -> Member {
        Member {
            id,
            instance_id: join.instance_id,
            client_id: join.client_id,
            client_host: join.client_host,
            session_timeout: join.session_timeout.min(TIMEOUT_MAX),
            rebalance_timeout: join.rebalance_timeout.min(TIMEOUT_MAX),
            is_new: true,
            expires_at,
            syncing: None,
            protocols: own(join.protocols),
            assignment: Bytes::new(),
            joining: Some(reply),
        }
    }

    /// The member as it was stored, with a full session timeout from `now`.
    pub(super) fn restore(record: MemberRecord, now: Instant) -> Member {
        Member {
            id: record.id,
            instance_id: record.instance_id,
            client_id: record.client_id,
            client_host: record.client_host,
            session_timeout: record.session_timeout,
            rebalance_timeout: record.rebalance_timeout,
            is_new: false,
            expires_at: now + record.session_timeout,
            syncing: None,
            protocols: record.protocols,
            assignment: record.assignment,
            joining: None,
        }
    }

    pub(super) fn record(&self) -> MemberRecord {
        MemberRecord {
            id: self.id.clone(),
            instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            session_timeout: self.session_timeout,
            rebalance_timeout: self.rebalance_timeout,
            protocols: self.protocols.clone(),
            assignment: self.assignment.clone(),
        }
    }

    /// The member as it is shown. Its metadata and assignment mean something only under `protocol`.
    pub(super) fn describe(&self, protocol: Option<&str>) -> GroupMember {
        let shown = |value: Bytes| if protocol.is_some() { value } else { Bytes::new() };
        GroupMember {
            member_id: self.id.clone(),
            instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            metadata: shown(self.metadata(protocol.unwrap_or_default())),
            assignment: shown(self.assignment.clone()),
        }
    }

    pub(super) fn is_joining(&self) -> bool {
        self.joining.is_some()
    }

    /// It waits for an answer, so it cannot be expected to send heartbeats. A new member is the
    /// exception: if its client gives up and asks again, the parked join must not live for ever.
    pub(super) fn is_waiting(&self) -> bool {
        !self.is_new && (self.joining.is_some() || self.syncing.is_some())
    }

    pub(super) fn assignment(&self) -> &Bytes {
        &self.assignment
    }

    /// What it says about itself under an assignor; empty for one that it does not offer.
    pub(super) fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| name == protocol);
        found.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }

    /// The same assignors in the same order with the same metadata.
    pub(super) fn offers_exactly(&self, protocols: &[(String, Bytes)]) -> bool {
        self.protocols == protocols
    }

    fn protocol_names(&self) -> BTreeSet<&str> {
        self.protocols.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Bytes that it holds.
    pub(super) fn size(&self) -> usize {
        let ids = self.id.len()
            + self.instance_id.as_ref().map_or(0, String::len)
            + self.client_id.len()
            + self.client_host.len();
        ids + protocols_size(&self.protocols) + self.assignment.len()
    }
}

/// Copies metadata out of the request that brought it: a slice would keep the whole of it in memory,
/// uncounted, for as long as the member lives.
fn own(protocols: Vec<(String, Bytes)>) -> Vec<(String, Bytes)> {
    let copied = |(name, metadata): (String, Bytes)| (name, Bytes::copy_from_slice(&metadata));
    protocols.into_iter().map(copied).collect()
}

/// Bytes that a join would make a member hold, before its assignment.
pub(super) fn join_size(join: &Join) -> usize {
    join.instance_id.as_ref().map_or(0, String::len)
        + join.client_id.len()
        + join.client_host.len()
        + protocols_size(&join.protocols)
}

fn protocols_size(protocols: &[(String, Bytes)]) -> usize {
    protocols.iter().map(|(name, metadata)| name.len() + metadata.len()).sum()
}

/// All members of one group, by id.
#[derive(Clone, Debug, Default)]
pub(super) struct Members {
    by_id: BTreeMap<String, Member>,
    by_instance: BTreeMap<String, String>,
    supporters: BTreeMap<String, usize>,
    joining_count: usize,
    size: usize,
}

impl Members {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(super) fn joining_count(&self) -> usize {
        self.joining_count
    }

    /// Bytes held by all of them.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    pub(super) fn get(&self, id: &str) -> Option<&Member> {
        self.by_id.get(id)
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Member> {
        self.by_id.get_mut(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.by_id.values()
    }

    /// The ids of the members that fit, to act on them one by one.
    pub(super) fn ids_where(&self, fits: impl Fn(&Member) -> bool) -> Vec<String> {
        self.iter().filter(|member| fits(member)).map(|member| member.id.clone()).collect()
    }

    /// The member that holds an instance id.
    pub(super) fn instance_holder(&self, instance_id: &str) -> Option<&str> {
        self.by_instance.get(instance_id).map(String::as_str)
    }

    /// Checks that a request comes from a member, and from the process that holds its instance id.
    pub(super) fn check(
        &self,
        group: &str,
        id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), GroupError> {
        let unknown =
            || GroupError::UnknownMember { group: group.to_owned(), member: id.to_owned() };
        if let Some(instance) = instance_id {
            let holder = self.instance_holder(instance).ok_or_else(unknown)?;
            if holder != id {
                return Err(GroupError::FencedInstance { instance: instance.to_owned() });
            }
        }
        if self.contains(id) { Ok(()) } else { Err(unknown()) }
    }

    /// Adds a member under an id and instance id that nobody holds.
    pub(super) fn insert(&mut self, member: Member) {
        for name in member.protocol_names() {
            *self.supporters.entry(name.to_owned()).or_default() += 1;
        }
        if let Some(instance) = &member.instance_id {
            self.by_instance.insert(instance.clone(), member.id.clone());
        }
        self.joining_count += usize::from(member.is_joining());
        self.size += member.size();
        self.by_id.insert(member.id.clone(), member);
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<Member> {
        let member = self.by_id.remove(id)?;
        for name in member.protocol_names() {
            let count = self.supporters.get_mut(name).expect("counted when it was added");
            *count -= 1;
            if *count == 0 {
                self.supporters.remove(name);
            }
        }
        if let Some(instance) = &member.instance_id {
            self.by_instance.remove(instance);
        }
        self.joining_count -= usize::from(member.is_joining());
        self.size -= member.size();
        Some(member)
    }

    /// Takes what a new join of a member says, which waits under `reply`. Gives the join that
    /// waited before.
    pub(super) fn update(&mut self, id: &str, join: Join, reply: ReplyId) -> Option<ReplyId> {
        let mut member = self.remove(id)?;
        let replaced = member.take_join(Some(reply));
        member.protocols = own(join.protocols);
        member.session_timeout = join.session_timeout.min(TIMEOUT_MAX);
        member.rebalance_timeout = join.rebalance_timeout.min(TIMEOUT_MAX);
        self.insert(member);
        replaced
    }

    /// Takes the join of a member that waits.
    pub(super) fn take_joining(&mut self, id: &str) -> Option<ReplyId> {
        let reply = self.by_id.get_mut(id)?.take_join(None)?;
        self.joining_count -= 1;
        Some(reply)
    }

    pub(super) fn set_assignment(&mut self, id: &str, assignment: &Bytes) {
        let assignment = Bytes::copy_from_slice(assignment);
        if let Some(member) = self.by_id.get_mut(id) {
            self.size = self.size - member.assignment.len() + assignment.len();
            member.assignment = assignment;
        }
    }

    /// The longest time that any of them asks a rebalance to wait.
    pub(super) fn rebalance_timeout(&self) -> Duration {
        self.iter().map(|member| member.rebalance_timeout).max().unwrap_or_default()
    }

    /// Some assignor is offered by every member and by these protocols.
    pub(super) fn share_one_of(&self, protocols: &[(String, Bytes)]) -> bool {
        protocols.iter().any(|(name, _)| self.all_support(name))
    }

    /// The assignor that most members want most, of those that all offer. `None` without members.
    ///
    /// Between equals, the one that comes first in the alphabet.
    pub(super) fn select_protocol(&self) -> Option<String> {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.iter() {
            let mut wanted = member.protocols.iter().map(|(name, _)| name.as_str());
            *votes.entry(wanted.find(|name| self.all_support(name))?).or_default() += 1;
        }
        let most = votes.values().copied().max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name.to_owned())
    }

    fn all_support(&self, protocol: &str) -> bool {
        self.supporters.get(protocol).is_some_and(|count| *count == self.len())
    }
}

#[cfg(test)]
impl Members {
    /// Checks what is counted against counting again.
    pub(super) fn assert_counts(&self) {
        let joining = self.iter().filter(|member| member.is_joining()).count();
        assert_eq!(self.joining_count, joining);
        assert_eq!(self.size, self.iter().map(Member::size).sum::<usize>());
        let mut supporters = BTreeMap::new();
        for name in self.iter().flat_map(Member::protocol_names) {
            *supporters.entry(name.to_owned()).or_default() += 1;
        }
        assert_eq!(self.supporters, supporters);
        let instances =
            self.iter().filter_map(|member| Some((member.instance_id.clone()?, member.id.clone())));
        assert_eq!(self.by_instance, instances.collect());
    }
}

impl Member {
    fn take_join(&mut self, next: Option<ReplyId>) -> Option<ReplyId> {
        std::mem::replace(&mut self.joining, next)
    }

    /// The member under the id of the process that takes its place.
    pub(super) fn with_id(mut self, id: String) -> Member {
        self.id = id;
        self
    }

    /// Takes both requests that wait.
    pub(super) fn take_waiting(&mut self) -> (Option<ReplyId>, Option<ReplyId>) {
        (self.take_join(None), self.syncing.take())
    }
}
