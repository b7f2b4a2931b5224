//! The door over real sockets and a broker that keeps nothing, driven by another implementation of
//! the protocol.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod client;
mod cold;
mod identical;
mod lifecycle;
mod logins;
mod refusals;
mod versions;
