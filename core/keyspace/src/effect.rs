//! What has to be written down so that the keys can be built again.
//!
//! Every change of the keys is one of these and nothing else: an operation decides, makes its
//! [`Change`]s, and those alone touch the keys. So replaying them gives the same keys. Time and
//! chance are decided before: expiry is a moment, a random member has been drawn.
//!
//! # Format
//! A sequence of effects, each one byte for the change's kind, the database, then the fields. Numbers
//! are variable-length, bytes have their length before them. See [`Effect::encode`].

mod codec;
mod format;

use bytes::Bytes;

use crate::streams::StreamTopic;

pub use codec::Damage;

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The left end, where index 0 is.
    Left,
    /// The right end.
    Right,
}

/// One change, in one database.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// The database.
    pub database: u8,
    /// What changes there.
    pub change: Change,
}

/// One change of the keys of a database, already decided: applying it cannot fail.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Everything, in all databases, is gone: what follows builds it again.
    Begin,
    /// What [`Change::Begin`] began is complete.
    Complete,
    /// All keys of the database are gone.
    Clear,
    /// The database changes places with another.
    Swap {
        /// The other.
        with: u8,
    },
    /// The key is gone.
    Remove {
        /// The key.
        key: Bytes,
    },
    /// The key lives until a moment, in milliseconds since 1970, or for ever.
    Expire {
        /// The key.
        key: Bytes,
        /// The moment.
        at: Option<i64>,
    },
    /// The key has another name, and may be in another database. What was there is gone.
    Rename {
        /// The key.
        key: Bytes,
        /// The database it goes to.
        database: u8,
        /// The name it has there.
        to: Bytes,
    },
    /// The key holds a string, whatever it held.
    SetString {
        /// The key.
        key: Bytes,
        /// The string.
        value: Bytes,
        /// Until when it lives.
        expires: Option<i64>,
    },
    /// Bytes of a string are other ones; it grows with zeros where it is shorter.
    Splice {
        /// The key.
        key: Bytes,
        /// Where the bytes go.
        offset: u64,
        /// The bytes.
        bytes: Bytes,
    },
    /// Fields of a hash have values.
    SetFields {
        /// The key.
        key: Bytes,
        /// Fields and values.
        fields: Vec<(Bytes, Bytes)>,
    },
    /// Fields of a hash are gone.
    RemoveFields {
        /// The key.
        key: Bytes,
        /// The fields.
        fields: Vec<Bytes>,
    },
    /// A set has members.
    AddMembers {
        /// The key.
        key: Bytes,
        /// The members.
        members: Vec<Bytes>,
    },
    /// Members of a set are gone.
    RemoveMembers {
        /// The key.
        key: Bytes,
        /// The members.
        members: Vec<Bytes>,
    },
    /// Members of a sorted set have scores.
    SetScores {
        /// The key.
        key: Bytes,
        /// Members and scores.
        members: Vec<(Bytes, f64)>,
    },
    /// Members of a sorted set are gone.
    RemoveScores {
        /// The key.
        key: Bytes,
        /// The members.
        members: Vec<Bytes>,
    },
    /// A list has more items, added one after the other at one end.
    Push {
        /// The key.
        key: Bytes,
        /// The end.
        end: End,
        /// The items.
        items: Vec<Bytes>,
    },
    /// Items at an end of a list are gone.
    Pop {
        /// The key.
        key: Bytes,
        /// The end.
        end: End,
        /// How many.
        count: u64,
    },
    /// An item of a list is another one.
    SetItem {
        /// The key.
        key: Bytes,
        /// Which.
        index: u64,
        /// The item.
        item: Bytes,
    },
    /// A list has an item more, somewhere.
    InsertItem {
        /// The key.
        key: Bytes,
        /// Its index.
        index: u64,
        /// The item.
        item: Bytes,
    },
    /// Items of a list are gone.
    RemoveItems {
        /// The key.
        key: Bytes,
        /// Their indexes before the change, ascending.
        indexes: Vec<u64>,
    },
    /// Of a list, only some items stay.
    Trim {
        /// The key.
        key: Bytes,
        /// The first that stays.
        start: u64,
        /// How many stay.
        len: u64,
    },
    /// The key holds a stream, whatever it held.
    SetStream {
        /// The key.
        key: Bytes,
        /// The stream.
        topic: StreamTopic,
    },
    /// No key holds the stream any more, and its topic is to be deleted. A snapshot says so of those
    /// that it would otherwise forget.
    DoomStream {
        /// The stream.
        topic: StreamTopic,
    },
    /// The topic of a stream that no key holds has been deleted.
    BuryStream {
        /// The stream.
        topic: StreamTopic,
    },
}

impl Change {
    /// The key that it changes, if it changes one.
    pub fn key(&self) -> Option<&Bytes> {
        match self {
            Change::Begin
            | Change::Complete
            | Change::Clear
            | Change::Swap { .. }
            | Change::DoomStream { .. }
            | Change::BuryStream { .. } => None,
            Change::Remove { key }
            | Change::Expire { key, .. }
            | Change::Rename { key, .. }
            | Change::SetString { key, .. }
            | Change::Splice { key, .. }
            | Change::SetFields { key, .. }
            | Change::RemoveFields { key, .. }
            | Change::AddMembers { key, .. }
            | Change::RemoveMembers { key, .. }
            | Change::SetScores { key, .. }
            | Change::RemoveScores { key, .. }
            | Change::Push { key, .. }
            | Change::Pop { key, .. }
            | Change::SetItem { key, .. }
            | Change::InsertItem { key, .. }
            | Change::RemoveItems { key, .. }
            | Change::Trim { key, .. }
            | Change::SetStream { key, .. } => Some(key),
        }
    }
}
