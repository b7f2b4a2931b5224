//! A subscriber: any number of patterns, one queue.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use bytes::Bytes;
use parking_lot::Mutex;
use posthouse_types::{Offset, PartitionIndex, Principal, Timestamp};
use tokio_util::sync::CancellationToken;

use super::inbox::Inbox;
use super::message::Delivery;
use super::pattern::{PATTERN_BYTES_MAX, Pattern};
use super::routes::Subscription;
use super::{SubscriberConfig, SubscriberEnded};
use crate::{Broker, SubscribeError, metrics};

/// LIMIT: patterns of one subscriber.
pub const SUBSCRIPTIONS_MAX: usize = 1_000_000;

/// Where a subscription begins in the topics that it matches. A channel that is no topic has no
/// past; when it becomes one, its subscribers read it from its first record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubscribeFrom {
    /// With what is published from now on.
    Now,
    /// With the oldest record kept.
    Beginning,
    /// With the first record at or after a time.
    Timestamp(Timestamp),
    /// At an offset for each partition; those that are not named begin with the oldest record.
    Positions(Vec<(PartitionIndex, Offset)>),
}

/// Receives what is published on the channels it asks for. Dropping it unsubscribes.
///
/// One task at a time may wait for deliveries; subscribing is free for all.
pub struct Subscriber {
    broker: Weak<Broker>,
    principal: Principal,
    inbox: Arc<Inbox>,
    subscriptions: Mutex<HashMap<Pattern, Arc<Subscription>>>,
}

impl Broker {
    /// A subscriber without subscriptions.
    pub fn subscriber(&self, principal: &Principal, config: SubscriberConfig) -> Subscriber {
        metrics::live_subscribers(1.0);
        Subscriber {
            broker: self.this().clone(),
            principal: principal.clone(),
            inbox: Arc::new(Inbox::new(config)),
            subscriptions: Mutex::default(),
        }
    }
}

impl Subscriber {
    /// Begins to receive what a pattern matches; false when it did already.
    ///
    /// What matches several patterns is delivered once for each.
    ///
    /// # Errors
    /// [`SubscribeError`]; nothing has changed.
    pub async fn subscribe(
        &self,
        pattern: Pattern,
        from: SubscribeFrom,
    ) -> Result<bool, SubscribeError> {
        let broker = self.broker.upgrade().ok_or(SubscribeError::Stopped)?;
        let bytes = pattern.as_bytes();
        broker.authorize_listening(&self.principal, &pattern)?;
        if bytes.len() > PATTERN_BYTES_MAX {
            return Err(SubscribeError::PatternTooLong {
                size: bytes.len(),
                max: PATTERN_BYTES_MAX,
            });
        }
        let subscription = {
            let mut subscriptions = self.subscriptions.lock();
            if subscriptions.len() >= SUBSCRIPTIONS_MAX && !subscriptions.contains_key(&pattern) {
                return Err(SubscribeError::TooMany { max: SUBSCRIPTIONS_MAX });
            }
            match subscriptions.entry(pattern) {
                Entry::Occupied(_) => return Ok(false),
                Entry::Vacant(free) => {
                    let pattern = free.key().clone();
                    let subscription = Subscription::new(
                        self.principal.clone(),
                        pattern,
                        Arc::clone(&self.inbox),
                        from,
                    );
                    Arc::clone(free.insert(Arc::new(subscription)))
                }
            }
        };
        broker.channels().add(&subscription);
        broker.follow_matching(&subscription);
        if !subscription.is_active() {
            // It was ended meanwhile, before it could be taken out.
            broker.forget(&subscription);
        }
        Ok(true)
    }

    /// Ends a subscription: nothing of it is given out from now on. False when there was none.
    pub fn unsubscribe(&self, pattern: &Pattern) -> bool {
        let Some(subscription) = self.subscriptions.lock().remove(pattern) else { return false };
        subscription.end();
        if let Some(broker) = self.broker.upgrade() {
            broker.forget(&subscription);
        }
        self.inbox.wake_waiting();
        true
    }

    /// The patterns subscribed to, in no particular order.
    pub fn patterns(&self) -> Vec<Pattern> {
        self.subscriptions.lock().keys().cloned().collect()
    }

    /// The next delivery.
    ///
    /// # Errors
    /// [`SubscriberEnded`]; there will be no more.
    ///
    /// # Cancellation
    /// Safe to drop; nothing is lost.
    pub async fn next(&self) -> Result<Delivery, SubscriberEnded> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// The next delivery, or have the task woken when there is one.
    pub fn poll_next(&self, context: &mut Context<'_>) -> Poll<Result<Delivery, SubscriberEnded>> {
        let mut taken = Vec::new();
        let polled = self.inbox.take(Some(context.waker()), 1, &mut taken);
        polled.map_ok(|_| taken.pop().expect("one was taken"))
    }

    /// Up to `max` deliveries at once, added to `into`; gives how many. Waits for the first.
    pub fn poll_many(
        &self,
        context: &mut Context<'_>,
        max: usize,
        into: &mut Vec<Delivery>,
    ) -> Poll<Result<usize, SubscriberEnded>> {
        self.inbox.take(Some(context.waker()), max, into)
    }

    /// As [`Subscriber::poll_many`], for a task that waits for nothing else.
    ///
    /// # Errors
    /// [`SubscriberEnded`]; there will be no more.
    ///
    /// # Cancellation
    /// Safe to drop; nothing is lost.
    pub async fn next_many(
        &self,
        max: usize,
        into: &mut Vec<Delivery>,
    ) -> Result<usize, SubscriberEnded> {
        poll_fn(|context| self.poll_many(context, max, into)).await
    }

    /// The next delivery, if it is there.
    ///
    /// # Errors
    /// [`SubscriberEnded`]; there will be no more.
    pub fn try_next(&self) -> Result<Option<Delivery>, SubscriberEnded> {
        let mut taken = Vec::new();
        match self.inbox.take(None, 1, &mut taken) {
            Poll::Ready(Ok(_)) => Ok(taken.pop()),
            Poll::Ready(Err(ended)) => Err(ended),
            Poll::Pending => Ok(None),
        }
    }

    /// Has a token cancelled when it falls behind its limits, for a connection that writes what it
    /// has taken and so would not ask for more: a peer that reads nothing never lets it.
    pub fn tell_overflow(&self, token: CancellationToken) {
        self.inbox.tell_overflow(token);
    }

    /// Messages and bytes that wait to be taken.
    pub fn queued(&self) -> (usize, usize) {
        self.inbox.queued()
    }

    /// Ends it; whoever waits for a delivery is told.
    pub fn close(&self) {
        self.inbox.end(SubscriberEnded::Closed);
        let subscriptions = std::mem::take(&mut *self.subscriptions.lock());
        let broker = self.broker.upgrade();
        for subscription in subscriptions.into_values() {
            subscription.end();
            if let Some(broker) = &broker {
                broker.forget(&subscription);
            }
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.close();
        metrics::live_subscribers(-1.0);
    }
}

impl Broker {
    /// Takes out a subscription that has ended.
    fn forget(&self, subscription: &Arc<Subscription>) {
        self.channels().remove(subscription);
        self.unfollow(subscription);
    }

    /// The channels that are subscribed to by name, as far as they match a Redis glob; as one
    /// snapshot, in no particular order.
    pub async fn live_channels(&self, glob: Option<&[u8]>) -> Vec<Bytes> {
        self.channels().names(glob)
    }

    /// How many subscribers a channel has by its name.
    pub async fn live_subscriptions(&self, channel: &[u8]) -> usize {
        self.channels().subscriptions(channel)
    }

    /// How many globs are subscribed to, each counted once.
    pub async fn live_patterns(&self) -> usize {
        self.channels().globs_count()
    }
}
