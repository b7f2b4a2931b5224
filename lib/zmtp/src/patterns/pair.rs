//! PAIR: exactly one peer.
//!
//! # Source
//! 31/EXPAIR, which leaves open what a second peer is told. Here it is told why it is refused.

use super::fair_queue::FairQueue;
use super::{Pattern, PipeId, Pipes, Push, Refusal, Unreceived, Unsent};
use crate::message::Message;
use crate::session::Item;

/// What a peer is told that comes while another is there.
pub(crate) const TAKEN: &str = "this PAIR socket already has a peer";

#[derive(Debug, Default)]
pub(super) struct Pair {
    peer: Option<PipeId>,
    /// The peer, and those before it that left something to read.
    inbound: FairQueue,
}

impl Pattern for Pair {
    fn attach(&mut self, pipe: PipeId) -> Result<(), Refusal> {
        if self.peer.is_some() {
            return Err(Refusal(TAKEN));
        }
        self.peer = Some(pipe);
        Ok(())
    }

    fn detach(&mut self, pipe: PipeId) -> Vec<Message> {
        if self.peer == Some(pipe) {
            self.peer = None;
        }
        Vec::new()
    }

    fn readable(&mut self, pipe: PipeId) {
        self.inbound.add(pipe);
    }

    fn send(&mut self, message: Message, pipes: &mut dyn Pipes) -> Result<(), Unsent> {
        let Some(peer) = self.peer else { return Err(Unsent::Full(message)) };
        match pipes.push(peer, Item::Message(message)) {
            Push::Full(Item::Message(message)) | Push::Gone(Item::Message(message)) => {
                Err(Unsent::Full(message))
            }
            _ => Ok(()),
        }
    }

    fn recv(&mut self, pipes: &mut dyn Pipes) -> Result<Message, Unreceived> {
        self.inbound.pop(pipes).map(|(_, message)| message).ok_or(Unreceived::Empty)
    }
}
