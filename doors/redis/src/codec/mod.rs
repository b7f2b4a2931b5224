//! Bytes to requests and replies to bytes, in both versions of the protocol. No I/O.
//!
//! # Source
//! The Redis serialization protocol, versions 2 and 3. Not written, because no command here answers
//! with it: big numbers and attributes.

mod inline;
mod number;
mod reply;
mod request;

pub(crate) use number::parse_integer;
pub(crate) use reply::{Protocol, Reply};
pub(crate) use request::{ProtocolError, RequestLimits, Requests};
