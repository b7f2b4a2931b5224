//! Giving to all pipes that have room, in turn.
//!
//! # Invariants
//! - A full pipe leaves the round until it is writable again.

use super::{PipeId, Pipes, Push};
use crate::message::Message;
use crate::session::Item;

/// The pipes that may have room, in the order of their turns.
#[derive(Debug, Default)]
pub(super) struct LoadBalance {
    round: Vec<PipeId>,
    turn: usize,
}

impl LoadBalance {
    pub(super) fn add(&mut self, pipe: PipeId) {
        if !self.round.contains(&pipe) {
            self.round.push(pipe);
        }
    }

    pub(super) fn remove(&mut self, pipe: PipeId) {
        self.round.retain(|other| *other != pipe);
    }

    /// Sends to the pipe whose turn it is; gives the message back when none has room.
    pub(super) fn push(
        &mut self,
        message: Message,
        pipes: &mut dyn Pipes,
    ) -> Result<PipeId, Message> {
        let mut item = Item::Message(message);
        while !self.round.is_empty() {
            if self.turn >= self.round.len() {
                self.turn = 0;
            }
            let pipe = self.round[self.turn];
            match pipes.push(pipe, item) {
                Push::Done => {
                    self.turn += 1;
                    return Ok(pipe);
                }
                Push::Full(back) | Push::Gone(back) => {
                    item = back;
                    self.round.swap_remove(self.turn);
                }
            }
        }
        match item {
            Item::Message(message) => Err(message),
            Item::Subscribe(_) | Item::Cancel(_) => unreachable!("a message was put in"),
        }
    }
}
