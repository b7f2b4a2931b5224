//! Taking batches in.

use bytes::BytesMut;
use posthouse_log::{AppendError, Appended};
use posthouse_record::{BatchError, BatchHeader, UnplacedBatch};
use posthouse_types::{Offset, PartitionIndex, Principal};

use crate::{AppendFailure, Broker, Operation, Topic, TopicRef, metrics};

/// LIMIT: what a batch may expand to where its keys have to be looked at.
const EXPANDED_BYTES_MAX: usize = 128 << 20;

impl Broker {
    /// Appends one encoded batch, patched in place. Waits only for memory.
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
        let appended = self.append_batch(principal, topic, index, batch).await;
        if appended.is_err() {
            metrics::batch_refused();
        }
        appended
    }

    async fn append_batch(
        &self,
        principal: &Principal,
        topic: &TopicRef,
        index: PartitionIndex,
        batch: BytesMut,
    ) -> Result<Appended, AppendFailure> {
        let open = self.find_topic(principal, Operation::Write, topic)?;
        if open.topic.internal {
            return Err(AppendFailure::Internal(open.topic.name.clone()));
        }
        let partition = open.partition(index)?;
        let batch = admit(&open.topic, batch)?;
        let (size, records) = (batch.size(), batch.header().record_count);
        let reservation = self.in_flight().reserve(size, self.topic_table()).await;
        let appended = partition.append(batch, reservation)?;
        metrics::batch_appended(size, records);
        Ok(appended)
    }
}

/// Checks a client's batch as far as the log does not.
fn admit(topic: &Topic, batch: BytesMut) -> Result<UnplacedBatch, AppendFailure> {
    let max = topic.config.batch_bytes_max.0;
    if u64::try_from(batch.len()).is_ok_and(|size| size > max) {
        return Err(AppendError::TooLarge { size: batch.len(), max }.into());
    }
    let batch = UnplacedBatch::check(batch)?;
    check_header(batch.header())?;
    if topic.config.cleanup.compact {
        for record in batch.records(EXPANDED_BYTES_MAX)? {
            if record?.key.is_none() {
                return Err(AppendError::KeyMissing.into());
            }
        }
    }
    Ok(batch)
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
