//! Accepting, giving back, rejecting, holding longer, handing over.
//!
//! All of these are durable before they are answered. Losing an acceptance or a rejection would
//! deliver a record again that nobody expects; losing an extension or a transfer would give it to
//! someone while another one, who was told that it is his, works on it.

use std::time::Duration;

use posthouse_log::Ticket;
use posthouse_types::{Principal, Timestamp};

use super::place::{Place, check_name};
use crate::queues::limits::{CALL_RECORDS_MAX, OWNERS_MAX, REASON_BYTES_MAX};
use crate::queues::machine::{QueueNumber, Queues, QueuesCommand};
use crate::queues::types::after;
use crate::queues::{Held, Outcome, QueueError, QueueRef, RecordId, Transfer};
use crate::{AppendFailure, Broker, Operation, metrics};

impl Broker {
    /// The records are processed: they are never delivered again. One outcome for each, in order.
    /// With neither delivery nor owner given, a record is accepted in whatever state it is pending.
    ///
    /// # Errors
    /// [`QueueError::Storage`]: the records may or may not be accepted.
    ///
    /// # Cancellation
    /// Safe to drop; the records may be accepted all the same.
    pub async fn queue_accept(
        &self,
        principal: &Principal,
        queue: &QueueRef,
        records: &[Held],
    ) -> Result<Vec<Outcome>, QueueError> {
        let settle = |queues: &Queues, number, _| {
            let (outcomes, ids) = queues.pending_of(number, records);
            (outcomes, QueuesCommand::Settled { number, ids })
        };
        let outcomes = self.settle(principal, queue, records.len(), settle).await?;
        metrics::queue_records_accepted(done(&outcomes));
        Ok(outcomes)
    }

    /// The records go to the next one who asks, or, delivered too often, to the dead-letter topic.
    ///
    /// # Errors
    /// As [`Broker::queue_accept`].
    pub async fn queue_release(
        &self,
        principal: &Principal,
        queue: &QueueRef,
        records: &[Held],
    ) -> Result<Vec<Outcome>, QueueError> {
        let release = |queues: &Queues, number, _| {
            let (outcomes, ids) = queues.held_of(number, records);
            (outcomes, QueuesCommand::Released { number, ids })
        };
        let outcomes = self.settle(principal, queue, records.len(), release).await?;
        metrics::queue_records_released(done(&outcomes));
        Ok(outcomes)
    }

    /// The records are not to be delivered again: they go to the dead-letter topic, if the queue has
    /// one, and are settled once they are there.
    ///
    /// # Errors
    /// As [`Broker::queue_accept`].
    pub async fn queue_reject(
        &self,
        principal: &Principal,
        queue: &QueueRef,
        records: &[Held],
        reason: &str,
    ) -> Result<Vec<Outcome>, QueueError> {
        let reason = &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)];
        let reject = |queues: &Queues, number, _| {
            let (outcomes, ids) = queues.held_of(number, records);
            (outcomes, QueuesCommand::Rejected { number, ids, reason: reason.to_owned() })
        };
        let outcomes = self.settle(principal, queue, records.len(), reject).await?;
        metrics::queue_records_rejected(done(&outcomes));
        Ok(outcomes)
    }

    /// The records' locks end this long from now; `None`: never.
    ///
    /// # Errors
    /// As [`Broker::queue_accept`].
    pub async fn queue_extend(
        &self,
        principal: &Principal,
        queue: &QueueRef,
        records: &[Held],
        lock: Option<Duration>,
    ) -> Result<Vec<Outcome>, QueueError> {
        let extend = |queues: &Queues, number, now: Timestamp| {
            let (outcomes, ids) = queues.held_of(number, records);
            let until = lock.map(|lock| after(now, lock));
            (outcomes, QueuesCommand::Extended { number, ids, until })
        };
        self.settle(principal, queue, records.len(), extend).await
    }

    /// Hands records over; gives those that were, in the order asked for. The lock of each begins
    /// anew, as the queue is configured.
    ///
    /// # Errors
    /// As [`Broker::queue_accept`].
    pub async fn queue_transfer(
        &self,
        principal: &Principal,
        queue: &QueueRef,
        transfer: &Transfer,
    ) -> Result<Vec<RecordId>, QueueError> {
        check_name("the owner's name", &transfer.to)?;
        check_count(transfer.ids.len())?;
        let place = self.queue_place(principal, Operation::Read, queue)?;
        let (moved, ticket) = place.shard.change(|queues, now| {
            let number = place.number(queues)?;
            let lock = queues.queue(number).and_then(|queue| queue.config.lock_timeout);
            let until = lock.map(|lock| after(now, lock));
            let welcomed = queues.welcome(number, &transfer.to, now);
            let mut commands = welcomed.ok_or_else(|| {
                metrics::queue_owner_refused();
                QueueError::Limit { what: "owners that hold records", max: OWNERS_MAX }
            })?;
            let mut moved = Vec::new();
            let transferred = queues.transfer(number, transfer, now, until);
            if let Some(QueuesCommand::Transferred { entries, .. }) = &transferred {
                moved.extend(entries.iter().map(|(id, _)| *id));
            }
            commands.extend(transferred.filter(|_| !moved.is_empty()));
            Ok::<_, QueueError>((commands, moved))
        })?;
        durable(ticket).await?;
        Ok(moved)
    }

    async fn settle(
        &self,
        principal: &Principal,
        queue: &QueueRef,
        count: usize,
        decide: impl FnOnce(&Queues, QueueNumber, Timestamp) -> (Vec<Outcome>, QueuesCommand),
    ) -> Result<Vec<Outcome>, QueueError> {
        check_count(count)?;
        let place: Place<'_> = self.queue_place(principal, Operation::Read, queue)?;
        let (outcomes, ticket) = place.shard.change(|queues, now| {
            let (outcomes, command) = decide(queues, place.number(queues)?, now);
            let any = done(&outcomes) > 0;
            Ok::<_, QueueError>((any.then_some(command).into_iter().collect(), outcomes))
        })?;
        durable(ticket).await?;
        Ok(outcomes)
    }
}

/// Waits for what was decided; nothing was when there is no ticket.
pub(super) async fn durable(ticket: Option<Ticket>) -> Result<(), QueueError> {
    let Some(ticket) = ticket else { return Ok(()) };
    let durable = ticket.durable().await;
    durable.map(|_| ()).map_err(|error| QueueError::Storage(AppendFailure::from(error)))
}

fn check_count(count: usize) -> Result<(), QueueError> {
    if count > CALL_RECORDS_MAX {
        return Err(QueueError::Limit { what: "records in one call", max: CALL_RECORDS_MAX });
    }
    Ok(())
}

fn done(outcomes: &[Outcome]) -> usize {
    outcomes.iter().filter(|outcome| **outcome == Outcome::Done).count()
}
