//! Topics and files as SQL tables: batch SQL on DataFusion.
//!
//! Entry points: [`QueryEngine`] is the node's one room for queries, with its own threads and
//! memory; [`QuerySession`] is one client's view of it.

mod access;
mod catalog;
mod classify;
mod columns;
mod config;
mod ddl;
mod decode;
mod depth;
mod dialect;
mod encode;
mod endpoints;
mod engine;
mod error;
mod expansion;
mod files;
mod functions;
#[doc(hidden)]
pub mod fuzz;
mod guard;
mod metrics;
mod planning;
mod position;
mod rows;
mod session;
mod slicing;
mod statement;
mod text;
mod topic;
mod yielding;

pub use config::{FileAccess, QueryConfig};
pub use depth::STACK_BYTES;
pub use dialect::PostgresDialect;
pub use engine::{QueryEngine, StartError};
pub use error::QueryError;
pub use session::{Outcome, QuerySession};
pub use statement::Statement;
