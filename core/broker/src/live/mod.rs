//! Live routing: channels, which deliver what is published to whoever listens now; services, which
//! answer requests; and pairs, which join two peers.
//!
//! Nothing is kept of what is published on a channel, unless a topic of the same name exists. Then
//! publishing appends to the topic, and a subscriber is a cursor on its log: it sees what is durable,
//! in offset order, and may begin in the past.
//!
//! # Invariants
//! - A payload is one reference-counted buffer, however many receivers it has.
//! - Every queue is bounded by what its owner declared, and what an owner loses is counted.
//! - No lock is held across an await.

mod catch_up;
mod channels;
mod feed;
mod feeds;
mod glob;
mod inbox;
mod message;
mod pairs;
mod pattern;
mod permission;
mod publisher;
mod records;
mod routes;
#[cfg(test)]
mod routes_tests;
mod services;
mod subscriber;
mod trie;
mod wakes;

pub(crate) use channels::Channels;
pub use glob::Glob;
pub use inbox::{Overflow, SubscriberConfig, SubscriberEnded};
pub use message::{Delivery, Encoding, Event, EventPosition, LiveMessage};
pub(crate) use pairs::Pairs;
pub use pairs::{PairEvent, Peer};
pub use pattern::{PATTERN_BYTES_MAX, Pattern};
pub use publisher::{Published, Publisher, Publishing};
pub(crate) use services::Services;
pub use services::{
    ATTEMPTS_MAX, Absent, PENDING_BYTES_MAX, PENDING_MAX, Request, RequestOptions, Worker,
    WorkerConfig,
};
pub use subscriber::{SUBSCRIPTIONS_MAX, SubscribeFrom, Subscriber};
