//! The local engine: partitions as directories of segment files.
//!
//! Owns the data directory: its lock, its format version, the incarnation that epochs are drawn
//! from, and which partitions are open. One file describes one decision each: [`paths`] the names,
//! [`writer`] and [`committer`] the way in, [`read`] and [`segment`] the way out, [`recover`] the
//! opening, [`maintain`] and [`compact`] what removes.
//!
//! # Invariants
//! - An epoch is above every epoch that the partition has seen, and durable before it is used: it is
//!   the engine's incarnation, which each opening of the engine raises and makes durable.

mod backup;
pub(crate) mod checkpoint;
mod committer;
mod compact;
mod handles;
pub(crate) mod incarnation;
pub(crate) mod index;
mod log;
mod maintain;
pub(crate) mod paths;
mod read;
pub(crate) mod recover;
mod segment;
mod tail;
mod walk;
mod writer;

use std::collections::HashMap;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use posthouse_types::{ByteSize, Clock, LeaderEpoch, PartitionId};

pub use self::backup::{BackupError, BackupSummary, backup, restore};

use self::committer::Committer;
use self::handles::Handles;
use self::incarnation::Incarnation;
use self::log::{LocalLog, LogStart, Shared};
use self::tail::TailBudget;
use self::writer::{Writer, WriterStart};
use crate::disk::{Disk, RealDisk, create_durable, replace, storage};
use crate::{DeleteError, DurabilityError, Engine, Log, LogConfig, OpenError, StorageError};

/// Openings and deletions that may go on at once.
const TURNS: usize = 16;

/// How the engine uses its machine.
#[derive(Clone, Debug)]
pub struct LocalConfig {
    /// The data directory; made when it does not exist.
    pub directory: PathBuf,
    /// Memory for the newest batches of all logs together.
    pub tail_cache: ByteSize,
    /// Logs that are written and forced at the same time, at most.
    pub commit_threads: usize,
    /// Segment files kept open for readers, at most, beside each log's active segment.
    pub open_files_max: usize,
    /// The disk; a test may put another under the engine.
    pub disk: Arc<dyn Disk>,
}

impl LocalConfig {
    /// The defaults over a data directory on the machine's disk.
    pub fn new(directory: impl Into<PathBuf>) -> LocalConfig {
        LocalConfig {
            directory: directory.into(),
            tail_cache: ByteSize::mib(32),
            commit_threads: 16,
            open_files_max: 512,
            disk: Arc::new(RealDisk),
        }
    }
}

/// The engine.
#[derive(Debug)]
pub struct LocalEngine {
    config: LocalConfig,
    shared: Arc<Shared>,
    committer: Committer,
    incarnation: Mutex<Incarnation>,
    /// `None` after shutdown.
    logs: Mutex<Option<HashMap<PartitionId, Arc<LocalLog>>>>,
    /// How many there have been. Held over each, because the partitions of a topic share a directory
    /// that the last of them removes.
    deletions: Mutex<u64>,
    /// One opening or deletion at a time for each partition; a partition is hashed to one of these.
    turns: [Mutex<()>; TURNS],
    /// For blocking threads, which keep the engine alive.
    itself: Weak<LocalEngine>,
    /// Held until shutdown.
    lock: Mutex<Option<Box<dyn Send + Sync + Debug>>>,
}

impl LocalEngine {
    /// Takes the data directory, or refuses it. Blocks on the disk, but briefly.
    ///
    /// # Errors
    /// [`OpenError::InUse`], [`OpenError::NewerFormat`] and [`OpenError::Storage`].
    pub fn open(config: LocalConfig, clock: Arc<dyn Clock>) -> Result<Arc<LocalEngine>, OpenError> {
        let (disk, root) = (&*config.disk, &config.directory);
        create_durable(disk, root)?;
        let lock = take_lock(&config)?;
        // Durable with the incarnation, which comes next.
        let was_clean = disk.remove_file(&root.join(paths::CLEAN)).is_ok();
        let incarnation = Incarnation::begin(&config.disk, root)?;
        create_durable(disk, &root.join(paths::LOGS))?;
        purge(&config)?;
        raise_descriptor_limit();
        let committer = Committer::start(config.commit_threads)
            .map_err(storage("start commit threads for", root))?;
        let shared = Arc::new(Shared {
            clock,
            queue: Arc::clone(committer.queue()),
            tails: TailBudget::new(config.tail_cache),
            handles: Handles::new(config.open_files_max),
            lost: Mutex::default(),
            was_clean,
        });
        Ok(Arc::new_cyclic(|itself| LocalEngine {
            itself: Weak::clone(itself),
            config,
            shared,
            committer,
            incarnation: Mutex::new(incarnation),
            logs: Mutex::new(Some(HashMap::new())),
            deletions: Mutex::new(0),
            turns: Default::default(),
            lock: Mutex::new(Some(lock)),
        }))
    }

    fn open_now(
        &self,
        partition: PartitionId,
        config: LogConfig,
    ) -> Result<Arc<dyn Log>, OpenError> {
        let _turn = self.turn(partition).lock();
        let older = self.logs.lock().as_mut().ok_or(OpenError::Closed)?.remove(&partition);
        if let Some(older) = &older {
            older.commit_queue();
            older.end(DurabilityError::Fenced { epoch: older.epoch() });
            // Whoever holds it may read on, but writes no more: the directory has a new owner.
            older.writer.lock().close();
        }
        if let Some(error) = self.shared.lost.lock().get(&partition) {
            return Err(OpenError::Storage(error.clone()));
        }
        let directory = paths::partition(&self.config.directory, partition);
        let now = self.shared.clock.wall();
        if !self.shared.was_clean {
            make_names_durable(&*self.config.disk, &directory)?;
        }
        let found = recover::recover(&self.config.disk, &directory, partition, &config, now)?;
        let seen = found.known.epochs.latest().map(|latest| latest.epoch);
        let seen = seen.max(older.map(|older| older.epoch()));
        let epoch = LeaderEpoch(self.incarnation.lock().above(seen.map(|epoch| epoch.0))?);
        let writer = Writer::new(WriterStart {
            disk: Arc::clone(&self.config.disk),
            root: self.config.directory.clone(),
            directory,
            known: found.known,
            has_directory: found.has_directory,
            unchecked: found.scanned,
            is_marked: found.is_marked,
        });
        let log = LocalLog::new(LogStart {
            partition,
            epoch,
            shared: Arc::clone(&self.shared),
            next: found.next,
            writer,
            segments: found.segments,
            config,
        });
        let mut logs = self.logs.lock();
        logs.as_mut().ok_or(OpenError::Closed)?.insert(partition, Arc::clone(&log));
        Ok(log)
    }

    fn delete_now(&self, partition: PartitionId) -> Result<(), DeleteError> {
        let _turn = self.turn(partition).lock();
        let open = self.logs.lock().as_mut().ok_or(DeleteError::Closed)?.remove(&partition);
        if let Some(log) = open {
            log.end(DurabilityError::Closed);
            log.tail.clear();
            // A commit under way ends before its directory goes.
            log.writer.lock().close();
        }
        let (disk, root) = (&*self.config.disk, &self.config.directory);
        let directory = paths::partition(root, partition);
        if disk.list(&directory).map_err(storage("list", &directory))?.is_empty() {
            return Ok(());
        }
        let gone = root.join(paths::GONE);
        disk.create_directory(&gone).map_err(storage("create", &gone))?;
        let mut deletions = self.deletions.lock();
        *deletions += 1;
        let target = gone.join(format!("{partition}-{deletions}"));
        disk.rename(&directory, &target).map_err(storage("rename", &directory))?;
        let topic = paths::topic(root, partition.topic);
        disk.sync_directory(&topic).map_err(storage("sync", &topic))?;
        self.shared.lost.lock().remove(&partition);
        disk.remove_directory(&target).map_err(storage("remove", &target))?;
        if disk.list(&topic).map_err(storage("list", &topic))?.is_empty() {
            disk.remove_directory(&topic).map_err(storage("remove", &topic))?;
        }
        Ok(())
    }

    fn turn(&self, partition: PartitionId) -> &Mutex<()> {
        let spread = partition.topic.0.as_u64_pair().1 ^ u64::from(partition.index.value());
        &self.turns[usize::try_from(spread).unwrap_or(0) % TURNS]
    }

    fn stored_now(&self) -> Result<Vec<PartitionId>, OpenError> {
        if self.logs.lock().is_none() {
            return Err(OpenError::Closed);
        }
        Ok(paths::partitions_in(&*self.config.disk, &self.config.directory)?)
    }

    /// Closes every log, several at a time, and gives the first error.
    fn shutdown_now(&self) -> Result<(), OpenError> {
        let Some(logs) = self.logs.lock().take() else { return Ok(()) };
        let logs: Vec<Arc<LocalLog>> = logs.into_values().collect();
        let share = logs.len().div_ceil(self.config.commit_threads.max(1)).max(1);
        let closed: Vec<Result<(), StorageError>> = std::thread::scope(|scope| {
            let closers: Vec<_> = logs
                .chunks(share)
                .map(|logs| scope.spawn(|| logs.iter().map(|log| log.close()).collect::<Vec<_>>()))
                .collect();
            closers
                .into_iter()
                .flat_map(|closer| closer.join().expect("closing a log does not panic"))
                .collect()
        });
        self.committer.stop();
        let lock = self.lock.lock().take();
        let closed = closed.into_iter().collect::<Result<(), StorageError>>();
        if closed.is_ok() && self.shared.lost.lock().is_empty() {
            let (disk, root) = (&*self.config.disk, &self.config.directory);
            replace(disk, &root.join(paths::CLEAN), b"")?;
        }
        drop(lock);
        Ok(closed?)
    }

    async fn on_disk<T: Send + 'static, E: Send + 'static>(
        &self,
        work: impl FnOnce(&LocalEngine) -> Result<T, E> + Send + 'static,
        closed: E,
    ) -> Result<T, E> {
        let Some(itself) = self.itself.upgrade() else { return Err(closed) };
        match tokio::task::spawn_blocking(move || work(&itself)).await {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(closed),
        }
    }
}

impl Drop for LocalEngine {
    fn drop(&mut self) {
        // Without its threads nothing becomes durable any more, so no one may wait for it.
        for log in self.logs.lock().take().into_iter().flat_map(HashMap::into_values) {
            log.end(DurabilityError::Closed);
        }
    }
}

impl Engine for LocalEngine {
    fn open(
        &self,
        partition: PartitionId,
        config: LogConfig,
    ) -> BoxFuture<'_, Result<Arc<dyn Log>, OpenError>> {
        self.on_disk(move |engine| engine.open_now(partition, config), OpenError::Closed).boxed()
    }

    fn delete(&self, partition: PartitionId) -> BoxFuture<'_, Result<(), DeleteError>> {
        self.on_disk(move |engine| engine.delete_now(partition), DeleteError::Closed).boxed()
    }

    fn stored(&self) -> BoxFuture<'_, Result<Vec<PartitionId>, OpenError>> {
        self.on_disk(LocalEngine::stored_now, OpenError::Closed).boxed()
    }

    fn shutdown(&self) -> BoxFuture<'_, Result<(), OpenError>> {
        self.on_disk(LocalEngine::shutdown_now, OpenError::Closed).boxed()
    }
}

/// Makes sure that the files which are there stay there: a process that was killed may have made them
/// and not come to that, and what is acknowledged in a file is worth no more than its name.
fn make_names_durable(disk: &dyn Disk, directory: &Path) -> Result<(), StorageError> {
    if disk.list(directory).map_err(storage("list", directory))?.is_empty() {
        return Ok(());
    }
    disk.sync_directory(directory).map_err(storage("sync", directory))
}

fn take_lock(config: &LocalConfig) -> Result<Box<dyn Send + Sync + Debug>, OpenError> {
    let path = config.directory.join(paths::LOCK);
    let owner = std::process::id().to_string();
    let lock = config.disk.lock(&path, &owner).map_err(storage("lock", &path))?;
    lock.ok_or_else(|| OpenError::InUse {
        path: config.directory.clone(),
        holder: config
            .disk
            .read(&path)
            .ok()
            .and_then(|content| std::str::from_utf8(&content).ok()?.trim().parse().ok()),
    })
}

/// Finishes deletions that a crash cut short.
fn purge(config: &LocalConfig) -> Result<(), StorageError> {
    let gone = config.directory.join(paths::GONE);
    for name in config.disk.list(&gone).map_err(storage("list", &gone))? {
        let path = gone.join(name);
        config.disk.remove_directory(&path).map_err(storage("remove", &path))?;
    }
    Ok(())
}

/// Each partition that is written has a file open; the usual soft limit of 1,024 is soon reached.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}
