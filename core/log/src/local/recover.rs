//! Opening a partition: what the checkpoint says, and what was written after it.
//!
//! Owns the decision what of the stored bytes counts. Reads only what the checkpoint does not tell
//! of, which is at most the last segment, unless the checkpoint is gone.
//!
//! # Invariants
//! - In the last segment everything up to the first batch that is cut short or damaged counts; the
//!   rest is a write that was never acknowledged, and is cut off, unless it is longer than one can be.
//! - Damage in an earlier segment is not a torn write, nor is a segment that is gone or shorter than
//!   the checkpoint says: the partition does not open.
//! - What was read and counts is durable before anyone is shown it: it may have been on its way.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use posthouse_record::{BATCH_HEADER_BYTES, Batch, BatchError, BatchHeader};
use posthouse_types::{Offset, PartitionId, Timestamp};

use super::checkpoint::Checkpoint;
use super::index::SparseIndex;
use super::paths;
use super::segment::Segment;
use super::writer::UNSYNCED_BYTES_MAX;
use crate::disk::{Disk, DiskFile, read_if_there, storage};
use crate::retention::SegmentFacts;
use crate::{Durability, LogConfig, OpenError, StorageError, metrics};

/// Bytes read at once while scanning.
const WINDOW_BYTES: usize = 1 << 20;

/// A partition as it was found.
pub(crate) struct Found {
    pub(crate) known: Checkpoint,
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) next: Offset,
    pub(crate) has_directory: bool,
    /// Bytes that had to be read, and so would be again.
    pub(crate) scanned: u64,
    /// Whether a compaction was under way.
    pub(crate) is_marked: bool,
}

/// Reads what is there of a partition and cuts off a torn tail.
///
/// # Errors
/// [`OpenError::Storage`] and [`OpenError::Damaged`].
pub(crate) fn recover(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    partition: PartitionId,
    config: &LogConfig,
    now: Timestamp,
) -> Result<Found, OpenError> {
    let names = disk.list(directory).map_err(storage("list", directory))?;
    remove_leftovers(&**disk, directory, &names)?;
    let mut bases: Vec<Offset> =
        names.iter().filter_map(|name| paths::parse_segment(name)).collect();
    bases.sort_unstable();
    let known = load_checkpoint(&**disk, directory)?;
    let covered = known.segments.last().map_or(Offset::ZERO, |last| last.next);
    let mut recovery = Recovery {
        covered,
        disk,
        directory,
        partition,
        now,
        trusted: known.segments.clone(),
        is_marked: names.iter().any(|name| name == paths::COMPACTING),
        torn_bytes_max: match config.durability {
            Durability::Fsync => UNSYNCED_BYTES_MAX + config.batch_bytes_max.0,
            Durability::Relaxed => u64::MAX,
        },
        known: Checkpoint { segments: Vec::new(), ..known },
        scanned: 0,
        cut: 0,
    };
    recovery.check_all_there(&bases)?;
    let mut segments: Vec<Arc<Segment>> = Vec::with_capacity(bases.len());
    for (index, &base) in bases.iter().enumerate() {
        let is_last = index + 1 == bases.len();
        let before = segments.last().map(|segment| segment.facts());
        recovery.check_follows(before, base)?;
        segments.push(Arc::new(recovery.segment(base, is_last)?));
    }
    let Recovery { mut known, scanned, cut, is_marked, .. } = recovery;
    if scanned > 0 || cut > 0 {
        metrics::recovered(scanned, cut);
        tracing::info!(%partition, scanned_bytes = scanned, cut_bytes = cut, "log recovered");
    }
    let next = segments.last().map_or(known.log_start, |last| last.facts().next);
    let next = next.max(known.log_start);
    known.log_start = known.log_start.max(bases.first().copied().unwrap_or(known.log_start));
    Ok(Found { known, segments, next, has_directory: !names.is_empty(), scanned, is_marked })
}

struct Recovery<'a> {
    disk: &'a Arc<dyn Disk>,
    directory: &'a Path,
    partition: PartitionId,
    now: Timestamp,
    /// What the checkpoint's epochs and producers already know of.
    covered: Offset,
    /// Segments as the checkpoint tells of them.
    trusted: Vec<SegmentFacts>,
    /// Epochs and producers, first as of the checkpoint, then moved on by every batch after it.
    known: Checkpoint,
    /// Whether sealed segments may differ from the checkpoint, because they were being compacted.
    is_marked: bool,
    /// How long a torn tail can be.
    torn_bytes_max: u64,
    scanned: u64,
    cut: u64,
}

impl Recovery<'_> {
    /// Every segment that the checkpoint tells of must be there, but for those that retention was
    /// about to remove.
    fn check_all_there(&self, bases: &[Offset]) -> Result<(), OpenError> {
        let gone = self.trusted.iter().find(|facts| {
            facts.next > self.known.log_start && bases.binary_search(&facts.base).is_err()
        });
        gone.map_or(Ok(()), |facts| {
            Err(self.damaged(facts.base, "its segment file is missing".to_owned()))
        })
    }

    /// Segments follow one another. Compaction may leave offsets out, but only below the checkpoint.
    fn check_follows(&self, before: Option<SegmentFacts>, base: Offset) -> Result<(), OpenError> {
        let Some(before) = before else { return Ok(()) };
        let is_new = !self.trusted.is_empty() && base >= self.covered;
        if base < before.next || (is_new && base > before.next) {
            let reason = format!("the next segment begins at offset {base}");
            return Err(self.damaged(before.next, reason));
        }
        Ok(())
    }

    fn damaged(&self, offset: Offset, reason: String) -> OpenError {
        OpenError::Damaged { partition: self.partition, offset, reason }
    }

    fn segment(&mut self, base: Offset, is_last: bool) -> Result<Segment, OpenError> {
        let path = paths::segment(self.directory, base);
        let file = self.disk.open(&path).map_err(storage("open", &path))?;
        let size = file.size().map_err(storage("read", &path))?;
        let told = self.trusted.iter().position(|facts| facts.base == base);
        let was_active = told.is_some_and(|index| index + 1 == self.trusted.len());
        let told = told.map(|index| self.trusted[index]);
        let start = match told {
            Some(facts) if facts.bytes == size || (was_active && facts.bytes < size) => facts,
            Some(_) if self.is_marked && !was_active => SegmentFacts::empty(base, self.now),
            Some(facts) => {
                let reason = format!("{} has {size} bytes, not {}", path.display(), facts.bytes);
                return Err(self.damaged(base, reason));
            }
            None => SegmentFacts::empty(base, self.now),
        };
        if start.bytes == size {
            return Ok(self.known_segment(start, is_last));
        }
        // What a failed sync has left in the cache must not pass for what is on the disk.
        file.drop_cache();
        let mut index = if start.is_empty() { Some(SparseIndex::default()) } else { None };
        let (mut facts, damage) = self.scan(&*file, &path, start, size, index.as_mut())?;
        if let Some(error) = damage {
            self.handle_damage(&path, facts, size, is_last, &error)?;
        }
        file.sync().map_err(storage("sync", &path))?;
        // A compacted segment covers the offsets that it covered before.
        facts.next = facts.next.max(told.map_or(facts.next, |told| told.next));
        let segment = Segment::new(Arc::clone(self.disk), self.directory, facts, index);
        if is_last {
            load_index(&segment)?;
        }
        Ok(segment)
    }

    fn known_segment(&self, facts: SegmentFacts, is_last: bool) -> Segment {
        // The active segment's index is added to as it grows, so it has to be there.
        let index = (is_last && facts.is_empty()).then(SparseIndex::default);
        let segment = Segment::new(Arc::clone(self.disk), self.directory, facts, index);
        if is_last && let Err(error) = segment.index() {
            tracing::warn!(partition = %self.partition, %error, "cannot index the last segment");
        }
        segment
    }

    /// Reads batches from the end of `facts` on; stops at the first that does not count.
    fn scan(
        &mut self,
        file: &dyn DiskFile,
        path: &Path,
        mut facts: SegmentFacts,
        size: u64,
        mut index: Option<&mut SparseIndex>,
    ) -> Result<(SegmentFacts, Option<BatchError>), OpenError> {
        let mut window = Window { file, size, position: facts.bytes, bytes: Bytes::new() };
        loop {
            let batch = match window.next() {
                Ok(Some(batch)) => batch,
                Ok(None) => return Ok((facts, None)),
                Err(ScanError::Io(error)) => return Err(storage("read", path)(error).into()),
                Err(ScanError::Damaged(error)) => return Ok((facts, Some(error))),
            };
            let header = *batch.header();
            if header.base_offset < facts.next {
                let error =
                    BatchError::Field { field: "base_offset", value: header.base_offset.value() };
                return Ok((facts, Some(error)));
            }
            self.scanned += header.size as u64;
            if header.base_offset >= self.covered {
                self.known.epochs.begin(header.leader_epoch, header.base_offset);
                self.known.producers.record(&header, self.now);
            }
            if let Some(index) = index.as_deref_mut() {
                index.note(&header, facts.bytes, facts.max_timestamp);
            }
            facts.bytes += header.size as u64;
            facts.next = header.last_offset().plus(1);
            facts.max_timestamp = facts.max_timestamp.max(header.max_timestamp);
        }
    }

    fn handle_damage(
        &mut self,
        path: &Path,
        facts: SegmentFacts,
        size: u64,
        is_last: bool,
        error: &BatchError,
    ) -> Result<(), OpenError> {
        if !is_last || size - facts.bytes > self.torn_bytes_max {
            let reason = format!("{error} at byte {} of {}", facts.bytes, path.display());
            return Err(self.damaged(facts.next, reason));
        }
        tracing::warn!(
            partition = %self.partition, offset = %facts.next, cut_bytes = size - facts.bytes, %error,
            "torn tail cut off"
        );
        self.cut += size - facts.bytes;
        cut(&**self.disk, path, facts.bytes).map_err(OpenError::Storage)
    }
}

fn load_index(segment: &Segment) -> Result<(), OpenError> {
    match segment.index() {
        Ok(_) => Ok(()),
        Err(crate::ReadError::Storage(error)) => Err(error.into()),
        Err(error) => {
            tracing::warn!(path = %segment.path.display(), %error, "cannot index the last segment");
            Ok(())
        }
    }
}

/// Cuts a file and makes sure that what was cut cannot come back behind the next batch.
fn cut(disk: &dyn Disk, path: &Path, size: u64) -> Result<(), StorageError> {
    let file = disk.open_to_write(path, false).map_err(storage("open", path))?;
    file.truncate(size).map_err(storage("truncate", path))?;
    file.sync().map_err(storage("sync", path))
}

/// Removes what a crash left half made: files that were to replace others.
fn remove_leftovers(
    disk: &dyn Disk,
    directory: &Path,
    names: &[String],
) -> Result<(), StorageError> {
    for name in names.iter().filter(|name| name.ends_with(".new")) {
        let path = directory.join(name);
        disk.remove_file(&path).map_err(storage("remove", &path))?;
    }
    Ok(())
}

fn load_checkpoint(disk: &dyn Disk, directory: &Path) -> Result<Checkpoint, StorageError> {
    let path = directory.join(paths::CHECKPOINT);
    let Some(stored) = read_if_there(disk, &path)? else { return Ok(Checkpoint::default()) };
    Ok(Checkpoint::decode(stored).unwrap_or_else(|| {
        tracing::warn!(path = %path.display(), "checkpoint is damaged; reading every segment");
        Checkpoint::default()
    }))
}

/// A file read from front to back in pieces that hold whole batches.
struct Window<'a> {
    file: &'a dyn DiskFile,
    size: u64,
    /// Where `bytes` ends.
    position: u64,
    bytes: Bytes,
}

enum ScanError {
    Io(io::Error),
    Damaged(BatchError),
}

impl Window<'_> {
    /// The next batch with its checksum verified; `None` at the end of the file.
    fn next(&mut self) -> Result<Option<Batch>, ScanError> {
        self.fill(BATCH_HEADER_BYTES)?;
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let header = BatchHeader::parse(&self.bytes).map_err(ScanError::Damaged)?;
        self.fill(header.size)?;
        let batch = Batch::next(&mut self.bytes).map_err(ScanError::Damaged)?;
        if let Some(batch) = &batch {
            batch.verify().map_err(ScanError::Damaged)?;
        }
        Ok(batch)
    }

    /// Reads on until `needed` bytes are there or the file ends.
    fn fill(&mut self, needed: usize) -> Result<(), ScanError> {
        let left = usize::try_from(self.size - self.position).unwrap_or(usize::MAX);
        if self.bytes.len() >= needed || left == 0 {
            return Ok(());
        }
        let kept = self.bytes.len();
        let more = left.min((needed - kept).max(WINDOW_BYTES));
        let mut bytes = BytesMut::zeroed(kept + more);
        bytes[..kept].copy_from_slice(&self.bytes);
        self.file.read_exact_at(&mut bytes[kept..], self.position).map_err(ScanError::Io)?;
        self.position += more as u64;
        self.bytes = bytes.freeze();
        Ok(())
    }
}
