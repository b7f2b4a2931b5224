//! Decisions: what a call comes to, given the state and the time. Nothing is changed here.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use bytes::Bytes;
use posthouse_types::{Offset, PartitionIndex, Timestamp};

use super::apply::Queues;
use super::command::{QueueNumber, QueuesCommand, Taken};
use super::queue::{Entry, EntryState, Queue};
use crate::queues::limits::{ENTRIES_MAX, OWNERS_MAX};
use crate::queues::types::{DeliveryCount, Held, Outcome, RecordId, Transfer};

/// What a partition has to give, to be looked up in its log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offer {
    /// Records that came back.
    pub(crate) again: Vec<Offset>,
    /// Where records never delivered begin.
    pub(crate) next: Offset,
    /// Records above it that are pending all the same: a position that was set back, or a transfer
    /// that was forced.
    pub(crate) taken: BTreeSet<Offset>,
    /// How many records never delivered fit into the window.
    pub(crate) room: usize,
}

/// Who is given records, and how.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) number: QueueNumber,
    pub(crate) partition: PartitionIndex,
    pub(crate) owner: Bytes,
    pub(crate) at: Timestamp,
    pub(crate) until: Option<Timestamp>,
    pub(crate) settled: bool,
}

/// Records found in the log, after an [`Offer`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    pub(crate) again: Vec<Offset>,
    pub(crate) fresh: Vec<Offset>,
    /// Where the offer said that the search should begin, and where it ended.
    pub(crate) from: Offset,
    pub(crate) next: Offset,
}

impl Queues {
    /// What a partition has for whoever asks now.
    pub(crate) fn offer(
        &self,
        number: QueueNumber,
        partition: PartitionIndex,
        max: usize,
    ) -> Option<Offer> {
        let queue = self.queues.get(&number)?;
        let left = ENTRIES_MAX.saturating_sub(self.index.entries);
        let size = usize::try_from(queue.config.window_max).unwrap_or(usize::MAX);
        let Some(window) = queue.windows.get(&partition) else {
            return Some(Offer { room: size.min(left), ..Offer::default() });
        };
        Some(Offer {
            again: window.available.iter().take(max).copied().collect(),
            next: window.next,
            taken: window.entries.range(window.next..).map(|(offset, _)| *offset).collect(),
            room: size.saturating_sub(window.entries.len()).min(left),
        })
    }

    /// The command that delivers what was found, as far as it still can be; with it, each record's
    /// number of deliveries. `None` when there is nothing to note.
    pub(crate) fn deliver(
        &self,
        delivery: Delivery,
        found: Found,
    ) -> Option<(QueuesCommand, Vec<(Offset, u32)>)> {
        let Delivery { number, partition, owner, at, until, settled } = delivery;
        let Offer { next: now_next, room, .. } = self.offer(number, partition, 0)?;
        let queue = self.queues.get(&number)?;
        let entry = |offset: Offset| queue.entry(RecordId { partition, offset });
        let mut records = Vec::with_capacity(found.again.len() + found.fresh.len());
        let mut again = Vec::with_capacity(found.again.len());
        for offset in found.again {
            if let Some(Entry { state: EntryState::Available, deliveries, .. }) = entry(offset) {
                again.push(offset);
                records.push((offset, deliveries.saturating_add(1)));
            }
        }
        // The position may have been set to another place while the log was read.
        let (mut fresh, mut next) = (Vec::new(), now_next);
        if found.from == now_next {
            next = found.next.max(now_next);
            for offset in found.fresh {
                if fresh.len() == room {
                    next = offset;
                    break;
                }
                // Delivered before, and still pending: a position that was set back.
                if entry(offset).is_none() {
                    fresh.push(offset);
                    records.push((offset, 1));
                }
            }
        }
        if again.is_empty() && fresh.is_empty() && next == now_next {
            return None;
        }
        let taken = Taken { number, partition, owner, at, until, again, fresh, next, settled };
        Some((QueuesCommand::Acquired(taken), records))
    }

    /// The commands that make an owner known; `None` when there are too many already.
    pub(crate) fn welcome(
        &self,
        number: QueueNumber,
        owner: &Bytes,
        at: Timestamp,
    ) -> Option<Vec<QueuesCommand>> {
        let Some(queue) = self.queues.get(&number) else { return Some(Vec::new()) };
        if queue.owners.contains_key(owner) {
            return Some(Vec::new());
        }
        let mut commands = Vec::new();
        if queue.owners.len() >= OWNERS_MAX {
            let idle = queue.owners.iter().filter(|(_, owner)| owner.holds.is_empty());
            let (idlest, _) = idle.min_by_key(|(_, owner)| owner.seen)?;
            let owner = idlest.clone();
            commands.push(QueuesCommand::OwnerRemoved { number, owner, discard: false });
        }
        commands.push(QueuesCommand::OwnerSeen { number, owner: owner.clone(), at });
        Some(commands)
    }

    /// Which of these records can be settled: any that is pending, whoever settles it.
    pub(crate) fn pending_of(
        &self,
        number: QueueNumber,
        held: &[Held],
    ) -> (Vec<Outcome>, Vec<RecordId>) {
        self.select(number, held, |held, entry| is_held(held, entry, true))
    }

    /// Which of these records are held as the caller says.
    pub(crate) fn held_of(
        &self,
        number: QueueNumber,
        held: &[Held],
    ) -> (Vec<Outcome>, Vec<RecordId>) {
        self.select(number, held, |held, entry| is_held(held, entry, false))
    }

    /// The command that hands records over.
    pub(crate) fn transfer(
        &self,
        number: QueueNumber,
        transfer: &Transfer,
        at: Timestamp,
        until: Option<Timestamp>,
    ) -> Option<QueuesCommand> {
        let queue = self.queues.get(&number)?;
        let mut entries = Vec::new();
        let mut seen = HashSet::new();
        for id in &transfer.ids {
            let before = match queue.entry(*id) {
                Some(Entry { state: EntryState::Rejected { .. }, .. }) => continue,
                Some(entry) if idle(entry, at) >= transfer.min_idle => entry.deliveries,
                None if transfer.force && self.has_room(queue, id.partition, seen.len()) => 0,
                _ => continue,
            };
            if seen.insert(*id) {
                entries.push((*id, counted(before, transfer.deliveries)));
            }
        }
        let (to, delivered_at) = (transfer.to.clone(), transfer.delivered_at.unwrap_or(at));
        let transferred =
            QueuesCommand::Transferred { number, to, at, delivered_at, until, entries };
        Some(transferred)
    }

    /// The next end of a lock.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.index.locks.first().map(|(until, _, _)| *until)
    }

    /// Gives back up to `max` records whose locks have ended.
    pub(crate) fn expired(&self, now: Timestamp, max: usize) -> Vec<QueuesCommand> {
        let ended = self.index.locks.iter().take_while(|(until, _, _)| *until <= now).take(max);
        let mut commands: Vec<QueuesCommand> = Vec::new();
        for (_, number, id) in ended {
            match commands.last_mut() {
                Some(QueuesCommand::Released { number: last, ids }) if last == number => {
                    ids.push(*id);
                }
                _ => commands.push(QueuesCommand::Released { number: *number, ids: vec![*id] }),
            }
        }
        commands
    }

    /// Whether any record is to be written to a dead-letter topic.
    pub(crate) fn has_rejected(&self) -> bool {
        !self.index.rejected.is_empty()
    }

    /// Records to be written to dead-letter topics.
    pub(crate) fn rejected(&self, max: usize) -> Vec<(QueueNumber, RecordId)> {
        self.index.rejected.iter().take(max).copied().collect()
    }

    fn has_room(&self, queue: &Queue, partition: PartitionIndex, more: usize) -> bool {
        let used = queue.windows.get(&partition).map_or(0, |window| window.entries.len());
        let size = usize::try_from(queue.config.window_max).unwrap_or(usize::MAX);
        used + more < size && self.index.entries + more < ENTRIES_MAX
    }

    fn select(
        &self,
        number: QueueNumber,
        held: &[Held],
        fits: impl Fn(&Held, &Entry) -> bool,
    ) -> (Vec<Outcome>, Vec<RecordId>) {
        let queue = self.queues.get(&number);
        let (mut outcomes, mut ids) = (Vec::with_capacity(held.len()), Vec::new());
        let mut seen = HashSet::new();
        for held in held {
            let entry = queue.and_then(|queue| queue.entry(held.id));
            if entry.is_some_and(|entry| fits(held, entry)) && seen.insert(held.id) {
                ids.push(held.id);
                outcomes.push(Outcome::Done);
            } else {
                outcomes.push(Outcome::NotHeld);
            }
        }
        (outcomes, ids)
    }
}

/// Since its last delivery; the clock may have been set back since.
pub(super) fn idle(entry: &Entry, now: Timestamp) -> Duration {
    let ms = now.as_ms().saturating_sub(entry.delivered_at.as_ms());
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

fn is_held(held: &Held, entry: &Entry, or_pending: bool) -> bool {
    let owner = match &entry.state {
        EntryState::Acquired { owner, .. } => owner,
        _ => return or_pending && held.delivery.is_none() && held.owner.is_none(),
    };
    held.delivery.is_none_or(|delivery| delivery == entry.deliveries)
        && held.owner.as_ref().is_none_or(|expected| expected == owner)
}

fn counted(before: u32, how: DeliveryCount) -> u32 {
    match how {
        DeliveryCount::Next => before.saturating_add(1),
        // A record that nobody was given has still been delivered by the transfer.
        DeliveryCount::Same => before.max(1),
        DeliveryCount::Set(count) => count,
    }
}
