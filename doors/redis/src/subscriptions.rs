//! What a client is subscribed to, and how messages reach it.
//!
//! A client has a [`Subscriber`] of the broker from its first subscription on. What waits for a slow
//! client waits in that subscriber's queue, which disconnects it at the hard limit; the connection
//! takes from it only as much as the socket does.

use std::collections::BTreeSet;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use posthouse_broker::{
    Broker, Delivery, Encoding, Event, Overflow, Pattern, Subscriber, SubscriberConfig,
    SubscriberEnded,
};
use posthouse_types::{ByteSize, Principal};

use crate::codec::{Protocol, Reply};
use crate::output::Output;

/// LIMIT: messages queued for a client, beside the limits in bytes.
const MESSAGES_MAX: usize = 4 << 20;

/// Messages taken at a time.
const TAKEN_MAX: usize = 256;

/// Bytes of messages that are written before more are taken.
pub(crate) const UNWRITTEN_BYTES_MAX: usize = 256 * 1024;

/// How a subscription was made, which is how its messages are announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `SUBSCRIBE`.
    Channel,
    /// `PSUBSCRIBE`.
    Pattern,
    /// `SSUBSCRIBE`.
    Shard,
}

/// The subscriptions of one client.
#[derive(Default)]
pub(crate) struct Subscriptions {
    subscriber: Option<Subscriber>,
    channels: BTreeSet<Bytes>,
    patterns: BTreeSet<Bytes>,
    shard_channels: BTreeSet<Bytes>,
    taken: Vec<Delivery>,
}

impl Subscriptions {
    /// The broker's subscriber for this client, made when it is first needed.
    pub(crate) fn subscriber(
        &mut self,
        broker: &Broker,
        principal: &Principal,
        bytes_max: usize,
    ) -> &Subscriber {
        self.subscriber.get_or_insert_with(|| {
            let bytes_max = ByteSize(u64::try_from(bytes_max).unwrap_or(u64::MAX));
            let config = SubscriberConfig {
                bytes_max,
                messages_max: MESSAGES_MAX,
                overflow: Overflow::Disconnect,
            };
            broker.subscriber(principal, config)
        })
    }

    /// The names subscribed to in this form, in order.
    pub(crate) fn names(&mut self, form: Form) -> &mut BTreeSet<Bytes> {
        match form {
            Form::Channel => &mut self.channels,
            Form::Pattern => &mut self.patterns,
            Form::Shard => &mut self.shard_channels,
        }
    }

    /// How many there are of each form.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        (self.channels.len(), self.patterns.len(), self.shard_channels.len())
    }

    /// The number that confirms a change, as Redis counts.
    pub(crate) fn count(&self, form: Form) -> usize {
        match form {
            Form::Channel | Form::Pattern => self.channels.len() + self.patterns.len(),
            Form::Shard => self.shard_channels.len(),
        }
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.counts() == (0, 0, 0)
    }

    /// Stops receiving by a name; `false` when it was not subscribed to.
    pub(crate) fn remove(&mut self, form: Form, name: &Bytes) -> bool {
        if !self.names(form).remove(name) {
            return false;
        }
        // One channel of the broker may be subscribed to in two forms.
        let still_needed = match form {
            Form::Pattern => false,
            Form::Channel => self.shard_channels.contains(name),
            Form::Shard => self.channels.contains(name),
        };
        if let Some(subscriber) = &self.subscriber
            && !still_needed
        {
            subscriber.unsubscribe(&pattern(form, name.clone()));
        }
        true
    }

    /// Ends all of them.
    pub(crate) fn clear(&mut self) {
        *self = Subscriptions::default();
    }

    /// Bytes that wait in the broker.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.subscriber.as_ref().map_or(0, |subscriber| subscriber.queued().1)
    }

    /// Writes messages that have come, but for those that `shows` hides by their channel and payload;
    /// gives how many came.
    ///
    /// # Errors
    /// [`SubscriberEnded`]: the client fell behind the hard limit.
    pub(crate) fn poll_messages(
        &mut self,
        cx: &mut Context<'_>,
        protocol: Protocol,
        shows: impl Fn(&[u8], &[u8]) -> bool,
        out: &mut Output,
    ) -> Result<usize, SubscriberEnded> {
        let mut count = 0;
        while out.len() < UNWRITTEN_BYTES_MAX {
            let Some(subscriber) = &self.subscriber else { break };
            match subscriber.poll_many(cx, TAKEN_MAX, &mut self.taken) {
                Poll::Pending => break,
                Poll::Ready(taken) => count += taken?,
            }
            for delivery in self.taken.drain(..) {
                if !shows(&delivery.event.channel, payload(&delivery.event)) {
                    continue;
                }
                write(&delivery, protocol, (&self.channels, &self.shard_channels), out);
            }
        }
        if out.len() >= UNWRITTEN_BYTES_MAX
            && let Some(subscriber) = &self.subscriber
            && let Poll::Ready(Err(ended)) = subscriber.poll_many(cx, 0, &mut self.taken)
        {
            // The socket takes nothing, so this is the only way to learn of the end.
            return Err(ended);
        }
        Ok(count)
    }
}

/// What the broker is asked for.
pub(crate) fn pattern(form: Form, name: Bytes) -> Pattern {
    match form {
        Form::Channel | Form::Shard => Pattern::Exact(name),
        Form::Pattern => Pattern::Glob(name),
    }
}

/// A message as each of the client's subscriptions announces it.
fn write(
    delivery: &Delivery,
    protocol: Protocol,
    (channels, shard_channels): (&BTreeSet<Bytes>, &BTreeSet<Bytes>),
    out: &mut Output,
) {
    let event = &delivery.event;
    if let Pattern::Glob(glob) = delivery.pattern() {
        let head = [b"pmessage", &glob[..], &event.channel[..]];
        message(&head, payload(event), protocol, out);
        return;
    }
    let channel = &event.channel;
    if channels.contains(channel) {
        // The same bytes for everyone who subscribed in this form, so they are made once.
        let encoding = Encoding(match protocol {
            Protocol::V2 => "resp2",
            Protocol::V3 => "resp3",
        });
        out.push_bytes(&event.encoded(encoding, |event| encode(event, protocol)));
    }
    if shard_channels.contains(channel) {
        message(&[b"smessage", &channel[..]], payload(event), protocol, out);
    }
}

fn encode(event: &Event, protocol: Protocol) -> Bytes {
    let mut out = Output::default();
    message(&[b"message", &event.channel[..]], payload(event), protocol, &mut out);
    let mut whole = BytesMut::with_capacity(out.len());
    out.drain_into(&mut whole);
    whole.freeze()
}

fn message(head: &[&[u8]], payload: &Bytes, protocol: Protocol, out: &mut Output) {
    let mut items: Vec<Reply> =
        head.iter().map(|part| Reply::Bulk(Bytes::copy_from_slice(part))).collect();
    items.push(Reply::Bulk(payload.clone()));
    Reply::Push(items).write(protocol, out);
}

/// A record without a value is an empty message, because a message is never nothing here.
fn payload(event: &Event) -> &Bytes {
    static EMPTY: Bytes = Bytes::new();
    event.message.value.as_ref().unwrap_or(&EMPTY)
}
