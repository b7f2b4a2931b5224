//! Finding records by their timestamp in stored batches.

use posthouse_record::{Batch, BatchError};
use posthouse_types::{Offset, Timestamp};

use crate::TimestampOffset;
use crate::admission::EXPANDED_BYTES_MAX;

/// The first record of `batch` at or above `from` whose timestamp is `at` or later.
///
/// # Errors
/// Those of [`Batch::records`] and its iterator.
pub(crate) fn first_at_or_after(
    batch: &Batch,
    at: Timestamp,
    from: Offset,
) -> Result<Option<TimestampOffset>, BatchError> {
    if batch.header().max_timestamp < at {
        return Ok(None);
    }
    let mut records = batch.records(EXPANDED_BYTES_MAX)?;
    while let Some(record) = records.next_view() {
        let record = record?;
        if record.timestamp >= at && record.offset >= from {
            let epoch = batch.header().leader_epoch;
            return Ok(Some(TimestampOffset {
                timestamp: record.timestamp,
                offset: record.offset,
                epoch,
            }));
        }
    }
    Ok(None)
}
