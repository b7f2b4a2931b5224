//! What a subscriber asks for.

use bytes::Bytes;

/// LIMIT: bytes of a name or pattern, so that one subscription cannot take much memory.
pub const PATTERN_BYTES_MAX: usize = 64 * 1024;

/// Which channels a subscription is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// The channel of this name.
    Exact(Bytes),
    /// Channels that match a Redis glob.
    Glob(Bytes),
    /// Channels whose name begins with these bytes.
    Prefix(Bytes),
}

impl Pattern {
    /// The bytes as they were given.
    pub fn as_bytes(&self) -> &Bytes {
        match self {
            Pattern::Exact(bytes) | Pattern::Glob(bytes) | Pattern::Prefix(bytes) => bytes,
        }
    }
}
