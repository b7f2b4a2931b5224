//! A follower that is behind its partition's feed, reading by itself until it has arrived.
//!
//! It reads no faster than its subscriber takes: however far in the past it begins, nothing is
//! dropped on the way, and no more than one read is held in memory.

use std::sync::Arc;

use posthouse_log::{ReadError, ReadLimit};

use super::feed::{Cursor, Feed};
use super::inbox::Offered;
use super::records::{RecordsError, load};
use crate::metrics;

/// LIMIT: stored bytes read at a time for one follower.
const READ_BYTES: usize = 128 * 1024;

/// Reads until the follower has arrived, or has ended.
pub(super) async fn run(feed: Arc<Feed>, mut cursor: Cursor) {
    loop {
        match read(&feed, &mut cursor).await {
            Ok(Offered::Ended) => return,
            Ok(_) => {}
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(
                    partition = %feed.log().partition(), error,
                    "a live subscriber of a topic is not served"
                );
                return;
            }
        }
        match feed.join(cursor) {
            Some(behind) => cursor = behind,
            None => return,
        }
    }
}

async fn read(feed: &Feed, cursor: &mut Cursor) -> Result<Offered, RecordsError> {
    let until = feed.log().ends().last_stable;
    if cursor.next >= until {
        return Ok(Offered::Taken);
    }
    let limit = ReadLimit { bytes: READ_BYTES, until };
    let chunks = match feed.log().read(cursor.next, limit).await {
        Ok(chunks) => chunks,
        Err(ReadError::OutOfRange { log_start, .. }) if cursor.next < log_start => {
            // Retention was faster than the subscriber, or it asked for what is long gone.
            metrics::live_skipped(log_start.since(cursor.next));
            cursor.next = log_start;
            return Ok(Offered::Taken);
        }
        Err(error) => return Err(error.into()),
    };
    let (records, after) = load(chunks, cursor.next, until).await?;
    for record in records {
        let offset = record.offset;
        let event = feed.event(record);
        let subscription = &cursor.subscription;
        if subscription.inbox().offer_waiting(subscription, &event).await == Offered::Ended {
            return Ok(Offered::Ended);
        }
        cursor.next = offset.plus(1);
    }
    cursor.next = cursor.next.max(after);
    Ok(Offered::Taken)
}
