//! Who waits for a queue's records, in the order in which they came.
//!
//! # Invariants
//! - Whoever holds `first` is the one waiter that is woken; the others stand behind it, so what
//!   comes goes to whoever has waited longest, and nobody else is woken for it.
//! - Whoever holds `gate` is between looking for records and taking them, so no two look for the
//!   same ones. It is never held while waiting for records to come.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{Mutex, Notify};

/// The waiters of one queue.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// Fair: given in the order in which it was asked for.
    pub(crate) first: Mutex<()>,
    pub(crate) gate: Mutex<()>,
    /// Records may have come back, or room may have come up.
    pub(crate) wake: Notify,
    turn: AtomicU32,
}

impl Line {
    /// The partition to begin with, each time the next one.
    pub(crate) fn turn(&self, partitions: u32) -> u32 {
        self.turn.fetch_add(1, Ordering::Relaxed) % partitions.max(1)
    }
}
