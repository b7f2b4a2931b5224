//! Looking at what is pending, and at who holds it.

use posthouse_types::Timestamp;

use super::Queues;
use super::command::QueueNumber;
use super::plan::idle;
use super::queue::{Entry, EntryState, Queue};
use crate::queues::types::{Pending, PendingQuery, PendingState, QueueOwner, RecordId};

impl Queues {
    /// Pending records in the order of their ids.
    pub(crate) fn pending(
        &self,
        number: QueueNumber,
        query: &PendingQuery,
        now: Timestamp,
    ) -> Vec<Pending> {
        let Some(queue) = self.queues.get(&number) else { return Vec::new() };
        let fits = |(_, entry): &(RecordId, &Entry)| idle(entry, now) >= query.min_idle;
        let entries: Box<dyn Iterator<Item = (RecordId, &Entry)>> = match &query.owner {
            Some(owner) => match queue.owners.get(owner) {
                Some(owner) => Box::new(
                    owner.holds.range(query.from..).filter_map(|id| Some((*id, queue.entry(*id)?))),
                ),
                None => Box::new(std::iter::empty()),
            },
            None => Box::new(all_from(queue, query.from)),
        };
        let until_last = |(id, _): &(RecordId, &Entry)| query.to.is_none_or(|to| *id <= to);
        let entries = entries.take_while(until_last).filter(fits).take(query.limit);
        entries.map(|(id, entry)| shown(id, entry, now)).collect()
    }

    /// The owners of a queue, by name.
    pub(crate) fn owners(&self, number: QueueNumber) -> Vec<QueueOwner> {
        let Some(queue) = self.queues.get(&number) else { return Vec::new() };
        let owner = |(name, owner): (&bytes::Bytes, &super::queue::Owner)| QueueOwner {
            owner: name.clone(),
            pending: owner.holds.len(),
            seen: owner.seen,
        };
        queue.owners.iter().map(owner).collect()
    }
}

fn all_from(queue: &Queue, from: RecordId) -> impl Iterator<Item = (RecordId, &Entry)> {
    queue.windows.range(from.partition..).flat_map(move |(partition, window)| {
        let partition = *partition;
        let first = if partition == from.partition { from.offset } else { RecordId::MIN.offset };
        let entries = window.entries.range(first..);
        entries.map(move |(offset, entry)| (RecordId { partition, offset: *offset }, entry))
    })
}

fn shown(id: RecordId, entry: &Entry, now: Timestamp) -> Pending {
    let state = match &entry.state {
        EntryState::Acquired { owner, until } => {
            PendingState::Acquired { owner: owner.clone(), until: *until }
        }
        EntryState::Available => PendingState::Available,
        EntryState::Rejected { .. } => PendingState::Rejected,
    };
    Pending { id, state, idle: idle(entry, now), delivery_count: entry.deliveries }
}
