//! One node: bind every door, open the data, serve, drain.

mod addresses;
mod administrator;
mod ready_file;
mod run;
mod signals;
mod threads;
mod tls;

pub use addresses::AddressError;
pub use run::{Running, StartError, run, start};
pub(crate) use signals::cancel_on_signal;
pub(crate) use threads::of_node;
