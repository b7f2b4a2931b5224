//! One shard of the queues: the machine, its log, and the lines of those who wait.
//!
//! # Invariants
//! - The lock is never held across an await. A decision and the commands it comes to are one step
//!   under the lock, so the log's order is the state's order.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use posthouse_log::{AppendError, Ticket};
use posthouse_types::{Clock, Timestamp, TopicId};
use tokio::sync::Notify;

use super::Line;
use crate::queues::machine::{QueueNumber, Queues, QueuesCommand};
use crate::state::StateLog;

/// One shard.
pub(crate) struct QueueShard {
    inner: Mutex<Inner>,
    pub(super) clock: Arc<dyn Clock>,
    /// Wakes the shard's task: an earlier deadline, a dead letter, a snapshot that is due.
    pub(super) wake: Notify,
}

struct Inner {
    state: StateLog<Queues>,
    lines: HashMap<QueueNumber, Arc<Line>>,
    /// When owners were last heard of, where that is not worth a command.
    seen: HashMap<QueueNumber, HashMap<bytes::Bytes, Timestamp>>,
    /// When the shard's task wakes by itself.
    armed: Option<Timestamp>,
}

impl QueueShard {
    /// A shard with a recovered state.
    pub(super) fn new(state: StateLog<Queues>, clock: Arc<dyn Clock>) -> Arc<QueueShard> {
        let (lines, seen) = (HashMap::new(), HashMap::new());
        let inner = Inner { state, lines, seen, armed: None };
        Arc::new(QueueShard { inner: Mutex::new(inner), clock, wake: Notify::new() })
    }

    /// Looks at the state.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Queues, Timestamp) -> T) -> T {
        let now = self.clock.wall();
        look(self.inner.lock().state.machine(), now)
    }

    /// Decides, and appends and applies the commands that come of it. The ticket covers them all;
    /// `None` when there are none.
    pub(crate) fn change<T, E: From<AppendError>>(
        &self,
        decide: impl FnOnce(&Queues, Timestamp) -> Result<(Vec<QueuesCommand>, T), E>,
    ) -> Result<(T, Option<Ticket>), E> {
        let now = self.clock.wall();
        let mut inner = self.inner.lock();
        let (commands, result) = decide(inner.state.machine(), now)?;
        if commands.is_empty() {
            return Ok((result, None));
        }
        let wakes: Vec<_> = commands.iter().filter_map(QueuesCommand::wakes).collect();
        let gone: Vec<_> = commands.iter().filter_map(QueuesCommand::forgets).collect();
        let ticket = inner.state.commit_all(commands, now)?;
        gone.into_iter().for_each(|(number, owner)| inner.forget_owner(number, &owner));
        wakes.into_iter().for_each(|number| inner.wake_line(number));
        let machine = inner.state.machine();
        let earlier = match (machine.next_deadline(), inner.armed) {
            (Some(next), Some(armed)) => next < armed,
            (next, None) => next.is_some(),
            (None, Some(_)) => false,
        };
        if earlier || machine.has_rejected() || inner.state.snapshot_due() {
            drop(inner);
            self.wake.notify_one();
        }
        Ok((result, ticket))
    }

    /// The line of a queue.
    pub(crate) fn line(&self, number: QueueNumber) -> Arc<Line> {
        Arc::clone(self.inner.lock().lines.entry(number).or_default())
    }

    /// Notes that an owner was heard of; not kept over a restart.
    pub(crate) fn heard_of(&self, number: QueueNumber, owner: &bytes::Bytes) {
        let now = self.clock.wall();
        self.inner.lock().seen.entry(number).or_default().insert(owner.clone(), now);
    }

    /// When an owner was last heard of, if that is later than what the state says.
    pub(crate) fn last_heard(
        &self,
        number: QueueNumber,
        owner: &bytes::Bytes,
    ) -> Option<Timestamp> {
        self.inner.lock().seen.get(&number)?.get(owner).copied()
    }

    /// Whether any queue is of this topic.
    pub(crate) fn has_topic(&self, topic: TopicId) -> bool {
        self.inner.lock().state.machine().all().any(|(_, queue)| queue.key.topic == topic)
    }

    /// Forgets what belongs to queues and owners that are gone.
    pub(crate) fn tidy(&self) {
        let mut inner = self.inner.lock();
        let Inner { state, lines, seen, .. } = &mut *inner;
        let machine = state.machine();
        lines
            .retain(|number, line| machine.queue(*number).is_some() || Arc::strong_count(line) > 1);
        seen.retain(|number, owners| {
            let Some(queue) = machine.queue(*number) else { return false };
            owners.retain(|owner, _| queue.owners.contains_key(owner));
            true
        });
    }

    /// Notes when the task will wake, and gives that time.
    pub(super) fn arm(&self) -> Option<Timestamp> {
        let mut inner = self.inner.lock();
        inner.armed = inner.state.machine().next_deadline();
        inner.armed
    }

    pub(super) fn snapshot_due(&self) -> bool {
        self.inner.lock().state.snapshot_due()
    }

    pub(super) async fn take_snapshot(&self) {
        let pending = self.inner.lock().state.begin_snapshot();
        if let Err(error) = pending.write(self.clock.wall()).await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "queues snapshot not written");
        }
        self.inner.lock().state.end_snapshot();
    }
}

impl Inner {
    fn forget_owner(&mut self, number: QueueNumber, owner: &bytes::Bytes) {
        if let Some(owners) = self.seen.get_mut(&number) {
            owners.remove(owner);
        }
    }

    fn wake_line(&self, number: QueueNumber) {
        if let Some(line) = self.lines.get(&number) {
            line.wake.notify_one();
        }
    }
}
