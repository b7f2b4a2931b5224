//! The feed of one partition: reads it once, at its durable end, for all who follow it there.
//!
//! A follower is a cursor. While it is where the feed is, the feed hands it each record as it
//! becomes durable; while it is behind, it reads by itself ([`super::catch_up`]) at its own pace, and
//! joins when it has arrived.
//!
//! # Invariants
//! - A follower receives every record from its cursor on once, in offset order, whichever of the
//!   two reads for it: it joins and leaves under one lock with the feed's position.
//! - Nothing at or above the last stable offset is delivered, and control batches are not records.
//! - A feed without followers does not read.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;
use posthouse_log::{Log, ReadError, ReadLimit};
use posthouse_types::{Offset, PartitionIndex, TopicId};
use tokio_util::sync::CancellationToken;

use super::catch_up;
use super::inbox::Offered;
use super::message::{Event, EventPosition};
use super::records::{RecordsError, load};
use super::routes::Subscription;
use super::wakes::Wakes;
use crate::metrics;
use crate::tasks::Tasks;

/// LIMIT: stored bytes read at a time for all followers.
const READ_BYTES: usize = 512 * 1024;

/// One partition, as those who listen live see it.
pub(super) struct Feed {
    this: Weak<Feed>,
    channel: Bytes,
    topic: TopicId,
    partition: PartitionIndex,
    log: Arc<dyn Log>,
    /// Ends with the topic, or with the node.
    life: CancellationToken,
    tasks: Tasks,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: Offset,
    running: bool,
    /// By the subscription's address, which is its own for as long as it is held here.
    followers: HashMap<usize, Cursor>,
}

/// A follower's place.
#[derive(Clone)]
pub(super) struct Cursor {
    pub(super) subscription: Arc<Subscription>,
    /// The next offset that it is to receive.
    pub(super) next: Offset,
}

impl Cursor {
    fn key(subscription: &Arc<Subscription>) -> usize {
        Arc::as_ptr(subscription).addr()
    }
}

impl Feed {
    pub(super) fn new(
        channel: Bytes,
        topic: TopicId,
        partition: PartitionIndex,
        log: Arc<dyn Log>,
        life: CancellationToken,
        tasks: Tasks,
    ) -> Arc<Feed> {
        Arc::new_cyclic(|this| Feed {
            this: Weak::clone(this),
            channel,
            topic,
            partition,
            log,
            life,
            tasks,
            state: Mutex::default(),
        })
    }

    pub(super) fn log(&self) -> &Arc<dyn Log> {
        &self.log
    }

    /// Ends with the topic, or with the node.
    pub(super) fn life(&self) -> &CancellationToken {
        &self.life
    }

    /// Delivers to a subscription from `next` on, until it ends.
    pub(super) fn follow(&self, subscription: &Arc<Subscription>, next: Offset) {
        let cursor = Cursor { subscription: Arc::clone(subscription), next };
        if let Some(behind) = self.join(cursor) {
            self.catch_up(behind);
        }
    }

    /// Takes out a follower that has ended.
    pub(super) fn leave(&self, subscription: &Arc<Subscription>) {
        self.state.lock().followers.remove(&Cursor::key(subscription));
    }

    /// Takes a follower that is not behind; gives back one that is.
    pub(super) fn join(&self, cursor: Cursor) -> Option<Cursor> {
        let mut state = self.state.lock();
        if !state.running {
            // Nobody relies on the feed's position, so it begins where there is nothing to read.
            state.next = state.next.max(self.log.ends().last_stable);
        }
        if cursor.next < state.next {
            return Some(cursor);
        }
        if !cursor.subscription.is_active() {
            return None;
        }
        state.followers.insert(Cursor::key(&cursor.subscription), cursor);
        if !state.running
            && let Some(this) = self.this.upgrade()
        {
            state.running = true;
            let life = self.life.clone();
            self.tasks.spawn(life.run_until_cancelled_owned(async move { this.run().await }));
        }
        None
    }

    /// The event of a record.
    pub(super) fn event(&self, record: posthouse_record::Record) -> Arc<Event> {
        let at =
            EventPosition { topic: self.topic, partition: self.partition, offset: record.offset };
        Arc::new(Event::new(self.channel.clone(), record.into(), Some(at)))
    }

    fn catch_up(&self, cursor: Cursor) {
        let Some(this) = self.this.upgrade() else { return };
        let life = self.life.clone();
        self.tasks.spawn(life.run_until_cancelled_owned(catch_up::run(this, cursor)));
    }

    /// Reads and delivers for as long as there are followers.
    async fn run(self: Arc<Feed>) {
        let mut moves = self.log.watch();
        loop {
            moves.mark_unchanged();
            let next = {
                let mut state = self.state.lock();
                if state.followers.is_empty() {
                    state.running = false;
                    return;
                }
                state.next
            };
            let until = self.log.ends().last_stable;
            if next >= until {
                if moves.changed().await.is_err() {
                    return self.stop();
                }
                continue;
            }
            match self.read(next, until).await {
                Ok(()) => tokio::task::yield_now().await,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(
                        topic = %self.topic, partition = %self.partition, error,
                        "live subscribers of a topic are not served"
                    );
                    return self.stop();
                }
            }
        }
    }

    /// The log is gone or cannot be read: its followers stay subscribed to the channel.
    fn stop(&self) {
        let mut state = self.state.lock();
        state.running = false;
        state.followers.clear();
    }

    async fn read(&self, next: Offset, until: Offset) -> Result<(), RecordsError> {
        let chunks = match self.log.read(next, ReadLimit { bytes: READ_BYTES, until }).await {
            Ok(chunks) => chunks,
            Err(ReadError::OutOfRange { log_start, .. }) if next < log_start => {
                metrics::live_skipped(log_start.since(next));
                self.state.lock().next = log_start;
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let (records, after) = load(chunks, next, until).await?;
        let events: Vec<_> = records.into_iter().map(|record| self.event(record)).collect();
        self.deliver(&events, after);
        Ok(())
    }

    /// Hands out events, and moves on; who cannot take one reads on by itself.
    fn deliver(&self, events: &[Arc<Event>], after: Offset) {
        let (mut behind, mut wakes) = (Vec::new(), Wakes::default());
        {
            let mut state = self.state.lock();
            state.followers.retain(|_, cursor| {
                match deliver_to(cursor, events, after, &mut wakes) {
                    Follows::On => true,
                    Follows::Behind => {
                        behind.push(cursor.clone());
                        false
                    }
                    Follows::NoMore => false,
                }
            });
            state.next = after;
        }
        wakes.wake();
        metrics::live_records(events.len());
        behind.into_iter().for_each(|cursor| self.catch_up(cursor));
    }
}

enum Follows {
    On,
    Behind,
    NoMore,
}

fn deliver_to(
    cursor: &mut Cursor,
    events: &[Arc<Event>],
    after: Offset,
    wakes: &mut Wakes,
) -> Follows {
    for event in events {
        let offset = event.at.map_or(Offset::ZERO, |at| at.offset);
        if offset < cursor.next {
            continue;
        }
        match cursor.subscription.inbox().offer(&cursor.subscription, event, wakes) {
            Offered::Taken => cursor.next = offset.plus(1),
            Offered::Full => return Follows::Behind,
            Offered::Ended => return Follows::NoMore,
        }
    }
    cursor.next = cursor.next.max(after);
    Follows::On
}
