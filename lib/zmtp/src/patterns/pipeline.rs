//! PUSH and PULL: work handed out in turn, and taken in turn.
//!
//! # Source
//! 30/PIPELINE.

use super::fair_queue::FairQueue;
use super::load_balance::LoadBalance;
use super::{Pattern, PipeId, Pipes, Refusal, Unreceived, Unsent};
use crate::message::Message;

/// PUSH.
#[derive(Debug, Default)]
pub(super) struct Push {
    outbound: LoadBalance,
}

impl Pattern for Push {
    fn attach(&mut self, pipe: PipeId) -> Result<(), Refusal> {
        self.outbound.add(pipe);
        Ok(())
    }

    fn detach(&mut self, pipe: PipeId) -> Vec<Message> {
        self.outbound.remove(pipe);
        Vec::new()
    }

    fn writable(&mut self, pipe: PipeId) {
        self.outbound.add(pipe);
    }

    fn receives(&self) -> bool {
        false
    }

    fn send(&mut self, message: Message, pipes: &mut dyn Pipes) -> Result<(), Unsent> {
        self.outbound.push(message, pipes).map(|_| ()).map_err(Unsent::Full)
    }

    fn recv(&mut self, _pipes: &mut dyn Pipes) -> Result<Message, Unreceived> {
        Err(Unreceived::NotNow("a PUSH socket does not receive"))
    }
}

/// PULL.
#[derive(Debug, Default)]
pub(super) struct Pull {
    inbound: FairQueue,
}

impl Pattern for Pull {
    fn attach(&mut self, _pipe: PipeId) -> Result<(), Refusal> {
        Ok(())
    }

    fn detach(&mut self, _pipe: PipeId) -> Vec<Message> {
        Vec::new()
    }

    fn readable(&mut self, pipe: PipeId) {
        self.inbound.add(pipe);
    }

    fn send(&mut self, _message: Message, _pipes: &mut dyn Pipes) -> Result<(), Unsent> {
        Err(Unsent::NotNow("a PULL socket does not send"))
    }

    fn recv(&mut self, pipes: &mut dyn Pipes) -> Result<Message, Unreceived> {
        self.inbound.pop(pipes).map(|(_, message)| message).ok_or(Unreceived::Empty)
    }
}
