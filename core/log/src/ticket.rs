//! The promise that an accepted batch will be durable, and what keeps it.
//!
//! Owns how the ends of a log are published and how its life ends. Does not decide either.
//!
//! # Invariants
//! - Watchers are woken by moves of what may be read, not by appends, so that a burst of appends
//!   does not wake every waiting reader and producer each time.
//! - The end of a log's life is published once and never taken back.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use posthouse_types::Offset;
use tokio::sync::watch;

use crate::{DurabilityError, LogEnds, ReadError};

/// Resolves when every record below `until` is durable, or can never be.
///
/// Dropping it changes nothing: the batch is written all the same.
#[derive(Debug)]
pub struct Ticket {
    until: Offset,
    ends: watch::Receiver<LogEnds>,
    end_of_life: Arc<OnceLock<DurabilityError>>,
}

impl Ticket {
    /// The offset below which everything must be durable.
    pub fn until(&self) -> Offset {
        self.until
    }

    /// Waits for durability. Safe to drop at any await.
    ///
    /// # Errors
    /// [`DurabilityError`] when the batch can no longer become durable.
    pub async fn durable(mut self) -> Result<(), DurabilityError> {
        let until = self.until;
        let end_of_life = &self.end_of_life;
        let decided = self
            .ends
            .wait_for(|ends| ends.durable_end >= until || end_of_life.get().is_some())
            .await
            .map(|ends| ends.durable_end >= until);
        match decided {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(self.reason()),
        }
    }

    /// What is known now, without waiting; `None` while the batch is on its way.
    pub fn poll_durable(&self) -> Option<Result<(), DurabilityError>> {
        if self.ends.borrow().durable_end >= self.until {
            return Some(Ok(()));
        }
        self.end_of_life.get().map(|error| Err(error.clone()))
    }

    fn reason(&self) -> DurabilityError {
        self.end_of_life.get().cloned().unwrap_or(DurabilityError::Closed)
    }
}

/// The ends of one log, as its engine publishes them.
#[derive(Debug)]
pub(crate) struct Progress {
    ends: watch::Sender<LogEnds>,
    /// Apart from the rest, because it moves with every append and wakes nobody.
    written_end: AtomicI64,
    end_of_life: Arc<OnceLock<DurabilityError>>,
}

impl Progress {
    /// A log of which everything below `durable_end` is durable.
    pub(crate) fn new(log_start: Offset, durable_end: Offset) -> Progress {
        let ends =
            LogEnds { log_start, last_stable: durable_end, durable_end, written_end: durable_end };
        Progress {
            ends: watch::Sender::new(ends),
            written_end: AtomicI64::new(durable_end.value()),
            end_of_life: Arc::new(OnceLock::new()),
        }
    }

    pub(crate) fn ends(&self) -> LogEnds {
        let ends = *self.ends.borrow();
        LogEnds { written_end: self.written_end(ends.durable_end), ..ends }
    }

    /// The ends, if `from` is within them.
    ///
    /// # Errors
    /// [`ReadError::OutOfRange`] otherwise.
    pub(crate) fn check_readable(&self, from: Offset) -> Result<LogEnds, ReadError> {
        let ends = self.ends();
        let LogEnds { log_start, durable_end, .. } = ends;
        if from < log_start || from > durable_end {
            return Err(ReadError::OutOfRange { offset: from, log_start, durable_end });
        }
        Ok(ends)
    }

    pub(crate) fn watch(&self) -> watch::Receiver<LogEnds> {
        self.ends.subscribe()
    }

    pub(crate) fn ticket(&self, until: Offset) -> Ticket {
        let end_of_life = Arc::clone(&self.end_of_life);
        Ticket { until, ends: self.ends.subscribe(), end_of_life }
    }

    pub(crate) fn set_written(&self, end: Offset) {
        self.written_end.store(end.value(), Ordering::Release);
    }

    /// Everything below `end` may be read from now on.
    pub(crate) fn set_durable(&self, end: Offset) {
        let written_end = self.written_end(end);
        self.ends.send_if_modified(|ends| {
            if end <= ends.durable_end {
                return false;
            }
            *ends = LogEnds { durable_end: end, last_stable: end, written_end, ..*ends };
            true
        });
    }

    /// Nothing below `start` may be read from now on.
    pub(crate) fn set_log_start(&self, start: Offset) {
        self.ends.send_if_modified(|ends| {
            let moves = start > ends.log_start;
            ends.log_start = ends.log_start.max(start);
            moves
        });
    }

    /// Fails every ticket that is not yet durable. The first reason stands.
    pub(crate) fn end(&self, reason: DurabilityError) {
        if self.end_of_life.set(reason).is_ok() {
            self.ends.send_modify(|ends| {
                ends.written_end = ends.durable_end;
                self.written_end.store(ends.durable_end.value(), Ordering::Release);
            });
        }
    }

    fn written_end(&self, durable_end: Offset) -> Offset {
        Offset::new(self.written_end.load(Ordering::Acquire))
            .unwrap_or(durable_end)
            .max(durable_end)
    }
}
