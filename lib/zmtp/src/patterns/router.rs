//! ROUTER: the first frame of every message is a peer's routing id.
//!
//! # Source
//! 28/REQREP "The ROUTER Socket Type"; `mandatory` is libzmq's `ZMQ_ROUTER_MANDATORY`.

use std::collections::HashMap;

use bytes::Bytes;

use super::fair_queue::FairQueue;
use super::{Pattern, PipeId, Pipes, Push, Refusal, Unreceived, Unsent};
use crate::message::Message;
use crate::session::{Item, Peer};

#[derive(Debug)]
pub(super) struct Router {
    mandatory: bool,
    inbound: FairQueue,
    pipes: HashMap<Bytes, PipeId>,
    /// Kept until the pipe is read to its end, so that the last messages still say whose they are.
    identities: HashMap<PipeId, Bytes>,
    last_id: u32,
}

impl Router {
    pub(super) fn new(mandatory: bool) -> Router {
        Router {
            mandatory,
            inbound: FairQueue::default(),
            pipes: HashMap::new(),
            identities: HashMap::new(),
            last_id: 0,
        }
    }

    /// A routing id for a peer that has none: a zero, which no program may begin its own with.
    fn invent(&mut self) -> Bytes {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            let identity = [&[0][..], &self.last_id.to_be_bytes()].concat();
            if !self.pipes.contains_key(identity.as_slice()) {
                return identity.into();
            }
        }
    }
}

impl Pattern for Router {
    fn attach(&mut self, _pipe: PipeId) -> Result<(), Refusal> {
        Ok(())
    }

    fn identify(
        &mut self,
        pipe: PipeId,
        peer: &Peer,
        _pipes: &mut dyn Pipes,
    ) -> Result<(), Refusal> {
        let identity = if peer.identity.is_empty() { self.invent() } else { peer.identity.clone() };
        if self.pipes.contains_key(&identity) {
            return Err(Refusal("another peer has this routing id"));
        }
        self.pipes.insert(identity.clone(), pipe);
        self.identities.insert(pipe, identity);
        Ok(())
    }

    fn detach(&mut self, pipe: PipeId) -> Vec<Message> {
        if let Some(identity) = self.identities.get(&pipe) {
            self.pipes.remove(identity);
        }
        Vec::new()
    }

    fn readable(&mut self, pipe: PipeId) {
        self.inbound.add(pipe);
    }

    fn forget(&mut self, pipe: PipeId) {
        self.identities.remove(&pipe);
    }

    fn send(&mut self, mut message: Message, pipes: &mut dyn Pipes) -> Result<(), Unsent> {
        if message.frame_count() < 2 {
            return Err(Unsent::NotNow(
                "a ROUTER socket needs a routing id and a message after it",
            ));
        }
        let identity = message.pop_front().unwrap_or_default();
        let push = match self.pipes.get(&identity) {
            Some(&pipe) => pipes.push(pipe, Item::Message(message)),
            None => Push::Gone(Item::Message(message)),
        };
        match push {
            Push::Full(Item::Message(mut message)) if self.mandatory => {
                message.push_front(identity);
                Err(Unsent::Full(message))
            }
            Push::Gone(Item::Message(mut message)) if self.mandatory => {
                message.push_front(identity);
                Err(Unsent::Unroutable(message))
            }
            Push::Done => Ok(()),
            // SPEC: 28/REQREP; a message that cannot be routed is dropped silently.
            Push::Full(_) | Push::Gone(_) => {
                pipes.dropped(1);
                Ok(())
            }
        }
    }

    fn recv(&mut self, pipes: &mut dyn Pipes) -> Result<Message, Unreceived> {
        while let Some((pipe, mut message)) = self.inbound.pop(pipes) {
            let Some(identity) = self.identities.get(&pipe) else {
                pipes.dropped(1);
                continue;
            };
            message.push_front(identity.clone());
            return Ok(message);
        }
        Err(Unreceived::Empty)
    }
}
