//! Bytes to messages and back. No sockets, no async, no clock.
//!
//! Produce and Fetch, which carry records, are read and written by hand so that records are never
//! copied. Everything else goes through the `kafka-protocol` crate, behind [`guard`].

pub(crate) mod api;
#[cfg(test)]
mod captures;
pub(crate) mod fetch;
pub(crate) mod frame;
pub(crate) mod guard;
pub(crate) mod header;
pub(crate) mod message;
pub(crate) mod produce;
pub(crate) mod reader;
pub(crate) mod response;
mod schema;
mod taker;
mod writer;
