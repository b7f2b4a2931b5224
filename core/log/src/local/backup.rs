//! Copies of a data directory, made while it is in use, and starting again from one.
//!
//! Owns what belongs into a copy. `docs/design/0002-data-directory.md` says how it is used.
//!
//! # Invariants
//! - A partition in a copy is as it was at one moment: a checkpoint, the segments it lists, and the
//!   active one cut at its durable end. Different partitions may be of different moments.
//! - The file `backup` is written last. Without it a copy is not complete and is not restored.
//! - Sealed segments are never changed in place, so a copy may share them with the original where
//!   the file system can; everything else is copied.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use posthouse_record::BatchError;
use posthouse_types::{Clock, Offset, PartitionId, SystemClock, Timestamp};

use super::checkpoint::Checkpoint;
use super::log::LocalLog;
use super::walk::{HeaderWalk, WalkError, load};
use super::writer::Segments;
use super::{LocalConfig, LocalEngine, incarnation, paths};
use crate::disk::{Disk, DiskFile, create_durable, read_if_there, replace, storage};
use crate::retention::SegmentFacts;
use crate::{OpenError, StorageError};

/// Written last into a copy.
const MANIFEST: &str = "backup";
const MANIFEST_TEXT: &str = "posthouse backup 1";
/// Bytes copied at once.
const COPY_BYTES: usize = 1 << 20;

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackupSummary {
    /// Partitions with records.
    pub partitions: u64,
    /// Segment files.
    pub segments: u64,
    /// Bytes of records.
    pub bytes: u64,
}

/// Why a copy was not made, or not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The engine of the data directory could not be opened, or is closed.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The disk failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// There is something where the copy should go.
    #[error("{} is not empty", .0.display())]
    NotEmpty(PathBuf),
    /// The source is not a complete backup.
    #[error("{} is not a complete backup: it has no file named {MANIFEST}", .0.display())]
    NotABackup(PathBuf),
    /// Bytes of the backup are not what was written.
    #[error("backup is damaged: {} at byte {position}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The start of the batch that is damaged.
        position: u64,
        /// What is wrong.
        reason: String,
    },
}

/// Copies the data directory of a node that is stopped.
///
/// # Errors
/// [`BackupError::Open`] when a node is running on it: ask that node instead
/// ([`LocalEngine::backup`]).
pub fn backup(directory: &Path, target: &Path) -> Result<BackupSummary, BackupError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let config = LocalConfig { commit_threads: 1, ..LocalConfig::new(directory) };
    LocalEngine::open(config, clock)?.backup_now(target)
}

/// Makes a data directory out of a backup, verifying every batch on the way. The backup stays.
///
/// # Errors
/// [`BackupError::NotABackup`], [`BackupError::Damaged`], and [`BackupError::NotEmpty`] when there
/// is something at `directory`. What was restored until then is left there for inspection.
pub fn restore(source: &Path, directory: &Path) -> Result<BackupSummary, BackupError> {
    let disk: Arc<dyn Disk> = LocalConfig::new(directory).disk;
    restore_on(&disk, source, directory)
}

pub(super) fn restore_on(
    disk: &Arc<dyn Disk>,
    source: &Path,
    directory: &Path,
) -> Result<BackupSummary, BackupError> {
    if read_if_there(&**disk, &source.join(MANIFEST))?.is_none() {
        return Err(BackupError::NotABackup(source.to_owned()));
    }
    // Refuses a newer format before anything is copied.
    incarnation::check(disk, source)?;
    let mut copy = Copying::begin(disk, directory)?;
    for partition in paths::partitions_in(&**disk, source)? {
        let from = paths::partition(source, partition);
        for name in disk.list(&from).map_err(storage("list", &from))? {
            if paths::parse_segment(&name).is_some() {
                verify(disk, &from.join(&name))?;
            }
        }
        copy.closed_partition(&from, partition)?;
    }
    copy.file(&source.join(paths::FORMAT), &directory.join(paths::FORMAT), None)?;
    copy.sync_directory(directory)?;
    Ok(copy.summary)
}

impl LocalEngine {
    /// Copies everything into `target`, while appends and reads go on.
    ///
    /// # Errors
    /// [`BackupError`]; an incomplete copy is then left at `target`.
    pub async fn backup(&self, target: impl Into<PathBuf>) -> Result<BackupSummary, BackupError> {
        let target = target.into();
        let work = move |engine: &LocalEngine| engine.backup_now(&target);
        self.on_disk(work, BackupError::Open(OpenError::Closed)).await
    }

    pub(super) fn backup_now(&self, target: &Path) -> Result<BackupSummary, BackupError> {
        let (disk, root) = (&self.config.disk, &self.config.directory);
        let mut copy = Copying::begin(disk, target)?;
        for partition in self.stored_now()? {
            // Neither opening nor deletion comes between.
            let _turn = self.turn(partition).lock();
            let open = self.logs.lock().as_ref().ok_or(OpenError::Closed)?.get(&partition).cloned();
            match open {
                Some(log) if log.is_open() => copy.open_partition(&log, partition)?,
                _ => copy.closed_partition(&paths::partition(root, partition), partition)?,
            }
        }
        copy.file(&root.join(paths::FORMAT), &target.join(paths::FORMAT), None)?;
        copy.sync_directory(target)?;
        let BackupSummary { partitions, segments, bytes } = copy.summary;
        let text =
            format!("{MANIFEST_TEXT}\n{partitions} partitions, {segments} segments, {bytes} B\n");
        replace(&**disk, &target.join(MANIFEST), text.as_bytes())?;
        tracing::info!(target = %target.display(), partitions, bytes, "backup written");
        Ok(copy.summary)
    }
}

/// A copy that is being made.
struct Copying<'a> {
    disk: &'a Arc<dyn Disk>,
    target: PathBuf,
    summary: BackupSummary,
}

impl<'a> Copying<'a> {
    fn begin(disk: &'a Arc<dyn Disk>, target: &Path) -> Result<Copying<'a>, BackupError> {
        if !disk.list(target).map_err(storage("list", target))?.is_empty() {
            return Err(BackupError::NotEmpty(target.to_owned()));
        }
        create_durable(&**disk, &target.join(paths::LOGS))?;
        Ok(Copying { disk, target: target.to_owned(), summary: BackupSummary::default() })
    }

    /// Copies a partition that is written to meanwhile.
    fn open_partition(
        &mut self,
        log: &LocalLog,
        partition: PartitionId,
    ) -> Result<(), BackupError> {
        // No segment goes or is replaced until the copy is made; appends only wait for the checkpoint.
        let _maintenance = log.maintenance.lock();
        let (from, checkpoint, facts) = {
            let mut writer = log.writer.lock();
            let stored = writer.store_checkpoint(&Segments(&log.segments));
            log.fail_if_unsynced(stored.as_ref().err());
            stored?;
            let from = writer.directory().to_owned();
            let checkpoint = read_if_there(&**self.disk, &from.join(paths::CHECKPOINT))?;
            (from, checkpoint, Segments(&log.segments).facts())
        };
        let Some(checkpoint) = checkpoint else { return Ok(()) };
        let to = self.directory(partition)?;
        if let Some((active, sealed)) = facts.split_last() {
            for facts in sealed {
                self.segment(&from, &to, facts.base, None)?;
            }
            self.segment(&from, &to, active.base, Some(active.bytes))?;
        }
        replace(&**self.disk, &to.join(paths::CHECKPOINT), &checkpoint)?;
        Ok(self.sync_directory(&to)?)
    }

    /// Copies a partition that no one writes to, but for a torn tail.
    fn closed_partition(&mut self, from: &Path, partition: PartitionId) -> Result<(), BackupError> {
        let to = self.directory(partition)?;
        let mut names = self.disk.list(from).map_err(storage("list", from))?;
        names.sort_unstable();
        let mut bases: Vec<Offset> =
            names.iter().filter_map(|name| paths::parse_segment(name)).collect();
        let last = bases.pop();
        for base in bases {
            self.segment(from, &to, base, None)?;
        }
        if let Some(base) = last {
            let known = read_if_there(&**self.disk, &from.join(paths::CHECKPOINT))?
                .and_then(Checkpoint::decode)
                .and_then(|checkpoint| checkpoint.segments.last().copied())
                .filter(|facts| facts.base == base);
            let path = paths::segment(from, base);
            let known_bytes = known.map_or(0, |facts| facts.bytes);
            let whole = whole_batches(self.disk, &path, known_bytes)?;
            self.segment(from, &to, base, Some(whole.end))?;
        }
        for name in [paths::CHECKPOINT, paths::COMPACTING] {
            if names.iter().any(|there| there == name) {
                self.file(&from.join(name), &to.join(name), None)?;
            }
        }
        Ok(self.sync_directory(&to)?)
    }

    fn directory(&mut self, partition: PartitionId) -> Result<PathBuf, StorageError> {
        let to = paths::partition(&self.target, partition);
        create_durable(&**self.disk, &to)?;
        self.summary.partitions += 1;
        Ok(to)
    }

    /// Copies the first `len` bytes of a segment, or shares all of it, and copies its index.
    fn segment(
        &mut self,
        from: &Path,
        to: &Path,
        base: Offset,
        len: Option<u64>,
    ) -> Result<(), StorageError> {
        self.summary.segments += 1;
        self.summary.bytes +=
            self.file(&paths::segment(from, base), &paths::segment(to, base), len)?;
        let index = paths::index(from, base);
        // An index that is not there, or is torn, is built again.
        if let Ok(bytes) = self.disk.read(&index) {
            let path = paths::index(to, base);
            let file = self.disk.open_to_write(&path, true).map_err(storage("create", &path))?;
            file.write_all_at(&mut [IoSlice::new(&bytes)], 0).map_err(storage("write", &path))?;
        }
        Ok(())
    }

    /// Copies the first `len` bytes of a file, or shares all of it; how many bytes it has.
    fn file(&self, from: &Path, to: &Path, len: Option<u64>) -> Result<u64, StorageError> {
        let source = self.disk.open(from).map_err(storage("open", from))?;
        let size = source.size().map_err(storage("read", from))?;
        let is_segment = from.extension().is_some_and(|extension| extension == "log");
        if len.is_none() && is_segment && self.disk.link(from, to).is_ok() {
            return Ok(size);
        }
        let target = self.disk.open_to_write(to, true).map_err(storage("create", to))?;
        let len = len.unwrap_or(size);
        copy_bytes(&*source, &*target, len).map_err(storage("copy", from))?;
        target.sync().map_err(storage("sync", to))?;
        Ok(len)
    }

    fn sync_directory(&self, path: &Path) -> Result<(), StorageError> {
        self.disk.sync_directory(path).map_err(storage("sync", path))
    }
}

fn copy_bytes(from: &dyn DiskFile, to: &dyn DiskFile, len: u64) -> io::Result<()> {
    let mut buffer = vec![0; COPY_BYTES];
    let mut position = 0;
    while position < len {
        let some = usize::try_from(len - position).unwrap_or(usize::MAX).min(COPY_BYTES);
        from.read_exact_at(&mut buffer[..some], position)?;
        to.write_all_at(&mut [IoSlice::new(&buffer[..some])], position)?;
        position += some as u64;
    }
    Ok(())
}

/// How far a segment holds whole batches, and why not further.
struct Whole {
    end: u64,
    damage: Option<BatchError>,
}

/// Reads a segment from `position` on, verifying every checksum.
fn whole_batches(disk: &Arc<dyn Disk>, path: &Path, position: u64) -> Result<Whole, StorageError> {
    let file = disk.open(path).map_err(storage("open", path))?;
    let bytes = file.size().map_err(storage("read", path))?;
    let none = SegmentFacts::empty(Offset::ZERO, Timestamp::NONE);
    let facts = SegmentFacts { bytes, next: Offset::ZERO.plus(u64::MAX), ..none };
    let mut walk = HeaderWalk::new(&*file, position, facts);
    let mut end = position;
    loop {
        let step = walk.next().and_then(|found| match found {
            None => Ok(None),
            Some((position, header)) => {
                load(&file, position, &header).map(|_| Some(position + header.size as u64))
            }
        });
        match step {
            Ok(Some(next)) => end = next,
            Ok(None) => return Ok(Whole { end, damage: None }),
            Err(WalkError::Damaged(error)) => return Ok(Whole { end, damage: Some(error) }),
            Err(WalkError::Io(error)) => return Err(storage("read", path)(error)),
        }
    }
}

fn verify(disk: &Arc<dyn Disk>, path: &Path) -> Result<(), BackupError> {
    let Whole { end, damage } = whole_batches(disk, path, 0)?;
    match damage {
        None => Ok(()),
        Some(error) => Err(BackupError::Damaged {
            path: path.to_owned(),
            position: end,
            reason: error.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests;
