//! The query engine over a broker in memory, as its callers see it.

#![expect(clippy::unwrap_used, reason = "a test may panic, and its helpers with it")]

mod access;
mod limits;
mod node;
mod oracle;
mod pushdown;
mod scripts;
