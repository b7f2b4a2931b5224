//! Which leader epoch wrote which offsets.
//!
//! Owns the history that Kafka's OffsetForLeaderEpoch asks for. Does not choose epochs.
//!
//! # Invariants
//! - Epochs and start offsets both rise strictly: an epoch that wrote nothing makes room for the
//!   next one, because no reader can have seen a record of it.

use posthouse_types::{LeaderEpoch, Offset};

use crate::EpochStart;

/// The history of one log, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EpochHistory(Vec<EpochStart>);

impl EpochHistory {
    /// Notes that `epoch` writes from `start` on, unless it is known already.
    pub(crate) fn begin(&mut self, epoch: LeaderEpoch, start: Offset) {
        if self.latest().is_some_and(|latest| latest.epoch >= epoch) {
            return;
        }
        while self.latest().is_some_and(|latest| latest.start >= start) {
            self.0.pop();
        }
        self.0.push(EpochStart { epoch, start });
    }

    /// Forgets epochs of which no record is left; `log_start` is where the rest begins.
    pub(crate) fn trim(&mut self, log_start: Offset) {
        let gone = self.0.partition_point(|entry| entry.start <= log_start).saturating_sub(1);
        self.0.drain(..gone);
        if let Some(first) = self.0.first_mut() {
            first.start = first.start.max(log_start);
        }
    }

    pub(crate) fn latest(&self) -> Option<EpochStart> {
        self.0.last().copied()
    }

    pub(crate) fn entries(&self) -> &[EpochStart] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(entries: &[(i32, i64)]) -> EpochHistory {
        let mut history = EpochHistory::default();
        for &(epoch, start) in entries {
            history.begin(LeaderEpoch(epoch), Offset::new(start).unwrap());
        }
        history
    }

    fn pairs(history: &EpochHistory) -> Vec<(i32, i64)> {
        history.entries().iter().map(|entry| (entry.epoch.0, entry.start.value())).collect()
    }

    #[test]
    fn an_epoch_that_wrote_nothing_makes_room() {
        assert_eq!(pairs(&history(&[(1, 0), (2, 10), (3, 10)])), [(1, 0), (3, 10)]);
    }

    #[test]
    fn an_older_epoch_does_not_come_back() {
        assert_eq!(pairs(&history(&[(3, 0), (2, 10)])), [(3, 0)]);
    }

    #[test]
    fn trimming_keeps_the_epoch_that_wrote_the_first_record() {
        let mut trimmed = history(&[(1, 0), (2, 10), (3, 20)]);
        trimmed.trim(Offset::new(15).unwrap());
        assert_eq!(pairs(&trimmed), [(2, 15), (3, 20)]);
    }
}
