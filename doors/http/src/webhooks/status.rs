//! What a webhook has done since its node began, for whoever asks.

use parking_lot::Mutex;
use posthouse_types::Timestamp;

/// What a webhook is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum WebhookState {
    /// It is about to begin.
    #[default]
    Starting,
    /// It sends what comes.
    Delivering,
    /// Its destination fails, and is left alone until then.
    Paused { until: Timestamp },
    /// The node itself cannot go on, and tries again.
    Failing,
}

/// One webhook's numbers.
#[derive(Debug, Default)]
pub(crate) struct WebhookStatus {
    known: Mutex<Known>,
}

/// A copy of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    pub(crate) state: WebhookState,
    /// Messages that were accepted.
    pub(crate) delivered: u64,
    /// Attempts that failed.
    pub(crate) failed: u64,
    /// Messages that were given up.
    pub(crate) dead_lettered: u64,
    /// Attempts under way.
    pub(crate) in_flight: usize,
    pub(crate) delivered_at: Option<Timestamp>,
    pub(crate) last_error: Option<(Timestamp, String)>,
}

impl WebhookStatus {
    pub(crate) fn known(&self) -> Known {
        self.known.lock().clone()
    }

    pub(super) fn is(&self, state: WebhookState) {
        self.known.lock().state = state;
    }

    pub(super) fn in_flight(&self, count: usize) {
        self.known.lock().in_flight = count;
    }

    pub(super) fn delivered(&self, now: Timestamp) {
        let mut known = self.known.lock();
        known.delivered += 1;
        known.delivered_at = Some(now);
    }

    pub(super) fn failed(&self, now: Timestamp, error: String) {
        let mut known = self.known.lock();
        known.failed += 1;
        known.last_error = Some((now, error));
    }

    pub(super) fn dead_lettered(&self) {
        self.known.lock().dead_lettered += 1;
    }

    /// The node's own failure.
    pub(super) fn trouble(&self, now: Timestamp, error: String) {
        let mut known = self.known.lock();
        known.state = WebhookState::Failing;
        known.last_error = Some((now, error));
    }
}
