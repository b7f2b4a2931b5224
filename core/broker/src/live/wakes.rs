//! Receivers that have something and have not been told.
//!
//! # Invariants
//! - Whoever was noted is woken: at the latest when this is dropped.

use std::task::Waker;

/// Those to be woken once everything there is has been queued for them, so that a burst costs each one
/// wake-up and finds all of it.
#[derive(Debug, Default)]
pub(super) struct Wakes(Vec<Waker>);

impl Wakes {
    /// Notes a receiver.
    pub(super) fn add(&mut self, waker: Option<Waker>) {
        self.0.extend(waker);
    }

    /// Wakes all of them.
    pub(super) fn wake(&mut self) {
        self.0.drain(..).for_each(Waker::wake);
    }
}

impl Drop for Wakes {
    fn drop(&mut self) {
        self.wake();
    }
}
