//! One stream: its topic's log, and what is known of its entries.
//!
//! # Invariants
//! - What is read is durable: the index follows the durable end of the log. Only ids already given
//!   out, and entries already removed, are known before.
//! - Ids given out rise, and take their place in the log in that order, because both happen under
//!   one lock.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use parking_lot::Mutex;
use posthouse_broker::TopicRef;
use posthouse_log::{Appended, Chunk, Log, ReadError, ReadLimit, StorageError, Ticket};
use posthouse_record::{Batch, BatchBuilder, Compression, Record};
use posthouse_types::{LeaderEpoch, Offset, PartitionIndex, Timestamp};

use super::StreamId;
use super::index::Index;
use super::progress::Progress;
use super::record::{self, Draft, Entry};
use crate::access::Asker;
use crate::errors::CommandError;

/// LIMIT: stored bytes read at a time, and what one batch may expand to.
const READ_BYTES: usize = 1 << 20;
const EXPANDED_BYTES_MAX: usize = 64 << 20;

/// What the index keeps of an entry: two map entries with an id and an offset each.
const INDEX_BYTES_PER_ENTRY: usize = 100;

/// A stream.
pub(crate) struct Stream {
    pub(crate) topic: TopicRef,
    pub(crate) log: Arc<dyn Log>,
    state: Mutex<State>,
    progress: Mutex<Progress>,
    /// Held by whoever brings the index up to date.
    following: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    index: Index,
    /// Everything below has been taken in.
    followed: Offset,
    /// The largest id given out.
    last: StreamId,
    /// Ids given out whose records have not been taken in yet.
    on_their_way: BTreeSet<StreamId>,
    /// How many of them were trimmed again before that; where another door writes, too, it may be less.
    trimmed_early: usize,
}

/// The id that a new entry is to have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NewId {
    /// `*`.
    Auto,
    /// `ms-*`.
    Within(u64),
    Explicit(StreamId),
}

/// Which entries are removed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trim {
    /// All but the newest.
    Length { max: usize, rough: Option<Rough> },
    /// Those below an id.
    Below { min: StreamId, rough: Option<Rough> },
}

/// A trim by `~`: only whole nodes go, as Redis keeps entries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rough {
    /// Most entries that go; `Some(0)` for no limit, a hundred nodes when `None`.
    pub(crate) limit: Option<usize>,
}

impl Rough {
    /// How many of the oldest entries lie in nodes that may go, when `gone` went before them.
    fn whole_nodes(self, excess: usize, len: usize, gone: usize, node_entries: usize) -> usize {
        let limit = match self.limit {
            None => node_entries.saturating_mul(100),
            Some(0) => usize::MAX,
            Some(limit) => limit,
        };
        let wanted = excess.min(limit);
        let first = node_entries - gone % node_entries;
        if wanted >= len {
            len
        } else if wanted < first {
            0
        } else {
            first + (wanted - first) / node_entries * node_entries
        }
    }
}

/// A new entry.
pub(crate) struct Add {
    pub(crate) id: NewId,
    pub(crate) fields: Vec<Bytes>,
    pub(crate) trim: Option<Trim>,
}

/// What `XINFO` and others show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Summary {
    pub(crate) len: usize,
    pub(crate) last: StreamId,
    pub(crate) deleted: StreamId,
    pub(crate) added: u64,
    pub(crate) first: Option<StreamId>,
    pub(crate) newest: Option<StreamId>,
}

impl Stream {
    /// A stream of which nothing is known yet.
    pub(super) fn new(topic: TopicRef, log: Arc<dyn Log>) -> Stream {
        let following = tokio::sync::Mutex::default();
        Stream { topic, log, state: Mutex::default(), progress: Mutex::default(), following }
    }

    /// Whether an entry may be added without reading first: what is known reaches the ids given out.
    pub(crate) fn takes_at_once(&self, id: NewId) -> bool {
        /// LIMIT: entries that are known only by their ids.
        const ON_THEIR_WAY_MAX: usize = 1024;
        let state = self.state.lock();
        let known = state.followed > Offset::ZERO && state.on_their_way.len() < ON_THEIR_WAY_MAX;
        known && matches!(id, NewId::Auto)
    }

    /// Waits until there is more to be read than is known.
    pub(crate) async fn grown(&self) {
        let followed = self.state.lock().followed;
        let mut ends = self.log.watch();
        // The log's end is the end of waiting, too: the reader then finds out why.
        let _ = ends.wait_for(|ends| ends.last_stable > followed).await;
    }

    /// The id of the entry at an offset, or of the one that was there.
    pub(crate) fn id_of(&self, offset: Offset) -> StreamId {
        self.state.lock().index.id_of(offset)
    }

    /// The id of the last entry below an offset.
    pub(crate) fn last_below(&self, offset: Offset) -> StreamId {
        let state = self.state.lock();
        let below = state.index.by_offset.range(..offset).next_back();
        below.map_or(StreamId::MIN, |(_, id)| *id)
    }

    /// How many entries a group has read, and how many it has not, as far as that is known; `last`
    /// is the last that it was given.
    pub(crate) fn progress(&self, group: &Bytes, last: StreamId) -> (Option<u64>, Option<i64>) {
        let state = self.state.lock();
        self.progress.lock().of(group, &state.index, last)
    }

    /// A group begins, or goes on elsewhere.
    pub(crate) fn set_progress(&self, group: &Bytes, read: Option<u64>) {
        self.progress.lock().set(group, read);
    }

    /// A group was given entries.
    pub(crate) fn advance(&self, group: &Bytes, ids: impl Iterator<Item = StreamId>) {
        let state = self.state.lock();
        let mut progress = self.progress.lock();
        ids.for_each(|id| progress.advance(group, &state.index, id));
    }

    /// The first entry from an offset on.
    pub(crate) fn first_from(&self, offset: Offset) -> Option<StreamId> {
        self.state.lock().index.by_offset.range(offset..).next().map(|(_, id)| *id)
    }

    /// Bytes that the index takes, roughly.
    pub(crate) fn index_bytes(&self) -> usize {
        self.state.lock().index.by_id.len() * INDEX_BYTES_PER_ENTRY
    }

    /// Brings what is known up to what is durable now.
    pub(crate) async fn follow(&self) -> Result<(), CommandError> {
        let end = self.log.ends().last_stable;
        if self.state.lock().followed >= end {
            self.cut();
            return Ok(());
        }
        let _turn = self.following.lock().await;
        loop {
            let from = self.state.lock().followed.max(self.log.ends().log_start);
            if from >= end {
                break;
            }
            let (records, next) = self.read_from(from).await?;
            let mut state = self.state.lock();
            for record in &records {
                state.take(record);
            }
            state.followed = next;
        }
        self.cut();
        Ok(())
    }

    /// Adds an entry; gives its id, and what tells when it is durable.
    pub(crate) fn add(
        &self,
        server: &Asker,
        add: &Add,
    ) -> Result<(StreamId, Ticket), CommandError> {
        let now = server.broker.clock().wall();
        let mut state = self.state.lock();
        let expected = self.log.ends().written_end;
        let (id, stated) = state.new_id(add.id, now, expected)?;
        let nodes = server.parameters.stream_node_entries();
        let trimmed = add.trim.and_then(|trim| state.trim_below(trim, Some(id), nodes));
        let mut drafts = vec![Draft::entry(stated.then_some(id), &add.fields)];
        drafts.extend(trimmed.map(|(below, _)| Draft::trim(below)));
        let appended = self.append(server, now, drafts)?;
        // Another door's record may have come between: the id is then that of the place it has.
        let id = match add.id {
            NewId::Auto if !stated => {
                let at = appended.log_append_time.unwrap_or(now);
                let ms = u64::try_from(at.as_ms()).unwrap_or(0);
                StreamId { ms, seq: number(appended.base_offset) }
            }
            _ => id,
        };
        state.last = state.last.max(id);
        state.on_their_way.insert(id);
        if let Some((below, _)) = trimmed {
            state.cut_below(below);
        }
        Ok((id, appended.ticket))
    }

    /// Adds entries that have their ids already, in order; an entry whose fields are gone has none.
    pub(crate) fn restate(
        &self,
        server: &Asker,
        entries: &[Entry],
    ) -> Result<Ticket, CommandError> {
        let state = self.state.lock();
        let draft = |entry: &Entry| {
            let fields = entry.fields.iter().flatten();
            let flat: Vec<Bytes> =
                fields.flat_map(|(name, value)| [name.clone(), value.clone()]).collect();
            Draft::entry(Some(entry.id), &flat)
        };
        let drafts = entries.iter().map(draft).collect();
        let appended = self.append(server, server.broker.clock().wall(), drafts)?;
        drop(state);
        Ok(appended.ticket)
    }

    /// Removes entries by name; gives how many there were.
    pub(crate) fn delete(
        &self,
        server: &Asker,
        ids: &[StreamId],
    ) -> Result<(usize, Option<Ticket>), CommandError> {
        let mut state = self.state.lock();
        let there: BTreeSet<StreamId> =
            ids.iter().copied().filter(|id| state.index.by_id.contains_key(id)).collect();
        if there.is_empty() {
            return Ok((0, None));
        }
        let there: Vec<StreamId> = there.into_iter().collect();
        let now = server.broker.clock().wall();
        let appended = self.append(server, now, vec![Draft::delete(&there)])?;
        there.iter().for_each(|id| state.index.remove(*id));
        Ok((there.len(), Some(appended.ticket)))
    }

    /// Removes the oldest entries; gives how many.
    pub(crate) fn trim(
        &self,
        server: &Asker,
        trim: Trim,
    ) -> Result<(usize, Option<Ticket>), CommandError> {
        let mut state = self.state.lock();
        let nodes = server.parameters.stream_node_entries();
        let Some((below, count)) = state.trim_below(trim, None, nodes) else {
            return Ok((0, None));
        };
        let now = server.broker.clock().wall();
        let appended = self.append(server, now, vec![Draft::trim(below)])?;
        state.cut_below(below);
        Ok((count, Some(appended.ticket)))
    }

    /// Sets the last id, and what has been counted.
    pub(crate) fn set_id(
        &self,
        server: &Asker,
        last: StreamId,
        added: Option<u64>,
        deleted: Option<StreamId>,
    ) -> Result<Ticket, CommandError> {
        let mut state = self.state.lock();
        let newest = state.index.by_id.last_key_value().map(|(id, _)| *id);
        if newest.is_some_and(|newest| last < newest) {
            return Err(CommandError::said(
                "ERR The ID specified in XSETID is smaller than the target stream top item",
            ));
        }
        let count = u64::try_from(state.index.by_id.len()).unwrap_or(u64::MAX);
        if added.is_some_and(|added| added < count) {
            return Err(CommandError::said(
                "ERR The entries_added specified in XSETID is smaller than the target stream length",
            ));
        }
        let added = added.unwrap_or(state.index.added);
        let deleted = deleted.unwrap_or(state.index.deleted);
        let now = server.broker.clock().wall();
        let appended = self.append(server, now, vec![Draft::set_id(last, added, deleted)])?;
        let index = &mut state.index;
        (index.last, index.added, index.deleted) = (last, added, deleted);
        state.last = last;
        Ok(appended.ticket)
    }

    /// What is known.
    pub(crate) fn summary(&self) -> Summary {
        let state = self.state.lock();
        let index = &state.index;
        Summary {
            len: index.by_id.len(),
            last: state.last.max(index.last),
            deleted: index.deleted,
            added: index.added,
            first: index.by_id.first_key_value().map(|(id, _)| *id),
            newest: index.by_id.last_key_value().map(|(id, _)| *id),
        }
    }

    /// The ids in a range, lowest first or highest first.
    pub(crate) fn ids(
        &self,
        range: RangeInclusive<StreamId>,
        count: usize,
        backwards: bool,
    ) -> Vec<StreamId> {
        if range.is_empty() {
            return Vec::new();
        }
        let state = self.state.lock();
        let ids = state.index.by_id.range(range).map(|(id, _)| *id);
        if backwards { ids.rev().take(count).collect() } else { ids.take(count).collect() }
    }

    /// Where an entry lies, or lay; an id that is not known says itself where.
    pub(crate) fn offset(&self, id: StreamId) -> Option<Offset> {
        let known = self.state.lock().index.offset(id);
        known.or_else(|| i64::try_from(id.seq).ok().and_then(Offset::new))
    }

    /// The id of the entry at an offset.
    pub(crate) fn id_at(&self, offset: Offset) -> Option<StreamId> {
        self.state.lock().index.by_offset.get(&offset).copied()
    }

    /// Where the first entry above an id lies, or will.
    pub(crate) fn offset_after(&self, id: StreamId) -> Offset {
        let state = self.state.lock();
        let next = id.next().and_then(|next| state.index.by_id.range(next..).next());
        next.map_or(state.followed, |(_, offset)| *offset)
    }

    /// Whether a record is an entry that is still there.
    pub(crate) fn is_entry(&self, record: &Record) -> bool {
        let state = self.state.lock();
        if record.offset < state.followed {
            return state.index.by_offset.contains_key(&record.offset);
        }
        matches!(record::meaning(record), record::Meaning::Entry(_) | record::Meaning::Foreign)
    }

    /// Reads entries, in the order asked for.
    pub(crate) async fn read(&self, ids: &[StreamId]) -> Result<Vec<Entry>, CommandError> {
        let mut entries = Vec::with_capacity(ids.len());
        let mut window: Vec<Record> = Vec::new();
        // A log is read forwards: what is wanted backwards is turned round when it is there.
        let backwards = ids.first() > ids.last();
        let ordered: Box<dyn Iterator<Item = &StreamId> + Send> =
            if backwards { Box::new(ids.iter().rev()) } else { Box::new(ids.iter()) };
        for id in ordered {
            let offset = self.state.lock().index.by_id.get(id).copied();
            let Some(offset) = offset else {
                entries.push(Entry { id: *id, fields: None });
                continue;
            };
            let mut found = window.binary_search_by_key(&offset, |record| record.offset);
            if found.is_err() && offset >= self.log.ends().log_start {
                window = self.read_from(offset).await?.0;
                found = window.binary_search_by_key(&offset, |record| record.offset);
            }
            let fields = found.ok().map(|at| record::fields(&window[at]));
            entries.push(Entry { id: *id, fields });
        }
        if backwards {
            entries.reverse();
        }
        Ok(entries)
    }

    /// The entry of a record that has been read.
    pub(crate) fn entry(&self, record: &Record) -> Option<Entry> {
        let id = self.id_at(record.offset)?;
        Some(Entry { id, fields: Some(record::fields(record)) })
    }

    fn cut(&self) {
        self.state.lock().index.cut(self.log.ends().log_start);
    }

    fn append(
        &self,
        server: &Asker,
        now: Timestamp,
        drafts: Vec<Draft>,
    ) -> Result<Appended, CommandError> {
        let mut builder = BatchBuilder::new(Compression::None);
        for draft in &drafts {
            builder.push(now, None, draft.value.as_deref(), &draft.headers);
        }
        let built = builder.build().map_err(posthouse_broker::AppendFailure::from)?;
        let placed = built.place(Offset::ZERO, LeaderEpoch(-1));
        let bytes = placed.bytes().clone();
        // With the batch gone the bytes have one owner, and become writable without a copy.
        drop(placed);
        let append = server.broker.append(
            &server.principal,
            &self.topic,
            PartitionIndex::ZERO,
            BytesMut::from(bytes),
        );
        // It waits only for memory; under this lock it is refused instead.
        append
            .now_or_never()
            .unwrap_or_else(|| Err(posthouse_log::AppendError::Closed.into()))
            .map_err(CommandError::from)
    }

    /// Records from the batch that contains `from`, and where to go on.
    async fn read_from(&self, from: Offset) -> Result<(Vec<Record>, Offset), CommandError> {
        let until = self.log.ends().last_stable;
        let chunks = self.log.read(from, ReadLimit { bytes: READ_BYTES, until }).await?;
        let (mut records, mut next) = (Vec::new(), from);
        for chunk in chunks {
            let mut bytes = load(chunk).await?;
            while let Some(batch) = Batch::next(&mut bytes).map_err(damaged)? {
                next = batch.header().last_offset().plus(1);
                if batch.header().control {
                    continue;
                }
                for record in batch.records(EXPANDED_BYTES_MAX).map_err(damaged)? {
                    let record = record.map_err(damaged)?;
                    if record.offset >= from {
                        records.push(record);
                    }
                }
            }
        }
        // What was removed by compaction leaves a gap up to the end.
        let next = if next == from { until } else { next };
        Ok((records, next))
    }
}

impl State {
    fn take(&mut self, record: &Record) {
        self.index.take(record);
        if let Some(id) = self.index.by_offset.get(&record.offset)
            && !self.on_their_way.remove(id)
        {
            self.trimmed_early = self.trimmed_early.saturating_sub(1);
        }
        self.last = self.last.max(self.index.last);
    }

    /// The id of a new entry, and whether it has to be stated.
    fn new_id(
        &self,
        wanted: NewId,
        now: Timestamp,
        offset: Offset,
    ) -> Result<(StreamId, bool), CommandError> {
        let top = || {
            CommandError::said(
                "ERR The stream has exhausted the last possible ID, unable to add more items",
            )
        };
        let not_above = || {
            CommandError::said(
                "ERR The ID specified in XADD is equal or smaller than the target stream top item",
            )
        };
        let last = self.last;
        match wanted {
            NewId::Auto => {
                let ms = u64::try_from(now.as_ms()).unwrap_or(0);
                let id = StreamId { ms, seq: number(offset) };
                if id > last {
                    return Ok((id, false));
                }
                Ok((last.next().ok_or_else(top)?, true))
            }
            NewId::Within(ms) if ms < last.ms => Err(not_above()),
            NewId::Within(ms) if ms > last.ms => Ok((StreamId { ms, seq: 0 }, true)),
            NewId::Within(ms) => {
                let seq = last.seq.checked_add(1).ok_or_else(not_above)?;
                Ok((StreamId { ms, seq }, true))
            }
            NewId::Explicit(StreamId::MIN) => {
                Err(CommandError::said("ERR The ID specified in XADD must be greater than 0-0"))
            }
            NewId::Explicit(_) if last == StreamId::MAX => Err(top()),
            NewId::Explicit(id) if id <= last => Err(not_above()),
            NewId::Explicit(id) => Ok((id, true)),
        }
    }

    /// What a trim removes: everything below an id, and how many entries that is. `adding` is an
    /// entry that comes with it.
    fn trim_below(
        &self,
        trim: Trim,
        adding: Option<StreamId>,
        node_entries: usize,
    ) -> Option<(StreamId, usize)> {
        let ids = || self.index.by_id.keys().chain(&self.on_their_way).chain(&adding);
        let on_their_way = self.on_their_way.len() + usize::from(adding.is_some());
        let len = self.index.by_id.len() + on_their_way;
        let (excess, rough) = match trim {
            Trim::Length { max, rough } => (len.saturating_sub(max), rough),
            Trim::Below { min, rough } => (ids().take_while(|id| **id < min).count(), rough),
        };
        let count = match rough {
            None => excess,
            Some(rough) => {
                let added = usize::try_from(self.index.added).unwrap_or(usize::MAX);
                let ever = added.saturating_add(on_their_way).saturating_add(self.trimmed_early);
                let gone = ever.saturating_sub(len);
                rough.whole_nodes(excess, len, gone, node_entries)
            }
        };
        if count == 0 {
            return None;
        }
        let below = match ids().nth(count) {
            Some(first_kept) => *first_kept,
            None => ids().last()?.next()?,
        };
        Some((below, count))
    }

    fn cut_below(&mut self, below: StreamId) {
        self.index.trim(below);
        let kept = self.on_their_way.split_off(&below);
        self.trimmed_early += self.on_their_way.len();
        self.on_their_way = kept;
    }
}

fn number(offset: Offset) -> u64 {
    u64::try_from(offset.value()).unwrap_or(0)
}

fn damaged(error: posthouse_record::BatchError) -> CommandError {
    CommandError::Storage(format!("damaged batch: {error}"))
}

async fn load(chunk: Chunk) -> Result<Bytes, CommandError> {
    let loaded = match chunk {
        Chunk::Memory(bytes) => return Ok(bytes),
        chunk @ Chunk::File(_) => tokio::task::spawn_blocking(move || chunk.load()).await,
    };
    let loaded = loaded.unwrap_or_else(|_| Err(std::io::Error::other("the node is stopping")));
    loaded.map_err(|error| {
        let source = Arc::new(error);
        ReadError::Storage(StorageError { action: "read", path: "stream".into(), source }).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rough_trims_keep_to_nodes_though_entries_are_not_taken_in_yet() {
        let mut state = State::default();
        let id = |seq| StreamId { ms: 1, seq };
        let trim = Trim::Length { max: 555, rough: Some(Rough { limit: None }) };
        for seq in 1..=1000 {
            let below = state.trim_below(trim, Some(id(seq)), 100);
            state.on_their_way.insert(id(seq));
            if let Some((below, _)) = below {
                state.cut_below(below);
            }
            if seq == 3 {
                // These are known from their records.
                for seq in 1..=3 {
                    state.on_their_way.remove(&id(seq));
                    state.index.by_id.insert(id(seq), Offset::ZERO.plus(seq));
                    state.index.added += 1;
                }
            }
        }
        assert_eq!(state.index.by_id.len() + state.on_their_way.len(), 600);
    }

    #[test]
    fn a_rough_trim_takes_whole_nodes() {
        let whole =
            |limit, excess, len, gone, node| Rough { limit }.whole_nodes(excess, len, gone, node);
        for (limit, excess, len, gone, node, expected) in [
            // Of 555 entries the oldest node has 55 left.
            (None, 111, 555, 445, 100, 55),
            (None, 100, 500, 500, 100, 100),
            (None, 99, 500, 500, 100, 0),
            (None, 3, 3, 0, 100, 3),
            (Some(30), 46, 101, 0, 10, 30),
            (Some(1), 3, 3, 0, 2, 0),
            (Some(2), 3, 3, 0, 2, 2),
            (None, 101, 102, 0, 1, 100),
            (Some(0), 101, 102, 0, 1, 101),
        ] {
            assert_eq!(whole(limit, excess, len, gone, node), expected, "{excess} of {len}");
        }
    }
}
