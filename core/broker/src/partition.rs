//! An open partition: its log, and the memory that its unfinished appends hold.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use posthouse_log::{AppendError, Appended, Log, LogEnds};
use posthouse_record::UnplacedBatch;
use posthouse_types::Offset;
use tokio::sync::Semaphore;

use crate::in_flight::Reservation;

/// A partition that this node writes.
pub(crate) struct OpenPartition {
    log: Arc<dyn Log>,
    budget: Arc<Semaphore>,
    held: Mutex<VecDeque<Held>>,
}

/// Memory held until the log's durable end reaches `until`.
struct Held {
    until: Offset,
    permits: u32,
}

impl OpenPartition {
    /// A partition whose appends give their memory back to `budget`.
    pub(crate) fn new(log: Arc<dyn Log>, budget: Arc<Semaphore>) -> OpenPartition {
        OpenPartition { log, budget, held: Mutex::default() }
    }

    /// Its log.
    pub(crate) fn log(&self) -> &Arc<dyn Log> {
        &self.log
    }

    /// Appends a batch, holding on to its memory until it is durable or can never be.
    pub(crate) fn append(
        &self,
        batch: UnplacedBatch,
        reservation: Reservation<'_>,
    ) -> Result<Appended, AppendError> {
        let appended = self.log.append(batch)?;
        let until = appended.last_offset.plus(1);
        let mut held = self.held.lock();
        self.release(&mut held);
        held.push_back(Held { until, permits: reservation.keep() });
        Ok(appended)
    }

    /// Gives back the memory of every append that is decided.
    pub(crate) fn settle(&self) {
        self.release(&mut self.held.lock());
    }

    /// What the log must reach for memory to come back; `None` when none is held.
    pub(crate) fn held_until(&self) -> Option<Offset> {
        self.held.lock().front().map(|held| held.until)
    }

    fn release(&self, held: &mut VecDeque<Held>) {
        if held.is_empty() {
            return;
        }
        let ends = self.log.ends();
        while let Some(permits) = held.pop_front_if(|first| decided(&ends, first.until)) {
            self.budget.add_permits(permits.permits as usize);
        }
    }
}

impl Drop for OpenPartition {
    fn drop(&mut self) {
        let permits: usize = self.held.get_mut().iter().map(|held| held.permits as usize).sum();
        self.budget.add_permits(permits);
    }
}

/// Waits until what ends at `until` is durable (`true`) or lost.
pub(crate) async fn decision(log: &dyn Log, until: Offset) -> bool {
    let mut moves = log.watch();
    loop {
        // Asked of the log each time: what the watch shows of the written end may be old.
        let ends = log.ends();
        if decided(&ends, until) {
            return ends.durable_end >= until;
        }
        if moves.changed().await.is_err() {
            return log.ends().durable_end >= until;
        }
    }
}

/// A log that fails gives up what was written and not durable.
fn decided(ends: &LogEnds, until: Offset) -> bool {
    ends.durable_end >= until || ends.written_end < until
}
