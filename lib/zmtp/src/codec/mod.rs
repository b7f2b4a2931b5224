//! Bytes to greetings, frames and commands, and back. No I/O, no clock.
//!
//! # Invariants
//! - Every length is compared with a named limit before memory is taken for what it announces.
//! - Nothing here recurses.

pub mod command;
pub mod frame;
pub mod greeting;
pub(crate) mod outbox;
pub mod z85;

/// What a decoder found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded<T> {
    /// A value, and how many bytes it took.
    Value {
        /// What was read.
        value: T,
        /// The bytes that it took.
        used: usize,
    },
    /// The input is right so far and too short.
    Need {
        /// The least length that may be enough.
        at_least: usize,
    },
}

/// The peer does not speak the protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The first bytes are no ZMTP signature.
    #[error("the peer does not speak ZMTP")]
    Signature,
    /// ZMTP 1.0, or what calls itself ZMTP 2.0 and is not.
    #[error("the peer speaks ZMTP revision {0}, which is too old")]
    Version(u8),
    /// The greeting's mechanism is not text.
    #[error("the peer's greeting names no mechanism")]
    MechanismName,
    /// The greeting's socket type is none of ours.
    #[error("the peer's socket type {0} is not known")]
    SocketCode(u8),
    /// Bits that must be zero.
    #[error("a frame has the reserved flags {0:#04x}")]
    Flags(u8),
    /// A command that claims to continue.
    #[error("a command is in more than one frame")]
    SplitCommand,
    /// A command between the frames of a message.
    #[error("a command is in the middle of a message")]
    InterruptedMessage,
    /// A length above the limit.
    #[error("a frame of {len} bytes is larger than the limit of {max}")]
    TooLarge {
        /// What the peer announced.
        len: u64,
        /// The limit.
        max: usize,
    },
    /// A message with more frames than the limit.
    #[error("a message has more than {max} frames")]
    TooManyFrames {
        /// The limit.
        max: usize,
    },
    /// A command whose inside does not fit its outside.
    #[error("a {0} command is malformed")]
    Command(&'static str),
    /// A command where another belongs.
    #[error("a command that does not belong here: {0}")]
    Unexpected(String),
}
