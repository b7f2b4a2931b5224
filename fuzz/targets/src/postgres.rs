//! The Postgres door: a connection's bytes, proofs of who it is, scripts, and lines copied in.

pub use posthouse_postgres::fuzz::{copy, sasl, script, stream};

use crate::Target;

/// The targets of this file.
pub const TARGETS: &[Target] = &[
    Target { name: "sql_postgres_stream", run: stream },
    Target { name: "sql_postgres_sasl", run: sasl },
    Target { name: "sql_postgres_script", run: script },
    Target { name: "sql_postgres_copy", run: copy },
];
