//! The query engine over a broker in memory, as its callers see it.

mod limits;
mod node;
mod oracle;
mod pushdown;
mod scripts;
