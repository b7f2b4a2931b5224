//! The writing end of one partition: the active segment, rolling, and the checkpoint.
//!
//! Owns everything that changes the partition's directory but compaction's rewriting. One thread at
//! a time, under the log's writer lock.
//!
//! # Invariants
//! - A batch is published to readers after it is as durable as the topic asks, never before.
//! - A segment is durable before the next one is begun.
//! - After a failed write or sync nothing is written any more: what the kernel could not write may
//!   be gone from its cache, so a later sync that succeeds would prove nothing.

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use posthouse_record::{Batch, BatchHeader};
use posthouse_types::{Offset, Timestamp};

use super::checkpoint::Checkpoint;
use super::index::SparseIndex;
use super::paths;
use super::segment::Segment;
use crate::compaction::Cleaned;
use crate::disk::{Disk, DiskFile, replace, storage};
use crate::epochs::EpochHistory;
use crate::producers::Producers;
use crate::retention::SegmentFacts;
use crate::{Durability, LogConfig, StorageError};

/// LIMIT: bytes written between two syncs of a topic that syncs, unless one batch is larger. A torn
/// tail can be no longer than this and one batch, which is how recovery knows damage from tearing.
pub(crate) const UNSYNCED_BYTES_MAX: u64 = 4 << 20;

/// The writing end.
#[derive(Debug)]
pub(crate) struct Writer {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    directory: PathBuf,
    /// `None` until the first batch: a partition without records has no files.
    active: Option<Active>,
    pub(crate) epochs: EpochHistory,
    /// Exactly what the stored batches say; the appender's may be ahead.
    pub(crate) producers: Producers,
    pub(crate) cleaned: Cleaned,
    pub(crate) log_start: Offset,
    /// Bytes written since the last checkpoint.
    since_checkpoint: u64,
    has_directory: bool,
    /// Whether recovery is told that sealed segments may differ from the checkpoint.
    is_marked: bool,
}

#[derive(Debug)]
struct Active {
    segment: Arc<Segment>,
    file: Arc<dyn DiskFile>,
}

/// What opening a partition found, for the writer to go on from.
pub(crate) struct WriterStart {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) root: PathBuf,
    pub(crate) directory: PathBuf,
    pub(crate) known: Checkpoint,
    pub(crate) has_directory: bool,
    /// Bytes that the stored checkpoint does not tell of.
    pub(crate) unchecked: u64,
    /// Whether a compaction was under way.
    pub(crate) is_marked: bool,
}

impl Writer {
    pub(crate) fn new(start: WriterStart) -> Writer {
        Writer {
            disk: start.disk,
            root: start.root,
            directory: start.directory,
            active: None,
            epochs: start.known.epochs,
            producers: start.known.producers,
            cleaned: start.known.cleaned,
            log_start: start.known.log_start,
            since_checkpoint: start.unchecked,
            has_directory: start.has_directory,
            is_marked: start.is_marked,
        }
    }

    /// Writes batches and makes them as durable as the topic asks. New segments go to `segments`.
    ///
    /// # Errors
    /// The disk's. Then nothing of `batches` above what was published counts as written.
    pub(crate) fn write(
        &mut self,
        batches: &[Batch],
        config: &LogConfig,
        now: Timestamp,
        segments: &mut Segments<'_>,
    ) -> Result<(), StorageError> {
        let mut rest = batches;
        while let Some(first) = rest.first() {
            if segments
                .last()
                .is_none_or(|last| last.facts().is_full_for(first.header().size as u64, config))
            {
                self.roll(first.header().base_offset, now, segments)?;
            }
            let segment = segments.last().expect("a segment was begun where there was none");
            let facts = segment.facts();
            let count = fitting(facts, rest, config);
            let (run, after) = rest.split_at(count);
            self.write_run(&segment, facts, run, config, now)?;
            rest = after;
        }
        Ok(())
    }

    fn write_run(
        &mut self,
        segment: &Arc<Segment>,
        mut facts: SegmentFacts,
        run: &[Batch],
        config: &LogConfig,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let file = self.active_file(segment)?;
        let durable = facts.bytes;
        let mut slices: Vec<IoSlice<'_>> =
            run.iter().map(|batch| IoSlice::new(batch.bytes())).collect();
        if let Err(error) = file.write_all_at(&mut slices, durable) {
            // What is there of the batches must not be found at the next start as if it counted.
            drop(file.truncate(durable));
            return Err(storage("write", &segment.path)(error));
        }
        if config.durability == Durability::Fsync {
            file.sync().map_err(storage("sync", &segment.path))?;
        }
        let noted = note(&mut facts, run, now);
        for (header, _, _) in &noted {
            self.epochs.begin(header.leader_epoch, header.base_offset);
            self.producers.record(header, now);
        }
        self.since_checkpoint += facts.bytes - durable;
        segment.publish(facts, &noted);
        Ok(())
    }

    /// Seals the active segment and begins another at `base`.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn roll(
        &mut self,
        base: Offset,
        now: Timestamp,
        segments: &mut Segments<'_>,
    ) -> Result<(), StorageError> {
        if let Some(sealed) = segments.last() {
            let file = self.active_file(&sealed)?;
            file.sync().map_err(storage("sync", &sealed.path))?;
            sealed.store_index();
        }
        self.make_directory()?;
        let facts = SegmentFacts::empty(base, now);
        let index = Some(SparseIndex::default());
        let segment = Arc::new(Segment::new(Arc::clone(&self.disk), &self.directory, facts, index));
        let file = self
            .disk
            .open_to_write(&segment.path, true)
            .map_err(storage("create", &segment.path))?;
        // A file of that name can be left from a roll that a crash cut short; nothing in it counts.
        file.truncate(0).map_err(storage("truncate", &segment.path))?;
        self.disk.sync_directory(&self.directory).map_err(storage("sync", &self.directory))?;
        segment.adopt(Arc::clone(&file));
        let had_segments = segments.last().is_some();
        self.active = Some(Active { segment: Arc::clone(&segment), file });
        segments.push(segment);
        if had_segments { self.store_checkpoint(segments) } else { Ok(()) }
    }

    /// Stores what is known now, so that the next opening need not find it out again.
    ///
    /// # Errors
    /// The disk's; the checkpoint from before still stands.
    pub(crate) fn store_checkpoint(&mut self, segments: &Segments<'_>) -> Result<(), StorageError> {
        if !self.has_directory {
            return Ok(());
        }
        if let Some(active) = &self.active {
            // Under `relaxed` the checkpoint must not tell of more than a power cut would leave.
            active.file.sync().map_err(storage("sync", &active.segment.path))?;
        }
        let known = Checkpoint {
            log_start: self.log_start,
            cleaned: self.cleaned,
            epochs: self.epochs.clone(),
            segments: segments.facts(),
            producers: self.producers.clone(),
        };
        replace(&*self.disk, &self.directory.join(paths::CHECKPOINT), &known.encode())?;
        self.since_checkpoint = 0;
        if self.is_marked {
            // A mark that comes back after a crash only makes recovery read more than it must.
            drop(self.disk.remove_file(&self.directory.join(paths::COMPACTING)));
            self.is_marked = false;
        }
        Ok(())
    }

    /// Tells recovery, durably, that sealed segments may differ from the checkpoint until the next.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn mark_compacting(&mut self) -> Result<(), StorageError> {
        if !self.is_marked {
            let path = self.directory.join(paths::COMPACTING);
            self.disk.open_to_write(&path, true).map_err(storage("create", &path))?;
            self.disk.sync_directory(&self.directory).map_err(storage("sync", &self.directory))?;
            self.is_marked = true;
        }
        Ok(())
    }

    /// Bytes that an opening after a crash would have to read.
    pub(crate) fn since_checkpoint(&self) -> u64 {
        self.since_checkpoint
    }

    /// Makes the directory now, for a log start that must be kept before there is any record.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn make_directory(&mut self) -> Result<(), StorageError> {
        if self.has_directory {
            return Ok(());
        }
        let topic = self.directory.parent().unwrap_or(&self.root).to_owned();
        self.disk.create_directory(&self.directory).map_err(storage("create", &self.directory))?;
        for above in [topic.as_path(), &self.root.join(paths::LOGS)] {
            self.disk.sync_directory(above).map_err(storage("sync", above))?;
        }
        self.has_directory = true;
        Ok(())
    }

    /// Closes the active segment's file.
    pub(crate) fn close(&mut self) {
        self.active = None;
    }

    pub(crate) fn disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.disk)
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    fn active_file(&mut self, segment: &Arc<Segment>) -> Result<Arc<dyn DiskFile>, StorageError> {
        if let Some(active) = &self.active
            && Arc::ptr_eq(&active.segment, segment)
        {
            return Ok(Arc::clone(&active.file));
        }
        let file = self
            .disk
            .open_to_write(&segment.path, false)
            .map_err(storage("open", &segment.path))?;
        segment.adopt(Arc::clone(&file));
        self.active = Some(Active { segment: Arc::clone(segment), file: Arc::clone(&file) });
        Ok(file)
    }
}

/// The partition's segments while its writer works; readers see each change at once.
pub(crate) struct Segments<'a>(pub(crate) &'a parking_lot::RwLock<Vec<Arc<Segment>>>);

impl Segments<'_> {
    pub(crate) fn last(&self) -> Option<Arc<Segment>> {
        self.0.read().last().cloned()
    }

    pub(crate) fn facts(&self) -> Vec<SegmentFacts> {
        self.0.read().iter().map(|segment| segment.facts()).collect()
    }

    pub(crate) fn push(&mut self, segment: Arc<Segment>) {
        self.0.write().push(segment);
    }
}

/// How many of `batches` are written at once into a segment that takes at least the first.
fn fitting(mut facts: SegmentFacts, batches: &[Batch], config: &LogConfig) -> usize {
    let start = facts.bytes;
    let fits = |batch: &&Batch| {
        let size = batch.header().size as u64;
        let is_first = facts.bytes == start;
        let unsynced = facts.bytes - start + size;
        let fits = is_first || (!facts.is_full_for(size, config) && unsynced <= UNSYNCED_BYTES_MAX);
        facts.bytes += size;
        fits
    };
    batches.iter().take_while(fits).count()
}

/// Extends what is known of a segment by batches written at its end.
pub(crate) fn note(
    facts: &mut SegmentFacts,
    run: &[Batch],
    now: Timestamp,
) -> Vec<(BatchHeader, u64, Timestamp)> {
    if facts.is_empty() {
        facts.begun = now;
    }
    run.iter()
        .map(|batch| {
            let header = *batch.header();
            let noted = (header, facts.bytes, facts.max_timestamp);
            facts.bytes += header.size as u64;
            facts.next = header.last_offset().plus(1);
            facts.max_timestamp = facts.max_timestamp.max(header.max_timestamp);
            noted
        })
        .collect()
}
