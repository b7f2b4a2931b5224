//! What a file sink has done since its node began, for whoever asks.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use posthouse_types::{Offset, PartitionIndex, Timestamp};

/// What a sink is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SinkState {
    /// It is about to begin.
    #[default]
    Starting,
    /// It writes what comes.
    Writing,
    /// Something cannot be read or written, and is tried again; nothing is skipped.
    Failing,
}

/// One sink's numbers.
#[derive(Debug, Default)]
pub(crate) struct SinkStatus {
    known: Mutex<Known>,
}

/// A copy of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    pub(crate) state: SinkState,
    /// Lines written.
    pub(crate) lines: u64,
    /// The length of the file.
    pub(crate) length: u64,
    /// When everything written until then was made durable.
    pub(crate) synced_at: Option<Timestamp>,
    pub(crate) last_error: Option<(Timestamp, String)>,
    /// The next record of each partition.
    pub(crate) positions: BTreeMap<PartitionIndex, Offset>,
}

impl SinkStatus {
    pub(crate) fn known(&self) -> Known {
        self.known.lock().clone()
    }

    pub(super) fn writing(&self, length: u64) {
        let mut known = self.known.lock();
        known.state = SinkState::Writing;
        known.length = length;
    }

    pub(super) fn wrote(&self, lines: usize) {
        self.known.lock().lines += u64::try_from(lines).unwrap_or(0);
    }

    pub(super) fn synced(&self, now: Timestamp, positions: &BTreeMap<PartitionIndex, Offset>) {
        let mut known = self.known.lock();
        known.synced_at = Some(now);
        known.positions.clone_from(positions);
    }

    pub(super) fn trouble(&self, now: Timestamp, error: String) {
        let mut known = self.known.lock();
        known.state = SinkState::Failing;
        known.last_error = Some((now, error));
    }
}
