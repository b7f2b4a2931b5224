//! REP: a request, then its reply, in turns.
//!
//! # Source
//! 28/REQREP "The REP Socket Type".

use super::fair_queue::FairQueue;
use super::{Pattern, PipeId, Pipes, Push, Refusal, Unreceived, Unsent};
use crate::message::Message;
use crate::session::Item;

#[derive(Debug, Default)]
pub(super) struct Reply {
    inbound: FairQueue,
    /// Who asked, and the envelope that the reply goes back in.
    asked: Option<(PipeId, Message)>,
}

/// Parts a request from its envelope, which ends with an empty frame.
fn split_envelope(mut message: Message) -> Option<(Message, Message)> {
    let delimiter = message.frames().iter().position(|frame| frame.is_empty())?;
    let envelope = message.split_front(delimiter + 1);
    (!message.is_empty()).then_some((envelope, message))
}

impl Pattern for Reply {
    fn attach(&mut self, _pipe: PipeId) -> Result<(), Refusal> {
        Ok(())
    }

    fn detach(&mut self, _pipe: PipeId) -> Vec<Message> {
        Vec::new()
    }

    fn readable(&mut self, pipe: PipeId) {
        self.inbound.add(pipe);
    }

    fn send(&mut self, mut message: Message, pipes: &mut dyn Pipes) -> Result<(), Unsent> {
        let Some((pipe, envelope)) = self.asked.take() else {
            return Err(Unsent::NotNow("a REP socket has to receive a request before it sends"));
        };
        message.prepend(envelope);
        // SPEC: 28/REQREP; a reply that cannot be delivered is dropped.
        if pipes.push(pipe, Item::Message(message)) != Push::Done {
            pipes.dropped(1);
        }
        Ok(())
    }

    fn recv(&mut self, pipes: &mut dyn Pipes) -> Result<Message, Unreceived> {
        if self.asked.is_some() {
            return Err(Unreceived::NotNow(
                "a REP socket has to send the reply before it receives",
            ));
        }
        while let Some((pipe, message)) = self.inbound.pop(pipes) {
            match split_envelope(message) {
                Some((envelope, request)) => {
                    self.asked = Some((pipe, envelope));
                    return Ok(request);
                }
                None => pipes.dropped(1),
            }
        }
        Err(Unreceived::Empty)
    }
}
