//! Deleting from the head: retention, delete-records, and the checkpoints in between.

use std::sync::Arc;

use posthouse_types::{Offset, Timestamp};

use super::log::LocalLog;
use super::segment::Segment;
use super::writer::{Segments, Writer};
use crate::retention::deletable_count;
use crate::{LogConfig, Maintained, MaintenanceError, StorageError, TruncateError, metrics};

/// Bytes that may have to be read again at the next opening before a checkpoint is worth it.
const CHECKPOINT_BYTES: u64 = 32 << 20;

impl LocalLog {
    /// [`crate::Log::truncate_head`], on a blocking thread.
    pub(crate) fn truncate_to(&self, to: Offset) -> Result<Offset, TruncateError> {
        let _maintenance = self.maintenance.lock();
        let result = self.truncate_under_lock(to);
        if let Err(TruncateError::Storage(error)) = &result {
            self.fail_if_unsynced(Some(error));
        }
        result
    }

    fn truncate_under_lock(&self, to: Offset) -> Result<Offset, TruncateError> {
        let durable_end = self.progress.ends().durable_end;
        if to > durable_end {
            return Err(TruncateError::OutOfRange { to, durable_end });
        }
        if !self.is_open() {
            return Err(TruncateError::Closed);
        }
        let mut writer = self.writer.lock();
        if to > writer.log_start {
            writer.make_directory()?;
            self.raise_log_start(&mut writer, to)?;
        }
        Ok(writer.log_start)
    }

    /// [`crate::Log::maintain`], on a blocking thread.
    pub(crate) fn maintain_now(&self, now: Timestamp) -> Result<Maintained, MaintenanceError> {
        let _maintenance = self.maintenance.lock();
        let result = self.maintain_under_lock(now);
        if let Err(MaintenanceError::Storage(error)) = &result {
            self.fail_if_unsynced(Some(error));
        }
        result
    }

    fn maintain_under_lock(&self, now: Timestamp) -> Result<Maintained, MaintenanceError> {
        let config = {
            let mut appender = self.appender.lock();
            appender.check_open().map_err(|_| MaintenanceError::Closed)?;
            let age = appender.config.producer_age;
            appender.producers.expire(now, age);
            Arc::clone(&appender.config)
        };
        let mut maintained = self.apply_retention(&config, now)?;
        if config.cleanup.compact {
            let compacted = self.compact(&config, now)?;
            maintained.bytes_freed += compacted.bytes_freed;
            maintained.records_compacted += compacted.records_compacted;
        }
        let mut writer = self.writer.lock();
        if writer.since_checkpoint() >= CHECKPOINT_BYTES {
            if let Some(active) = self.segments.read().last() {
                active.store_index();
            }
            writer.store_checkpoint(&Segments(&self.segments))?;
        }
        drop(writer);
        let Maintained { segments_deleted, bytes_freed, records_compacted } = maintained;
        metrics::maintained(segments_deleted, bytes_freed, records_compacted);
        Ok(maintained)
    }

    fn apply_retention(
        &self,
        config: &LogConfig,
        now: Timestamp,
    ) -> Result<Maintained, StorageError> {
        let mut writer = self.writer.lock();
        writer.producers.expire(now, config.producer_age);
        let mut segments = Segments(&self.segments);
        let facts = segments.facts();
        let Some(active) = facts.last() else { return Ok(Maintained::default()) };
        let count = deletable_count(&facts, writer.log_start, config, now);
        // The active segment goes only once another has taken its place.
        if active.is_due_to_roll(config, now) || count == facts.len() {
            writer.roll(active.next, now, &mut segments)?;
        }
        if count == 0 {
            return Ok(Maintained::default());
        }
        let start = self.segments.read()[count].base;
        if start > writer.log_start {
            self.raise_log_start(&mut writer, start)?;
        }
        self.delete_first(count, &mut writer)
    }

    /// Moves the log start, durably, and then for readers.
    fn raise_log_start(&self, writer: &mut Writer, to: Offset) -> Result<(), StorageError> {
        let before = writer.log_start;
        writer.log_start = to;
        if let Err(error) = writer.store_checkpoint(&Segments(&self.segments)) {
            writer.log_start = before;
            return Err(error);
        }
        writer.epochs.trim(to);
        self.show_epochs(writer);
        self.progress.set_log_start(to);
        Ok(())
    }

    /// Removes the oldest `count` segments, all of them sealed and below the durable log start.
    fn delete_first(&self, count: usize, writer: &mut Writer) -> Result<Maintained, StorageError> {
        let gone: Vec<Arc<Segment>> = self.segments.write().drain(..count).collect();
        let mut maintained = Maintained::default();
        for segment in gone {
            segment.remove()?;
            maintained.segments_deleted += 1;
            maintained.bytes_freed += segment.facts().bytes;
        }
        if count > 0 {
            writer.store_checkpoint(&Segments(&self.segments))?;
        }
        Ok(maintained)
    }
}
