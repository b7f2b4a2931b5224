//! The key space and its log.
//!
//! One lock owns the keys: a command, a whole transaction, or a step of background work holds it.
//! What changed goes to the log before the lock is let go, or within [`FLUSH_INTERVAL`], as
//! [`KeysDurability`] says.
//!
//! # Layout
//! Records of `__posthouse_keys`: the value is a piece of encoded effects, the key is one byte: `+`
//! when the next record goes on with it, `.` when it is the last piece. A snapshot begins with an
//! effect in a record of its own.

mod background;
mod guard;
mod recovery;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::{Mutex, MutexGuard};
use posthouse_broker::{Broker, OpenBrokerError};
use posthouse_keyspace::{ClientId, Keyspace, Served};
use posthouse_log::{AppendError, DurabilityError, Log};
use posthouse_record::{BatchBuilder, Compression};
use posthouse_types::{Clock, Offset};
use tokio::sync::{Notify, oneshot, watch};

use crate::codec::Reply;
use crate::notifications::Notifications;
use crate::threads::apart;

pub(crate) use guard::{KeysGuard, Settled};

/// How often changes are written that nobody waits for.
pub(crate) const FLUSH_INTERVAL: Duration = Duration::from_millis(100);

/// Changes are written at once above this many bytes.
const PENDING_BYTES_MAX: usize = 1 << 20;

/// How long the keys are waited for before the thread's other tasks are moved away: no command but a
/// script holds them for longer.
const LOCK_PATIENCE: Duration = Duration::from_millis(1);

/// LIMIT: bytes of one record, and of one batch of them; the log takes batches of 32 MiB.
const PIECE_BYTES_MAX: usize = 1 << 20;
const BATCH_BYTES_MAX: usize = 8 << 20;

const MORE: &[u8] = b"+";
const LAST: &[u8] = b".";

/// When a command that changed keys is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeysDurability {
    /// At once; its change is on the disk within a second. Redis's `appendfsync everysec`.
    #[default]
    EverySecond,
    /// When its change is on the disk. Redis's `appendfsync always`.
    Always,
}

impl KeysDurability {
    /// As `appendfsync` names it.
    pub fn redis_name(self) -> &'static str {
        match self {
            KeysDurability::EverySecond => "everysec",
            KeysDurability::Always => "always",
        }
    }

    /// Reads such a name.
    pub fn parse(name: &str) -> Option<KeysDurability> {
        let all = [KeysDurability::EverySecond, KeysDurability::Always];
        all.into_iter().find(|durability| durability.redis_name().eq_ignore_ascii_case(name))
    }
}

/// The keys of the door.
pub(crate) struct Keys {
    inner: Mutex<Inner>,
    log: Arc<dyn Log>,
    clock: Arc<dyn Clock>,
    always: AtomicBool,
    /// Wakes the background task: a snapshot may be due.
    wake: Notify,
    /// Wakes whoever deletes the topics of streams that no key holds any more.
    pub(crate) doomed: Notify,
    /// Counts the times that a key holds another stream than before.
    bindings: watch::Sender<u64>,
    /// What the keys took when they were last let go.
    memory: AtomicUsize,
    /// The log takes no more; the keys can be read until the node restarts.
    failed: AtomicBool,
    pub(crate) notifications: Notifications,
}

/// What the lock guards.
pub(super) struct Inner {
    keyspace: Keyspace,
    /// Encoded effects that are not in the log yet.
    pending: Vec<u8>,
    /// One above the last record written.
    written: Offset,
    /// Bytes written since the last snapshot began.
    since_snapshot: usize,
    /// Somebody asked for a snapshot.
    snapshot_wanted: bool,
    waiters: HashMap<ClientId, Waiter>,
    /// What [`Keys::bindings`] says.
    told_bindings: u64,
}

/// A client that waits for a key.
struct Waiter {
    answer: oneshot::Sender<Reply>,
    reply: fn(Served) -> Reply,
}

impl Keys {
    /// Reads the keys back from their log.
    ///
    /// # Errors
    /// [`OpenBrokerError`] when the log cannot be read or holds what was not written by a node.
    pub(crate) async fn open(
        broker: &Broker,
        durability: KeysDurability,
    ) -> Result<Arc<Keys>, OpenBrokerError> {
        let log = broker.open_keys_log().await?;
        let clock = Arc::clone(broker.clock());
        let seed = clock.wall().as_ms().unsigned_abs();
        let mut keyspace = Keyspace::new(seed);
        let read = recovery::recover(log.as_ref(), &mut keyspace).await?;
        let told_bindings = keyspace.stream_bindings();
        let inner = Inner {
            keyspace,
            pending: Vec::new(),
            written: read.end,
            since_snapshot: read.bytes,
            snapshot_wanted: false,
            waiters: HashMap::new(),
            told_bindings,
        };
        let memory = AtomicUsize::new(inner.keyspace.memory());
        let bindings = watch::Sender::new(told_bindings);
        Ok(Arc::new(Keys {
            inner: Mutex::new(inner),
            log,
            clock,
            always: AtomicBool::new(durability == KeysDurability::Always),
            wake: Notify::new(),
            doomed: Notify::new(),
            bindings,
            memory,
            failed: AtomicBool::new(false),
            notifications: Notifications::new(broker),
        }))
    }

    /// Takes the keys, for one command or one transaction.
    pub(crate) fn lock(&self) -> KeysGuard<'_> {
        KeysGuard::new(self)
    }

    /// Takes the keys for some work, and gives them back. Whoever hears of what was done does not
    /// wait for the disk.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut KeysGuard<'_>) -> T) -> T {
        let mut keys = self.lock();
        let done = work(&mut keys);
        keys.release();
        done
    }

    /// Takes the keys unless someone else has them.
    pub(crate) fn try_lock(&self) -> Option<KeysGuard<'_>> {
        KeysGuard::try_new(self)
    }

    /// Takes a client out of those who wait, because its time is over or it is gone. Its answer may
    /// have been sent before.
    pub(crate) fn stop_waiting(&self, client: u64) {
        let client = ClientId(client);
        let mut inner = self.inner();
        inner.keyspace.stop_waiting(client);
        inner.waiters.remove(&client);
    }

    /// Bytes that all keys take, but for what the allocator adds.
    pub(crate) fn memory(&self) -> usize {
        self.memory.load(Ordering::Relaxed)
    }

    /// Tells whenever a key holds another stream than before, or none any more.
    pub(crate) fn stream_bindings(&self) -> watch::Receiver<u64> {
        self.bindings.subscribe()
    }

    /// Sets what clients are notified of; `None` where a letter means nothing.
    pub(crate) fn notify_of(&self, letters: &str) -> Option<()> {
        let mut inner = self.inner();
        self.notifications.set(letters)?;
        inner.keyspace.note_changes(self.notifications.are_wanted());
        Some(())
    }

    /// When commands that change keys are answered.
    pub(crate) fn durability(&self) -> KeysDurability {
        if self.always.load(Ordering::Relaxed) {
            KeysDurability::Always
        } else {
            KeysDurability::EverySecond
        }
    }

    /// Changes that.
    pub(crate) fn set_durability(&self, durability: KeysDurability) {
        self.always.store(durability == KeysDurability::Always, Ordering::Relaxed);
    }

    /// Writes what is pending, and waits until everything is on the disk.
    pub(crate) async fn flush(&self) -> Result<(), DurabilityError> {
        let until = {
            let mut inner = self.inner();
            inner.write(self);
            inner.written
        };
        self.durable(until).await
    }

    /// Whether the log takes no more.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Takes the lock. A script may have it for long; then the thread's other tasks go elsewhere.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        match self.inner.try_lock_for(LOCK_PATIENCE) {
            Some(inner) => inner,
            None => apart(|| self.inner.lock()),
        }
    }

    /// Waits until everything below `until` is on the disk.
    fn durable(&self, until: Offset) -> BoxFuture<'static, Result<(), DurabilityError>> {
        let log = Arc::clone(&self.log);
        Box::pin(async move {
            let mut moves = log.watch();
            loop {
                let ends = log.ends();
                if ends.durable_end >= until {
                    return Ok(());
                }
                // A log that fails gives up what is not durable.
                if ends.written_end < until || moves.changed().await.is_err() {
                    return Err(DurabilityError::Closed);
                }
            }
        })
    }
}

impl Inner {
    /// Appends what is pending to the log. A failure is the log's last.
    fn write(&mut self, keys: &Keys) {
        if self.pending.is_empty() || keys.has_failed() {
            self.pending.clear();
            return;
        }
        let pending = std::mem::take(&mut self.pending);
        self.since_snapshot += pending.len();
        if let Err(error) = self.append(keys, &pending) {
            keys.failed.store(true, Ordering::Relaxed);
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "keys not kept; they can only be read until the node restarts");
        }
    }

    fn append(&mut self, keys: &Keys, effects: &[u8]) -> Result<(), AppendError> {
        let now = keys.clock.wall();
        let mut batch = BatchBuilder::new(Compression::None);
        let mut pieces = effects.chunks(PIECE_BYTES_MAX).peekable();
        while let Some(piece) = pieces.next() {
            let place = if pieces.peek().is_some() { MORE } else { LAST };
            batch.push(now, Some(place), Some(piece), &[]);
            if batch.size() >= BATCH_BYTES_MAX || pieces.peek().is_none() {
                let full = std::mem::replace(&mut batch, BatchBuilder::new(Compression::None));
                let appended = keys.log.append(full.build()?)?;
                self.written = appended.last_offset.plus(1);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
