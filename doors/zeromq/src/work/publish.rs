//! PUB and XPUB: what comes on a channel, or becomes durable in a topic, goes to every subscriber.
//!
//! What a subscriber subscribes to is a prefix of the first frame, which the socket matches. It never
//! waits for a subscriber: above the high-water mark it drops, and counts.

use posthouse_broker::{Overflow, Pattern, SubscribeFrom, Subscriber, SubscriberConfig};
use posthouse_types::ByteSize;
use posthouse_zmtp::{RecvError, Socket, SocketType};

use crate::context::Context;
use crate::errors::WorkError;
use crate::frames;
use crate::metrics::Dropped;
use crate::spec::Place;

/// LIMIT: bytes that wait to be published.
const QUEUED_BYTES: ByteSize = ByteSize::mib(16);
/// LIMIT: messages that wait to be published.
const QUEUED_MESSAGES: usize = 10_000;
/// Messages taken at once.
const BATCH_MAX: usize = 256;

pub(super) async fn run(
    context: &Context,
    socket: &Socket,
    from: &Place,
    overflow: Overflow,
) -> Result<(), WorkError> {
    let subscriber = subscribe(context, from, overflow).await?;
    context.progress.running();
    tokio::select! {
        published = publish(context, socket, &subscriber) => published,
        failed = hear(context, socket) => Err(failed.into()),
    }
}

/// A subscriber to a place, from now on.
pub(super) async fn subscribe(
    context: &Context,
    from: &Place,
    overflow: Overflow,
) -> Result<Subscriber, WorkError> {
    let channel = match from {
        Place::Channel(channel) => channel.clone(),
        Place::Topic(topic) => {
            let topic = context.broker.topic_or_create(&context.principal, topic).await?;
            bytes::Bytes::copy_from_slice(topic.name.as_bytes())
        }
    };
    let config =
        SubscriberConfig { bytes_max: QUEUED_BYTES, messages_max: QUEUED_MESSAGES, overflow };
    let subscriber = context.broker.subscriber(&context.principal, config);
    subscriber.subscribe(Pattern::Exact(channel), SubscribeFrom::Now).await?;
    Ok(subscriber)
}

async fn publish(
    context: &Context,
    socket: &Socket,
    subscriber: &Subscriber,
) -> Result<(), WorkError> {
    let mut batch = Vec::new();
    loop {
        let next = tokio::select! {
            biased;
            () = context.until.cancelled() => return Ok(()),
            next = subscriber.next_many(BATCH_MAX, &mut batch) => next,
        };
        next?;
        let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        for delivery in batch.drain(..) {
            socket.send(frames::of_live(delivery.message())).await?;
        }
        context.progress.sent(count);
    }
}

/// Takes off what subscribers say, or the socket would stop reading from them. An XPUB hears their
/// subscriptions, which nobody here needs, and messages, which are for nobody.
async fn hear(context: &Context, socket: &Socket) -> RecvError {
    if socket.kind() != SocketType::Xpub {
        return std::future::pending().await;
    }
    loop {
        match socket.recv().await {
            Ok(message) => {
                let first = message.first().and_then(|frame| frame.first());
                if message.frame_count() > 1 || !matches!(first, Some(0 | 1)) {
                    context.progress.dropped(Dropped::Unwanted, 1);
                }
            }
            Err(error) => return error,
        }
    }
}
