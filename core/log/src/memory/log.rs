//! One partition of the in-memory engine, open for writing.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use posthouse_record::{Batch, UnplacedBatch};
use posthouse_types::{Clock, LeaderEpoch, Offset, PartitionId, Timestamp};
use tokio::sync::watch;

use super::store::Stored;
use crate::admission::admit;
use crate::appender::Appender;
use crate::search::first_at_or_after;
use crate::ticket::Progress;
use crate::{
    AppendError, Appended, Chunk, DurabilityError, EpochStart, Log, LogConfig, LogEnds, Maintained,
    MaintenanceError, ProducerState, ReadError, ReadLimit, TimestampOffset, TruncateError, metrics,
};

/// A writer over one stored partition.
#[derive(Debug)]
pub(super) struct MemoryLog {
    partition: PartitionId,
    epoch: LeaderEpoch,
    /// Records below were there at the opening: reading them waits.
    opened_at: Offset,
    read_latency: Duration,
    clock: Arc<dyn Clock>,
    appender: Mutex<Appender>,
    progress: Progress,
    stored: Arc<Mutex<Stored>>,
}

impl MemoryLog {
    /// Takes the partition over; whoever wrote it before is fenced.
    pub(super) fn open(
        partition: PartitionId,
        stored: Arc<Mutex<Stored>>,
        config: LogConfig,
        clock: Arc<dyn Clock>,
        read_latency: Duration,
    ) -> MemoryLog {
        let mut taken = stored.lock();
        let epoch = LeaderEpoch(taken.writer.0.saturating_add(1));
        taken.writer = epoch;
        let end = taken.end();
        taken.epochs.begin(epoch, end);
        let appender = Mutex::new(Appender::new(end, taken.producers.clone(), config));
        let progress = Progress::new(taken.log_start, end);
        drop(taken);
        MemoryLog {
            partition,
            epoch,
            opened_at: end,
            read_latency,
            clock,
            appender,
            progress,
            stored,
        }
    }

    /// Puts the queue into the store, unless another writer has taken over.
    pub(super) fn flush(&self) {
        let started = self.clock.now();
        let mut stored = self.stored.lock();
        if stored.writer != self.epoch {
            drop(stored);
            self.end(DurabilityError::Fenced { epoch: self.epoch });
            return;
        }
        let (batches, config, end) = {
            let mut appender = self.appender.lock();
            (appender.take_queue(), Arc::clone(&appender.config), appender.next)
        };
        if batches.is_empty() {
            return;
        }
        let (mut bytes, count) = (0, batches.len() as u64);
        for batch in batches {
            bytes += batch.bytes().len() as u64;
            stored.push(batch, &config, self.clock.wall());
        }
        drop(stored);
        self.progress.set_durable(end);
        metrics::committed(bytes, count, self.clock.now() - started);
    }

    /// Ends the log's life: what is queued will not become durable.
    pub(super) fn end(&self, reason: DurabilityError) {
        self.appender.lock().end(reason.clone());
        self.progress.end(reason);
    }

    /// Waits as for an object store, where the records may not be in memory.
    async fn fetch(&self, from: Offset) {
        if from < self.opened_at {
            tokio::time::sleep(self.read_latency).await;
        } else {
            tokio::task::yield_now().await;
        }
    }

    /// The first record that fits, in the first batch in which `fits` finds one.
    fn find(
        &self,
        fits: impl Fn(&Batch, Offset) -> Result<Option<TimestampOffset>, ReadError>,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        let ends = self.progress.ends();
        for batch in self.stored.lock().batches_from(ends.log_start) {
            if let Some(found) = fits(batch, ends.log_start)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

/// Finds a record in a stored batch.
fn search(
    batch: &Batch,
    at: Timestamp,
    from: Offset,
) -> Result<Option<TimestampOffset>, ReadError> {
    first_at_or_after(batch, at, from)
        .map_err(|source| ReadError::Damaged { offset: batch.header().base_offset, source })
}

impl Log for MemoryLog {
    fn partition(&self) -> PartitionId {
        self.partition
    }

    fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    fn append(&self, mut batch: UnplacedBatch) -> Result<Appended, AppendError> {
        let config = Arc::clone(&self.appender.lock().config);
        let now = self.clock.wall();
        let log_append_time = admit(&config, &mut batch, now)?;
        self.appender.lock().append(batch, self.epoch, log_append_time, now, &self.progress)
    }

    fn read(&self, from: Offset, limit: ReadLimit) -> BoxFuture<'_, Result<Vec<Chunk>, ReadError>> {
        async move {
            self.progress.check_readable(from)?;
            self.fetch(from).await;
            let ends = self.progress.check_readable(from)?;
            let until = limit.until.min(ends.durable_end);
            let (mut chunks, mut bytes) = (Vec::new(), 0);
            for batch in self.stored.lock().batches_from(from) {
                let size = batch.bytes().len();
                let is_above = batch.header().base_offset >= until;
                if is_above || (!chunks.is_empty() && bytes + size > limit.bytes) {
                    break;
                }
                bytes += size;
                chunks.push(Chunk::Memory(batch.bytes().clone()));
            }
            metrics::read("memory", bytes as u64);
            Ok(chunks)
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
        self.stored.lock().epochs.entries().to_vec()
    }

    fn offset_for_timestamp(
        &self,
        at: Timestamp,
    ) -> BoxFuture<'_, Result<Option<TimestampOffset>, ReadError>> {
        async move {
            self.fetch(self.ends().log_start).await;
            self.find(|batch, from| search(batch, at, from))
        }
        .boxed()
    }

    fn max_timestamp(&self) -> BoxFuture<'_, Result<Option<TimestampOffset>, ReadError>> {
        async move {
            self.fetch(self.ends().log_start).await;
            let max = {
                let stored = self.stored.lock();
                let batches = stored.batches_from(self.progress.ends().log_start);
                batches.map(|batch| batch.header().max_timestamp).max()
            };
            let Some(max) = max else { return Ok(None) };
            self.find(|batch, from| search(batch, max, from))
        }
        .boxed()
    }

    fn truncate_head(&self, to: Offset) -> BoxFuture<'_, Result<Offset, TruncateError>> {
        async move {
            self.fetch(to).await;
            let durable_end = self.progress.ends().durable_end;
            if to > durable_end {
                return Err(TruncateError::OutOfRange { to, durable_end });
            }
            let mut stored = self.stored.lock();
            if stored.writer != self.epoch || self.appender.lock().check_open().is_err() {
                return Err(TruncateError::Closed);
            }
            stored.log_start = stored.log_start.max(to);
            let log_start = stored.log_start;
            stored.epochs.trim(log_start);
            self.progress.set_log_start(log_start);
            Ok(log_start)
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
        self.stored.lock().bytes()
    }

    fn maintain(&self, now: Timestamp) -> BoxFuture<'_, Result<Maintained, MaintenanceError>> {
        async move {
            let mut stored = self.stored.lock();
            if stored.writer != self.epoch {
                return Err(MaintenanceError::Closed);
            }
            let config = {
                let mut appender = self.appender.lock();
                appender.check_open().map_err(|_| MaintenanceError::Closed)?;
                let age = appender.config.producer_age;
                appender.producers.expire(now, age);
                Arc::clone(&appender.config)
            };
            let maintained = stored
                .maintain(&config, now)
                .map_err(|(offset, source)| MaintenanceError::Damaged { offset, source })?;
            self.progress.set_log_start(stored.log_start);
            let Maintained { segments_deleted, bytes_freed, records_compacted } = maintained;
            metrics::maintained(segments_deleted, bytes_freed, records_compacted);
            Ok(maintained)
        }
        .boxed()
    }
}
