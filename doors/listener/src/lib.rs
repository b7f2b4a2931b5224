//! What every door shares: bound listeners, connection limits and graceful drain. Knows no protocol.
//!
//! A door hands [`Listener::serve`] a function from a [`Connection`] to a future; the listener owns
//! the accept loop, the limits and the end.

mod bind;
mod holder;
mod limits;
mod metrics;
mod serve;
mod stream;

pub use bind::{BindError, Listener};
pub use limits::ConnectionLimits;
pub use serve::Connection;
pub use stream::Stream;
