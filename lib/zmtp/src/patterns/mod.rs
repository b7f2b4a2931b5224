//! What the socket types do with messages: pure state machines over numbered pipes.
//!
//! A pattern decides which pipe a message goes to or is taken from. It holds no queue of messages, no
//! lock and no task; the pipes themselves are behind [`Pipes`], so that tests can put anything there.
//!
//! # Source
//! 28/REQREP, 29/PUBSUB, 30/PIPELINE, 31/EXPAIR.

mod addressed;
mod dealer;
mod fair_queue;
mod load_balance;
mod pair;
mod pipeline;
mod publish;
mod reply;
mod request;
mod router;
mod subscribe;
mod subscriptions;

use bytes::Bytes;

use crate::message::Message;
use crate::options::Options;
use crate::session::{Item, Peer};
use crate::socket_type::SocketType;

/// A pipe's number. A number is used once, so that one kept too long finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PipeId {
    pub(crate) index: usize,
    pub(crate) generation: u32,
}

/// What became of something pushed into a pipe.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Push {
    Done,
    /// The high-water mark is reached; the pattern is told when it no longer is.
    Full(Item),
    /// There is no such pipe any more.
    Gone(Item),
}

/// The pipes of a socket.
pub(crate) trait Pipes {
    /// Adds something to send.
    fn push(&mut self, pipe: PipeId, item: Item) -> Push;
    /// Adds a subscription, which no high-water mark holds back: there are as many as the program has.
    fn force(&mut self, pipe: PipeId, item: Item);
    /// Takes a message that has arrived. After `None`, the pattern is told when there is one.
    fn pop(&mut self, pipe: PipeId) -> Option<Message>;
    /// Counts a message that was dropped, as the pattern demands.
    fn dropped(&mut self, count: u64);
}

/// A message was not sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// Nowhere to go now.
    Full(Message),
    /// The named peer is not connected.
    Unroutable(Message),
    /// Not in this state, or not at all.
    NotNow(&'static str),
}

/// No message was received.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unreceived {
    Empty,
    /// Not in this state, or not at all.
    NotNow(&'static str),
}

/// Why a pipe is not taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal(pub(crate) &'static str);

/// What a socket type does.
pub(crate) trait Pattern: Send {
    /// There is a new pipe. It may not have a peer yet.
    ///
    /// # Errors
    /// There is no room for it; nothing has changed.
    fn attach(&mut self, pipe: PipeId) -> Result<(), Refusal>;

    /// The pipe's peer has introduced itself, for the first time or again.
    fn identify(
        &mut self,
        _pipe: PipeId,
        _peer: &Peer,
        _pipes: &mut dyn Pipes,
    ) -> Result<(), Refusal> {
        Ok(())
    }

    /// Nothing can be sent on the pipe any more; what has arrived on it can still be taken. Gives back
    /// what the program is to receive as the pipe's last words.
    fn detach(&mut self, pipe: PipeId) -> Vec<Message>;

    /// The pipe is gone for good, read to its end.
    fn forget(&mut self, _pipe: PipeId) {}

    /// The pipe has messages again.
    fn readable(&mut self, _pipe: PipeId) {}

    /// The pipe has room again.
    fn writable(&mut self, _pipe: PipeId) {}

    /// The peer wants messages that begin with `prefix`, or no longer does. Gives back what the
    /// program is to receive.
    fn subscription(&mut self, _pipe: PipeId, _wanted: bool, _prefix: &Bytes) -> Option<Message> {
        None
    }

    /// Whether the program receives what arrives. Otherwise it is thrown away on arrival, because
    /// nobody would ever take it out of the pipe.
    fn receives(&self) -> bool {
        true
    }

    /// Sends a message.
    fn send(&mut self, message: Message, pipes: &mut dyn Pipes) -> Result<(), Unsent>;

    /// Receives a message.
    fn recv(&mut self, pipes: &mut dyn Pipes) -> Result<Message, Unreceived>;

    /// Subscribes to a prefix, or takes one subscription back.
    fn subscribe(
        &mut self,
        _wanted: bool,
        _prefix: &Bytes,
        _pipes: &mut dyn Pipes,
    ) -> Result<(), &'static str> {
        Err("only a SUB socket subscribes; an XSUB socket sends its subscriptions as messages")
    }
}

/// The pattern of a socket type.
pub(crate) fn pattern(kind: SocketType, options: &Options) -> Box<dyn Pattern> {
    if options.addressed {
        return Box::new(addressed::Addressed::new(kind == SocketType::Pair));
    }
    match kind {
        SocketType::Pair => Box::new(pair::Pair::default()),
        SocketType::Push => Box::new(pipeline::Push::default()),
        SocketType::Pull => Box::new(pipeline::Pull::default()),
        SocketType::Pub => Box::new(publish::Publish::silent()),
        SocketType::Xpub => Box::new(publish::Publish::telling(options.xpub_verbose)),
        SocketType::Sub => Box::new(subscribe::Subscribe::by_call()),
        SocketType::Xsub => Box::new(subscribe::Subscribe::by_message()),
        SocketType::Dealer => Box::new(dealer::Dealer::default()),
        SocketType::Router => Box::new(router::Router::new(options.router_mandatory)),
        SocketType::Req => {
            Box::new(request::Request::new(options.req_relaxed, options.req_correlate))
        }
        SocketType::Rep => Box::new(reply::Reply::default()),
    }
}

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
