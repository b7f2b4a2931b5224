//! Writing a snapshot into the log whose commands it replaces.
//!
//! # Invariants
//! - A snapshot counts only once its end record is durable; until then the one before it does.
//! - The log's head is cut only after that, so the log always holds a whole snapshot, or every
//!   command ever written.

use std::sync::Arc;

use bytes::Bytes;
use posthouse_log::{Log, Ticket};
use posthouse_record::{BatchBuilder, Compression};
use posthouse_types::{Offset, Timestamp, TopicName};

use super::frame::{Frame, SnapshotEnd};
use crate::{AppendFailure, metrics};

/// LIMIT: bytes of one piece, well below what any log takes as one batch.
const PIECE_BYTES_MAX: usize = 256 * 1024;

/// LIMIT: pieces written before waiting for the disk, so that a large snapshot does not stand
/// between a commit and its sync.
const PIECES_IN_FLIGHT_MAX: usize = 8;

/// A state's bytes, not yet in the log.
pub(crate) struct PendingSnapshot {
    topic: TopicName,
    log: Arc<dyn Log>,
    as_of: Offset,
    bytes: Bytes,
}

impl PendingSnapshot {
    pub(super) fn new(
        topic: TopicName,
        log: Arc<dyn Log>,
        as_of: Offset,
        bytes: Vec<u8>,
    ) -> PendingSnapshot {
        PendingSnapshot { topic, log, as_of, bytes: bytes.into() }
    }

    /// Writes the snapshot, and forgets the commands that it stands for.
    ///
    /// # Cancellation
    /// Safe to drop at any await: an unfinished snapshot is passed over by recovery.
    pub(crate) async fn write(self, now: Timestamp) -> Result<(), AppendFailure> {
        self.write_records(now).await?;
        if let Err(error) = self.log.truncate_head(self.as_of).await {
            // The snapshot is good; the commands below it only take up space.
            tracing::warn!(topic = %self.topic, %error, "commands below snapshot not deleted");
        }
        metrics::snapshot_written(self.bytes.len());
        tracing::debug!(topic = %self.topic, as_of = %self.as_of, size = self.bytes.len(), "snapshot written");
        Ok(())
    }

    pub(super) async fn write_records(&self, now: Timestamp) -> Result<(), AppendFailure> {
        let mut pieces = 0;
        for piece in self.bytes.chunks(PIECE_BYTES_MAX) {
            let bytes = self.bytes.slice_ref(piece);
            let ticket =
                self.append(&Frame::Piece { as_of: self.as_of, index: pieces, bytes }, now)?;
            pieces += 1;
            if (pieces as usize).is_multiple_of(PIECES_IN_FLIGHT_MAX) {
                ticket.durable().await?;
            }
        }
        let size = u64::try_from(self.bytes.len()).expect("a usize fits 64 bits");
        let crc = crc32c::crc32c(&self.bytes);
        let end = SnapshotEnd { as_of: self.as_of, pieces, size, crc };
        self.append(&Frame::End(end), now)?.durable().await?;
        Ok(())
    }

    fn append(&self, frame: &Frame, now: Timestamp) -> Result<Ticket, AppendFailure> {
        let (key, value) = frame.encode();
        let mut batch = BatchBuilder::new(Compression::None);
        batch.push(now, Some(key), Some(&value), &[]);
        Ok(self.log.append(batch.build()?)?.ticket)
    }
}
