//! The Redis door: RESP2 and RESP3, translated into calls on the broker and back.
//!
//! `codec/` turns bytes into requests and replies into bytes, `table.rs` says what a command is,
//! `commands/` has a file for each family of them, `client.rs` is what a connection remembers,
//! `errors.rs` chooses Redis's codes, `access/` knows who a client is and what it may do, and `connection.rs` is the one loop that does I/O.

mod access;
mod client;
mod codec;
mod commands;
mod config;
mod connection;
mod errors;
mod execution;
#[doc(hidden)]
pub mod fuzz;
mod keys;
mod memory_limit;
mod metrics;
mod notifications;
mod output;
mod parameters;
mod registry;
mod serve;
mod server;
mod slowlog;
mod statistics;
mod streams;
mod subscriptions;
mod table;
mod threads;

pub use config::RedisConfig;
pub use keys::KeysDurability;
pub use serve::serve;
