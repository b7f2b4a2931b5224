//! PULL, SUB and XSUB: what arrives is appended to a topic or published on a channel.
//!
//! # Invariants
//! - The order of each publisher is kept: messages without a key go to one partition of the topic, the
//!   same for the life of the endpoint and after a restart.
//! - A message that the topic cannot take now is tried until it can, and nothing is received
//!   meanwhile; one that it never takes is dropped and counted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use posthouse_broker::{
    AppendFailure, LiveMessage, PublishError, Publisher, TopicRef, partition_for_key,
};
use posthouse_record::{BatchBuilder, Compression};
use posthouse_types::{PartitionIndex, TopicName};
use posthouse_zmtp::Socket;

use crate::context::Context;
use crate::errors::{WorkError, is_refusal};
use crate::metrics::Dropped;
use crate::spec::Place;

/// LIMIT: messages taken at once.
const BATCH_MESSAGES_MAX: usize = 512;
/// LIMIT: bytes taken at once; one message larger than that is a batch of its own.
const BATCH_BYTES_MAX: usize = 256 * 1024;
/// LIMIT: appends that are not durable yet, before nothing more is received.
const UNDURABLE_MAX: usize = 256;
/// How long what has arrived already is still taken when the endpoint ends.
const DRAIN: Duration = Duration::from_secs(1);

pub(super) async fn run(context: &Context, socket: &Socket, into: &Place) -> Result<(), WorkError> {
    let mut sink = Sink::open(context, into).await?;
    context.progress.running();
    while let Some(first) = context.receive(socket).await? {
        sink.take(context.gather(socket, first)).await?;
    }
    let end = Instant::now() + DRAIN;
    while Instant::now() < end
        && let Ok(first) = socket.try_recv()
    {
        sink.take(context.gather(socket, first)).await?;
    }
    sink.settle(0).await;
    Ok(())
}

impl Context {
    /// The first message and what has arrived behind it, up to a batch.
    fn gather(&self, socket: &Socket, first: posthouse_zmtp::Message) -> Vec<LiveMessage> {
        let mut bytes = first.byte_len();
        let mut messages = vec![self.live(first)];
        while messages.len() < BATCH_MESSAGES_MAX
            && bytes < BATCH_BYTES_MAX
            && let Ok(next) = socket.try_recv()
        {
            bytes += next.byte_len();
            messages.push(self.live(next));
        }
        self.progress.received(u64::try_from(messages.len()).unwrap_or(u64::MAX));
        messages
    }
}

/// Where messages go, and those that are not durable yet.
struct Sink<'a> {
    context: &'a Context,
    into: Into,
    undurable: FuturesUnordered<BoxFuture<'static, Result<(), u64>>>,
}

enum Into {
    Topic(TopicName),
    Channel(Publisher, Bytes),
}

impl<'a> Sink<'a> {
    async fn open(context: &'a Context, into: &Place) -> Result<Sink<'a>, WorkError> {
        let into = match into {
            Place::Topic(name) => {
                context.broker.topic_or_create(&context.principal, name).await?;
                Into::Topic(name.clone())
            }
            Place::Channel(channel) => {
                Into::Channel(context.broker.publisher(&context.principal), channel.clone())
            }
        };
        Ok(Sink { context, into, undurable: FuturesUnordered::new() })
    }

    async fn take(&mut self, messages: Vec<LiveMessage>) -> Result<(), WorkError> {
        match &self.into {
            Into::Topic(name) => {
                let name = name.clone();
                self.append(&name, messages).await;
            }
            Into::Channel(..) => {
                for message in messages {
                    self.publish(message).await;
                }
            }
        }
        self.settle(UNDURABLE_MAX).await;
        Ok(())
    }

    /// Waits until at most `count` appends are not durable.
    async fn settle(&mut self, count: usize) {
        while self.undurable.len() > count
            && let Some(settled) = self.undurable.next().await
        {
            if let Err(lost) = settled {
                self.context.progress.dropped(Dropped::Undurable, lost);
            }
        }
    }

    async fn publish(&mut self, message: LiveMessage) {
        let Into::Channel(publisher, channel) = &self.into else { return };
        loop {
            match publisher.start(channel.clone(), message.clone()).await {
                Ok(publishing) => {
                    if publishing.published().at.is_some() {
                        let durable =
                            async move { publishing.finish().await.map(drop).map_err(|_| 1) };
                        self.undurable.push(Box::pin(durable));
                    }
                    self.context.progress.running();
                    return;
                }
                Err(PublishError::Append(failure)) if is_refusal(&failure) => {
                    return self.refuse(1, &failure);
                }
                Err(error) => self.context.failing(&error),
            }
            if !may_go_on(self.context, 1).await {
                return;
            }
        }
    }

    /// Appends each partition's messages as one batch.
    async fn append(&mut self, name: &TopicName, messages: Vec<LiveMessage>) {
        let mut messages = Some(messages);
        while let Some(batch) = messages.take() {
            let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
            match self.context.broker.topic_or_create(&self.context.principal, name).await {
                Ok(topic) => {
                    for (partition, batch) in self.by_partition(batch, topic.partitions) {
                        self.append_batch(name, partition, batch).await;
                    }
                    return;
                }
                Err(failure) if is_refusal(&failure) => return self.refuse(count, &failure),
                Err(failure) => self.context.failing(&failure),
            }
            if may_go_on(self.context, count).await {
                messages = Some(batch);
            }
        }
    }

    fn by_partition(
        &self,
        messages: Vec<LiveMessage>,
        partitions: u32,
    ) -> BTreeMap<PartitionIndex, Vec<LiveMessage>> {
        let keyless = partition_for_key(self.context.spec.name.as_bytes(), partitions);
        let mut parted: BTreeMap<_, Vec<LiveMessage>> = BTreeMap::new();
        for message in messages {
            let key = message.key.as_ref();
            let partition = key.map_or(keyless, |key| partition_for_key(key, partitions));
            parted.entry(partition).or_default().push(message);
        }
        parted
    }

    /// Appends a batch; one that is too large or in part unfit is parted into its messages.
    async fn append_batch(
        &mut self,
        name: &TopicName,
        partition: PartitionIndex,
        batch: Vec<LiveMessage>,
    ) {
        let mut waiting = vec![batch];
        while let Some(batch) = waiting.pop() {
            let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
            match self.append_once(name, partition, &batch).await {
                Ok(()) => self.context.progress.running(),
                Err(failure) if is_refusal(&failure) && batch.len() > 1 => {
                    waiting.extend(batch.into_iter().rev().map(|message| vec![message]));
                }
                Err(failure) if is_refusal(&failure) => self.refuse(count, &failure),
                Err(failure) => {
                    self.context.failing(&failure);
                    if may_go_on(self.context, count).await {
                        waiting.push(batch);
                    }
                }
            }
        }
    }

    async fn append_once(
        &mut self,
        name: &TopicName,
        partition: PartitionIndex,
        batch: &[LiveMessage],
    ) -> Result<(), AppendFailure> {
        let mut builder = BatchBuilder::new(Compression::None);
        for LiveMessage { key, value, headers, timestamp } in batch {
            builder.push(*timestamp, key.as_deref(), value.as_deref(), headers);
        }
        let bytes = builder.build()?.into_bytes();
        let topic = TopicRef::Name(name.clone());
        let Context { broker, principal, .. } = self.context;
        let appended = broker.append(principal, &topic, partition, bytes).await?;
        let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let durable = async move { appended.ticket.durable().await.map_err(|_| count) };
        self.undurable.push(Box::pin(durable));
        Ok(())
    }

    fn refuse(&self, count: u64, failure: &AppendFailure) {
        let reason = crate::errors::chain(failure);
        tracing::debug!(endpoint = self.context.spec.name, reason, "message refused");
        self.context.progress.dropped(Dropped::Refused, count);
    }
}

/// Waits before the next try; false when it is time to end, and the messages are lost.
async fn may_go_on(context: &Context, count: u64) -> bool {
    context.pause().await;
    let goes_on = !context.until.is_cancelled();
    if !goes_on {
        context.progress.dropped(Dropped::Undurable, count);
    }
    goes_on
}
