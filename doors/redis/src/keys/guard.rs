//! Keys that have been taken, and what happens when they are given back.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::MutexGuard;
use posthouse_keyspace::{ClientId, Database, DatabaseIndex, Keyspace, Served, Wait};
use posthouse_log::DurabilityError;
use posthouse_types::Timestamp;
use tokio::sync::oneshot;

use super::{Inner, Keys, KeysDurability, PENDING_BYTES_MAX, Waiter};
use crate::codec::Reply;
use crate::notifications::{self, KeyEvent};
use crate::table;

/// The keys, held by one command or one transaction. Give them back by [`KeysGuard::release`].
pub(crate) struct KeysGuard<'a> {
    keys: &'a Keys,
    inner: MutexGuard<'a, Inner>,
    now: Timestamp,
    /// To be told of when the keys are given back.
    events: Vec<KeyEvent>,
}

/// A wait for the disk.
pub(crate) type Settled = BoxFuture<'static, Result<(), DurabilityError>>;

impl<'a> KeysGuard<'a> {
    pub(super) fn new(keys: &'a Keys) -> KeysGuard<'a> {
        // The clock is read outside of the lock, unless that has to be waited for.
        KeysGuard::try_new(keys).unwrap_or_else(|| {
            let inner = keys.inner();
            KeysGuard { keys, inner, now: keys.clock.wall(), events: Vec::new() }
        })
    }

    pub(super) fn try_new(keys: &'a Keys) -> Option<KeysGuard<'a>> {
        let now = keys.clock.wall();
        let inner = keys.inner.try_lock()?;
        Some(KeysGuard { keys, inner, now, events: Vec::new() })
    }

    /// The moment at which everything happens while the keys are held.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// Has a snapshot taken soon.
    pub(crate) fn want_snapshot(&mut self) {
        self.inner.snapshot_wanted = true;
    }

    /// All databases.
    pub(crate) fn keyspace(&mut self) -> &mut Keyspace {
        &mut self.inner.keyspace
    }

    /// Names what a command has done, for those who are notified.
    pub(crate) fn name_events(&mut self, command: &str, arguments: &[bytes::Bytes]) {
        if self.inner.keyspace.has_notices() {
            let notices = self.inner.keyspace.take_notices();
            self.events.extend(notifications::named(command, arguments, notices));
        }
    }

    /// Adds an event that is no change of keys.
    pub(crate) fn add_event(&mut self, event: KeyEvent) {
        self.events.push(event);
    }

    /// One database, at this moment.
    pub(crate) fn database(&mut self, index: DatabaseIndex) -> Database<'_> {
        self.inner.keyspace.database(index, self.now)
    }

    /// Makes a client wait until one of `keys` has something; `reply` words what it then gets.
    pub(crate) fn wait(
        &mut self,
        client: u64,
        index: DatabaseIndex,
        keys: &[&[u8]],
        wait: Wait,
        timeout: Option<Duration>,
        (on_timeout, reply): (Reply, fn(Served) -> Reply),
    ) -> table::Blocked {
        let client = ClientId(client);
        let (answer, receiver) = oneshot::channel();
        self.inner.keyspace.wait(client, index, keys, wait);
        self.inner.waiters.insert(client, Waiter { answer, reply });
        table::Blocked { wait: table::Wait::Answer(receiver), timeout, on_timeout }
    }

    /// Gives the keys back: waiting clients are served, and changes are on their way to the log.
    /// `Some` when whoever saw the keys has to wait for the disk before it tells anyone.
    pub(crate) fn release(mut self) -> Option<Settled> {
        self.serve_waiting();
        self.name_events("", &[]);
        for event in &self.events {
            // Under the lock, so that everybody hears of changes in the order in which they were made.
            self.keys.notifications.publish(event);
        }
        let Inner { keyspace, pending, .. } = &mut *self.inner;
        keyspace.take_effects(pending);
        let always = self.keys.durability() == KeysDurability::Always;
        let keys = self.keys;
        if always || self.inner.pending.len() >= PENDING_BYTES_MAX {
            self.inner.write(keys);
        }
        self.tell_of_streams();
        keys.memory.store(self.inner.keyspace.memory(), Ordering::Relaxed);
        if self.inner.snapshot_due() && !keys.has_failed() {
            keys.wake.notify_one();
        }
        let until = self.inner.written;
        let settled = !always || keys.log.ends().durable_end >= until;
        drop(self.inner);
        if settled { None } else { Some(keys.durable(until)) }
    }

    fn tell_of_streams(&mut self) {
        let bindings = self.inner.keyspace.stream_bindings();
        if self.inner.told_bindings == bindings {
            return;
        }
        self.inner.told_bindings = bindings;
        self.keys.bindings.send_replace(bindings);
        if self.inner.keyspace.has_doomed_streams() {
            self.keys.doomed.notify_one();
        }
    }

    fn serve_waiting(&mut self) {
        if self.inner.waiters.is_empty() {
            return;
        }
        let now = self.now;
        for (client, served) in self.inner.keyspace.serve_waiting(now) {
            if let Some(Waiter { answer, reply }) = self.inner.waiters.remove(&client) {
                // A client that is gone takes what it was served with it, as in Redis.
                let _ = answer.send(reply(served));
            }
        }
    }
}
