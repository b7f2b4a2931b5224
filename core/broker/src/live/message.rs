//! What travels on a channel.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use posthouse_record::{Header, Record};
use posthouse_types::{Offset, PartitionIndex, Timestamp, TopicId};

use super::Pattern;
use super::routes::Subscription;

/// A message: a record that has no place in a log yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveMessage {
    /// The key, if it has one.
    pub key: Option<Bytes>,
    /// The value.
    pub value: Option<Bytes>,
    /// Headers in their order; a name may come more than once.
    pub headers: Vec<Header>,
    /// When it was made.
    pub timestamp: Timestamp,
}

impl LiveMessage {
    /// A message that is only a value.
    pub fn of_value(value: impl Into<Bytes>, timestamp: Timestamp) -> LiveMessage {
        LiveMessage { key: None, value: Some(value.into()), headers: Vec::new(), timestamp }
    }

    /// Bytes of key, value and headers.
    pub fn size(&self) -> usize {
        let header = |header: &Header| {
            header.name.len() + header.value.as_ref().map_or(0, Bytes::len) + size_of::<Header>()
        };
        let headers: usize = self.headers.iter().map(header).sum();
        let len = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        len(&self.key) + len(&self.value) + headers
    }
}

impl From<Record> for LiveMessage {
    fn from(record: Record) -> LiveMessage {
        let Record { key, value, headers, timestamp, .. } = record;
        LiveMessage { key, value, headers, timestamp }
    }
}

/// Where a message lies, when its channel is a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPosition {
    /// The topic.
    pub topic: TopicId,
    /// The partition.
    pub partition: PartitionIndex,
    /// The offset.
    pub offset: Offset,
}

/// A message on its channel, shared by all who receive it.
#[derive(Debug)]
pub struct Event {
    /// The channel it was published on.
    pub channel: Bytes,
    /// The message.
    pub message: LiveMessage,
    /// Its place in the log; `None` on a channel that is not a topic.
    pub at: Option<EventPosition>,
    size: usize,
    encoded: [OnceLock<(Encoding, Bytes)>; 2],
}

/// Names an encoding of an event, such as a protocol's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding(pub &'static str);

impl Event {
    /// What a queue counts beside the payload.
    const OVERHEAD: usize = 128;

    pub(super) fn new(channel: Bytes, message: LiveMessage, at: Option<EventPosition>) -> Event {
        let size = Event::OVERHEAD + channel.len() + message.size();
        Event { channel, message, at, size, encoded: Default::default() }
    }

    /// Bytes that it counts for in a queue.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The event in an encoding that is the same for every receiver, made once for all of them.
    ///
    /// Two encodings are remembered; a third is made anew each time.
    pub fn encoded(
        &self,
        encoding: Encoding,
        encode: impl FnOnce(&Event) -> Bytes,
    ) -> Cow<'_, Bytes> {
        for slot in &self.encoded {
            match slot.get() {
                Some((known, bytes)) if *known == encoding => return Cow::Borrowed(bytes),
                Some(_) => {}
                None => {
                    let bytes = encode(self);
                    // Whoever was first may have stored another encoding, which does no harm.
                    let _ = slot.set((encoding, bytes.clone()));
                    return Cow::Owned(bytes);
                }
            }
        }
        Cow::Owned(encode(self))
    }
}

/// An event as one subscription receives it.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub(super) subscription: Arc<Subscription>,
    /// The event.
    pub event: Arc<Event>,
}

impl Delivery {
    /// The pattern that matched.
    pub fn pattern(&self) -> &Pattern {
        self.subscription.pattern()
    }

    /// The channel it was published on.
    pub fn channel(&self) -> &Bytes {
        &self.event.channel
    }

    /// The message.
    pub fn message(&self) -> &LiveMessage {
        &self.event.message
    }
}
