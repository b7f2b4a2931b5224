//! What a topic's settings ask of a batch before it is given its offsets.
//!
//! Owns the checks that need no state of the log. What needs it is in [`crate::producers`].

use posthouse_record::UnplacedBatch;
use posthouse_types::Timestamp;

use crate::{AppendError, LogConfig, TimestampType};

/// LIMIT: what a compressed batch may expand to when the log must look inside it. Kafka's largest
/// request, with room to spare.
pub(crate) const EXPANDED_BYTES_MAX: usize = 128 << 20;

/// Checks a batch, and writes the log's time into it where the topic asks for that.
///
/// # Errors
/// [`AppendError::TooLarge`], [`AppendError::KeyMissing`], and [`AppendError::Batch`] when a
/// compacted topic's batch cannot be read.
pub(crate) fn admit(
    config: &LogConfig,
    batch: &mut UnplacedBatch,
    now: Timestamp,
) -> Result<Option<Timestamp>, AppendError> {
    let size = batch.size();
    let max = config.batch_bytes_max;
    if size > max.as_usize() {
        return Err(AppendError::TooLarge { size, max: max.0 });
    }
    if config.cleanup.compact && !batch.header().control {
        check_keys(batch)?;
    }
    match config.timestamps {
        TimestampType::CreateTime => Ok(None),
        TimestampType::LogAppendTime => {
            batch.set_log_append_time(now);
            Ok(Some(now))
        }
    }
}

fn check_keys(batch: &UnplacedBatch) -> Result<(), AppendError> {
    let mut records = batch.records(EXPANDED_BYTES_MAX)?;
    while let Some(record) = records.next_view() {
        if record?.key.is_none() {
            return Err(AppendError::KeyMissing);
        }
    }
    Ok(())
}
