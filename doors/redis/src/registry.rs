//! Every connected client, for `CLIENT LIST`, `KILL`, `UNBLOCK` and `PAUSE`.
//!
//! # Invariants
//! - A client is here for exactly as long as its [`Member`] lives.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use futures::task::AtomicWaker;
use parking_lot::Mutex;

use crate::access::DEFAULT_USER;

/// All clients of the door.
#[derive(Default)]
pub(crate) struct Registry {
    clients: Mutex<BTreeMap<u64, Arc<Handle>>>,
    last_id: AtomicU64,
    pause: Mutex<Option<Pause>>,
}

/// `CLIENT PAUSE`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause {
    pub(crate) until: Instant,
    /// Only commands that write wait.
    pub(crate) writes_only: bool,
}

/// A client as others see it.
pub(crate) struct Handle {
    pub(crate) id: u64,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) connected: Instant,
    shown: Mutex<Shown>,
    /// Bytes received and not yet run, and bytes not yet written.
    pub(crate) buffered: AtomicUsize,
    pub(crate) unwritten: AtomicUsize,
    blocked: AtomicBool,
    killed: AtomicBool,
    unblock: AtomicU8,
    waker: AtomicWaker,
}

/// What changes of it.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) name: Bytes,
    pub(crate) user: String,
    pub(crate) library: Bytes,
    pub(crate) library_version: Bytes,
    pub(crate) db: u8,
    pub(crate) protocol: i64,
    pub(crate) channels: usize,
    pub(crate) patterns: usize,
    pub(crate) shard_channels: usize,
    /// Commands queued since `MULTI`; -1 outside of it.
    pub(crate) queued: i64,
    pub(crate) no_evict: bool,
    pub(crate) no_touch: bool,
    pub(crate) last_command: &'static str,
    pub(crate) last_seen: Instant,
}

/// How a blocked client is woken by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unblock {
    /// As if its time were up.
    Timeout,
    /// With an error.
    Error,
}

/// A client's place in the registry; it leaves when this is dropped.
pub(crate) struct Member {
    registry: Arc<Registry>,
    pub(crate) handle: Arc<Handle>,
}

impl Registry {
    /// Adds a client.
    pub(crate) fn join(self: &Arc<Registry>, peer: SocketAddr, local: SocketAddr) -> Member {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let now = Instant::now();
        let shown = Shown {
            name: Bytes::new(),
            user: DEFAULT_USER.to_owned(),
            library: Bytes::new(),
            library_version: Bytes::new(),
            db: 0,
            protocol: 2,
            channels: 0,
            patterns: 0,
            shard_channels: 0,
            queued: -1,
            no_evict: false,
            no_touch: false,
            last_command: "NULL",
            last_seen: now,
        };
        let handle = Arc::new(Handle {
            id,
            peer,
            local,
            connected: now,
            shown: Mutex::new(shown),
            buffered: AtomicUsize::new(0),
            unwritten: AtomicUsize::new(0),
            blocked: AtomicBool::new(false),
            killed: AtomicBool::new(false),
            unblock: AtomicU8::new(0),
            waker: AtomicWaker::new(),
        });
        self.clients.lock().insert(id, Arc::clone(&handle));
        Member { registry: Arc::clone(self), handle }
    }

    /// Every client, by id.
    pub(crate) fn all(&self) -> Vec<Arc<Handle>> {
        self.clients.lock().values().cloned().collect()
    }

    /// A client.
    pub(crate) fn find(&self, id: u64) -> Option<Arc<Handle>> {
        self.clients.lock().get(&id).cloned()
    }

    /// How many there have been.
    pub(crate) fn total(&self) -> u64 {
        self.last_id.load(Ordering::Relaxed)
    }

    /// Holds commands back, or lets them go again.
    pub(crate) fn set_pause(&self, pause: Option<Pause>) {
        *self.pause.lock() = pause;
        for client in self.all() {
            client.waker.wake();
        }
    }

    /// Until when commands are held back.
    pub(crate) fn pause(&self, now: Instant) -> Option<Pause> {
        let mut pause = self.pause.lock();
        if pause.is_some_and(|pause| pause.until <= now) {
            *pause = None;
        }
        *pause
    }
}

impl Handle {
    /// What is shown of it.
    pub(crate) fn shown(&self) -> Shown {
        self.shown.lock().clone()
    }

    /// Changes what is shown of it.
    pub(crate) fn describe(&self, change: impl FnOnce(&mut Shown)) {
        change(&mut self.shown.lock());
    }

    /// Ends its connection.
    pub(crate) fn kill(&self) {
        self.killed.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Whether it is to end.
    pub(crate) fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Acquire)
    }

    /// Says whether it waits for others.
    pub(crate) fn set_blocked(&self, blocked: bool) {
        self.unblock.store(0, Ordering::Release);
        self.blocked.store(blocked, Ordering::Release);
    }

    /// Whether it waits for others.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Acquire)
    }

    /// Wakes it if it waits for others; says whether it did.
    pub(crate) fn unblock(&self, how: Unblock) -> bool {
        if !self.is_blocked() {
            return false;
        }
        self.unblock.store(if how == Unblock::Timeout { 1 } else { 2 }, Ordering::Release);
        self.waker.wake();
        true
    }

    /// Whether someone has woken it.
    pub(crate) fn take_unblock(&self) -> Option<Unblock> {
        match self.unblock.swap(0, Ordering::AcqRel) {
            1 => Some(Unblock::Timeout),
            2 => Some(Unblock::Error),
            _ => None,
        }
    }

    /// Who is to be woken by [`Handle::kill`] and [`Handle::unblock`].
    pub(crate) fn register(&self, waker: &std::task::Waker) {
        self.waker.register(waker);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.registry.clients.lock().remove(&self.handle.id);
    }
}
