//! The state of all queues of one shard, and what each command does to it.
//!
//! # Invariants
//! - Commands were decided against the state they are applied to, so applying cannot fail; one about
//!   a queue or a record that is gone does nothing.
//! - `by_key` and `index` are what `queues` says.

use std::collections::BTreeMap;

use bytes::Bytes;
use posthouse_types::{Timestamp, TopicId};

use super::command::{QueueNumber, QueuesCommand, Taken};
use super::index::Index;
use super::queue::{Entry, EntryState, Owner, Queue, QueueKey};
use crate::queues::types::RecordId;
use crate::state::{Damage, StateMachine};

/// All queues of one shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Queues {
    pub(super) next_number: QueueNumber,
    pub(super) by_key: BTreeMap<QueueKey, QueueNumber>,
    pub(super) queues: BTreeMap<QueueNumber, Queue>,
    pub(super) index: Index,
}

impl Queues {
    /// Finds a queue.
    pub(crate) fn find(&self, key: &QueueKey) -> Option<QueueNumber> {
        self.by_key.get(key).copied()
    }

    /// A queue.
    pub(crate) fn queue(&self, number: QueueNumber) -> Option<&Queue> {
        self.queues.get(&number)
    }

    /// All queues.
    pub(crate) fn all(&self) -> impl Iterator<Item = (QueueNumber, &Queue)> {
        self.queues.iter().map(|(number, queue)| (*number, queue))
    }

    /// The number that the next queue gets.
    pub(crate) fn next_number(&self) -> QueueNumber {
        self.next_number
    }

    /// Entries of all queues.
    pub(crate) fn entries(&self) -> usize {
        self.index.entries
    }

    /// Adds a queue, in the place of one with the same identity.
    pub(super) fn insert(&mut self, number: QueueNumber, queue: Queue) {
        if let Some(before) = self.find(&queue.key) {
            self.remove(before);
        }
        self.by_key.insert(queue.key.clone(), number);
        self.queues.insert(number, queue);
        self.next_number = self.next_number.max(QueueNumber(number.0.saturating_add(1)));
    }

    fn remove(&mut self, number: QueueNumber) {
        if let Some(queue) = self.queues.remove(&number) {
            self.by_key.remove(&queue.key);
            self.index.forget(number, &queue);
        }
    }

    fn remove_topic(&mut self, topic: TopicId) {
        let of_topic =
            |(number, queue): (&QueueNumber, &Queue)| (queue.key.topic == topic).then_some(*number);
        let gone: Vec<_> = self.queues.iter().filter_map(of_topic).collect();
        gone.into_iter().for_each(|number| self.remove(number));
    }

    fn take(&mut self, taken: Taken) {
        let Taken { number, partition, owner, at, until, again, fresh, next, settled } = taken;
        let Some(queue) = self.queues.get_mut(&number) else { return };
        see(queue, &owner, at);
        let known = again.into_iter().map(|offset| {
            let id = RecordId { partition, offset };
            let before = queue.entry(id).map_or(0, |entry| entry.deliveries);
            (id, before.saturating_add(1))
        });
        let fresh = fresh.into_iter().map(|offset| (RecordId { partition, offset }, 1));
        let all: Vec<_> = known.collect::<Vec<_>>().into_iter().chain(fresh).collect();
        for (id, deliveries) in all {
            let state = EntryState::Acquired { owner: owner.clone(), until };
            let entry = Entry { delivered_at: at, deliveries, state };
            self.index.put(number, queue, id, (!settled).then_some(entry));
        }
        queue.windows.entry(partition).or_default().next = next;
    }

    /// What a record that is given back, or whose lock ends, comes to.
    fn give_back(&mut self, number: QueueNumber, id: RecordId) {
        let Some(queue) = self.queues.get_mut(&number) else { return };
        let Some(entry) = queue.entry(id) else { return };
        if queue.config.deliveries_max.is_some_and(|max| entry.deliveries >= max) {
            let reason = format!("delivered {} times", entry.deliveries);
            return self.reject(number, id, reason);
        }
        let entry = Entry { state: EntryState::Available, ..entry.clone() };
        self.index.put(number, queue, id, Some(entry));
    }

    fn reject(&mut self, number: QueueNumber, id: RecordId, reason: String) {
        let Some(queue) = self.queues.get_mut(&number) else { return };
        let Some(entry) = queue.entry(id) else { return };
        let entry = Entry { state: EntryState::Rejected { reason }, ..entry.clone() };
        let kept = queue.config.dead_letter.is_some().then_some(entry);
        self.index.put(number, queue, id, kept);
    }

    fn settle(&mut self, number: QueueNumber, ids: &[RecordId]) {
        let Some(queue) = self.queues.get_mut(&number) else { return };
        for id in ids {
            self.index.put(number, queue, *id, None);
        }
    }

    fn extend(&mut self, number: QueueNumber, ids: &[RecordId], new_end: Option<Timestamp>) {
        let Some(queue) = self.queues.get_mut(&number) else { return };
        for id in ids {
            let Some(mut entry) = queue.entry(*id).cloned() else { continue };
            if let EntryState::Acquired { until, .. } = &mut entry.state {
                *until = new_end;
                self.index.put(number, queue, *id, Some(entry));
            }
        }
    }

    fn remove_owner(&mut self, number: QueueNumber, name: &Bytes, discard: bool) {
        let Some(queue) = self.queues.get_mut(&number) else { return };
        let Some(owner) = queue.owners.get(name) else { return };
        let held: Vec<_> = owner.holds.iter().copied().collect();
        if discard {
            self.settle(number, &held);
        } else {
            held.into_iter().for_each(|id| self.give_back(number, id));
        }
        if let Some(queue) = self.queues.get_mut(&number) {
            queue.owners.remove(name);
        }
    }
}

impl StateMachine for Queues {
    type Command = QueuesCommand;
    type Effect = ();

    fn encode(command: &QueuesCommand, out: &mut Vec<u8>) {
        command.encode(out);
    }

    fn decode(bytes: &[u8]) -> Result<QueuesCommand, Damage> {
        QueuesCommand::decode(bytes)
    }

    fn apply(&mut self, command: QueuesCommand) {
        match command {
            QueuesCommand::Created { number, key, config, next } => {
                let mut queue = Queue::new(key, config);
                for (partition, offset) in next {
                    queue.windows.entry(partition).or_default().next = offset;
                }
                self.insert(number, queue);
            }
            QueuesCommand::Configured { number, config } => {
                if let Some(queue) = self.queues.get_mut(&number) {
                    queue.config = config;
                }
            }
            QueuesCommand::Positioned { number, next } => {
                if let Some(queue) = self.queues.get_mut(&number) {
                    for (partition, offset) in next {
                        queue.windows.entry(partition).or_default().next = offset;
                    }
                }
            }
            QueuesCommand::Deleted { number } => self.remove(number),
            QueuesCommand::TopicForgotten { topic } => self.remove_topic(topic),
            QueuesCommand::OwnerSeen { number, owner, at } => {
                if let Some(queue) = self.queues.get_mut(&number) {
                    see(queue, &owner, at);
                }
            }
            QueuesCommand::OwnerRemoved { number, owner, discard } => {
                self.remove_owner(number, &owner, discard);
            }
            QueuesCommand::Acquired(taken) => self.take(taken),
            QueuesCommand::Settled { number, ids } => self.settle(number, &ids),
            QueuesCommand::Released { number, ids } => {
                ids.into_iter().for_each(|id| self.give_back(number, id));
            }
            QueuesCommand::Rejected { number, ids, reason } => {
                ids.into_iter().for_each(|id| self.reject(number, id, reason.clone()));
            }
            QueuesCommand::Extended { number, ids, until } => self.extend(number, &ids, until),
            QueuesCommand::Transferred { number, to, at, delivered_at, until, entries } => {
                let Some(queue) = self.queues.get_mut(&number) else { return };
                see(queue, &to, at);
                for (id, deliveries) in entries {
                    let state = EntryState::Acquired { owner: to.clone(), until };
                    let entry = Entry { delivered_at, deliveries, state };
                    self.index.put(number, queue, id, Some(entry));
                }
            }
        }
    }

    fn snapshot(&self, out: &mut Vec<u8>) {
        super::snapshot::write(self, out);
    }

    fn restore(bytes: &[u8]) -> Result<Queues, Damage> {
        super::snapshot::read(bytes)
    }
}

/// Notes that an owner was heard of.
fn see(queue: &mut Queue, owner: &Bytes, at: Timestamp) {
    match queue.owners.get_mut(owner) {
        Some(known) => known.seen = known.seen.max(at),
        None => {
            let known = Owner { seen: at, ..Owner::default() };
            queue.owners.insert(owner.clone(), known);
        }
    }
}
