//! The HTTP door: produce, consume, topics, groups, SQL, metrics, health and the OpenAPI document.
//!
//! hyper and axum own the protocol. `codec` owns what is ours in it (records as JSON, event streams,
//! positions), `commands` holds a file per family of requests, `errors` turns every error of the
//! core into a problem document. `outlets` carry messages out by themselves: `webhooks` to URLs,
//! `sinks` into files.

mod auth;
mod codec;
mod commands;
mod config;
mod errors;
#[doc(hidden)]
pub mod fuzz;
mod metrics;
mod outlets;
mod process;
mod reader;
mod routes;
mod session;
mod sinks;
mod unread;
mod webhooks;
mod websocket;
mod writer;

pub use config::HttpConfig;
pub use metrics::install_recorder;
pub use outlets::{Outlets, OutletsConfig, StartOutletsError};
pub use routes::openapi;
pub use session::serve;
