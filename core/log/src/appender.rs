//! The critical section of an append, shared by the engines.
//!
//! Owns the next offset, the producers and the queue of batches that are not yet written. Short on
//! purpose: offsets are assigned and patched into the batch, nothing is copied and nothing waits.
//!
//! # Invariants
//! - Batches leave the queue in offset order, without gaps.
//! - Once the end has come nothing is accepted any more.

use std::sync::Arc;

use posthouse_record::{Batch, UnplacedBatch};
use posthouse_types::{LeaderEpoch, Offset, Timestamp};

use crate::producers::{Producers, Standing};
use crate::{AppendError, Appended, DurabilityError, LogConfig, TimestampType, ticket::Progress};

/// What an append changes.
#[derive(Debug)]
pub(crate) struct Appender {
    pub(crate) next: Offset,
    pub(crate) producers: Producers,
    pub(crate) config: Arc<LogConfig>,
    queue: Vec<Batch>,
    end: Option<DurabilityError>,
}

impl Appender {
    pub(crate) fn new(next: Offset, producers: Producers, config: LogConfig) -> Appender {
        Appender { next, producers, config: Arc::new(config), queue: Vec::new(), end: None }
    }

    /// Gives an admitted batch its offsets and queues it.
    ///
    /// # Errors
    /// The end of the log's life, and those of [`Producers::check`].
    pub(crate) fn append(
        &mut self,
        batch: UnplacedBatch,
        epoch: LeaderEpoch,
        log_append_time: Option<Timestamp>,
        now: Timestamp,
        progress: &Progress,
    ) -> Result<Appended, AppendError> {
        self.check_open()?;
        if let Standing::Duplicate(sent) = self.producers.check(batch.header())? {
            let is_log_time = self.config.timestamps == TimestampType::LogAppendTime;
            return Ok(Appended {
                base_offset: sent.base_offset,
                last_offset: sent.last_offset,
                log_append_time: is_log_time.then_some(sent.timestamp),
                duplicate: true,
                ticket: progress.ticket(sent.last_offset.plus(1)),
            });
        }
        let batch = batch.place(self.next, epoch);
        let header = *batch.header();
        self.producers.record(&header, now);
        self.queue.push(batch);
        self.next = header.last_offset().plus(1);
        progress.set_written(self.next);
        Ok(Appended {
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
            log_append_time,
            duplicate: false,
            ticket: progress.ticket(self.next),
        })
    }

    pub(crate) fn take_queue(&mut self) -> Vec<Batch> {
        std::mem::take(&mut self.queue)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// Accepts nothing from now on. The first reason stands.
    pub(crate) fn end(&mut self, reason: DurabilityError) {
        self.end.get_or_insert(reason);
    }

    /// # Errors
    /// The end of the log's life.
    pub(crate) fn check_open(&self) -> Result<(), AppendError> {
        match &self.end {
            None => Ok(()),
            Some(DurabilityError::Fenced { epoch }) => Err(AppendError::Fenced { epoch: *epoch }),
            Some(DurabilityError::Failed(error)) => Err(AppendError::Failed(error.clone())),
            Some(DurabilityError::Closed) => Err(AppendError::Closed),
        }
    }
}
