//! One segment: a file of whole batches, what is known of it, and the way to a batch in it.
//!
//! Owns the file handle, opened when it is first needed, and the index, loaded likewise. Does not
//! write: the active segment's batches are written by [`super::writer`], which publishes them here.
//!
//! # Invariants
//! - Readers see the file up to the published size, which is durable and ends with a whole batch.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use posthouse_record::{Batch, BatchHeader};
use posthouse_types::{Offset, Timestamp};

use super::index::SparseIndex;
use super::paths;
use super::walk::{HeaderWalk, WalkError, load};
use crate::disk::{Disk, DiskFile, storage};
use crate::retention::SegmentFacts;
use crate::search::first_at_or_after;
use crate::{Chunk, ReadError, ReadLimit, TimestampOffset};

/// A segment of one partition.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) base: Offset,
    pub(crate) path: PathBuf,
    index_path: PathBuf,
    disk: Arc<dyn Disk>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    facts: SegmentFacts,
    /// `None` until a reader needs it.
    index: Option<Arc<SparseIndex>>,
    /// `None` until a reader needs it, and again when too many files are open.
    file: Option<Arc<dyn DiskFile>>,
    /// The file under this segment's name is about to be another; the open one is kept.
    pinned: bool,
}

/// A piece of a segment, and what was left to be said about the end of it.
pub(crate) struct Found {
    pub(crate) chunk: Chunk,
    /// Whether the piece ends where the segment does, so that the next one may follow.
    pub(crate) is_to_the_end: bool,
}

impl Segment {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        directory: &Path,
        facts: SegmentFacts,
        index: Option<SparseIndex>,
    ) -> Segment {
        let base = facts.base;
        let state = State { facts, index: index.map(Arc::new), file: None, pinned: false };
        Segment {
            base,
            path: paths::segment(directory, base),
            index_path: paths::index(directory, base),
            disk,
            state: Mutex::new(state),
        }
    }

    pub(crate) fn facts(&self) -> SegmentFacts {
        self.state.lock().facts
    }

    /// Shows readers what has become durable. `noted` are the batches with their positions and the
    /// largest timestamp before each.
    pub(crate) fn publish(&self, facts: SegmentFacts, noted: &[(BatchHeader, u64, Timestamp)]) {
        let mut state = self.state.lock();
        state.facts = facts;
        if let Some(index) = &mut state.index {
            let index = Arc::make_mut(index);
            for (header, position, max_before) in noted {
                index.note(header, *position, *max_before);
            }
        }
    }

    /// Puts a file that is open already where readers look for it.
    pub(crate) fn adopt(&self, file: Arc<dyn DiskFile>) {
        self.state.lock().file = Some(file);
    }

    /// Closes the file until the next reader; readers that have it keep it.
    pub(crate) fn release_file(&self) {
        let mut state = self.state.lock();
        if !state.pinned {
            state.file = None;
        }
    }

    /// Opens the file for good, so that readers which still have this segment when another takes its
    /// name go on reading what its index describes.
    ///
    /// # Errors
    /// [`ReadError::Storage`].
    pub(crate) fn pin(&self) -> Result<(), ReadError> {
        self.state.lock().pinned = true;
        self.index()?;
        self.file().map(drop)
    }

    /// Whether [`Segment::file`] would open the file.
    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().file.is_none()
    }

    /// The open file.
    ///
    /// # Errors
    /// [`ReadError::Storage`].
    pub(crate) fn file(&self) -> Result<Arc<dyn DiskFile>, ReadError> {
        if let Some(file) = &self.state.lock().file {
            return Ok(Arc::clone(file));
        }
        let file = self.disk.open(&self.path).map_err(storage("open", &self.path))?;
        Ok(Arc::clone(self.state.lock().file.get_or_insert(file)))
    }

    /// The index, read from its file or built from the segment.
    ///
    /// # Errors
    /// [`ReadError::Storage`], and [`ReadError::Damaged`] when it has to be built and cannot.
    pub(crate) fn index(&self) -> Result<Arc<SparseIndex>, ReadError> {
        let facts = {
            let state = self.state.lock();
            if let Some(index) = &state.index {
                return Ok(Arc::clone(index));
            }
            state.facts
        };
        let stored = self.disk.read(&self.index_path).ok();
        let index = match stored.and_then(|stored| SparseIndex::decode(stored, facts.bytes)) {
            Some(index) => index,
            None => self.build_index(facts)?,
        };
        let mut state = self.state.lock();
        if state.facts.bytes != facts.bytes {
            // The active segment always has its index, so it is compaction that came between.
            drop(state);
            return self.index();
        }
        Ok(Arc::clone(state.index.get_or_insert(Arc::new(index))))
    }

    fn build_index(&self, facts: SegmentFacts) -> Result<SparseIndex, ReadError> {
        let file = self.file()?;
        let mut walk = HeaderWalk::new(&*file, 0, facts);
        let (mut index, mut max) = (SparseIndex::default(), Timestamp::NONE);
        while let Some((position, header)) = walk.next().map_err(|error| self.read_error(error))? {
            index.note(&header, position, max);
            max = max.max(header.max_timestamp);
        }
        Ok(index)
    }

    /// Whole batches from the one that contains `from` or the next after it; `None` when there is
    /// none below `limit.until`.
    ///
    /// # Errors
    /// [`ReadError::Storage`] and [`ReadError::Damaged`].
    pub(crate) fn read(
        &self,
        from: Offset,
        limit: ReadLimit,
        is_first: bool,
    ) -> Result<Option<Found>, ReadError> {
        let (facts, index, file) = (self.facts(), self.index()?, self.file()?);
        let Some((start, first)) =
            self.find(&file, index.floor(from), facts, |header| header.last_offset() >= from)?
        else {
            return Ok(None);
        };
        if first.base_offset >= limit.until || (!is_first && first.size > limit.bytes) {
            return Ok(None);
        }
        let end = self.end_of_read(&file, &index, facts, start, &first, limit)?;
        let len = usize::try_from(end - start).unwrap_or(usize::MAX);
        let chunk = file.range(start, len).map_err(storage("read", &self.path))?;
        Ok(Some(Found { chunk, is_to_the_end: end == facts.bytes }))
    }

    /// The end of the last batch that fits into the limit, but at least of the first.
    fn end_of_read(
        &self,
        file: &Arc<dyn DiskFile>,
        index: &SparseIndex,
        facts: SegmentFacts,
        start: u64,
        first: &BatchHeader,
        limit: ReadLimit,
    ) -> Result<u64, ReadError> {
        let furthest = start.saturating_add(limit.bytes as u64);
        if facts.bytes <= furthest && facts.next <= limit.until {
            return Ok(facts.bytes);
        }
        let by_size = index.floor_position(furthest).map_or(start, |entry| entry.position);
        let near = by_size.min(index.floor(limit.until)).max(start);
        let mut end = (start + first.size as u64).max(near);
        let mut walk = HeaderWalk::new(&**file, end, facts);
        while let Some((position, header)) = walk.next().map_err(|error| self.read_error(error))? {
            let next = position + header.size as u64;
            if next > furthest || header.base_offset >= limit.until {
                break;
            }
            end = next;
        }
        Ok(end)
    }

    /// The first record at or above `from` that is `at` or later.
    ///
    /// # Errors
    /// [`ReadError::Storage`] and [`ReadError::Damaged`].
    pub(crate) fn first_at_or_after(
        &self,
        at: Timestamp,
        from: Offset,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        let (facts, index, file) = (self.facts(), self.index()?, self.file()?);
        let mut position = index.floor_time(at).max(index.floor(from));
        loop {
            let found = self.find(&file, position, facts, |header| {
                header.max_timestamp >= at && header.last_offset() >= from
            })?;
            let Some((start, header)) = found else { return Ok(None) };
            let batch = load(&file, start, &header).map_err(|error| self.read_error(error))?;
            let record = first_at_or_after(&batch, at, from)
                .map_err(|source| self.damaged(&batch, source))?;
            if record.is_some() {
                return Ok(record);
            }
            position = start + header.size as u64;
        }
    }

    /// The largest timestamp of the batches that hold anything at or above `from`.
    ///
    /// # Errors
    /// [`ReadError::Storage`] and [`ReadError::Damaged`].
    pub(crate) fn max_timestamp_from(&self, from: Offset) -> Result<Timestamp, ReadError> {
        let facts = self.facts();
        if from <= facts.base {
            return Ok(facts.max_timestamp);
        }
        let (index, file) = (self.index()?, self.file()?);
        let mut walk = HeaderWalk::new(&*file, index.floor(from), facts);
        let mut max = Timestamp::NONE;
        while let Some((_, header)) = walk.next().map_err(|error| self.read_error(error))? {
            if header.last_offset() >= from {
                max = max.max(header.max_timestamp);
            }
        }
        Ok(max)
    }

    /// Every batch, in order, for compaction.
    ///
    /// # Errors
    /// [`ReadError::Storage`] and [`ReadError::Damaged`], and those of `each`.
    pub(crate) fn for_each_batch<E: From<ReadError>>(
        &self,
        mut each: impl FnMut(Batch) -> Result<(), E>,
    ) -> Result<(), E> {
        let file = self.file()?;
        let mut walk = HeaderWalk::new(&*file, 0, self.facts());
        while let Some((position, header)) = walk.next().map_err(|error| self.read_error(error))? {
            each(load(&file, position, &header).map_err(|error| self.read_error(error))?)?;
        }
        Ok(())
    }

    fn find(
        &self,
        file: &Arc<dyn DiskFile>,
        position: u64,
        facts: SegmentFacts,
        fits: impl Fn(&BatchHeader) -> bool,
    ) -> Result<Option<(u64, BatchHeader)>, ReadError> {
        let mut walk = HeaderWalk::new(&**file, position, facts);
        loop {
            match walk.next().map_err(|error| self.read_error(error))? {
                Some((position, header)) if fits(&header) => return Ok(Some((position, header))),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    fn read_error(&self, error: WalkError) -> ReadError {
        match error {
            WalkError::Io(error) => storage("read", &self.path)(error).into(),
            WalkError::Damaged(source) => ReadError::Damaged { offset: self.base, source },
        }
    }

    fn damaged(&self, batch: &Batch, source: posthouse_record::BatchError) -> ReadError {
        ReadError::Damaged { offset: batch.header().base_offset, source }
    }

    /// Writes the index beside the segment. A failure costs a rebuild, so it is not one of the log.
    pub(crate) fn store_index(&self) {
        let state = self.state.lock();
        let Some(index) = state.index.clone() else { return };
        let size = state.facts.bytes;
        drop(state);
        let written = self.disk.open_to_write(&self.index_path, true).and_then(|file| {
            let stored = index.encode(size);
            file.truncate(0)?;
            file.write_all_at(&mut [std::io::IoSlice::new(&stored)], 0)
        });
        if let Err(error) = written {
            tracing::debug!(path = %self.index_path.display(), %error, "cannot write a segment's index");
        }
    }

    /// Removes the segment's files. Readers that have it open keep it.
    pub(crate) fn remove(&self) -> Result<(), crate::StorageError> {
        // The index is a shortcut, and may never have been written.
        drop(self.disk.remove_file(&self.index_path));
        match self.disk.remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(storage("remove", &self.path)(error))
            }
            _ => Ok(()),
        }
    }
}
