//! Looking at what was delivered and is not settled.

use posthouse_types::Principal;

use crate::queues::limits::CALL_RECORDS_MAX;
use crate::queues::{Pending, PendingQuery, QueueError, QueueRef};
use crate::{Broker, Operation};

impl Broker {
    /// Records delivered and not settled, in the order of their ids. A crash of the node may undo
    /// the last deliveries that it shows.
    ///
    /// # Errors
    /// [`QueueError::NotFound`] when there is no such queue.
    pub async fn queue_pending(
        &self,
        principal: &Principal,
        queue: &QueueRef,
        query: &PendingQuery,
    ) -> Result<Vec<Pending>, QueueError> {
        let place = self.queue_place(principal, Operation::Describe, queue)?;
        let query = PendingQuery { limit: query.limit.min(CALL_RECORDS_MAX), ..query.clone() };
        place.shard.look(|queues, now| Ok(queues.pending(place.number(queues)?, &query, now)))
    }
}
