//! OAuth tokens: what a client sends, who signed it, and the keys that tell.
//!
//! # Why no library
//! `jsonwebtoken` would bring a second crypto provider (or, in its last version on ring, a published
//! flaw in how it checks claims); verifying two algorithms with the ring that TLS uses is less than
//! that. No algorithm is taken from a token that its key does not have.
//!
//! # Source
//! RFC 7628 (OAUTHBEARER), RFC 7515 and 7519 (JWS, JWT), RFC 7517 and 7518 (JWK). RS256 and ES256.

mod fetch;
mod keys;
mod message;
mod source;
mod token;

pub(crate) use keys::KeySet;
pub(crate) use message::BearerMessage;
pub use source::{Jwks, JwksError};
pub(crate) use token::{Expected, Named, SignedToken};

/// The error that a client is told before it gives up (RFC 7628, section 3.2.2).
pub(super) const REFUSED: &[u8] = br#"{"status":"invalid_token"}"#;
