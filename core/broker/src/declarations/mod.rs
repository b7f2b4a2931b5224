//! Declarations: what a person told the node to run, by name, until it is told otherwise.
//!
//! An endpoint, a webhook or a file sink is declared once and outlives every restart, so it lies in
//! the catalog. Owns names, limits and who may see them. Does not know what a specification means:
//! whoever runs a kind checks its specifications before they are declared and follows
//! [`Broker::watch_declarations`](crate::Broker::watch_declarations) to carry them out.
//!
//! # Invariants
//! - What [`Broker::watch_declarations`](crate::Broker::watch_declarations) shows is durable.
//! - Changes show in the order in which they were made.

mod calls;
mod table;
mod types;

pub use types::{Declaration, DeclarationKind, Declarations, DeclareMode};

pub(crate) use table::DeclarationTable;
