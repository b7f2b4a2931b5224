//! The broker as its callers see it, over an engine that behaves like an object store.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod declarations;
mod endpoints;
mod failures;
mod fetching;
mod groups;
mod harness;
mod live_channels;
mod live_pairs;
mod live_services;
mod live_topics;
mod memory;
mod offsets;
mod producers;
mod queues;
mod restarts;
mod topics;
