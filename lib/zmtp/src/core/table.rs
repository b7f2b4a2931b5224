//! A socket's pipes by number.
//!
//! # Invariants
//! - A number names one pipe for ever: its slot's generation goes up when the pipe is gone.
//! - A detached pipe stays until it has been read to its end.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::message::Message;
use crate::patterns::{PipeId, Pipes, Push};
use crate::pipe::{Capacity, Pipe, Refused};
use crate::session::Item;

#[derive(Default)]
pub(super) struct Table {
    slots: Vec<Slot>,
    free: Vec<usize>,
    drained: Vec<PipeId>,
    dropped: u64,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    entry: Option<Entry>,
}

struct Entry {
    outbound: Arc<Pipe<Item>>,
    inbound: Arc<Pipe<Message>>,
    /// Taken from `inbound` and not yet received.
    local: VecDeque<Message>,
    /// Received and not yet credited.
    received: usize,
    detached: bool,
}

impl Table {
    pub(super) fn add(
        &mut self,
        send: Capacity,
        receive: Capacity,
    ) -> (PipeId, Arc<Pipe<Item>>, Arc<Pipe<Message>>) {
        let outbound = Arc::new(Pipe::new(send));
        let inbound = Arc::new(Pipe::new(receive));
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        });
        let slot = &mut self.slots[index];
        slot.entry = Some(Entry {
            outbound: outbound.clone(),
            inbound: inbound.clone(),
            local: VecDeque::new(),
            received: 0,
            detached: false,
        });
        (PipeId { index, generation: slot.generation }, outbound, inbound)
    }

    /// Forgets a pipe and what is in it.
    pub(super) fn remove(&mut self, pipe: PipeId) {
        if let Some(slot) = self.slots.get_mut(pipe.index)
            && slot.generation == pipe.generation
            && slot.entry.take().is_some()
        {
            slot.generation = slot.generation.wrapping_add(1);
            self.free.push(pipe.index);
        }
    }

    /// Ends a pipe in both directions; how many messages it will not deliver.
    pub(super) fn detach(&mut self, pipe: PipeId, last_words: Vec<Message>) -> u64 {
        let Some(entry) = self.entry(pipe) else { return 0 };
        entry.detached = true;
        entry.outbound.close();
        let mut lost = VecDeque::new();
        entry.outbound.take(&mut lost, None);
        last_words.into_iter().for_each(|message| {
            entry.inbound.force(message);
        });
        entry.inbound.close();
        let is_message = |item: &&Item| matches!(item, Item::Message(_));
        u64::try_from(lost.iter().filter(is_message).count()).unwrap_or(u64::MAX)
    }

    /// Closes every pipe for sending.
    pub(super) fn close(&mut self) {
        for entry in self.slots.iter().filter_map(|slot| slot.entry.as_ref()) {
            entry.outbound.close();
        }
    }

    /// The pipes that have been read to their end, and are gone.
    pub(super) fn drained(&mut self) -> Vec<PipeId> {
        if self.drained.is_empty() {
            return Vec::new();
        }
        let drained = std::mem::take(&mut self.drained);
        drained.iter().for_each(|pipe| self.remove(*pipe));
        drained
    }

    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    fn entry(&mut self, pipe: PipeId) -> Option<&mut Entry> {
        let slot = self.slots.get_mut(pipe.index)?;
        if slot.generation == pipe.generation { slot.entry.as_mut() } else { None }
    }
}

impl Pipes for Table {
    fn push(&mut self, pipe: PipeId, item: Item) -> Push {
        let Some(entry) = self.entry(pipe) else { return Push::Gone(item) };
        match entry.outbound.push(item) {
            Ok(_) => Push::Done,
            Err(Refused::Full(item)) => Push::Full(item),
            Err(Refused::Closed(item)) => Push::Gone(item),
        }
    }

    fn force(&mut self, pipe: PipeId, item: Item) {
        if let Some(entry) = self.entry(pipe) {
            entry.outbound.force(item);
        }
    }

    fn pop(&mut self, pipe: PipeId) -> Option<Message> {
        let entry = self.entry(pipe)?;
        if entry.local.is_empty() && !entry.inbound.take(&mut entry.local, None) {
            let received = std::mem::take(&mut entry.received);
            entry.inbound.credit(received);
            if entry.detached {
                self.drained.push(pipe);
            }
            return None;
        }
        entry.received += 1;
        if entry.received >= entry.inbound.credit_batch() {
            let received = std::mem::take(&mut entry.received);
            entry.inbound.credit(received);
        }
        entry.local.pop_front()
    }

    fn dropped(&mut self, count: u64) {
        self.dropped += count;
    }
}
