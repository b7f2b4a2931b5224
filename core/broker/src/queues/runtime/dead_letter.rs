//! Writing rejected records to dead-letter topics.
//!
//! The letter is durable before the original is settled: a crash between the two writes it twice,
//! and never not at all. While it cannot be written, the original stays in the queue's window.

use bytes::Bytes;
use futures::future::join_all;
use posthouse_log::AppendError;
use posthouse_record::{BatchBuilder, Compression, Header, Record};
use posthouse_types::{PartitionIndex, Principal, TopicName};

use super::{QueueShard, read_one};
use crate::queues::QueueError;
use crate::queues::limits::DEAD_LETTERS_MAX;
use crate::queues::machine::{EntryState, QueueKey, QueueNumber, QueuesCommand};
use crate::queues::types::RecordId;
use crate::{Broker, TopicRef, metrics};

/// A record on its way.
struct Letter {
    number: QueueNumber,
    id: RecordId,
    key: QueueKey,
    to: Option<TopicName>,
    deliveries: u32,
    reason: String,
}

impl Broker {
    /// Writes the next dead letters of a shard; `false` when some could not be written.
    pub(super) async fn write_dead_letters(&self, shard: &QueueShard) -> bool {
        let letters = shard.look(|queues, _| {
            let letter = |(number, id)| {
                let queue = queues.queue(number)?;
                let entry = queue.entry(id)?;
                let EntryState::Rejected { reason } = &entry.state else { return None };
                Some(Letter {
                    number,
                    id,
                    key: queue.key.clone(),
                    to: queue.config.dead_letter.clone(),
                    deliveries: entry.deliveries,
                    reason: reason.clone(),
                })
            };
            queues.rejected(DEAD_LETTERS_MAX).into_iter().filter_map(letter).collect::<Vec<_>>()
        });
        let written = join_all(letters.iter().map(|letter| self.write_dead_letter(letter))).await;
        let mut settled = Vec::with_capacity(letters.len());
        let mut all = true;
        for (letter, outcome) in letters.iter().zip(written) {
            match outcome {
                Ok(()) => settled.push((letter.number, letter.id)),
                Err(error) => {
                    all = false;
                    metrics::queue_dead_letter_failed();
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(record = %letter.id, error, "dead letter not written");
                }
            }
        }
        let settle = |(number, id)| QueuesCommand::Settled { number, ids: vec![id] };
        let settled: Vec<_> = settled.into_iter().map(settle).collect();
        all & shard.change(|_, _| Ok::<_, AppendError>((settled, ()))).is_ok()
    }

    /// Durable when it returns. A record that is gone, like its topic, has no letter.
    async fn write_dead_letter(&self, letter: &Letter) -> Result<(), QueueError> {
        let Some(to) = &letter.to else { return Ok(()) };
        let Ok(open) = self.topic_table().find(&TopicRef::Id(letter.key.topic)) else {
            return Ok(());
        };
        let log = open.partition(letter.id.partition)?.log();
        let Some(record) = read_one(log.as_ref(), letter.id.offset).await? else {
            metrics::queue_records_gone(1);
            return Ok(());
        };
        let node = Principal::node();
        let target = self.topic_or_create(&node, to).await.map_err(QueueError::DeadLetter)?;
        let index = PartitionIndex::new(letter.id.partition.value() % target.partitions);
        let batch = self.dead_letter_batch(&open.topic.name, letter, &record)?;
        let appended = self.append(&node, &TopicRef::Id(target.id), index, batch).await;
        let appended = appended.map_err(QueueError::DeadLetter)?;
        let durable = appended.ticket.durable().await;
        durable.map_err(|error| QueueError::DeadLetter(error.into()))?;
        metrics::queue_dead_letter_written();
        Ok(())
    }

    /// The record as it was, with where it came from and why it is here; stamped with the time of
    /// its burial, so that the retention of the dead-letter topic counts from then.
    fn dead_letter_batch(
        &self,
        topic: &TopicName,
        letter: &Letter,
        record: &Record,
    ) -> Result<bytes::BytesMut, QueueError> {
        let mut headers = record.headers.clone();
        let mut add = |name: &'static str, value: Bytes| {
            headers.push(Header { name: Bytes::from_static(name.as_bytes()), value: Some(value) });
        };
        add("dead-letter.topic", Bytes::copy_from_slice(topic.as_bytes()));
        add("dead-letter.partition", letter.id.partition.to_string().into());
        add("dead-letter.offset", letter.id.offset.to_string().into());
        add("dead-letter.timestamp", record.timestamp.to_string().into());
        add("dead-letter.group", letter.key.group.clone());
        add("dead-letter.deliveries", letter.deliveries.to_string().into());
        add("dead-letter.reason", letter.reason.clone().into());
        let mut batch = BatchBuilder::new(Compression::None);
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        batch.push(self.clock().wall(), key, value, &headers);
        let built = batch.build().map_err(|error| QueueError::DeadLetter(error.into()))?;
        Ok(built.into_bytes())
    }
}
