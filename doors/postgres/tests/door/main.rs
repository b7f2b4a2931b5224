//! The Postgres door over real sockets, with a client that nobody here wrote and with bare bytes.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot go on without is a failure of the test"
)]

mod authentication;
mod clients;
mod copying;
mod extended;
mod limits;
mod protocol;
mod simple;
mod support;
