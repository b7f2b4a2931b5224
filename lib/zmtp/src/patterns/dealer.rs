//! DEALER: sends to its peers in turn and takes from them in turn.
//!
//! # Source
//! 28/REQREP "The DEALER Socket Type".

use super::fair_queue::FairQueue;
use super::load_balance::LoadBalance;
use super::{Pattern, PipeId, Pipes, Refusal, Unreceived, Unsent};
use crate::message::Message;

#[derive(Debug, Default)]
pub(super) struct Dealer {
    outbound: LoadBalance,
    inbound: FairQueue,
}

impl Pattern for Dealer {
    fn attach(&mut self, pipe: PipeId) -> Result<(), Refusal> {
        self.outbound.add(pipe);
        Ok(())
    }

    fn detach(&mut self, pipe: PipeId) -> Vec<Message> {
        self.outbound.remove(pipe);
        Vec::new()
    }

    fn readable(&mut self, pipe: PipeId) {
        self.inbound.add(pipe);
    }

    fn writable(&mut self, pipe: PipeId) {
        self.outbound.add(pipe);
    }

    fn send(&mut self, message: Message, pipes: &mut dyn Pipes) -> Result<(), Unsent> {
        self.outbound.push(message, pipes).map(|_| ()).map_err(Unsent::Full)
    }

    fn recv(&mut self, pipes: &mut dyn Pipes) -> Result<Message, Unreceived> {
        self.inbound.pop(pipes).map(|(_, message)| message).ok_or(Unreceived::Empty)
    }
}
