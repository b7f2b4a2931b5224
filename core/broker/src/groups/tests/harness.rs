//! Drives the machine as the broker does, with a clock that moves when told to and a log that is a
//! map.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use posthouse_types::{Clock, ManualClock, Timestamp};
use uuid::Uuid;

use super::super::subscription::encode_subscription as subscription;
use super::super::*;
use crate::{BrokerConfig, GroupError, JoinError};

pub(super) const GROUP: &str = "g";

/// An answer that came through the queue.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    Joined(Result<Joined, JoinError>),
    Synced(Result<Synced, GroupError>),
}

pub(super) struct Harness {
    pub(super) machine: GroupCoordinator,
    pub(super) clock: ManualClock,
    pub(super) config: GroupsConfig,
    /// What is durable, as bytes, by group.
    pub(super) stored: BTreeMap<String, Bytes>,
    /// Answers not looked at yet.
    pub(super) answers: VecDeque<(ReplyId, Answer)>,
    /// Writes that came out and are not durable yet.
    pub(super) in_flight: VecDeque<(PersistId, GroupWrite)>,
    /// Writes stay in flight until told otherwise.
    pub(super) holds_writes: bool,
    /// Writes seen, for tests that count them.
    pub(super) writes: usize,
    next_reply: u64,
    next_member: u128,
}

impl Harness {
    pub(super) fn new() -> Harness {
        Harness::with_config(GroupsConfig::from(&BrokerConfig::default()))
    }

    pub(super) fn with_config(config: GroupsConfig) -> Harness {
        Harness {
            machine: GroupCoordinator::new(config.clone()),
            clock: ManualClock::new(Timestamp::from_ms(1_000_000)),
            config,
            stored: BTreeMap::new(),
            answers: VecDeque::new(),
            in_flight: VecDeque::new(),
            holds_writes: false,
            writes: 0,
            next_reply: 0,
            next_member: 1,
        }
    }

    pub(super) fn at(&self) -> Moment {
        Moment::read(&self.clock)
    }

    pub(super) fn join(&mut self, join: Join) -> ReplyId {
        let reply = self.reply_id();
        let fresh = Uuid::from_u128(self.next_member);
        self.next_member += 1;
        self.machine.join(self.at(), reply, join, fresh);
        self.drain();
        reply
    }

    pub(super) fn sync(&mut self, sync: Sync) -> ReplyId {
        let reply = self.reply_id();
        self.machine.sync(self.at(), reply, sync);
        self.drain();
        reply
    }

    pub(super) fn heartbeat(&mut self, generation: i32, member: &str) -> Result<(), GroupError> {
        let result = self.machine.heartbeat(self.at(), GROUP, generation, member, None);
        self.drain();
        result
    }

    pub(super) fn leave(&mut self, members: Vec<Leave>) -> Result<Vec<LeftMember>, GroupError> {
        let result = self.machine.leave(self.at(), GROUP, members);
        self.drain();
        result
    }

    pub(super) fn commit(&mut self, generation: i32, member: &str) -> Result<(), GroupError> {
        let result = self.machine.check_commit(self.at(), GROUP, generation, member, None);
        self.drain();
        result
    }

    /// Lets time pass, ringing every alarm at its time.
    pub(super) fn advance(&mut self, by: Duration) {
        let end = self.clock.now() + by;
        while let Some(due) = self.machine.next_deadline().filter(|due| *due <= end) {
            self.clock.advance(due.saturating_duration_since(self.clock.now()));
            self.machine.on_timeout(self.at());
            self.drain();
            assert!(
                self.machine.next_deadline().is_none_or(|next| next > self.clock.now()),
                "an alarm that has rung is set again for later"
            );
        }
        self.clock.advance(end.saturating_duration_since(self.clock.now()));
    }

    /// The oldest write in flight succeeds or fails.
    pub(super) fn finish_write(&mut self, how: Persisted) {
        let Some((id, write)) = self.in_flight.pop_front() else { return };
        if how == Persisted::Durable {
            match &write {
                GroupWrite::Put(record) => {
                    self.stored.insert(record.group.clone(), record.encode())
                }
                GroupWrite::Delete(group) => self.stored.remove(group),
            };
        }
        self.machine.on_persisted(self.at(), id, how);
        self.drain();
    }

    /// A new machine from what is durable; answers of the old one never come.
    pub(super) fn restart(&mut self) {
        self.machine = GroupCoordinator::new(self.config.clone());
        self.in_flight.clear();
        self.answers.clear();
        for bytes in self.stored.values() {
            let record = GroupRecord::decode(bytes).unwrap();
            self.machine.restore(Moment::read(&self.clock), record);
        }
    }

    /// The answer to a request, which must have come.
    pub(super) fn answer(&mut self, reply: ReplyId) -> Answer {
        let found = self.answers.iter().position(|(id, _)| *id == reply);
        self.answers.remove(found.expect("an answer")).unwrap().1
    }

    pub(super) fn joined(&mut self, reply: ReplyId) -> Result<Joined, JoinError> {
        match self.answer(reply) {
            Answer::Joined(result) => result,
            Answer::Synced(_) => panic!("a join is answered as a join"),
        }
    }

    pub(super) fn synced(&mut self, reply: ReplyId) -> Result<Synced, GroupError> {
        match self.answer(reply) {
            Answer::Synced(result) => result,
            Answer::Joined(_) => panic!("a sync is answered as a sync"),
        }
    }

    pub(super) fn is_answered(&self, reply: ReplyId) -> bool {
        self.answers.iter().any(|(id, _)| *id == reply)
    }

    pub(super) fn state(&self) -> GroupState {
        self.machine.describe(GROUP).state
    }

    /// The id that was given to the `number`th join.
    pub(super) fn id(prefix: &str, number: u128) -> String {
        format!("{prefix}-{}", Uuid::from_u128(number))
    }

    fn reply_id(&mut self) -> ReplyId {
        self.next_reply += 1;
        ReplyId(self.next_reply)
    }

    fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Joined(id, result) => self.answers.push_back((id, Answer::Joined(result))),
                Output::Synced(id, result) => self.answers.push_back((id, Answer::Synced(result))),
                Output::Persist(id, write) => {
                    self.writes += 1;
                    self.in_flight.push_back((id, write));
                }
            }
        }
        if !self.holds_writes && !self.in_flight.is_empty() {
            self.finish_write(Persisted::Durable);
        }
    }
}

/// A consumer that subscribes to topic `t` with the range assignor.
pub(super) fn consumer(client: &str) -> Join {
    Join {
        group: GROUP.to_owned(),
        member_id: String::new(),
        instance_id: None,
        client_id: client.to_owned(),
        client_host: "127.0.0.1".to_owned(),
        session_timeout: Duration::from_secs(10),
        rebalance_timeout: Duration::from_secs(60),
        protocol_type: "consumer".to_owned(),
        protocols: vec![("range".to_owned(), subscription(1, &["t"]))],
        member_id_required: false,
        supports_skipping_assignment: false,
        reason: None,
    }
}

/// A sync without an assignment.
pub(super) fn follower(generation: i32, member_id: &str) -> Sync {
    Sync {
        group: GROUP.to_owned(),
        generation,
        member_id: member_id.to_owned(),
        instance_id: None,
        protocol_type: None,
        protocol: None,
        assignments: vec![],
    }
}

/// The leader's sync.
pub(super) fn leader(generation: i32, member_id: &str, assignments: &[(&str, &str)]) -> Sync {
    let owned =
        |(id, value): &(&str, &str)| ((*id).to_owned(), Bytes::copy_from_slice(value.as_bytes()));
    Sync { assignments: assignments.iter().map(owned).collect(), ..follower(generation, member_id) }
}
