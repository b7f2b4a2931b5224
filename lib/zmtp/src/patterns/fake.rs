//! Pipes for tests: queues of a fixed size that anyone may look into.

use std::collections::{BTreeMap, VecDeque};

use super::{PipeId, Pipes, Push};
use crate::message::Message;
use crate::session::Item;

#[derive(Default)]
pub(super) struct Fake {
    pub(super) capacity: usize,
    pub(super) sent: BTreeMap<PipeId, Vec<Item>>,
    pub(super) arrived: BTreeMap<PipeId, VecDeque<Message>>,
    pub(super) dropped: u64,
}

impl Fake {
    pub(super) fn new(capacity: usize) -> Fake {
        Fake { capacity, ..Fake::default() }
    }

    pub(super) fn open(&mut self, index: usize) -> PipeId {
        let pipe = PipeId { index, generation: 0 };
        self.sent.insert(pipe, Vec::new());
        pipe
    }

    pub(super) fn arrives(&mut self, pipe: PipeId, message: impl Into<Message>) {
        self.arrived.entry(pipe).or_default().push_back(message.into());
    }

    pub(super) fn take_sent(&mut self, pipe: PipeId) -> Vec<Item> {
        std::mem::take(self.sent.get_mut(&pipe).expect("an open pipe"))
    }
}

impl Pipes for Fake {
    fn push(&mut self, pipe: PipeId, item: Item) -> Push {
        let Some(sent) = self.sent.get_mut(&pipe) else { return Push::Gone(item) };
        if sent.len() >= self.capacity {
            return Push::Full(item);
        }
        sent.push(item);
        Push::Done
    }

    fn force(&mut self, pipe: PipeId, item: Item) {
        if let Some(sent) = self.sent.get_mut(&pipe) {
            sent.push(item);
        }
    }

    fn pop(&mut self, pipe: PipeId) -> Option<Message> {
        self.arrived.get_mut(&pipe)?.pop_front()
    }

    fn dropped(&mut self, count: u64) {
        self.dropped += count;
    }
}
