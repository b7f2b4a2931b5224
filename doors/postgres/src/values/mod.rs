//! Arrow values to Postgres values.
//!
//! The text of the plain types is written here, as PostgreSQL writes it to the last digit. The
//! binary format and nested types are arrow-pg's.

mod cells;
mod number;
mod rows;
mod style;
mod time;

pub(crate) use rows::{Rows, fields};
pub(crate) use style::Style;
