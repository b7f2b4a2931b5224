//! The settings of the query engine.
//!
//! Owns names, units and defaults. The effect of each is in the module that reads it.

use std::path::PathBuf;
use std::time::Duration;

use posthouse_types::ByteSize;

/// Settings of one node's query engine.
#[derive(Clone, Debug)]
pub struct QueryConfig {
    /// Threads that run queries; at least 1. Also the number of parts a scan is split into.
    /// The default is the machine's cores.
    pub threads: usize,
    /// How much the query threads yield to the rest of the node: 0 not at all, 19 entirely. Linux's
    /// `nice`; elsewhere it does nothing.
    pub niceness: u8,
    /// Memory that sorts, joins, aggregates and scans of all queries together may hold. A query
    /// that needs more spills to disk where its operators can, and otherwise fails with 53200.
    pub memory: ByteSize,
    /// Where queries spill; the system's temporary directory when `None`.
    pub spill_directory: Option<PathBuf>,
    /// Most bytes that all queries together may spill.
    pub spill_bytes_max: ByteSize,
    /// Queries that run at once, at least 1; others wait for their turn.
    pub concurrent_queries_max: usize,
    /// How long one statement may take, waiting included; `None` is no limit. A session changes its
    /// own with `SET statement_timeout`.
    pub statement_timeout: Option<Duration>,
    /// Rows in a batch, before filters; at least 1.
    pub batch_rows: usize,
    /// Batches that wait for a slow reader before the query itself waits; at least 1.
    pub batches_ahead_max: usize,
    /// Stored bytes that one part of a scan asks the log for at a time.
    pub read_bytes: ByteSize,
    /// What one stored batch may decompress to; a larger one fails the query.
    pub expanded_batch_bytes_max: ByteSize,
    /// Which files `SELECT … FROM 'file.csv'` may read.
    pub files: FileAccess,
    /// Unquoted CSV fields that match are NULL; a regular expression.
    pub csv_null_regex: String,
}

/// Which files of the node's machine are tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileAccess {
    /// None.
    Off,
    /// Those in this directory and below it. Relative names start here; links are followed first.
    Under(PathBuf),
    /// All that the process may read.
    Anywhere,
}

impl Default for QueryConfig {
    fn default() -> QueryConfig {
        QueryConfig {
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            niceness: 12,
            memory: ByteSize::mib(512),
            spill_directory: None,
            spill_bytes_max: ByteSize::gib(10),
            concurrent_queries_max: 16,
            statement_timeout: None,
            batch_rows: 8192,
            batches_ahead_max: 2,
            read_bytes: ByteSize::mib(1),
            expanded_batch_bytes_max: ByteSize::mib(64),
            files: FileAccess::Under(PathBuf::from(".")),
            csv_null_regex: "^(NA|NULL|\\\\N)?$".to_owned(),
        }
    }
}
