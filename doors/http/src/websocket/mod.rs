//! A WebSocket: channels, services and pairs over one connection.
//!
//! The frames are in [`crate::codec::frame`]; what a client asks is carried out in [`session`], and
//! [`connection`] is the one loop that reads, waits and writes.

mod connection;
mod held;
mod session;

pub(crate) use connection::converse;
