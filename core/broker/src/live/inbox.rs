//! A subscriber's queue: bounded, with a declared answer to being full.
//!
//! # Invariants
//! - The receiver is woken only when the queue was empty: one wake-up for a burst. Who offers says when,
//!   so that a burst can be queued first.
//! - After the end nothing is queued, and what was queued before an overflow is gone.
//! - What is queued for a subscription that has ended is not given out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};

use parking_lot::Mutex;
use posthouse_types::ByteSize;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::message::{Delivery, Event};
use super::routes::Subscription;
use super::wakes::Wakes;
use crate::metrics;

/// What happens to a message for a subscriber whose queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The new message is dropped.
    DropNewest,
    /// The oldest ones make room.
    DropOldest,
    /// The subscriber is ended; it sees [`SubscriberEnded::Overflow`].
    Disconnect,
    /// The publisher waits. Of a durable channel, which waits by itself, the subscriber reads on
    /// from where it was.
    Block,
}

/// A subscriber's bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriberConfig {
    /// Bytes queued; one message larger than that is still taken by an empty queue.
    pub bytes_max: ByteSize,
    /// Messages queued, at least 1.
    pub messages_max: usize,
    /// What happens above that.
    pub overflow: Overflow,
}

/// Why a subscriber receives nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscriberEnded {
    /// It fell behind, and is declared to be ended then.
    #[error("the subscriber fell behind its limits")]
    Overflow,
    /// It may not listen any more.
    #[error("the subscriber may not listen to one of its channels any more")]
    Denied,
    /// It was closed.
    #[error("the subscriber is closed")]
    Closed,
}

/// What became of an event that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offered {
    /// It is queued, or was dropped as declared.
    Taken,
    /// There is no room, and the subscriber is declared to be waited for.
    Full,
    /// The subscriber has ended.
    Ended,
}

/// The queue.
pub(super) struct Inbox {
    config: SubscriberConfig,
    queue: Mutex<Queue>,
    /// Tells those who wait for room, if there are any.
    room: Notify,
    awaited: AtomicBool,
}

#[derive(Default)]
struct Queue {
    entries: VecDeque<Delivery>,
    bytes: usize,
    waker: Option<Waker>,
    ended: Option<SubscriberEnded>,
    /// Who else is told of an overflow.
    overflown: Option<CancellationToken>,
}

impl Inbox {
    pub(super) fn new(config: SubscriberConfig) -> Inbox {
        let config = SubscriberConfig { messages_max: config.messages_max.max(1), ..config };
        let (queue, room) = (Mutex::default(), Notify::new());
        Inbox { config, queue, room, awaited: AtomicBool::new(false) }
    }

    /// Queues an event, or does what is declared for a full queue. The receiver is noted in `wakes`, if
    /// it has to be told.
    pub(super) fn offer(
        &self,
        subscription: &Arc<Subscription>,
        event: &Arc<Event>,
        wakes: &mut Wakes,
    ) -> Offered {
        let mut queue = self.queue.lock();
        if queue.ended.is_some() || !subscription.is_active() {
            return Offered::Ended;
        }
        while !self.has_room(&queue, event.size()) {
            match self.config.overflow {
                Overflow::Block => return Offered::Full,
                Overflow::DropNewest => {
                    metrics::live_dropped("newest");
                    return Offered::Taken;
                }
                Overflow::DropOldest => {
                    queue.pop();
                    metrics::live_dropped("oldest");
                }
                Overflow::Disconnect => {
                    metrics::live_disconnected();
                    queue.end(SubscriberEnded::Overflow);
                    return Offered::Ended;
                }
            }
        }
        let delivery =
            Delivery { subscription: Arc::clone(subscription), event: Arc::clone(event) };
        wakes.add(queue.push(delivery));
        Offered::Taken
    }

    /// Queues an event as soon as there is room, whatever is declared.
    ///
    /// # Cancellation
    /// Safe to drop; the event is then not queued.
    pub(super) async fn offer_waiting(
        &self,
        subscription: &Arc<Subscription>,
        event: &Arc<Event>,
    ) -> Offered {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            {
                let mut queue = self.queue.lock();
                if queue.ended.is_some() || !subscription.is_active() {
                    return Offered::Ended;
                }
                if self.has_room(&queue, event.size()) {
                    let subscription = Arc::clone(subscription);
                    let waker = queue.push(Delivery { subscription, event: Arc::clone(event) });
                    drop(queue);
                    waker.into_iter().for_each(Waker::wake);
                    return Offered::Taken;
                }
                self.awaited.store(true, Ordering::Release);
            }
            room.await;
        }
    }

    /// Takes up to `max` deliveries.
    pub(super) fn take(
        &self,
        waker: Option<&Waker>,
        max: usize,
        into: &mut Vec<Delivery>,
    ) -> Poll<Result<usize, SubscriberEnded>> {
        let mut queue = self.queue.lock();
        let mut taken = 0;
        while taken < max {
            let Some(delivery) = queue.pop() else { break };
            if delivery.subscription.is_active() {
                into.push(delivery);
                taken += 1;
            }
        }
        let ended = queue.ended;
        if taken == 0 && ended.is_none() {
            match (waker, &mut queue.waker) {
                (Some(new), Some(known)) if known.will_wake(new) => {}
                (Some(new), known) => *known = Some(new.clone()),
                (None, _) => {}
            }
        }
        drop(queue);
        self.tell_room();
        match (taken, ended) {
            (0, Some(ended)) => Poll::Ready(Err(ended)),
            (0, None) => Poll::Pending,
            (taken, _) => Poll::Ready(Ok(taken)),
        }
    }

    /// Has a token cancelled when it overflows.
    pub(super) fn tell_overflow(&self, token: CancellationToken) {
        let mut queue = self.queue.lock();
        if queue.ended == Some(SubscriberEnded::Overflow) {
            token.cancel();
        }
        queue.overflown = Some(token);
    }

    /// Ends it; what is queued is gone.
    pub(super) fn end(&self, why: SubscriberEnded) {
        self.queue.lock().end(why);
        self.wake_waiting();
    }

    /// Wakes those who wait for room, to look again.
    pub(super) fn wake_waiting(&self) {
        self.awaited.store(false, Ordering::Release);
        self.room.notify_waiters();
    }

    /// Messages and bytes queued.
    pub(super) fn queued(&self) -> (usize, usize) {
        let queue = self.queue.lock();
        (queue.entries.len(), queue.bytes)
    }

    fn tell_room(&self) {
        if self.awaited.load(Ordering::Acquire) {
            self.wake_waiting();
        }
    }

    fn has_room(&self, queue: &Queue, size: usize) -> bool {
        queue.entries.is_empty()
            || (queue.entries.len() < self.config.messages_max
                && queue.bytes + size <= self.config.bytes_max.as_usize())
    }
}

impl Queue {
    /// Adds a delivery; gives whom to wake.
    fn push(&mut self, delivery: Delivery) -> Option<Waker> {
        self.bytes += delivery.event.size();
        let was_empty = self.entries.is_empty();
        self.entries.push_back(delivery);
        if was_empty { self.waker.take() } else { None }
    }

    fn pop(&mut self) -> Option<Delivery> {
        let delivery = self.entries.pop_front()?;
        self.bytes -= delivery.event.size();
        Some(delivery)
    }

    fn end(&mut self, why: SubscriberEnded) {
        if self.ended.is_some() {
            return;
        }
        self.ended = Some(why);
        self.entries = VecDeque::new();
        self.bytes = 0;
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        if why != SubscriberEnded::Closed
            && let Some(token) = self.overflown.take()
        {
            token.cancel();
        }
    }
}
