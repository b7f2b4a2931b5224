//! What a connection remembers between its commands.

use std::sync::Arc;

use posthouse_broker::Publisher;
use posthouse_keyspace::{DatabaseIndex, Keyspace, Watch};

use crate::access::Identity;
use crate::codec::Protocol;
use crate::registry::Handle;
use crate::server::Server;
use crate::subscriptions::Subscriptions;
use crate::table::Queued;

/// One client.
pub(crate) struct Client {
    /// What other clients may see of it, and tell it.
    pub(crate) handle: Arc<Handle>,
    /// Who it is, after `AUTH`.
    pub(crate) identity: Identity,
    /// The version of the protocol, after `HELLO`.
    pub(crate) protocol: Protocol,
    /// The database, after `SELECT`.
    pub(crate) db: DatabaseIndex,
    /// Whether it wants answers, after `CLIENT REPLY`.
    pub(crate) replies: Replies,
    /// Since `SUBSCRIBE` and its like.
    pub(crate) subscriptions: Subscriptions,
    publisher: Option<Arc<Publisher>>,
    /// Since `WATCH`; to be given back to the keys.
    pub(crate) watched: Vec<Watch>,
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
    /// The next command is not.
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
            identity: Identity::default(),
            protocol: Protocol::default(),
            db: DatabaseIndex::default(),
            replies: Replies::On,
            subscriptions: Subscriptions::default(),
            publisher: None,
            watched: Vec::new(),
            transaction: None,
            quits: false,
        }
    }

    /// Whether it may only subscribe and the like: a RESP2 client cannot tell messages from answers.
    pub(crate) fn is_restricted(&self) -> bool {
        self.protocol == Protocol::V2 && !self.subscriptions.is_empty()
    }

    /// By which it publishes, so that what it publishes stays in order.
    pub(crate) fn publisher(&mut self, server: &Server) -> Arc<Publisher> {
        let principal = self.identity.principal().clone();
        let make = || Arc::new(server.broker.publisher(&principal));
        Arc::clone(self.publisher.get_or_insert_with(make))
    }

    /// Tells the receivers of what it has published since the last time.
    pub(crate) fn wake_receivers(&self) {
        if let Some(publisher) = &self.publisher {
            publisher.wake();
        }
    }

    /// Is somebody else from now on, or somebody at last.
    pub(crate) fn become_known(&mut self, change: impl FnOnce(&mut Identity)) {
        change(&mut self.identity);
        // What it publishes is published as whoever it is.
        self.publisher = None;
        let user = self.identity.user().to_owned();
        self.handle.describe(|shown| shown.user = user);
    }

    /// Watches nothing any more.
    pub(crate) fn unwatch(&mut self, keyspace: &mut Keyspace) {
        for watch in self.watched.drain(..) {
            keyspace.unwatch(watch);
        }
    }

    /// Leaves the transaction, if it is in one.
    pub(crate) fn end_transaction(&mut self) -> Option<Transaction> {
        self.handle.describe(|shown| shown.queued = -1);
        self.transaction.take()
    }

    /// Back to how it connected. Watches are ended by the caller.
    pub(crate) fn reset(&mut self) {
        self.protocol = Protocol::default();
        self.db = DatabaseIndex::default();
        self.replies = Replies::On;
        self.end_transaction();
        self.subscriptions.clear();
        self.become_known(|identity| *identity = Identity::default());
        self.show_subscriptions();
        self.handle.describe(|shown| {
            shown.name.clear();
            shown.db = 0;
            shown.protocol = 2;
        });
    }

    /// Whether the next answer is wanted; `CLIENT REPLY SKIP` counts down.
    pub(crate) fn wants_reply(&mut self) -> bool {
        match self.replies {
            Replies::On => true,
            Replies::Off => false,
            Replies::Skip => {
                self.replies = Replies::On;
                false
            }
        }
    }
}
