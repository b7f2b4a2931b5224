//! REQ: a request, then its reply, in turns.
//!
//! # Invariants
//! - What the program receives is the reply to its last request, and from the peer that got it.
//!
//! # Source
//! 28/REQREP "The REQ Socket Type"; `relaxed` and `correlate` are libzmq's `ZMQ_REQ_RELAXED` and
//! `ZMQ_REQ_CORRELATE`.

use bytes::Bytes;

use super::fair_queue::FairQueue;
use super::load_balance::LoadBalance;
use super::{Pattern, PipeId, Pipes, Refusal, Unreceived, Unsent};
use crate::message::Message;

#[derive(Debug)]
pub(super) struct Request {
    outbound: LoadBalance,
    inbound: FairQueue,
    relaxed: bool,
    correlate: bool,
    waits: Option<Waiting>,
    last_id: u32,
}

/// A request on its way.
#[derive(Debug)]
struct Waiting {
    pipe: PipeId,
    id: Option<Bytes>,
}

impl Request {
    pub(super) fn new(relaxed: bool, correlate: bool) -> Request {
        Request {
            outbound: LoadBalance::default(),
            inbound: FairQueue::default(),
            relaxed,
            correlate,
            waits: None,
            last_id: 0,
        }
    }

    /// The reply without its envelope, if it answers what we wait for.
    fn reply(waits: &Waiting, pipe: PipeId, mut message: Message) -> Option<Message> {
        if pipe != waits.pipe {
            return None;
        }
        if let Some(id) = &waits.id
            && message.pop_front().as_ref() != Some(id)
        {
            return None;
        }
        let delimiter = message.pop_front()?;
        (delimiter.is_empty() && !message.is_empty()).then_some(message)
    }
}

impl Pattern for Request {
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

    fn send(&mut self, mut message: Message, pipes: &mut dyn Pipes) -> Result<(), Unsent> {
        if self.waits.is_some() && !self.relaxed {
            return Err(Unsent::NotNow(
                "a REQ socket has to receive the reply before it sends again",
            ));
        }
        message.push_front(Bytes::new());
        let mut id = None;
        if self.correlate {
            self.last_id = self.last_id.wrapping_add(1);
            let bytes = Bytes::copy_from_slice(&self.last_id.to_be_bytes());
            message.push_front(bytes.clone());
            id = Some(bytes);
        }
        let envelope = 1 + usize::from(id.is_some());
        match self.outbound.push(message, pipes) {
            Ok(pipe) => {
                self.waits = Some(Waiting { pipe, id });
                Ok(())
            }
            Err(mut message) => {
                message.split_front(envelope);
                Err(Unsent::Full(message))
            }
        }
    }

    fn recv(&mut self, pipes: &mut dyn Pipes) -> Result<Message, Unreceived> {
        let Some(waits) = &self.waits else {
            return Err(Unreceived::NotNow(
                "a REQ socket has to send a request before it receives",
            ));
        };
        while let Some((pipe, message)) = self.inbound.pop(pipes) {
            match Request::reply(waits, pipe, message) {
                Some(reply) => {
                    self.waits = None;
                    return Ok(reply);
                }
                None => pipes.dropped(1),
            }
        }
        Err(Unreceived::Empty)
    }
}
