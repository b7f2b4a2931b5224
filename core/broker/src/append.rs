//! Taking batches in.

use bytes::BytesMut;
use posthouse_log::Appended;
use posthouse_record::{BatchError, BatchHeader, UnplacedBatch};
use posthouse_types::{Offset, PartitionIndex, Principal};
use tokio::time::sleep;

use crate::access::{Direction, Paced, Pacing};
use crate::{AppendFailure, Broker, Operation, TopicRef, metrics};

impl Broker {
    /// Appends one encoded batch, patched in place. Waits only for memory, and for the principal's rate.
    ///
    /// `batch` is exactly one v2 record batch, as a client sent it. Await the ticket for durability.
    ///
    /// # Errors
    /// [`AppendFailure`]; nothing was written.
    ///
    /// # Cancellation
    /// Safe to drop: the batch is then not written.
    pub async fn append(
        &self,
        principal: &Principal,
        topic: &TopicRef,
        index: PartitionIndex,
        batch: BytesMut,
    ) -> Result<Appended, AppendFailure> {
        let appended = self.append_batch(principal, topic, index, batch, Pacing::Waits).await;
        appended.map(|appended| appended.done).inspect_err(|_| metrics::batch_refused())
    }

    /// As [`Broker::append`], but above the principal's rate it is the caller who holds it back; see
    /// [`Broker::pay_off_writes`].
    ///
    /// # Errors
    /// [`AppendFailure`]; nothing was written.
    ///
    /// # Cancellation
    /// Safe to drop: the batch is then not written.
    pub async fn append_paced(
        &self,
        principal: &Principal,
        topic: &TopicRef,
        index: PartitionIndex,
        batch: BytesMut,
    ) -> Result<Paced<Appended>, AppendFailure> {
        let appended = self.append_batch(principal, topic, index, batch, Pacing::Tells).await;
        appended.inspect_err(|_| metrics::batch_refused())
    }

    async fn append_batch(
        &self,
        principal: &Principal,
        topic: &TopicRef,
        index: PartitionIndex,
        batch: BytesMut,
        pacing: Pacing,
    ) -> Result<Paced<Appended>, AppendFailure> {
        let open = self.find_topic(principal, Operation::Write, topic)?;
        if open.topic.internal {
            return Err(AppendFailure::Internal(open.topic.name.clone()));
        }
        let partition = open.partition(index)?;
        // Size, keys and timestamps are the log's to check, which knows the topic's settings.
        let batch = UnplacedBatch::check(batch)?;
        check_header(batch.header())?;
        let (size, records) = (batch.size(), batch.header().record_count);
        let mut pause = self.count_bytes(principal, Direction::Written, size);
        if pacing == Pacing::Waits && !pause.is_zero() {
            sleep(std::mem::take(&mut pause)).await;
        }
        let reservation = self.in_flight().reserve(size, self.topic_table()).await;
        let appended = partition.append(batch, reservation)?;
        metrics::batch_appended(size, records);
        Ok(Paced { done: appended, pause })
    }
}

/// What Kafka refuses from clients; a transactional batch belongs to a transaction, and there are
/// none.
fn check_header(header: &BatchHeader) -> Result<(), BatchError> {
    let wrong = |field, value| Err(BatchError::Field { field, value });
    if header.control {
        return wrong("control", 1);
    }
    if header.transactional {
        return wrong("transactional", 1);
    }
    if header.base_offset != Offset::ZERO {
        return wrong("base_offset", header.base_offset.value());
    }
    if u64::from(header.record_count) != u64::from(header.last_offset_delta) + 1 {
        return wrong("record_count", i64::from(header.record_count));
    }
    Ok(())
}
