//! One coordinator: the machine, the state it keeps, and who waits for its answers.
//!
//! # Invariants
//! - The lock is never held across an await. Every call into the machine is followed by
//!   [`Inner::drain`] under the same lock, so that its writes reach the log in order.
//! - Writes that the machine waits for go to the shard's task, which reports each of them once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use posthouse_log::{AppendError, Ticket};
use posthouse_types::Clock;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::groups::{GroupCoordinator, GroupWrite, Moment, Output, PersistId, Persisted, ReplyId};
use crate::offsets::{Offsets, OffsetsCommand};
use crate::state::StateLog;
use crate::{GroupError, JoinError, Joined, Synced, metrics};

/// One coordinator.
pub(crate) struct Shard {
    pub(super) inner: Mutex<Inner>,
    pub(super) clock: Arc<dyn Clock>,
    /// Wakes the shard's task: an earlier deadline, or a snapshot that is due.
    pub(super) wake: Notify,
}

/// What the lock guards.
pub(crate) struct Inner {
    pub(super) groups: GroupCoordinator,
    pub(super) offsets: StateLog<Offsets>,
    joins: HashMap<ReplyId, oneshot::Sender<Result<Joined, JoinError>>>,
    syncs: HashMap<ReplyId, oneshot::Sender<Result<Synced, GroupError>>>,
    next_reply: u64,
    /// Bounded by the machine, which waits for a group's write before its next step.
    writes: mpsc::UnboundedSender<(PersistId, Ticket)>,
    /// When the shard's task wakes by itself.
    pub(super) armed: Option<Instant>,
}

/// Writes for the shard's task to wait for.
pub(crate) type Writes = mpsc::UnboundedReceiver<(PersistId, Ticket)>;

impl Shard {
    /// A shard of recovered parts, and what its task needs.
    pub(super) fn new(
        groups: GroupCoordinator,
        offsets: StateLog<Offsets>,
        clock: Arc<dyn Clock>,
    ) -> (Arc<Shard>, Writes) {
        let (writes, receiver) = mpsc::unbounded_channel();
        let inner = Inner {
            groups,
            offsets,
            joins: HashMap::new(),
            syncs: HashMap::new(),
            next_reply: 0,
            writes,
            armed: None,
        };
        let shard = Shard { inner: Mutex::new(inner), clock, wake: Notify::new() };
        (Arc::new(shard), receiver)
    }

    /// Calls the machine, and carries out what comes of it.
    pub(super) fn call<T>(&self, act: impl FnOnce(&mut Inner, Moment) -> T) -> T {
        let at = Moment::read(self.clock.as_ref());
        let mut inner = self.inner.lock();
        let result = act(&mut inner, at);
        inner.drain(at);
        let earlier = match (inner.groups.next_deadline(), inner.armed) {
            (Some(next), Some(armed)) => next < armed,
            (next, None) => next.is_some(),
            (None, Some(_)) => false,
        };
        if earlier || inner.offsets.snapshot_due() {
            drop(inner);
            self.wake.notify_one();
        }
        result
    }

    /// How many groups there are.
    pub(crate) fn groups_count(&self) -> usize {
        self.inner.lock().groups.len()
    }

    /// Lets go of everyone who waits, because the node stops.
    pub(super) fn dismiss(&self) {
        let mut inner = self.inner.lock();
        inner.joins.clear();
        inner.syncs.clear();
    }
}

impl Inner {
    /// A place for the answer to a join.
    pub(super) fn expect_join(
        &mut self,
    ) -> (ReplyId, oneshot::Receiver<Result<Joined, JoinError>>) {
        let (sender, receiver) = oneshot::channel();
        let id = self.reply_id();
        self.joins.insert(id, sender);
        (id, receiver)
    }

    /// A place for the answer to a sync.
    pub(super) fn expect_sync(
        &mut self,
    ) -> (ReplyId, oneshot::Receiver<Result<Synced, GroupError>>) {
        let (sender, receiver) = oneshot::channel();
        let id = self.reply_id();
        self.syncs.insert(id, sender);
        (id, receiver)
    }

    /// Appends commands that nobody but the caller waits for.
    pub(super) fn keep(
        &mut self,
        commands: Vec<OffsetsCommand>,
        at: Moment,
    ) -> Result<Option<Ticket>, AppendError> {
        self.offsets.commit_all(commands, at.wall)
    }

    /// Carries out everything the machine has asked for.
    fn drain(&mut self, at: Moment) {
        while let Some(output) = self.groups.poll_output() {
            match output {
                Output::Joined(id, result) => answer(self.joins.remove(&id), result),
                Output::Synced(id, result) => answer(self.syncs.remove(&id), result),
                Output::Persist(id, write) => self.persist(id, write, at),
            }
        }
    }

    fn persist(&mut self, id: PersistId, write: GroupWrite, at: Moment) {
        let command = match write {
            GroupWrite::Put(record) => {
                OffsetsCommand::RecordPut { record: record.encode(), group: record.group }
            }
            GroupWrite::Delete(group) => OffsetsCommand::RecordDeleted { group },
        };
        let kept = self.offsets.commit(command, at.wall);
        let sent = match kept {
            Ok(((), ticket)) => self.writes.send((id, ticket)).is_ok(),
            Err(error) => {
                metrics::group_write_failed();
                tracing::error!(error = &error as &dyn std::error::Error, "group not kept");
                false
            }
        };
        if !sent {
            self.groups.on_persisted(at, id, Persisted::Failed);
        }
    }

    fn reply_id(&mut self) -> ReplyId {
        let id = ReplyId(self.next_reply);
        self.next_reply += 1;
        id
    }
}

/// Whoever asked may have gone; then the answer is for nobody.
fn answer<T>(waiter: Option<oneshot::Sender<T>>, result: T) {
    if let Some(waiter) = waiter {
        let _ = waiter.send(result);
    }
}
