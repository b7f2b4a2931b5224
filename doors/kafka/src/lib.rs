//! The Kafka door: the protocol of Apache Kafka 4.1, translated into calls on the broker and back.
//!
//! `codec/` turns bytes into messages, `session.rs` decides what may begin and in which order
//! answers leave, `commands/` has a file for each request, `errors.rs` chooses Kafka's codes, and
//! `connection.rs` is the one loop that does I/O. `login/` asks clients who they are.

mod codec;
mod commands;
mod config;
mod connection;
mod errors;
#[doc(hidden)]
pub mod fuzz;
mod grant;
mod login;
mod metrics;
mod node;
mod output;
mod sendfile;
mod serve;
mod session;
mod transport;

pub use codec::api::Api;
pub use config::{Advertised, KafkaConfig, OauthConfig, PlainPolicy};
pub use login::{Jwks, JwksError};
pub use serve::serve;
