//! Who is at the other end.

use bytes::Bytes;

use crate::codec::command::Metadata;
use crate::codec::greeting::Version;
use crate::socket_type::SocketType;

/// A peer, as it introduced itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// What kind of socket it is.
    pub socket_type: SocketType,
    /// Its routing id; empty when it has none of its own.
    pub identity: Bytes,
    /// The version of the protocol that both speak.
    pub version: Version,
    /// Everything that it said about itself.
    pub metadata: Metadata,
}
