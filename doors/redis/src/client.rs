//! What a connection remembers between its commands.

use std::sync::Arc;

use crate::codec::Protocol;
use crate::registry::Handle;
use crate::table::Queued;

/// One client.
pub(crate) struct Client {
    /// What other clients may see of it, and tell it.
    pub(crate) handle: Arc<Handle>,
    /// The version of the protocol, after `HELLO`.
    pub(crate) protocol: Protocol,
    /// The database, after `SELECT`.
    pub(crate) db: u32,
    /// Whether it wants answers, after `CLIENT REPLY`.
    pub(crate) replies: Replies,
    /// Since `MULTI`.
    pub(crate) transaction: Option<Transaction>,
    /// Close the connection once everything is written.
    pub(crate) quits: bool,
}

/// `CLIENT REPLY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replies {
    /// Every command is answered.
    On,
    /// None is.
    Off,
    /// The command that says so is not answered, nor the one after it.
    SkipNext,
    /// This one is not answered.
    Skip,
}

/// Commands between `MULTI` and `EXEC`.
#[derive(Default)]
pub(crate) struct Transaction {
    pub(crate) queued: Vec<Queued>,
    /// A command was refused while it was queued: `EXEC` will refuse them all.
    pub(crate) refused: bool,
}

impl Client {
    /// A client that has just connected.
    pub(crate) fn new(handle: Arc<Handle>) -> Client {
        Client {
            handle,
            protocol: Protocol::default(),
            db: 0,
            replies: Replies::On,
            transaction: None,
            quits: false,
        }
    }

    /// Whether it may only subscribe and the like: a RESP2 client cannot tell messages from answers.
    pub(crate) fn is_restricted(&self) -> bool {
        false
    }

    /// Back to how it connected, but for what it is called by others.
    pub(crate) fn reset(&mut self) {
        self.protocol = Protocol::default();
        self.db = 0;
        self.replies = Replies::On;
        self.transaction = None;
        self.handle.describe(|shown| shown.name.clear());
    }

    /// Whether the next answer is wanted; `CLIENT REPLY SKIP` counts down.
    pub(crate) fn wants_reply(&mut self) -> bool {
        match self.replies {
            Replies::On => true,
            Replies::Off => false,
            Replies::SkipNext => {
                self.replies = Replies::Skip;
                false
            }
            Replies::Skip => {
                self.replies = Replies::On;
                false
            }
        }
    }
}
