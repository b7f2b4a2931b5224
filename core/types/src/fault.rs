//! The two questions that every error answers.

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The caller asked for something that cannot be.
    Caller,
    /// The other end of a connection broke the protocol.
    Peer,
    /// The machine: disk, memory, network, limits.
    Environment,
    /// Stored data is damaged.
    Data,
    /// A defect of Posthouse.
    Bug,
}

/// Whether the same call may be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It will fail again.
    Never,
    /// Nothing happened; it may succeed later.
    Safe,
    /// It may have happened; retry only what is idempotent.
    Unknown,
}
