//! A topic as a table: what is pushed down to the log, and the scan itself.

mod insert;
mod pushdown;
mod read;
mod scan;
mod table;

pub(crate) use table::{ReadLimits, TopicTable, lookup_failed};
