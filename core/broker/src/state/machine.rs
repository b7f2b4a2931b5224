//! What a state must be able to do to live in a log.

/// A state that is changed by commands alone. It performs no I/O and never reads a clock: whatever
/// a change depends on is in the command, so that replaying the commands gives the same state.
pub(crate) trait StateMachine: Default + Send + 'static {
    /// One change, already decided: applying it cannot fail.
    type Command: Send;
    /// What the node has to do because of a change; ignored when replaying.
    type Effect;

    /// Appends a command's bytes.
    fn encode(command: &Self::Command, out: &mut Vec<u8>);

    /// Reads a command back.
    fn decode(bytes: &[u8]) -> Result<Self::Command, Damage>;

    /// Makes a change.
    fn apply(&mut self, command: Self::Command) -> Self::Effect;

    /// Appends the bytes of the whole state.
    fn snapshot(&self, out: &mut Vec<u8>);

    /// Reads the whole state back.
    fn restore(bytes: &[u8]) -> Result<Self, Damage>;
}

/// Stored bytes that are not what was written, or were written by a later version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Damage(String);

impl Damage {
    /// Says what is wrong.
    pub(crate) fn new(reason: impl Into<String>) -> Damage {
        Damage(reason.into())
    }
}
