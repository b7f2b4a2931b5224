//! What happened to keys, for those who want to be told of it (keyspace notifications).
//!
//! A notice follows from a change; the name that a client knows the event by depends on the command,
//! which this state machine does not know, so its owner finds the name. Nothing is noted, and nothing
//! costs, until [`Keyspace::note_changes`] asks for it.

use bytes::Bytes;

use crate::effect::{Change, End};
use crate::keyspace::{DatabaseIndex, Keyspace};

/// Something happened to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The database of the key.
    pub database: DatabaseIndex,
    /// The key.
    pub key: Bytes,
    /// What happened.
    pub what: Happened,
    /// There was no such key before.
    pub created: bool,
    /// There is no such key any more.
    pub gone: bool,
}

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// It holds a string, with or without expiry.
    Set {
        /// Whether it expires.
        expires: bool,
    },
    /// Bytes of its string are other ones.
    Spliced,
    /// Fields have values.
    FieldsSet,
    /// Fields are gone.
    FieldsRemoved,
    /// A set has members.
    MembersAdded,
    /// Members of a set are gone.
    MembersRemoved,
    /// Members have scores.
    ScoresSet,
    /// Members with scores are gone.
    ScoresRemoved,
    /// The members with the highest scores, or the lowest, were taken.
    ScoresPopped {
        /// Whether the highest.
        highest: bool,
    },
    /// Items were added at an end.
    Pushed(End),
    /// Items were taken at an end.
    Popped(End),
    /// An item is another one.
    ItemSet,
    /// There is an item more.
    ItemInserted,
    /// Items are gone.
    ItemsRemoved,
    /// Only some items stay.
    Trimmed,
    /// It expires at some time.
    Expires,
    /// It no longer expires.
    Persists,
    /// It is gone, because somebody said so.
    Removed,
    /// It is gone, because its time came.
    Expired,
    /// It has another name.
    RenamedFrom,
    /// It had another name.
    RenamedTo,
    /// It holds a stream.
    StreamSet,
}

/// Why keys are removed at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Removal {
    /// Somebody said so.
    #[default]
    Asked,
    /// Their time came.
    Expiry,
}

/// What is noted.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    pub(crate) wanted: bool,
    pub(crate) removal: Removal,
    noted: Vec<Notice>,
}

impl Keyspace {
    /// Begins to note what happens to keys, or stops.
    pub fn note_changes(&mut self, wanted: bool) {
        self.notices.wanted = wanted;
        self.notices.noted.clear();
    }

    /// What has happened since the last call, in this order.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices.noted)
    }

    /// Whether something was noted.
    pub fn has_notices(&self) -> bool {
        !self.notices.noted.is_empty()
    }

    /// Says of what was noted last that it was a taking of scores.
    pub(crate) fn note_popped_scores(&mut self, highest: bool) {
        if let Some(last) = self.notices.noted.last_mut()
            && last.what == Happened::ScoresRemoved
        {
            last.what = Happened::ScoresPopped { highest };
        }
    }

    /// Looks at a change that is about to be made, as far as anyone wants to know.
    pub(crate) fn look_before(&mut self, index: DatabaseIndex, change: &Change) -> Option<Seen> {
        let key = change.key().filter(|_| self.notices.wanted)?;
        if let Change::Rename { database, to, .. } = change {
            self.note_rename(index, key, DatabaseIndex::of_stored(*database), to);
            return None;
        }
        let what = happened(change, self.notices.removal)?;
        let existed = self.table(index).keys.contains(key);
        let nothing = !existed && matches!(what, Happened::Removed | Happened::Expired);
        (!nothing).then(|| Seen { database: index, key: key.clone(), what, existed })
    }

    /// Notes a change that was made.
    pub(crate) fn note(&mut self, Seen { database, key, what, existed }: Seen) {
        let exists = self.table(database).keys.contains(&key);
        let (created, gone) = (!existed && exists, existed && !exists);
        self.notices.noted.push(Notice { database, key, what, created, gone });
    }

    /// Notes that a key has another name.
    pub(crate) fn note_rename(
        &mut self,
        index: DatabaseIndex,
        key: &Bytes,
        to_index: DatabaseIndex,
        to: &Bytes,
    ) {
        if !self.notices.wanted {
            return;
        }
        let named = |database, key: &Bytes, what| {
            let (created, gone) = (false, false);
            Notice { database, key: key.clone(), what, created, gone }
        };
        self.notices.noted.push(named(index, key, Happened::RenamedFrom));
        self.notices.noted.push(named(to_index, to, Happened::RenamedTo));
    }
}

/// What a change is about to do to a key.
pub(crate) struct Seen {
    database: DatabaseIndex,
    key: Bytes,
    what: Happened,
    existed: bool,
}

fn happened(change: &Change, removal: Removal) -> Option<Happened> {
    Some(match change {
        Change::Begin
        | Change::Complete
        | Change::Clear
        | Change::Swap { .. }
        | Change::Rename { .. }
        | Change::DoomStream { .. }
        | Change::BuryStream { .. } => return None,
        Change::Remove { .. } if removal == Removal::Expiry => Happened::Expired,
        Change::Remove { .. } => Happened::Removed,
        Change::Expire { at: Some(_), .. } => Happened::Expires,
        Change::Expire { at: None, .. } => Happened::Persists,
        Change::SetString { expires, .. } => Happened::Set { expires: expires.is_some() },
        Change::Splice { .. } => Happened::Spliced,
        Change::SetFields { .. } => Happened::FieldsSet,
        Change::RemoveFields { .. } => Happened::FieldsRemoved,
        Change::AddMembers { .. } => Happened::MembersAdded,
        Change::RemoveMembers { .. } => Happened::MembersRemoved,
        Change::SetScores { .. } => Happened::ScoresSet,
        Change::RemoveScores { .. } => Happened::ScoresRemoved,
        Change::Push { end, .. } => Happened::Pushed(*end),
        Change::Pop { end, .. } => Happened::Popped(*end),
        Change::SetItem { .. } => Happened::ItemSet,
        Change::InsertItem { .. } => Happened::ItemInserted,
        Change::RemoveItems { .. } => Happened::ItemsRemoved,
        Change::Trim { .. } => Happened::Trimmed,
        Change::SetStream { .. } => Happened::StreamSet,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{NOW, at};
    use crate::{Existing, ExpireCondition, Lifetime};

    fn noted(keyspace: &mut Keyspace) -> Vec<(Happened, bool, bool)> {
        let notices = keyspace.take_notices().into_iter();
        notices.map(|notice| (notice.what, notice.created, notice.gone)).collect()
    }

    #[test]
    fn nothing_is_noted_until_somebody_wants_it() {
        let mut keyspace = Keyspace::new(1);
        let mut db = keyspace.database(DatabaseIndex::default(), at(NOW));
        db.set(b"k", b"v", Existing::Any, Lifetime::Forever).unwrap();
        assert!(!keyspace.has_notices());
    }

    #[test]
    fn notices_say_what_came_and_what_went() {
        let mut keyspace = Keyspace::new(1);
        keyspace.note_changes(true);
        let mut db = keyspace.database(DatabaseIndex::default(), at(NOW));
        db.push(b"l", End::Left, &[b"x"], false).unwrap();
        db.pop(b"l", End::Right, 1).unwrap();
        db.set(b"k", b"v", Existing::Any, Lifetime::Forever).unwrap();
        db.expire(b"k", NOW + 10, ExpireCondition::default());
        assert_eq!(
            noted(&mut keyspace),
            [
                (Happened::Pushed(End::Left), true, false),
                (Happened::Popped(End::Right), false, true),
                (Happened::Set { expires: false }, true, false),
                (Happened::Expires, false, false),
            ]
        );
        assert!(!keyspace.database(DatabaseIndex::default(), at(NOW + 10)).exists(b"k"));
        assert_eq!(noted(&mut keyspace), [(Happened::Expired, false, true)]);
    }

    #[test]
    fn another_name_is_noted_at_both_names() {
        let mut keyspace = Keyspace::new(1);
        let mut db = keyspace.database(DatabaseIndex::default(), at(NOW));
        db.set(b"k", b"v", Existing::Any, Lifetime::Forever).unwrap();
        keyspace.note_changes(true);
        keyspace.database(DatabaseIndex::default(), at(NOW)).rename(b"k", b"n", false).unwrap();
        let notices = keyspace.take_notices();
        let shown: Vec<_> = notices.iter().map(|notice| (&notice.key[..], notice.what)).collect();
        assert_eq!(shown, [(&b"k"[..], Happened::RenamedFrom), (&b"n"[..], Happened::RenamedTo)]);
    }
}
