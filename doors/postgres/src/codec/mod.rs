//! Bytes from a client to typed messages. What the server sends is encoded by pgwire.
//!
//! Owns the framing of the Postgres protocol, version 3, from the client's side. pgwire's own decoder
//! reads past the end of a short message and lets a client announce a gigabyte; here every length is
//! checked against a named limit before memory is taken for it, a body is cut to its announced
//! length, and what it holds must fit that length exactly.
//!
//! # Source
//! PostgreSQL 16 documentation, "Message Formats".

mod frontend;
mod opening;
mod reader;
mod sasl;

pub(crate) use frontend::{Frontend, Target, decode};
pub(crate) use opening::{Opening, decode_opening};
pub(crate) use sasl::Answer;

/// LIMIT: a startup packet; PostgreSQL's own limit.
pub(crate) const OPENING_BYTES_MAX: usize = 10_000;

/// LIMIT: messages that carry only names; pgwire and PostgreSQL agree on this bound.
pub(crate) const SMALL_BYTES_MAX: usize = 10_000;

/// Why bytes are not a message. The connection cannot be used further.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// The announced length is not one that such a message can have.
    #[error("invalid message length {len}")]
    Length { len: i32 },
    /// The announced length is above what is accepted here.
    #[error("message of {len} bytes is larger than the limit of {max}")]
    TooLarge { len: usize, max: usize },
    /// The body ends before its fields do.
    #[error("message ends too early: no room for {what}")]
    Truncated { what: &'static str },
    /// The body goes on after its fields.
    #[error("{count} bytes left over in message")]
    LeftOver { count: usize },
    /// No message has this type, or not at this point.
    #[error("invalid frontend message type {kind}")]
    Kind { kind: u8 },
    /// Describe or Close of something that is neither a statement nor a portal.
    #[error("invalid subtype {subtype} of message")]
    Subtype { subtype: u8 },
    /// Text that is not UTF-8, the only client encoding there is.
    #[error("invalid byte sequence for encoding \"UTF8\" in {what}")]
    NotText { what: &'static str },
    /// A protocol that is not version 3.
    #[error("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.0")]
    Version { major: u16, minor: u16 },
}
