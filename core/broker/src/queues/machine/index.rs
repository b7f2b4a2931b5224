//! The one way in which an entry changes, so that everything that is derived from entries follows:
//! what is available, what an owner holds, which lock ends next, what is to be dead-lettered.

use std::collections::BTreeSet;

use posthouse_types::Timestamp;

use super::QueueNumber;
use super::queue::{Entry, EntryState, Queue};
use crate::queues::types::RecordId;

/// Derived from the entries of all queues.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    /// By the end of their lock.
    pub(super) locks: BTreeSet<(Timestamp, QueueNumber, RecordId)>,
    pub(super) rejected: BTreeSet<(QueueNumber, RecordId)>,
    /// Entries, of all queues.
    pub(super) entries: usize,
}

impl Index {
    /// Puts an entry in the place of whatever is known of the record; `None` settles it.
    pub(super) fn put(
        &mut self,
        number: QueueNumber,
        queue: &mut Queue,
        id: RecordId,
        entry: Option<Entry>,
    ) {
        let window = queue.windows.entry(id.partition).or_default();
        if let Some(old) = window.entries.remove(&id.offset) {
            self.entries -= 1;
            match old.state {
                EntryState::Available => {
                    window.available.remove(&id.offset);
                }
                EntryState::Rejected { .. } => {
                    self.rejected.remove(&(number, id));
                }
                EntryState::Acquired { owner, until } => {
                    if let Some(until) = until {
                        self.locks.remove(&(until, number, id));
                    }
                    if let Some(owner) = queue.owners.get_mut(&owner) {
                        owner.holds.remove(&id);
                    }
                }
            }
        }
        let Some(entry) = entry else { return };
        self.entries += 1;
        match &entry.state {
            EntryState::Available => {
                window.available.insert(id.offset);
            }
            EntryState::Rejected { .. } => {
                self.rejected.insert((number, id));
            }
            EntryState::Acquired { owner, until } => {
                if let Some(until) = until {
                    self.locks.insert((*until, number, id));
                }
                queue.owners.entry(owner.clone()).or_default().holds.insert(id);
            }
        }
        window.entries.insert(id.offset, entry);
    }

    /// Forgets a queue's entries.
    pub(super) fn forget(&mut self, number: QueueNumber, queue: &Queue) {
        self.entries -= queue.pending();
        self.rejected.retain(|(of, _)| *of != number);
        self.locks.retain(|(_, of, _)| *of != number);
    }
}
