//! The whole state as effects, in steps, while it changes.
//!
//! A snapshot's effects are stored between those of the changes that happen meanwhile, in order. From
//! `Begin` on, replaying both gives the keys as they are at `Complete`: a key's copy replaces whatever
//! changes before it made of the key, and changes after it find the copy. The walk meets every key
//! that stays; one that is added meanwhile is whole in the changes themselves. Two changes are
//! special: a key that gets another name is stored as a copy while a snapshot is taken, and a swap
//! of databases makes the snapshot void.

use bytes::Bytes;

use crate::effect::{Change, Effect, End};
use crate::keyspace::{DATABASES, DatabaseIndex, Keyspace};
use crate::table::Entry;
use crate::value::Value;

/// LIMIT: a stored change holds at most so many elements ...
const ELEMENTS_MAX: usize = 1_000;
/// LIMIT: ... and is cut after so many bytes, so that it fits a record.
const BYTES_MAX: usize = 256 * 1024;

/// How far a snapshot is.
#[derive(Debug)]
pub struct Snapshot {
    database: usize,
    cursor: u64,
    begun: bool,
    swaps: u64,
}

/// What a step of a snapshot gives.
#[derive(Clone, Debug, PartialEq)]
pub enum SnapshotStep {
    /// Effects to store; there are more.
    More(Vec<Effect>),
    /// The last effects to store.
    Last(Vec<Effect>),
    /// Databases changed places: what was stored is of no use, and another snapshot has to begin.
    Void,
}

impl Keyspace {
    /// Begins a snapshot. Take steps until it ends, or give it to [`Keyspace::abandon_snapshot`].
    pub fn begin_snapshot(&mut self) -> Snapshot {
        self.snapshots += 1;
        Snapshot { database: 0, cursor: 0, begun: false, swaps: self.swaps }
    }

    /// Takes a step of roughly `budget` bytes of keys. Store its effects before those of any later
    /// change.
    pub fn snapshot_step(&mut self, snapshot: &mut Snapshot, budget: usize) -> SnapshotStep {
        if snapshot.swaps != self.swaps {
            self.snapshots -= 1;
            return SnapshotStep::Void;
        }
        let mut effects = Vec::new();
        if !snapshot.begun {
            snapshot.begun = true;
            effects.push(Effect { database: 0, change: Change::Begin });
        }
        let mut taken = 0;
        while snapshot.database < DATABASES {
            let database = u8::try_from(snapshot.database).expect("databases are few");
            let keys = &self.tables[snapshot.database].keys;
            snapshot.cursor = keys.scan(snapshot.cursor, |key, entry| {
                taken += entry.memory(key);
                let changes = rebuild(key, entry).into_iter();
                effects.extend(changes.map(|change| Effect { database, change }));
            });
            if snapshot.cursor == 0 {
                snapshot.database += 1;
            }
            if taken >= budget {
                return SnapshotStep::More(effects);
            }
        }
        // A stream that was doomed before its key was met is known to nobody else.
        let doomed = self.streams.doomed().map(|topic| Change::DoomStream { topic });
        effects.extend(doomed.map(|change| Effect { database: 0, change }));
        effects.push(Effect { database: 0, change: Change::Complete });
        self.snapshots -= 1;
        SnapshotStep::Last(effects)
    }

    /// Gives up a snapshot that has not ended.
    pub fn abandon_snapshot(&mut self, _unfinished: Snapshot) {
        self.snapshots -= 1;
    }

    /// Gives a key another name, in the same database or another.
    pub(crate) fn commit_rename(
        &mut self,
        index: DatabaseIndex,
        key: Bytes,
        database: DatabaseIndex,
        to: Bytes,
    ) {
        if self.snapshots == 0 {
            self.commit(index, Change::Rename { key, database: database.get(), to });
            return;
        }
        let Some(entry) = self.table(index).keys.get(&key) else { return };
        let changes = rebuild(&to, entry);
        let noting = std::mem::take(&mut self.notices.wanted);
        for change in changes {
            self.commit(database, change);
        }
        self.commit(index, Change::Remove { key: key.clone() });
        self.notices.wanted = noting;
        self.note_rename(index, &key, database, &to);
    }
}

/// The changes that make a key hold what it holds.
pub(crate) fn rebuild(key: &Bytes, entry: &Entry) -> Vec<Change> {
    let mut changes = replace(key, &entry.value);
    if let Some(at) = entry.expires {
        changes.push(Change::Expire { key: key.clone(), at: Some(at) });
    }
    changes
}

/// The changes that make a key hold a value, without expiry.
pub(crate) fn replace(key: &Bytes, value: &Value) -> Vec<Change> {
    let mut changes = vec![Change::Remove { key: key.clone() }];
    let key = || key.clone();
    match value {
        Value::String(string) => {
            changes.clear();
            let first = string.slice(..string.len().min(BYTES_MAX));
            changes.push(Change::SetString { key: key(), value: first, expires: None });
            for offset in (BYTES_MAX..string.len()).step_by(BYTES_MAX) {
                let bytes = string.slice(offset..string.len().min(offset + BYTES_MAX));
                let offset = u64::try_from(offset).expect("a length fits");
                changes.push(Change::Splice { key: key(), offset, bytes });
            }
        }
        Value::List(list) => pieces(list.items.iter().cloned(), Bytes::len, |items| {
            changes.push(Change::Push { key: key(), end: End::Right, items });
        }),
        Value::Hash(hash) => pieces(
            hash.fields.iter().map(|(field, value)| (field.clone(), value.clone())),
            |(field, value)| field.len() + value.len(),
            |fields| changes.push(Change::SetFields { key: key(), fields }),
        ),
        Value::Set(set) => {
            pieces(set.members.iter().map(|(member, ())| member.clone()), Bytes::len, |members| {
                changes.push(Change::AddMembers { key: key(), members });
            });
        }
        Value::Stream(topic) => changes.push(Change::SetStream { key: key(), topic: *topic }),
        Value::SortedSet(sorted) => pieces(
            sorted.scores.iter().map(|(member, score)| (member.clone(), *score)),
            |(member, _)| member.len() + size_of::<f64>(),
            |members| changes.push(Change::SetScores { key: key(), members }),
        ),
    }
    changes
}

/// Hands out items in pieces that are not too large.
fn pieces<T>(
    items: impl Iterator<Item = T>,
    len: impl Fn(&T) -> usize,
    mut give: impl FnMut(Vec<T>),
) {
    let (mut piece, mut bytes) = (Vec::new(), 0);
    for item in items {
        bytes += len(&item);
        piece.push(item);
        if piece.len() >= ELEMENTS_MAX || bytes >= BYTES_MAX {
            give(std::mem::take(&mut piece));
            bytes = 0;
        }
    }
    if !piece.is_empty() {
        give(piece);
    }
}
