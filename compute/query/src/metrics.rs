//! What the query engine counts about itself.

use std::time::Duration;

use metrics::{counter, histogram};

/// One statement ended, well or not.
pub(crate) fn statement_ended(outcome: &'static str, took: Duration) {
    counter!("posthouse_query_statements_total", "outcome" => outcome).increment(1);
    histogram!("posthouse_query_statement_seconds").record(took.as_secs_f64());
}

/// Records that a scan gave.
pub(crate) fn records_read(count: usize) {
    counter!("posthouse_query_records_read_total").increment(u64::try_from(count).unwrap_or(0));
}

/// Stored bytes that a scan took from the log.
pub(crate) fn bytes_read(count: usize) {
    counter!("posthouse_query_read_bytes_total").increment(u64::try_from(count).unwrap_or(0));
}

/// Records that `INSERT` wrote.
pub(crate) fn records_inserted(count: u64) {
    counter!("posthouse_query_records_inserted_total").increment(count);
}
