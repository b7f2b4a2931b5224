//! The ZeroMQ door: declared sockets in front of topics, channels, queues, services and pairs.
//!
//! ZeroMQ has no one address where a server is: every socket has a type and addresses of its own. So
//! this door has endpoints, each declared with a socket, addresses and a target. The protocol is
//! `lib/zmtp`'s. `spec` checks a declaration, `door` follows the declarations, `endpoint` keeps one
//! endpoint open, `work` has a file for each thing that is done between a socket and the broker, and
//! `frames` makes records of messages.

mod config;
mod context;
mod door;
mod endpoint;
mod errors;
mod frames;
#[doc(hidden)]
pub mod fuzz;
mod gatekeeper;
mod metrics;
mod progress;
mod sockets;
mod spec;
mod work;

pub use config::ZeromqConfig;
pub use door::ZeromqDoor;
pub use errors::{OpenSocketError, StartEndpointError};
pub use frames::{FRAME_HEADER, of_live, to_live};
pub use sockets::BoundEndpoint;
pub use spec::{EndpointSpec, Policy};
