//! The Postgres door over real sockets, with a client that nobody here wrote and with bare bytes.

mod clients;
mod copying;
mod extended;
mod limits;
mod protocol;
mod simple;
mod support;
