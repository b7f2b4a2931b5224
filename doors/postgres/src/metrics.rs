//! Metrics of the Postgres door. Connections are counted by the listener.

use metrics::{Counter, Histogram, counter, histogram};

#[derive(Clone)]
pub(crate) struct DoorMetrics {
    /// Statements run, by how they came.
    pub(crate) simple: Counter,
    pub(crate) extended: Counter,
    /// Statements that ended in an error.
    pub(crate) failed: Counter,
    /// Statements ended by a `CancelRequest`, a timeout or a client that left.
    pub(crate) cancelled: Counter,
    /// Rows sent, `COPY` included.
    pub(crate) rows_sent: Counter,
    /// From a statement's start to its last row.
    pub(crate) duration: Histogram,
}

impl DoorMetrics {
    pub(crate) fn new() -> DoorMetrics {
        let statements = |protocol: &'static str| counter!("posthouse_postgres_statements_total", "protocol" => protocol);
        DoorMetrics {
            simple: statements("simple"),
            extended: statements("extended"),
            failed: counter!("posthouse_postgres_statements_failed_total"),
            cancelled: counter!("posthouse_postgres_statements_cancelled_total"),
            rows_sent: counter!("posthouse_postgres_rows_sent_total"),
            duration: histogram!("posthouse_postgres_statement_seconds"),
        }
    }
}
