//! Logging in: SASL as Kafka frames it, and what a client may do before it has.
//!
//! `state.rs` decides, without I/O, which request is taken when; `guest.rs` keeps one connection's
//! login and follows it to its end; `exchange.rs` asks the broker. Messages of the mechanisms are
//! read in `plain.rs` and `oauth/`.
//!
//! # Invariants
//! - Before login only ApiVersions, SaslHandshake and SaslAuthenticate are answered, one at a time;
//!   any other request ends the connection, as in Kafka.
//! - A refusal says nothing about what was wrong, and ends the connection once it is sent.
//!
//! # Source
//! KIP-43 (mechanisms), KIP-152 (SaslAuthenticate), KIP-368 (re-authentication), RFC 4616 (PLAIN),
//! RFC 5802 (SCRAM), RFC 7628 (OAUTHBEARER). GSSAPI and delegation tokens are not served.

mod exchange;
mod guest;
mod mechanism;
mod oauth;
mod plain;
mod state;

pub(crate) use guest::{Guest, LoginStep, Over};
use mechanism::SaslMechanism;
pub(crate) use oauth::{BearerMessage, SignedToken};
pub use oauth::{Jwks, JwksError};
pub(crate) use plain::PlainMessage;
pub(crate) use state::{Admitted, UnexpectedRequest};
