//! Publishing: to whoever listens now, or to the log when the channel is a topic.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use posthouse_log::Ticket;
use posthouse_record::{BatchBuilder, Compression};
use posthouse_types::{LeaderEpoch, Offset, PartitionIndex, Principal};

use super::message::{Event, LiveMessage};
use super::wakes::Wakes;
use crate::partitioner::{partition_for_connection, partition_for_key};
use crate::topics::OpenTopic;
use crate::{AppendFailure, Broker, PublishError, TopicRef, metrics};

/// Tells publishers apart, so that they spread over partitions.
static PUBLISHER_NEXT: AtomicU32 = AtomicU32::new(0);

/// One connection's way to publish.
///
/// What it publishes on one channel arrives in the order in which it published: the records of a
/// topic without a key go to one partition for as long as it lives.
pub struct Publisher {
    broker: Arc<Broker>,
    principal: Principal,
    number: u32,
    /// Receivers of what was published by [`Publisher::start_quietly`].
    wakes: Mutex<Wakes>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Subscriptions that it goes to.
    pub receivers: u64,
    /// Where it lies, if its channel is a topic.
    pub at: Option<(PartitionIndex, Offset)>,
}

/// A message that is accepted, and not durable yet if its channel is a topic.
#[derive(Debug)]
pub struct Publishing {
    published: Published,
    ticket: Option<Ticket>,
}

impl Broker {
    /// A publisher, for the life of one connection.
    pub fn publisher(&self, principal: &Principal) -> Publisher {
        self.publisher_of(principal, PUBLISHER_NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// A publisher of a connection that its door has numbered, for doors whose requests stand alone:
    /// records without a key go where [`partition_for_connection`] says, whichever request they are of.
    pub fn publisher_of(&self, principal: &Principal, connection: u32) -> Publisher {
        let broker = self.this().upgrade().expect("whoever calls holds the broker");
        let (principal, wakes) = (principal.clone(), Mutex::default());
        Publisher { broker, principal, number: connection, wakes }
    }

    /// Publishes one message on its own; see [`Publisher::publish`].
    ///
    /// # Errors
    /// [`PublishError`]; see there for what may have been written.
    pub async fn publish(
        &self,
        principal: &Principal,
        channel: Bytes,
        message: LiveMessage,
    ) -> Result<Published, PublishError> {
        self.publisher(principal).publish(channel, message).await
    }
}

impl Publisher {
    /// Publishes, and waits until a topic's record is durable.
    ///
    /// # Errors
    /// [`PublishError`]. Only after a [`AppendFailure::Durability`] may it have been written.
    pub async fn publish(
        &self,
        channel: Bytes,
        message: LiveMessage,
    ) -> Result<Published, PublishError> {
        self.start(channel, message).await?.finish().await
    }

    /// Publishes without waiting for the disk, so that more can follow at once.
    ///
    /// # Errors
    /// [`PublishError`]; nothing was written.
    ///
    /// # Cancellation
    /// Safe to drop; the message is then not written, or not delivered to those who made it wait.
    pub async fn start(
        &self,
        channel: Bytes,
        message: LiveMessage,
    ) -> Result<Publishing, PublishError> {
        let started = self.start_quietly(channel, message).await;
        self.wake();
        started
    }

    /// As [`Publisher::start`], for one of several messages: receivers that are idle learn of them by
    /// [`Publisher::wake`], which must follow, and then find all of them.
    ///
    /// # Errors
    /// As for [`Publisher::start`].
    ///
    /// # Cancellation
    /// As for [`Publisher::start`].
    pub async fn start_quietly(
        &self,
        channel: Bytes,
        message: LiveMessage,
    ) -> Result<Publishing, PublishError> {
        let channels = self.broker.channels();
        let open = self.broker.topic_table().find_bytes(&channel);
        let topic = open.as_ref().map(|open| &open.topic.name);
        self.broker.authorize_publishing(&self.principal, &channel, topic)?;
        if let Some(open) = open {
            let (partition, ticket, offset) = self.append(&open, &message).await?;
            let published = Published {
                receivers: channels.matching_count(&channel),
                at: Some((partition, offset)),
            };
            return Ok(Publishing { published, ticket: Some(ticket) });
        }
        let event = Arc::new(Event::new(channel, message, None));
        let receivers = channels.deliver(event, &self.wakes).await;
        metrics::live_published(receivers);
        Ok(Publishing { published: Published { receivers, at: None }, ticket: None })
    }

    /// Wakes the receivers of what was published quietly. Dropping the publisher does, too.
    pub fn wake(&self) {
        self.wakes.lock().wake();
    }

    async fn append(
        &self,
        open: &OpenTopic,
        message: &LiveMessage,
    ) -> Result<(PartitionIndex, Ticket, Offset), AppendFailure> {
        let partitions = open.topic.partitions;
        let index = match &message.key {
            Some(key) => partition_for_key(key, partitions),
            None => partition_for_connection(self.number, partitions),
        };
        let LiveMessage { key, value, headers, timestamp } = message;
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(*timestamp, key.as_deref(), value.as_deref(), headers);
        let placed = builder.build()?.place(Offset::ZERO, LeaderEpoch(-1));
        let bytes = placed.bytes().clone();
        // With the batch gone the bytes have one owner, and become writable without a copy.
        drop(placed);
        let topic = TopicRef::Id(open.topic.id);
        let batch = BytesMut::from(bytes);
        let appended = self.broker.append(&self.principal, &topic, index, batch).await?;
        Ok((index, appended.ticket, appended.base_offset))
    }
}

impl Publishing {
    /// Waits until a topic's record is durable; a live message is there already.
    ///
    /// # Errors
    /// [`PublishError::Append`] when the record can no longer become durable.
    pub async fn finish(self) -> Result<Published, PublishError> {
        if let Some(ticket) = self.ticket {
            ticket.durable().await.map_err(AppendFailure::Durability)?;
        }
        Ok(self.published)
    }

    /// What is known before it is durable.
    pub fn published(&self) -> Published {
        self.published
    }
}
