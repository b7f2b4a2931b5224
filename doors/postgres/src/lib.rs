//! The Postgres door: SQL over topics and files through the Postgres wire protocol.
//!
//! Entry point: [`serve`]. A connection goes through four rooms: `codec` turns bytes into messages,
//! `session` remembers, `commands` holds one file for each kind of message or statement, and
//! `errors` chooses what a client is told. `values` turns Arrow into Postgres values, `sql` tells
//! statements apart, and `catalog` is `pg_catalog`.
//!
//! What works with which client is in `docs/doors/postgres.md`.

mod authentication;
mod cancel;
mod catalog;
mod codec;
mod commands;
mod config;
mod errors;
mod functions;
#[doc(hidden)]
pub mod fuzz;
mod metrics;
mod roles;
mod server;
mod session;
mod settings;
mod sql;
mod startup;
mod values;
mod wire;

pub use config::{Encryption, PostgresConfig};
pub use server::serve;
