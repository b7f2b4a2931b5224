//! SQL scripts, and the values of topics as rows.

pub use posthouse_query::fuzz;

use crate::Target;

/// The targets of this file.
pub const TARGETS: &[Target] = &[
    Target { name: "sql_statements", run: fuzz::statements },
    Target { name: "sql_json_row", run: fuzz::json_row },
    Target { name: "sql_csv_row", run: fuzz::csv_row },
    Target { name: "sql_raw_row", run: fuzz::raw_row },
    Target { name: "sql_text", run: fuzz::text },
];
