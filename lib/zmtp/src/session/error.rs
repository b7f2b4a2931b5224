//! Why a connection ended, as far as the protocol is concerned.

use crate::codec::CodecError;
use crate::mechanism::MechanismError;
use crate::socket_type::SocketType;

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// What the peer sent is not the protocol.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The peers could not agree on who they are.
    #[error(transparent)]
    Mechanism(#[from] MechanismError),
    /// The two socket types do not talk to each other.
    #[error("a {ours} socket does not talk to a {theirs} socket")]
    Incompatible {
        /// Our type.
        ours: SocketType,
        /// The peer's.
        theirs: SocketType,
    },
    /// The handshake took too long.
    #[error("the handshake was not done in time")]
    HandshakeTimeout,
    /// Nothing was heard of the peer.
    #[error("the peer has been silent for too long")]
    Silent,
    /// A decision about a peer that was not asked for: a defect of the session's owner.
    #[error("nobody waits to be admitted")]
    NotWaiting,
}

impl SessionError {
    /// The peer's own words, when it refused us.
    pub fn refusal(&self) -> Option<&str> {
        match self {
            SessionError::Mechanism(MechanismError::Refused(reason)) => Some(reason),
            _ => None,
        }
    }
}
