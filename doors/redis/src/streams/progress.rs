//! How many of a stream's entries a group has read, and how many it has not (`entries-read`, `lag`).
//!
//! Counted while the node runs, and forgotten when it stops; then, and where entries were removed by
//! name ahead of the group, it is known only as far as it follows from the stream itself.
//!
//! # Source
//! Redis 7.0 `t_stream.c`: `streamEstimateDistanceFromFirstEverEntry`, `streamRangeHasTombstones`.

use std::collections::HashMap;

use bytes::Bytes;

use super::StreamId;
use super::index::Index;

/// What groups have read of one stream.
#[derive(Debug, Default)]
pub(super) struct Progress {
    by_group: HashMap<Bytes, u64>,
}

impl Progress {
    /// A group begins, or goes on elsewhere; how many entries it has read may be said.
    pub(super) fn set(&mut self, group: &Bytes, read: Option<u64>) {
        if let Some(read) = read {
            self.by_group.insert(Bytes::copy_from_slice(group), read);
        } else {
            self.by_group.remove(group);
        }
    }

    /// A group was given an entry.
    pub(super) fn advance(&mut self, group: &Bytes, index: &Index, id: StreamId) {
        let read = match self.by_group.get(group) {
            Some(read) if !has_tombstones(index, id) => Some(read + 1),
            _ => distance(index, id),
        };
        self.set(group, read);
    }

    /// Entries read, and entries not read, as far as either is known.
    pub(super) fn of(
        &self,
        group: &Bytes,
        index: &Index,
        last: StreamId,
    ) -> (Option<u64>, Option<i64>) {
        let read = self.by_group.get(group).copied();
        let counted = read.filter(|_| !has_tombstones(index, last));
        let lag = match counted.or_else(|| distance(index, last)) {
            _ if index.added == 0 => Some(0),
            // Below zero when somebody said that more was read than there ever was, as in Redis.
            read => read.map(|read| index.added.cast_signed().saturating_sub(read.cast_signed())),
        };
        (read, lag)
    }
}

/// Whether an entry was removed by name at or behind an id.
fn has_tombstones(index: &Index, from: StreamId) -> bool {
    !index.by_id.is_empty() && index.deleted != StreamId::MIN && from <= index.deleted
}

/// How many entries were ever added up to an id, where that follows from the stream.
fn distance(index: &Index, id: StreamId) -> Option<u64> {
    if index.added == 0 {
        return Some(0);
    }
    let Some((&first, _)) = index.by_id.first_key_value() else {
        return (id <= index.last).then_some(index.added);
    };
    if id >= index.last {
        return (id == index.last).then_some(index.added);
    }
    let whole = index.deleted == StreamId::MIN || index.deleted < first;
    let gone = index.added.saturating_sub(u64::try_from(index.by_id.len()).unwrap_or(u64::MAX));
    match id.cmp(&first) {
        std::cmp::Ordering::Less if whole => Some(gone),
        std::cmp::Ordering::Equal if whole => Some(gone + 1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use posthouse_types::Offset;

    use super::*;

    fn id(ms: u64) -> StreamId {
        StreamId { ms, seq: 0 }
    }

    fn five() -> Index {
        let mut index = Index::default();
        (1..=5).for_each(|ms| index.add(id(ms), Offset::new(i64::try_from(ms).unwrap()).unwrap()));
        index
    }

    #[test]
    fn a_group_that_reads_in_order_is_counted() {
        let (mut progress, index, group) = (Progress::default(), five(), Bytes::from("g"));
        assert_eq!(progress.of(&group, &index, StreamId::MIN), (None, Some(5)));
        progress.advance(&group, &index, id(1));
        assert_eq!(progress.of(&group, &index, id(1)), (Some(1), Some(4)));
        (2..=5).for_each(|ms| progress.advance(&group, &index, id(ms)));
        assert_eq!(progress.of(&group, &index, id(5)), (Some(5), Some(0)));
    }

    #[test]
    fn nothing_is_known_until_what_was_removed_is_behind() {
        let (mut progress, mut index, group) = (Progress::default(), five(), Bytes::from("g"));
        index.remove(id(3));
        assert_eq!(progress.of(&group, &index, StreamId::MIN), (None, None));
        for ms in [1, 2, 4] {
            progress.advance(&group, &index, id(ms));
            assert_eq!(progress.of(&group, &index, id(ms)), (None, None));
        }
        progress.advance(&group, &index, id(5));
        assert_eq!(progress.of(&group, &index, id(5)), (Some(5), Some(0)));
    }
}
