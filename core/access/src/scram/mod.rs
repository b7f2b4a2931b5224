//! The server's side of SCRAM, without I/O: bytes in, bytes out.
//!
//! Kafka and PostgreSQL carry these messages inside their own frames. Source: RFC 5802 and RFC 7677;
//! channel binding by `tls-server-end-point` (RFC 5929), the only one that both can speak.
//!
//! ```
//! # use posthouse_access::{Mechanism, Verifier, scram::{ChannelBinding, ClientFirst, Nonce}};
//! # let verifier = Verifier::of_password(Mechanism::ScramSha256, b"pencil", 4096).unwrap();
//! let first = ClientFirst::parse(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO", &ChannelBinding::Unavailable)?;
//! assert_eq!(first.user(), "user");
//! let (exchange, answer) = first.challenge(verifier, &Nonce::random());
//! assert!(answer.starts_with("r=rOprNGfwEbeRWgbNEkqO"));
//! // The client's answer goes to `exchange.finish`.
//! # Ok::<(), posthouse_access::scram::ScramError>(())
//! ```
//!
//! # Invariants
//! - Proofs are compared in constant time, and a wrong one is told from a malformed one only where
//!   the password does not matter.

mod exchange;
mod message;
#[cfg(test)]
mod tests;

pub use exchange::{Exchange, Nonce};
pub use message::ClientFirst;

/// LIMIT: longest message from a client.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1024;

/// What the connection offers to bind the exchange to, so that nobody can stand in between.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ChannelBinding {
    /// Nothing: there is no TLS, or the protocol knows no binding.
    #[default]
    Unavailable,
    /// The client was offered `-PLUS` and chose the mechanism without.
    Offered,
    /// The client chose `-PLUS`; the `tls-server-end-point` hash of this node's certificate.
    Chosen(Vec<u8>),
}

/// Why an exchange fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ScramError {
    #[error("a SCRAM message of {size} bytes is too long; {max} are allowed", max = MESSAGE_BYTES_MAX)]
    TooLong { size: usize },
    #[error("malformed SCRAM message: {0}")]
    Malformed(&'static str),
    #[error("a mandatory SCRAM extension is not supported")]
    Extension,
    #[error("channel binding {0:?} is not supported; tls-server-end-point is")]
    Binding(String),
    #[error("the channel binding does not match: is somebody between the client and this node?")]
    Mismatch,
    #[error("the nonce is not the one that was given")]
    Nonce,
    #[error("the proof is wrong")]
    Proof,
}
