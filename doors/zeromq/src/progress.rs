//! How an endpoint does: its state, and what it has counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use posthouse_broker::EndpointState;
use posthouse_zmtp::SocketType;
use tokio::sync::Notify;

use crate::metrics::{self, Dropped};

/// One endpoint's state and counts.
#[derive(Debug)]
pub(crate) struct Progress {
    kind: SocketType,
    state: Mutex<(EndpointState, Vec<String>)>,
    peers: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    dropped: AtomicU64,
    /// Tells those who wait for a state.
    changed: Arc<Notify>,
}

/// What has been counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) peers: u64,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) dropped: u64,
}

impl Progress {
    pub(crate) fn new(kind: SocketType, changed: Arc<Notify>) -> Progress {
        Progress {
            kind,
            state: Mutex::new((EndpointState::Starting, Vec::new())),
            peers: AtomicU64::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            changed,
        }
    }

    /// It is bound and connecting.
    pub(crate) fn opened(&self, addresses: Vec<String>) {
        self.state.lock().1 = addresses;
    }

    pub(crate) fn running(&self) {
        self.set(EndpointState::Running);
    }

    /// It cannot do its work now; true when that is news.
    pub(crate) fn failing(&self, reason: &str) -> bool {
        self.set(EndpointState::Failing { reason: reason.to_owned() })
    }

    /// Its state, and where it is bound and connects to.
    pub(crate) fn state(&self) -> (EndpointState, Vec<String>) {
        self.state.lock().clone()
    }

    pub(crate) fn counts(&self) -> Counts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            peers: read(&self.peers),
            received: read(&self.received),
            sent: read(&self.sent),
            dropped: read(&self.dropped),
        }
    }

    pub(crate) fn peer_came(&self) {
        self.peers.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn peer_went(&self) {
        let less = |peers: u64| Some(peers.saturating_sub(1));
        let _ = self.peers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    pub(crate) fn received(&self, count: u64) {
        self.received.fetch_add(count, Ordering::Relaxed);
        metrics::received(self.kind, count);
    }

    pub(crate) fn sent(&self, count: u64) {
        self.sent.fetch_add(count, Ordering::Relaxed);
        metrics::sent(self.kind, count);
    }

    pub(crate) fn dropped(&self, why: Dropped, count: u64) {
        self.dropped.fetch_add(count, Ordering::Relaxed);
        metrics::dropped(self.kind, why, count);
    }

    fn set(&self, state: EndpointState) -> bool {
        let mut current = self.state.lock();
        if current.0 == state {
            return false;
        }
        current.0 = state;
        drop(current);
        self.changed.notify_waiters();
        true
    }
}
