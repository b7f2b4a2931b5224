//! Pairs: a name that joins exactly two peers.
//!
//! # Invariants
//! - A name has two seats; whoever comes third is refused, and the seat of one who left is free.
//! - A peer sees the other come, then its messages in order, then the other leave.
//! - What waits for a peer is bounded; the other one waits.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use parking_lot::Mutex;
use posthouse_types::Principal;
use tokio::sync::Notify;

use super::LiveMessage;
use crate::{Broker, Operation, PairError, PairSendError, Resource, metrics};

/// LIMIT: messages that wait for one peer.
const MESSAGES_MAX: usize = 1000;
/// LIMIT: bytes that wait for one peer; one message larger than that is still taken.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// All pairs of this node.
#[derive(Default)]
pub(crate) struct Pairs(Mutex<HashMap<Bytes, Arc<Room>>>);

/// The two seats of one name.
#[derive(Default)]
struct Room {
    seats: Mutex<[Option<Seat>; 2]>,
    /// Tells those who wait for room, or for the other to come or to go.
    changed: Notify,
}

#[derive(Default)]
struct Seat {
    events: VecDeque<PairEvent>,
    messages: usize,
    bytes: usize,
    waker: Option<Waker>,
}

/// What a peer sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PairEvent {
    /// The other one came.
    Joined,
    /// It sent a message.
    Message(LiveMessage),
    /// It left; another one may come.
    Left,
}

/// One of two peers. Dropping it leaves.
pub struct Peer {
    broker: Weak<Broker>,
    name: Bytes,
    room: Arc<Room>,
    place: usize,
}

impl Broker {
    /// Takes one of the two seats of a name.
    ///
    /// # Errors
    /// [`PairError::Taken`] when both are taken.
    pub fn pair(&self, principal: &Principal, name: Bytes) -> Result<Peer, PairError> {
        self.authorize(principal, Operation::Write, Resource::Pair(&name))?;
        let mut rooms = self.pairs().0.lock();
        let room = Arc::clone(rooms.entry(name.clone()).or_default());
        let mut seats = room.seats.lock();
        let Some(place) = seats.iter().position(Option::is_none) else {
            metrics::pair_refused();
            return Err(PairError::Taken { name: String::from_utf8_lossy(&name).into_owned() });
        };
        let mut seat = Seat::default();
        if let Some(other) = &mut seats[1 - place] {
            other.push(PairEvent::Joined);
            seat.push(PairEvent::Joined);
        }
        seats[place] = Some(seat);
        drop(seats);
        room.changed.notify_waiters();
        Ok(Peer { broker: self.this().clone(), name, room, place })
    }
}

impl Peer {
    /// Sends to the other one; waits while it is not there, and while too much waits for it.
    ///
    /// # Cancellation
    /// Safe to drop; the message is then not sent.
    pub async fn send(&self, message: LiveMessage) {
        let mut message = message;
        loop {
            let changed = self.room.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.try_send(message) {
                Ok(()) => return,
                Err(PairSendError::Alone(back) | PairSendError::Full(back)) => message = *back,
            }
            changed.await;
        }
    }

    /// Sends to the other one now.
    ///
    /// # Errors
    /// [`PairSendError`], which gives the message back.
    pub fn try_send(&self, message: LiveMessage) -> Result<(), PairSendError> {
        let mut seats = self.room.seats.lock();
        let Some(other) = &mut seats[1 - self.place] else {
            return Err(PairSendError::Alone(Box::new(message)));
        };
        let is_full = other.messages >= MESSAGES_MAX || other.bytes + message.size() > BYTES_MAX;
        if is_full && other.messages > 0 {
            return Err(PairSendError::Full(Box::new(message)));
        }
        other.push(PairEvent::Message(message));
        Ok(())
    }

    /// What happens next.
    ///
    /// # Cancellation
    /// Safe to drop; nothing is lost.
    pub async fn next(&self) -> PairEvent {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// What happens next, or have the task woken when something does.
    pub fn poll_next(&self, context: &mut Context<'_>) -> Poll<PairEvent> {
        let mut seats = self.room.seats.lock();
        let Some(seat) = &mut seats[self.place] else { return Poll::Pending };
        match seat.pop() {
            Some(event) => {
                drop(seats);
                if matches!(event, PairEvent::Message(_)) {
                    self.room.changed.notify_waiters();
                }
                Poll::Ready(event)
            }
            None => {
                seat.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let broker = self.broker.upgrade();
        // The rooms first, as in `pair`, so that a room is not forgotten while someone enters.
        let mut rooms = broker.as_ref().map(|broker| broker.pairs().0.lock());
        let mut seats = self.room.seats.lock();
        seats[self.place] = None;
        match (&mut seats[1 - self.place], &mut rooms) {
            (Some(other), _) => other.push(PairEvent::Left),
            (None, Some(rooms)) => {
                rooms.remove(&self.name);
            }
            (None, None) => {}
        }
        drop(seats);
        self.room.changed.notify_waiters();
    }
}

impl Seat {
    fn push(&mut self, event: PairEvent) {
        match &event {
            PairEvent::Message(message) => {
                self.messages += 1;
                self.bytes += message.size();
            }
            // One who came and went unseen leaves no trace, so that this is bounded too.
            PairEvent::Left if self.events.back() == Some(&PairEvent::Joined) => {
                self.events.pop_back();
                return;
            }
            PairEvent::Joined | PairEvent::Left => {}
        }
        self.events.push_back(event);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn pop(&mut self) -> Option<PairEvent> {
        let event = self.events.pop_front()?;
        if let PairEvent::Message(message) = &event {
            self.messages -= 1;
            self.bytes -= message.size();
        }
        Some(event)
    }
}
