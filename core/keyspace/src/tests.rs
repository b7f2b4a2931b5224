//! Tests of the whole: against naive models, and of what is stored.

mod blocking;
mod models;
mod storing;
mod types;

use posthouse_types::Timestamp;

use crate::{Database, DatabaseIndex, Keyspace};

/// A moment after 1970.
pub(crate) const NOW: i64 = 1_000_000;

pub(crate) fn at(now: i64) -> Timestamp {
    Timestamp::from_ms(now)
}

/// The first database at the moment.
pub(crate) fn first(keyspace: &mut Keyspace) -> Database<'_> {
    keyspace.database(DatabaseIndex::default(), at(NOW))
}
