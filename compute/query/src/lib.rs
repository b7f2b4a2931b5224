//! Topics and files as SQL tables: batch SQL on DataFusion.
//!
//! Entry points: [`QueryEngine`] is the node's one room for queries, with its own threads and
//! memory; [`QuerySession`] is one client's view of it.

mod classify;
mod config;
mod engine;
mod error;
mod position;
mod rows;
mod session;

pub use config::{FileAccess, QueryConfig};
pub use engine::{QueryEngine, StartError};
pub use error::QueryError;
pub use session::{Outcome, QuerySession};
