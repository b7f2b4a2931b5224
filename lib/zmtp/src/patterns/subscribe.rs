//! SUB and XSUB: what was subscribed to, from all publishers in turn.
//!
//! # Invariants
//! - Every publisher is told of every prefix, whether it came before the subscription or after.
//! - The program receives nothing that it has not subscribed to, whatever a publisher sends.
//!
//! # Source
//! 29/PUBSUB.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::fair_queue::FairQueue;
use super::subscriptions::Subscriptions;
use super::{Pattern, PipeId, Pipes, Push, Refusal, Unreceived, Unsent};
use crate::message::Message;
use crate::session::{Item, Peer};

#[derive(Debug)]
pub(super) struct Subscribe {
    /// Our own subscriptions, of one subscriber: ourselves.
    wanted: Subscriptions<()>,
    /// How often each has been asked for, which is how often it has to be taken back.
    counts: HashMap<Bytes, usize>,
    publishers: HashSet<PipeId>,
    inbound: FairQueue,
    /// Whether the program subscribes by sending messages: XSUB.
    by_message: bool,
}

impl Subscribe {
    /// SUB.
    pub(super) fn by_call() -> Subscribe {
        Subscribe {
            wanted: Subscriptions::default(),
            counts: HashMap::new(),
            publishers: HashSet::new(),
            inbound: FairQueue::default(),
            by_message: false,
        }
    }

    /// XSUB.
    pub(super) fn by_message() -> Subscribe {
        Subscribe { by_message: true, ..Subscribe::by_call() }
    }

    fn change(&mut self, wanted: bool, prefix: &Bytes, pipes: &mut dyn Pipes) {
        if wanted {
            let count = self.counts.entry(prefix.clone()).or_default();
            *count += 1;
            if *count > 1 {
                return;
            }
            self.wanted.add((), prefix);
        } else {
            let Some(count) = self.counts.get_mut(prefix) else { return };
            *count -= 1;
            if *count > 0 {
                return;
            }
            self.counts.remove(prefix);
            self.wanted.remove((), prefix);
        }
        for &publisher in &self.publishers {
            let prefix = prefix.clone();
            let item = if wanted { Item::Subscribe(prefix) } else { Item::Cancel(prefix) };
            pipes.force(publisher, item);
        }
    }
}

impl Pattern for Subscribe {
    fn attach(&mut self, _pipe: PipeId) -> Result<(), Refusal> {
        Ok(())
    }

    fn identify(
        &mut self,
        pipe: PipeId,
        _peer: &Peer,
        pipes: &mut dyn Pipes,
    ) -> Result<(), Refusal> {
        for prefix in self.wanted.prefixes() {
            pipes.force(pipe, Item::Subscribe(prefix.clone()));
        }
        self.publishers.insert(pipe);
        Ok(())
    }

    fn detach(&mut self, pipe: PipeId) -> Vec<Message> {
        self.publishers.remove(&pipe);
        Vec::new()
    }

    fn readable(&mut self, pipe: PipeId) {
        self.inbound.add(pipe);
    }

    fn send(&mut self, message: Message, pipes: &mut dyn Pipes) -> Result<(), Unsent> {
        if !self.by_message {
            return Err(Unsent::NotNow("a SUB socket does not send"));
        }
        if let [frame] = message.frames()
            && let Some(&first @ (0 | 1)) = frame.first()
        {
            self.change(first == 1, &frame.slice(1..), pipes);
            return Ok(());
        }
        // Anything else is for every publisher to read, as in libzmq.
        let mut dropped = 0;
        for &publisher in &self.publishers {
            let push = pipes.push(publisher, Item::Message(message.clone()));
            dropped += u64::from(push != Push::Done);
        }
        if dropped > 0 {
            pipes.dropped(dropped);
        }
        Ok(())
    }

    fn recv(&mut self, pipes: &mut dyn Pipes) -> Result<Message, Unreceived> {
        while let Some((_, message)) = self.inbound.pop(pipes) {
            if message.first().is_some_and(|first| self.wanted.is_wanted(first)) {
                return Ok(message);
            }
        }
        Err(Unreceived::Empty)
    }

    fn subscribe(
        &mut self,
        wanted: bool,
        prefix: &Bytes,
        pipes: &mut dyn Pipes,
    ) -> Result<(), &'static str> {
        if self.by_message {
            return Err("an XSUB socket sends its subscriptions as messages");
        }
        self.change(wanted, prefix, pipes);
        Ok(())
    }
}
