//! What goes into and comes out of the coordinator beside the requests themselves.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use posthouse_types::{Clock, Timestamp};

use super::{GroupRecord, GroupsConfig, Joined, Synced};
use crate::{GroupError, JoinError};

/// When something happens: by the clock for timeouts, and by the one for what is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// For timeouts.
    pub(crate) now: Instant,
    /// For what is stored.
    pub(crate) wall: Timestamp,
}

impl Moment {
    /// The moment that a clock shows.
    pub(crate) fn read(clock: &dyn Clock) -> Moment {
        Moment { now: clock.now(), wall: clock.wall() }
    }
}

/// Names a request that is answered through the queue; the caller chooses it, never twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ReplyId(pub(crate) u64);

/// Names a write; the coordinator chooses it, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PersistId(pub(crate) u64);

/// How a write went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persisted {
    /// It is durable.
    Durable,
    /// It is not, or may not be.
    Failed,
}

/// A change to what is stored of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GroupWrite {
    /// The group as it is to be found after a restart.
    Put(GroupRecord),
    /// The group is gone.
    Delete(String),
}

/// Something for the caller to do.
#[derive(Debug)]
pub(crate) enum Output {
    /// Answer a join.
    Joined(ReplyId, Result<Joined, JoinError>),
    /// Answer a sync.
    Synced(ReplyId, Result<Synced, GroupError>),
    /// Make a write durable, then say so.
    Persist(PersistId, GroupWrite),
}

/// The queue of outputs, and who waits for which write.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: VecDeque<Output>,
    writes: HashMap<PersistId, Arc<str>>,
    next_write: u64,
}

impl Outbox {
    pub(super) fn joined(&mut self, reply: ReplyId, result: Result<Joined, JoinError>) {
        self.queue.push_back(Output::Joined(reply, result));
    }

    pub(super) fn synced(&mut self, reply: ReplyId, result: Result<Synced, GroupError>) {
        self.queue.push_back(Output::Synced(reply, result));
    }

    pub(super) fn persist(&mut self, group: &Arc<str>, write: GroupWrite) -> PersistId {
        let id = PersistId(self.next_write);
        self.next_write += 1;
        self.writes.insert(id, Arc::clone(group));
        self.queue.push_back(Output::Persist(id, write));
        id
    }

    pub(super) fn poll(&mut self) -> Option<Output> {
        self.queue.pop_front()
    }

    /// The group whose write this was; `None` when it has been taken before.
    pub(super) fn take_write(&mut self, id: PersistId) -> Option<Arc<str>> {
        self.writes.remove(&id)
    }
}

/// What every transition of a group needs.
pub(super) struct Context<'a> {
    pub(super) at: Moment,
    pub(super) config: &'a GroupsConfig,
    /// Bytes that the members of all groups may still grow by.
    pub(super) room: usize,
    pub(super) out: &'a mut Outbox,
}
