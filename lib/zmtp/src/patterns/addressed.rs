//! Any socket that answers, with its peers told apart: the program sees who is there and says who is
//! meant, whatever the type that the peers see.
//!
//! # Invariants
//! - An address is used once, so that one kept too long reaches nobody.
//! - A peer's coming is told before its first message, its going after its last.
//!
//! # Source
//! What goes over the wire is 28/REQREP's; the addresses are as a ROUTER's, and never leave the process.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use super::fair_queue::FairQueue;
use super::pair::TAKEN;
use super::{Pattern, PipeId, Pipes, Push, Refusal, Unreceived, Unsent};
use crate::message::Message;
use crate::session::{Item, Peer};

#[derive(Debug)]
pub(super) struct Addressed {
    /// PAIR: one peer at a time.
    single: bool,
    inbound: FairQueue,
    /// Those that can be sent to.
    pipes: HashMap<Bytes, PipeId>,
    /// Kept until the pipe is read to its end.
    addresses: HashMap<PipeId, Bytes>,
    /// Addresses of peers that came and were not told of yet.
    arrived: VecDeque<Bytes>,
    address_next: u64,
}

impl Addressed {
    pub(super) fn new(single: bool) -> Addressed {
        Addressed {
            single,
            inbound: FairQueue::default(),
            pipes: HashMap::new(),
            addresses: HashMap::new(),
            arrived: VecDeque::new(),
            address_next: 0,
        }
    }
}

impl Pattern for Addressed {
    fn attach(&mut self, _pipe: PipeId) -> Result<(), Refusal> {
        Ok(())
    }

    fn identify(
        &mut self,
        pipe: PipeId,
        _peer: &Peer,
        _pipes: &mut dyn Pipes,
    ) -> Result<(), Refusal> {
        if self.single && !self.pipes.is_empty() {
            return Err(Refusal(TAKEN));
        }
        let address = Bytes::copy_from_slice(&self.address_next.to_be_bytes());
        self.address_next += 1;
        self.pipes.insert(address.clone(), pipe);
        self.addresses.insert(pipe, address.clone());
        self.arrived.push_back(address);
        Ok(())
    }

    /// The last word is no frame at all, before which `recv` puts the address.
    fn detach(&mut self, pipe: PipeId) -> Vec<Message> {
        let known = self.addresses.get(&pipe).and_then(|address| self.pipes.remove(address));
        known.map(|_| Message::new()).into_iter().collect()
    }

    fn forget(&mut self, pipe: PipeId) {
        self.addresses.remove(&pipe);
    }

    fn readable(&mut self, pipe: PipeId) {
        self.inbound.add(pipe);
    }

    fn send(&mut self, mut message: Message, pipes: &mut dyn Pipes) -> Result<(), Unsent> {
        if message.frame_count() < 2 {
            return Err(Unsent::NotNow("an addressed socket needs an address and a message"));
        }
        let address = message.pop_front().unwrap_or_default();
        let back = |item, unsent: fn(Message) -> Unsent| {
            let Item::Message(mut message) = item else { unreachable!("a message was put in") };
            message.push_front(address.clone());
            Err(unsent(message))
        };
        let Some(&pipe) = self.pipes.get(&address) else {
            return back(Item::Message(message), Unsent::Unroutable);
        };
        match pipes.push(pipe, Item::Message(message)) {
            Push::Done => Ok(()),
            Push::Full(item) => back(item, Unsent::Full),
            Push::Gone(item) => back(item, Unsent::Unroutable),
        }
    }

    fn recv(&mut self, pipes: &mut dyn Pipes) -> Result<Message, Unreceived> {
        if let Some(address) = self.arrived.pop_front() {
            return Ok(Message::single(address));
        }
        while let Some((pipe, mut message)) = self.inbound.pop(pipes) {
            let Some(address) = self.addresses.get(&pipe) else {
                pipes.dropped(1);
                continue;
            };
            message.push_front(address.clone());
            return Ok(message);
        }
        Err(Unreceived::Empty)
    }
}
