//! What a stream knows of its entries: which there are, and where they lie.
//!
//! A state machine over the records of the topic: the same records give the same index. It takes
//! about a hundred bytes of memory for each entry, whatever the entry's size.

use std::collections::BTreeMap;

use posthouse_record::Record;
use posthouse_types::Offset;

use super::StreamId;
use super::record::{Meaning, meaning};

/// LIMIT: removed entries whose place is remembered, for acknowledgements that come after.
const REMOVED_MAX: usize = 10_000;

/// The entries of a stream.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) by_id: BTreeMap<StreamId, Offset>,
    pub(super) by_offset: BTreeMap<Offset, StreamId>,
    removed: BTreeMap<StreamId, Offset>,
    /// The largest id ever.
    pub(super) last: StreamId,
    /// The largest id removed by name.
    pub(super) deleted: StreamId,
    /// Entries ever added.
    pub(super) added: u64,
}

impl Index {
    /// Takes a record of the topic in. Taking one in twice changes nothing.
    pub(super) fn take(&mut self, record: &Record) {
        match meaning(record) {
            Meaning::Entry(id) => self.add(id.unwrap_or_else(|| place(record)), record.offset),
            Meaning::Foreign => self.add(self.foreign_id(record), record.offset),
            Meaning::Delete(ids) => ids.into_iter().for_each(|id| self.remove(id)),
            Meaning::Trim(below) => self.trim(below),
            Meaning::SetId { last, added, deleted } => {
                (self.last, self.added, self.deleted) = (last, added, deleted);
            }
        }
    }

    /// Adds an entry.
    pub(super) fn add(&mut self, id: StreamId, offset: Offset) {
        if self.by_offset.insert(offset, id).is_none() {
            self.by_id.insert(id, offset);
            self.added += 1;
            self.last = self.last.max(id);
        }
    }

    /// Removes an entry by name.
    pub(super) fn remove(&mut self, id: StreamId) {
        if self.forget(id) {
            self.deleted = self.deleted.max(id);
        }
    }

    /// Removes every entry below an id.
    pub(super) fn trim(&mut self, below: StreamId) {
        while let Some((&first, _)) = self.by_id.first_key_value()
            && first < below
        {
            self.forget(first);
        }
    }

    /// Forgets records that the log no longer has.
    pub(super) fn cut(&mut self, log_start: Offset) {
        while let Some((&first, &id)) = self.by_offset.first_key_value()
            && first < log_start
        {
            self.forget(id);
        }
    }

    /// Where an entry lies, or lay.
    pub(super) fn offset(&self, id: StreamId) -> Option<Offset> {
        self.by_id.get(&id).or_else(|| self.removed.get(&id)).copied()
    }

    /// The id of the entry at an offset, or of the one that was there, as far as that is known.
    pub(super) fn id_of(&self, offset: Offset) -> StreamId {
        let there = self.by_offset.get(&offset);
        let removed = || self.removed.iter().find(|(_, at)| **at == offset).map(|(id, _)| id);
        there.or_else(removed).copied().unwrap_or_default()
    }

    fn forget(&mut self, id: StreamId) -> bool {
        let Some(offset) = self.by_id.remove(&id) else { return false };
        self.by_offset.remove(&offset);
        self.removed.insert(id, offset);
        if self.removed.len() > REMOVED_MAX {
            self.removed.pop_first();
        }
        true
    }

    /// The id of a record that another door wrote: its place, but never going back.
    fn foreign_id(&self, record: &Record) -> StreamId {
        let id = place(record);
        if id > self.last { id } else { self.last.next().unwrap_or(StreamId::MAX) }
    }
}

/// The id that follows from where a record lies.
fn place(record: &Record) -> StreamId {
    let ms = u64::try_from(record.timestamp.as_ms()).unwrap_or(0);
    StreamId { ms, seq: u64::try_from(record.offset.value()).unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use posthouse_types::Timestamp;

    use super::*;

    fn foreign(offset: i64, ms: i64) -> Record {
        Record {
            offset: Offset::new(offset).unwrap(),
            timestamp: Timestamp::from_ms(ms),
            key: None,
            value: Some(Bytes::from("x")),
            headers: Vec::new(),
        }
    }

    #[test]
    fn ids_of_other_doors_records_never_go_back() {
        let mut index = Index::default();
        for record in [foreign(0, 50), foreign(1, 10), foreign(2, 60)] {
            index.take(&record);
            index.take(&record);
        }
        let ids: Vec<String> = index.by_id.keys().map(StreamId::to_string).collect();
        assert_eq!(ids, ["50-0", "50-1", "60-2"]);
        assert_eq!(index.added, 3);
    }

    #[test]
    fn removed_entries_are_known_for_late_acknowledgements() {
        let mut index = Index::default();
        (0..4).for_each(|offset| index.take(&foreign(offset, 10)));
        index.remove(StreamId { ms: 10, seq: 2 });
        index.trim(StreamId { ms: 10, seq: 1 });
        index.cut(Offset::new(2).unwrap());
        assert_eq!(index.by_id.len(), 1);
        assert_eq!(index.deleted, StreamId { ms: 10, seq: 2 });
        assert_eq!(index.offset(StreamId { ms: 10, seq: 0 }), Some(Offset::ZERO));
    }
}
