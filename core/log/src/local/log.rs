//! One partition of the local engine, open for writing.
//!
//! Ties together the appender (memory), the writer (disk), the tail cache and the segments, and
//! answers the [`Log`] contract. Reads that need the disk, and everything that changes it at a
//! caller's wish, run on blocking threads.
//!
//! # Invariants
//! - Lock order: `maintenance`, `writer`, `appender`, `segments`, `epochs`. None is held across an
//!   await.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::{Mutex, RwLock};
use posthouse_record::UnplacedBatch;
use posthouse_types::{Clock, LeaderEpoch, Offset, PartitionId, Timestamp};
use tokio::sync::watch;

use super::committer::Queue;
use super::handles::Handles;
use super::read::read_segments;
use super::segment::Segment;
use super::tail::{Tail, TailBudget};
use super::writer::{Segments, Writer};
use crate::admission::admit;
use crate::appender::Appender;
use crate::epochs::EpochHistory;
use crate::ticket::Progress;
use crate::{
    AppendError, Appended, Chunk, DurabilityError, EpochStart, Log, LogConfig, LogEnds, Maintained,
    MaintenanceError, ProducerState, ReadError, ReadLimit, StorageError, TimestampOffset,
    TruncateError, metrics,
};

/// What all logs of an engine share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) tails: TailBudget,
    pub(crate) handles: Handles,
    /// Partitions of which a sync has failed. The kernel may count as written what is not on the
    /// disk, so neither reading them again nor syncing them again in this process proves anything.
    pub(crate) lost: Mutex<HashMap<PartitionId, StorageError>>,
    /// Whether the node before this one closed everything, so that all it left is durable.
    pub(crate) was_clean: bool,
}

/// An open partition.
#[derive(Debug)]
pub(crate) struct LocalLog {
    pub(crate) partition: PartitionId,
    epoch: LeaderEpoch,
    pub(crate) shared: Arc<Shared>,
    pub(crate) appender: Mutex<Appender>,
    pub(crate) progress: Progress,
    pub(crate) segments: RwLock<Vec<Arc<Segment>>>,
    pub(crate) writer: Mutex<Writer>,
    /// The writer's, for callers that must not wait for the disk.
    epochs: Mutex<EpochHistory>,
    pub(crate) tail: Arc<Tail>,
    /// Held by whatever deletes or rewrites stored batches.
    pub(crate) maintenance: Mutex<()>,
    /// Whether the committer has this log, or is about to.
    queued: AtomicBool,
    /// For the committer's queue and for blocking threads.
    itself: std::sync::Weak<LocalLog>,
}

/// What opening a partition gave.
pub(crate) struct LogStart {
    pub(crate) partition: PartitionId,
    pub(crate) epoch: LeaderEpoch,
    pub(crate) shared: Arc<Shared>,
    pub(crate) next: Offset,
    pub(crate) writer: Writer,
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) config: LogConfig,
}

impl LocalLog {
    pub(crate) fn new(start: LogStart) -> Arc<LocalLog> {
        let mut writer = start.writer;
        writer.epochs.begin(start.epoch, start.next);
        let epochs = Mutex::new(writer.epochs.clone());
        let appender = Appender::new(start.next, writer.producers.clone(), start.config);
        let progress = Progress::new(writer.log_start, start.next);
        Arc::new_cyclic(|itself| LocalLog {
            partition: start.partition,
            epoch: start.epoch,
            shared: start.shared,
            appender: Mutex::new(appender),
            progress,
            segments: RwLock::new(start.segments),
            writer: Mutex::new(writer),
            epochs,
            tail: Arc::default(),
            maintenance: Mutex::new(()),
            queued: AtomicBool::new(false),
            itself: itself.clone(),
        })
    }

    /// Commits what is queued; on a thread of the committer.
    pub(crate) fn commit(self: &Arc<Self>) {
        self.commit_queue();
        self.queued.store(false, Ordering::SeqCst);
        if !self.appender.lock().is_idle() {
            self.enqueue();
        }
    }

    fn enqueue(&self) {
        if !self.queued.swap(true, Ordering::SeqCst)
            && let Some(itself) = self.itself.upgrade()
        {
            self.shared.queue.push(itself);
        }
    }

    /// Writes the queue, makes it durable, and tells whoever waits.
    pub(crate) fn commit_queue(&self) {
        let began = self.shared.clock.now();
        let mut writer = self.writer.lock();
        let (batches, config) = {
            let mut appender = self.appender.lock();
            let queue = appender.take_queue();
            // After the end of this log's life the directory may be another's.
            let is_open = appender.check_open().is_ok();
            (if is_open { queue } else { Vec::new() }, Arc::clone(&appender.config))
        };
        let Some(last) = batches.last() else { return };
        let end = last.header().last_offset().plus(1);
        let bytes: usize = batches.iter().map(|batch| batch.bytes().len()).sum();
        let count = batches.len() as u64;
        let now = self.shared.clock.wall();
        let written = writer.write(&batches, &config, now, &mut Segments(&self.segments));
        self.show_epochs(&writer);
        drop(writer);
        match written {
            Ok(()) => {
                self.shared.tails.keep(&self.tail, batches);
                self.progress.set_durable(end);
                metrics::committed(bytes as u64, count, self.shared.clock.now() - began);
            }
            Err(error) => self.fail(error),
        }
    }

    /// Shows callers the writer's epochs as they are now.
    pub(crate) fn show_epochs(&self, writer: &Writer) {
        let mut shown = self.epochs.lock();
        if *shown != writer.epochs {
            shown.clone_from(&writer.epochs);
        }
    }

    /// Ends the log's life for a failure of the disk.
    pub(crate) fn fail(&self, error: StorageError) {
        tracing::error!(partition = %self.partition, %error, cause = %error.source, "log failed; it takes no more records until restart");
        metrics::failed();
        if error.action == "sync" {
            self.shared.lost.lock().entry(self.partition).or_insert_with(|| error.clone());
        }
        self.end(DurabilityError::Failed(error));
    }

    /// Ends the log's life if `error` is a failed sync, whatever it was that was synced.
    pub(crate) fn fail_if_unsynced(&self, error: Option<&StorageError>) {
        if let Some(error) = error
            && error.action == "sync"
        {
            self.fail(error.clone());
        }
    }

    /// Ends the log's life: nothing is accepted any more, and what is queued will not be durable.
    pub(crate) fn end(&self, reason: DurabilityError) {
        self.appender.lock().end(reason.clone());
        self.progress.end(reason);
    }

    /// Commits what is queued, ends the log's life, and leaves a checkpoint of everything.
    ///
    /// # Errors
    /// The disk's; what was acknowledged is durable all the same.
    pub(crate) fn close(&self) -> Result<(), StorageError> {
        self.commit_queue();
        let was_open = self.appender.lock().check_open().is_ok();
        self.end(DurabilityError::Closed);
        self.tail.clear();
        let mut writer = self.writer.lock();
        let stored = if was_open && writer.since_checkpoint() > 0 {
            if let Some(active) = self.segments.read().last() {
                active.store_index();
            }
            writer.store_checkpoint(&Segments(&self.segments))
        } else {
            Ok(())
        };
        writer.close();
        drop(writer);
        self.fail_if_unsynced(stored.as_ref().err());
        stored
    }

    /// Whether the log still takes records.
    pub(crate) fn is_open(&self) -> bool {
        self.appender.lock().check_open().is_ok()
    }

    /// Runs `work` on a blocking thread.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&LocalLog) -> T + Send + 'static,
    ) -> Option<T> {
        let itself = self.itself.upgrade()?;
        match tokio::task::spawn_blocking(move || work(&itself)).await {
            Ok(result) => Some(result),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => None,
        }
    }

    fn find_time(&self, at: Timestamp) -> Result<Option<TimestampOffset>, ReadError> {
        let ends = self.progress.ends();
        let segments = self.segments.read().clone();
        for segment in segments {
            let facts = segment.facts();
            if facts.max_timestamp < at || facts.next <= ends.log_start {
                continue;
            }
            self.shared.handles.touch(&segment);
            let found = segment.first_at_or_after(at, ends.log_start)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn find_max_time(&self) -> Result<Option<TimestampOffset>, ReadError> {
        let log_start = self.progress.ends().log_start;
        let segments = self.segments.read().clone();
        let mut max = Timestamp::NONE;
        for segment in segments.iter().filter(|segment| segment.facts().next > log_start) {
            self.shared.handles.touch(segment);
            max = max.max(segment.max_timestamp_from(log_start)?);
        }
        if max == Timestamp::NONE { Ok(None) } else { self.find_time(max) }
    }
}

impl Log for LocalLog {
    fn partition(&self) -> PartitionId {
        self.partition
    }

    fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    fn append(&self, mut batch: UnplacedBatch) -> Result<Appended, AppendError> {
        let config = Arc::clone(&self.appender.lock().config);
        let now = self.shared.clock.wall();
        let log_append_time = admit(&config, &mut batch, now)?;
        let appended =
            self.appender.lock().append(batch, self.epoch, log_append_time, now, &self.progress)?;
        if !appended.duplicate {
            self.enqueue();
        }
        Ok(appended)
    }

    fn read(&self, from: Offset, limit: ReadLimit) -> BoxFuture<'_, Result<Vec<Chunk>, ReadError>> {
        async move {
            let ends = self.progress.check_readable(from)?;
            let limit = ReadLimit { until: limit.until.min(ends.durable_end), ..limit };
            if from >= limit.until {
                return Ok(Vec::new());
            }
            if let Some(chunks) = self.tail.read(from, limit) {
                return Ok(chunks);
            }
            let cold = move |log: &LocalLog| {
                let segments = log.segments.read().clone();
                read_segments(&segments, &log.shared.handles, from, limit)
            };
            let chunks = self.on_disk(cold).await.ok_or(ReadError::Closed)?;
            // Retention may have passed while the disk was read, and then that is the answer.
            self.progress.check_readable(from)?;
            chunks
        }
        .boxed()
    }

    fn ends(&self) -> LogEnds {
        self.progress.ends()
    }

    fn watch(&self) -> watch::Receiver<LogEnds> {
        self.progress.watch()
    }

    fn epoch_history(&self) -> Vec<EpochStart> {
        self.epochs.lock().entries().to_vec()
    }

    fn offset_for_timestamp(
        &self,
        at: Timestamp,
    ) -> BoxFuture<'_, Result<Option<TimestampOffset>, ReadError>> {
        async move { self.on_disk(move |log| log.find_time(at)).await.ok_or(ReadError::Closed)? }
            .boxed()
    }

    fn max_timestamp(&self) -> BoxFuture<'_, Result<Option<TimestampOffset>, ReadError>> {
        async move { self.on_disk(LocalLog::find_max_time).await.ok_or(ReadError::Closed)? }.boxed()
    }

    fn truncate_head(&self, to: Offset) -> BoxFuture<'_, Result<Offset, TruncateError>> {
        async move {
            self.on_disk(move |log| log.truncate_to(to)).await.ok_or(TruncateError::Closed)?
        }
        .boxed()
    }

    fn configure(&self, config: LogConfig) {
        self.appender.lock().config = Arc::new(config);
    }

    fn producers(&self) -> Vec<ProducerState> {
        self.appender.lock().producers.states()
    }

    fn stored_bytes(&self) -> u64 {
        self.segments.read().iter().map(|segment| segment.facts().bytes).sum()
    }

    fn maintain(&self, now: Timestamp) -> BoxFuture<'_, Result<Maintained, MaintenanceError>> {
        async move {
            let work = move |log: &LocalLog| log.maintain_now(now);
            self.on_disk(work).await.ok_or(MaintenanceError::Closed)?
        }
        .boxed()
    }
}
