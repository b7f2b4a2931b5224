//! A connection's end of a socket's pipe.
//!
//! # Invariants
//! - A link detaches its pipe when it is dropped, however its task ends.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;

use super::Core;
use crate::message::Message;
use crate::patterns::{PipeId, Refusal};
use crate::pipe::{Pipe, Pushed};
use crate::session::{Item, Peer};

/// What a connection has of its socket.
pub(crate) struct Link {
    pub(super) core: Arc<Core>,
    pub(super) pipe: PipeId,
    pub(super) outbound: Arc<Pipe<Item>>,
    pub(super) inbound: Arc<Pipe<Message>>,
    pub(super) receives: bool,
}

impl Link {
    /// The peer has come, for the first time or again.
    pub(crate) fn identify(&self, peer: &Peer) -> Result<(), Refusal> {
        self.core.identify(self.pipe, peer)
    }

    /// Takes everything there is to send; without anything, `waker` is woken when there is.
    pub(crate) fn take(&self, into: &mut VecDeque<Item>, waker: &Waker) -> bool {
        self.outbound.take(into, Some(waker))
    }

    /// How many items are sent before they are credited.
    pub(crate) fn credit_batch(&self) -> usize {
        self.outbound.credit_batch()
    }

    /// The items have been sent: there is room for others.
    pub(crate) fn credit(&self, count: usize) {
        if count > 0 && self.outbound.credit(count) {
            self.core.writable(self.pipe);
        }
    }

    /// Whether the socket sends nothing more than what has been taken.
    pub(crate) fn is_finished(&self) -> bool {
        self.outbound.is_closed() && self.outbound.is_empty()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.core.detach(self.pipe);
    }
}

/// What has arrived on a link and is on its way into the socket.
#[derive(Debug, Default)]
pub(crate) struct Inlet {
    arrived: VecDeque<Message>,
}

impl Inlet {
    pub(crate) fn len(&self) -> usize {
        self.arrived.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.arrived.is_empty()
    }

    pub(crate) fn message(&mut self, link: &Link, message: Message) {
        if link.receives {
            self.arrived.push_back(message);
        }
    }

    pub(crate) fn subscription(&mut self, link: &Link, wanted: bool, prefix: &Bytes) {
        let notice = link.core.subscription(link.pipe, wanted, prefix);
        self.arrived.extend(notice);
    }

    /// Hands on what the socket has room for; when something is left, `waker` is woken for the rest.
    pub(crate) fn flush(&mut self, link: &Link, waker: &Waker) {
        if !self.arrived.is_empty()
            && link.inbound.push_batch(&mut self.arrived, waker) == Pushed::WasIdle
        {
            link.core.readable(link.pipe);
        }
    }

    /// Hands on everything, because the connection has ended: it is bounded by one batch.
    pub(crate) fn finish(&mut self, link: &Link) {
        for message in self.arrived.drain(..) {
            if link.inbound.force(message) == Pushed::WasIdle {
                link.core.readable(link.pipe);
            }
        }
    }
}
