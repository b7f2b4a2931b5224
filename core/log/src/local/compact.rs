//! Compaction of sealed segments: each is written anew without what is superseded, and swapped.
//!
//! Owns the reading, the writing and the swap; which records stay is decided in
//! [`crate::compaction`]. Appends and reads go on meanwhile.
//!
//! # Invariants
//! - A swap is one rename: after a crash the old segment is there or the new one, whole.
//! - A segment that is swapped keeps its base offset, and covers the same offsets.

use std::io::IoSlice;
use std::path::PathBuf;
use std::sync::Arc;

use posthouse_record::Batch;
use posthouse_types::Timestamp;

use super::index::SparseIndex;
use super::log::LocalLog;
use super::paths;
use super::segment::Segment;
use super::writer::{Segments, note};
use crate::compaction::{Cleaned, KeyMap, Pass, cleanable_count};
use crate::disk::{Disk, DiskFile, storage};
use crate::retention::SegmentFacts;
use crate::{LogConfig, Maintained, MaintenanceError, ReadError};

/// Bytes of batches gathered before they are written.
const WRITE_BYTES: usize = 1 << 20;

impl LocalLog {
    /// Compacts the sealed segments when it is worth it. The caller holds `maintenance`.
    pub(crate) fn compact(
        &self,
        config: &LogConfig,
        now: Timestamp,
    ) -> Result<Maintained, MaintenanceError> {
        let mut sealed = self.segments.read().clone();
        sealed.pop();
        let facts: Vec<SegmentFacts> = sealed.iter().map(|segment| segment.facts()).collect();
        let (cleaned, producers, disk, directory) = {
            let writer = self.writer.lock();
            (writer.cleaned, writer.producers.clone(), writer.disk(), writer.directory().to_owned())
        };
        sealed.truncate(cleanable_count(&facts, cleaned, config, now));
        if sealed.is_empty() {
            return Ok(Maintained::default());
        }
        // A roll may have been cut short of its checkpoint. What recovery believes to be the active
        // segment must not be rewritten under it.
        self.writer.lock().store_checkpoint(&Segments(&self.segments))?;
        let keys = self.keys(&sealed, cleaned)?;
        let mut pass = Pass {
            keys: &keys,
            producers: &producers,
            now,
            tombstone_age: config.tombstone_age,
            removed: 0,
            horizon: None,
        };
        let mut freed = 0;
        for segment in &sealed {
            let rewrite = Rewrite::new(&disk, directory.clone(), segment.facts(), now)?;
            let Some(fresh) = rewrite.run(segment, &mut pass)? else { continue };
            freed += segment.facts().bytes.saturating_sub(fresh.facts().bytes);
            self.swap(segment, fresh)?;
        }
        let (removed, horizon) = (pass.removed, pass.horizon);
        let mut writer = self.writer.lock();
        writer.cleaned = Cleaned { to: keys.covered(), horizon };
        writer.store_checkpoint(&Segments(&self.segments))?;
        Ok(Maintained { segments_deleted: 0, bytes_freed: freed, records_compacted: removed })
    }

    /// The last offset of every key above what is clean already.
    fn keys(&self, sealed: &[Arc<Segment>], cleaned: Cleaned) -> Result<KeyMap, MaintenanceError> {
        let mut keys = KeyMap::new(cleaned.to);
        let mut has_room = true;
        for segment in sealed.iter().filter(|segment| segment.facts().next > cleaned.to) {
            self.shared.handles.touch(segment);
            segment.for_each_batch(|batch| {
                if has_room {
                    let offset = batch.header().base_offset;
                    has_room = keys
                        .add(&batch)
                        .map_err(|source| MaintenanceError::Damaged { offset, source })?;
                }
                Ok::<_, MaintenanceError>(())
            })?;
        }
        Ok(keys)
    }

    fn swap(&self, old: &Arc<Segment>, fresh: Segment) -> Result<(), MaintenanceError> {
        old.pin()?;
        let mut writer = self.writer.lock();
        writer.mark_compacting()?;
        let mut name = old.path.clone().into_os_string();
        name.push(".new");
        let disk = writer.disk();
        disk.rename(&PathBuf::from(name), &old.path).map_err(storage("rename", &old.path))?;
        let directory = writer.directory();
        disk.sync_directory(directory).map_err(storage("sync", directory))?;
        let mut segments = self.segments.write();
        if let Some(place) = segments.iter_mut().find(|segment| Arc::ptr_eq(segment, old)) {
            let fresh = Arc::new(fresh);
            fresh.store_index();
            *place = fresh;
        }
        drop(segments);
        // Batches that are gone may be in the tail cache, which must agree with the disk.
        self.tail.clear();
        Ok(())
    }
}

/// A segment being written anew.
struct Rewrite {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    facts: SegmentFacts,
    old: SegmentFacts,
    index: SparseIndex,
    pending: Vec<Batch>,
    pending_bytes: usize,
    now: Timestamp,
}

impl Rewrite {
    fn new(
        disk: &Arc<dyn Disk>,
        directory: PathBuf,
        old: SegmentFacts,
        now: Timestamp,
    ) -> Result<Rewrite, MaintenanceError> {
        let mut name = paths::segment(&directory, old.base).into_os_string();
        name.push(".new");
        let path = PathBuf::from(name);
        let file = disk.open_to_write(&path, true).map_err(storage("create", &path))?;
        file.truncate(0).map_err(storage("truncate", &path))?;
        Ok(Rewrite {
            disk: Arc::clone(disk),
            directory,
            path,
            file,
            facts: SegmentFacts { begun: old.begun, ..SegmentFacts::empty(old.base, old.begun) },
            old,
            index: SparseIndex::default(),
            pending: Vec::new(),
            pending_bytes: 0,
            now,
        })
    }

    /// Writes what stays of `segment`; `None`, and no file, when everything does.
    fn run(
        mut self,
        segment: &Segment,
        pass: &mut Pass<'_>,
    ) -> Result<Option<Segment>, MaintenanceError> {
        segment.for_each_batch(|batch| {
            let offset = batch.header().base_offset;
            let kept = pass
                .clean(&batch)
                .map_err(|source| MaintenanceError::Damaged { offset, source })?;
            if let Some(kept) = kept {
                self.pending_bytes += kept.bytes().len();
                self.pending.push(kept);
            }
            if self.pending_bytes >= WRITE_BYTES { self.write() } else { Ok(()) }
        })?;
        self.write()?;
        if self.facts.bytes == self.old.bytes {
            self.disk.remove_file(&self.path).map_err(storage("remove", &self.path))?;
            return Ok(None);
        }
        self.file.sync().map_err(storage("sync", &self.path))?;
        let facts = SegmentFacts { next: self.old.next, begun: self.old.begun, ..self.facts };
        Ok(Some(Segment::new(self.disk, &self.directory, facts, Some(self.index))))
    }

    fn write(&mut self) -> Result<(), MaintenanceError> {
        let mut slices: Vec<IoSlice<'_>> =
            self.pending.iter().map(|batch| IoSlice::new(batch.bytes())).collect();
        self.file
            .write_all_at(&mut slices, self.facts.bytes)
            .map_err(storage("write", &self.path))?;
        for (header, position, max_before) in note(&mut self.facts, &self.pending, self.now) {
            self.index.note(&header, position, max_before);
        }
        self.pending.clear();
        self.pending_bytes = 0;
        Ok(())
    }
}

impl From<ReadError> for MaintenanceError {
    fn from(error: ReadError) -> MaintenanceError {
        match error {
            ReadError::Storage(error) => MaintenanceError::Storage(error),
            ReadError::Damaged { offset, source } => MaintenanceError::Damaged { offset, source },
            ReadError::OutOfRange { .. } | ReadError::Closed => MaintenanceError::Closed,
        }
    }
}
