//! The metrics of the log engines, by name and unit.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

/// A group commit: one log's queue written and made durable.
pub(crate) fn committed(bytes: u64, batches: u64, took: Duration) {
    counter!("posthouse_log_appended_bytes_total").increment(bytes);
    counter!("posthouse_log_appended_batches_total").increment(batches);
    histogram!("posthouse_log_commit_seconds").record(took.as_secs_f64());
}

/// A file, or a directory, made durable.
pub(crate) fn synced(took: Duration) {
    counter!("posthouse_log_fsyncs_total").increment(1);
    histogram!("posthouse_log_fsync_seconds").record(took.as_secs_f64());
}

/// Bytes of log tails held in memory.
pub(crate) fn tail_cache(bytes: u64) {
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float; 2^53 bytes is enough")]
    gauge!("posthouse_log_tail_cache_bytes").set(bytes as f64);
}

/// A read, by where it was served from.
pub(crate) fn read(source: &'static str, bytes: u64) {
    counter!("posthouse_log_read_bytes_total", "source" => source).increment(bytes);
}

/// A log that came to the end of its life through a failure of the disk.
pub(crate) fn failed() {
    counter!("posthouse_log_failures_total").increment(1);
}

/// A recovery that had to read batches again, and what it cut off.
pub(crate) fn recovered(scanned: u64, cut: u64) {
    counter!("posthouse_log_recovery_scanned_bytes_total").increment(scanned);
    counter!("posthouse_log_recovery_cut_bytes_total").increment(cut);
}

/// One maintenance.
pub(crate) fn maintained(segments_deleted: u64, bytes_freed: u64, records_compacted: u64) {
    counter!("posthouse_log_segments_deleted_total").increment(segments_deleted);
    counter!("posthouse_log_freed_bytes_total").increment(bytes_freed);
    counter!("posthouse_log_compacted_records_total").increment(records_compacted);
}
