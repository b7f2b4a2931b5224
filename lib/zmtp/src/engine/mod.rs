//! Tasks that carry bytes: one for each listener, each connector and each connection.
//!
//! All decisions are made elsewhere: the protocol's in [`crate::session`], the socket's in
//! [`crate::core`]. What is here reads, writes, waits and tries again.

mod connection;
mod connector;
mod inproc;
mod listener;
mod read_room;
mod stream;

pub(crate) use connector::connect;
pub(crate) use listener::bind;
