//! Taking from all pipes in turn, so that none starves the others.
//!
//! # Invariants
//! - A pipe is in the round exactly while it may have something; an empty one leaves it.

use super::{PipeId, Pipes};
use crate::message::Message;

/// The pipes that may have messages, in the order of their turns.
#[derive(Debug, Default)]
pub(super) struct FairQueue {
    round: Vec<PipeId>,
    turn: usize,
}

impl FairQueue {
    pub(super) fn add(&mut self, pipe: PipeId) {
        if !self.round.contains(&pipe) {
            self.round.push(pipe);
        }
    }

    /// The next message, and the pipe that it came by.
    pub(super) fn pop(&mut self, pipes: &mut dyn Pipes) -> Option<(PipeId, Message)> {
        while !self.round.is_empty() {
            if self.turn >= self.round.len() {
                self.turn = 0;
            }
            let pipe = self.round[self.turn];
            match pipes.pop(pipe) {
                Some(message) => {
                    self.turn += 1;
                    return Some((pipe, message));
                }
                None => {
                    self.round.swap_remove(self.turn);
                }
            }
        }
        None
    }
}
