//! PUB and XPUB: a copy to everyone who has subscribed, and none kept for the slow.
//!
//! # Invariants
//! - Publishing never waits: for a subscriber at its high-water mark the message is dropped.
//!
//! # Source
//! 29/PUBSUB; `verbose` is libzmq's `ZMQ_XPUB_VERBOSE`.

use bytes::{BufMut, Bytes, BytesMut};

use super::fair_queue::FairQueue;
use super::subscriptions::Subscriptions;
use super::{Pattern, PipeId, Pipes, Push, Refusal, Unreceived, Unsent};
use crate::message::Message;
use crate::session::Item;

#[derive(Debug)]
pub(super) struct Publish {
    subscriptions: Subscriptions<PipeId>,
    /// Who gets the message at hand; kept for its memory.
    found: Vec<PipeId>,
    inbound: FairQueue,
    /// Whether the program is told of subscriptions: XPUB.
    tells: bool,
    /// Also of those that someone has already.
    verbose: bool,
}

impl Publish {
    /// PUB.
    pub(super) fn silent() -> Publish {
        Publish {
            subscriptions: Subscriptions::default(),
            found: Vec::new(),
            inbound: FairQueue::default(),
            tells: false,
            verbose: false,
        }
    }

    /// XPUB.
    pub(super) fn telling(verbose: bool) -> Publish {
        Publish { tells: true, verbose, ..Publish::silent() }
    }
}

/// A subscription as the program of an XPUB receives it.
fn notice(wanted: bool, prefix: &[u8]) -> Message {
    let mut frame = BytesMut::with_capacity(1 + prefix.len());
    frame.put_u8(u8::from(wanted));
    frame.put_slice(prefix);
    Message::single(frame.freeze())
}

impl Pattern for Publish {
    fn attach(&mut self, _pipe: PipeId) -> Result<(), Refusal> {
        Ok(())
    }

    fn detach(&mut self, pipe: PipeId) -> Vec<Message> {
        let unwanted = self.subscriptions.remove_all(pipe);
        if !self.tells {
            return Vec::new();
        }
        unwanted.iter().map(|prefix| notice(false, prefix)).collect()
    }

    fn readable(&mut self, pipe: PipeId) {
        self.inbound.add(pipe);
    }

    fn receives(&self) -> bool {
        self.tells
    }

    fn subscription(&mut self, pipe: PipeId, wanted: bool, prefix: &Bytes) -> Option<Message> {
        let is_news = if wanted {
            self.subscriptions.add(pipe, prefix) || self.verbose
        } else {
            self.subscriptions.remove(pipe, prefix)
        };
        (self.tells && is_news).then(|| notice(wanted, prefix))
    }

    fn send(&mut self, message: Message, pipes: &mut dyn Pipes) -> Result<(), Unsent> {
        let mut found = std::mem::take(&mut self.found);
        let first = message.first().map(|frame| frame.as_ref()).unwrap_or_default();
        self.subscriptions.matching(first, &mut found);
        let mut dropped = 0;
        if let Some((&last, others)) = found.split_last() {
            for &pipe in others {
                let push = pipes.push(pipe, Item::Message(message.clone()));
                dropped += u64::from(push != Push::Done);
            }
            let push = pipes.push(last, Item::Message(message));
            dropped += u64::from(push != Push::Done);
        }
        if dropped > 0 {
            pipes.dropped(dropped);
        }
        found.clear();
        self.found = found;
        Ok(())
    }

    fn recv(&mut self, pipes: &mut dyn Pipes) -> Result<Message, Unreceived> {
        if !self.tells {
            return Err(Unreceived::NotNow("a PUB socket does not receive"));
        }
        self.inbound.pop(pipes).map(|(_, message)| message).ok_or(Unreceived::Empty)
    }
}
