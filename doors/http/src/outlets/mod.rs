//! Outlets: what carries messages out of the node by itself, to a URL ([`crate::webhooks`]) or into
//! a file ([`crate::sinks`]).
//!
//! Each is declared once, kept in the catalog, and carried out by a task for as long as it is
//! declared, whether anybody is connected or not.

mod config;
mod fleet;
mod service;
mod trouble;

pub use config::{OutletsConfig, StartOutletsError};
pub use service::Outlets;

pub(crate) use fleet::Outlet;
pub(crate) use trouble::Trouble;
