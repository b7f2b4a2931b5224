//! Endpoints: sockets of a door that a person declares, instead of one listener for all.
//!
//! Owns the way of a declaration from whoever makes it (HTTP, SQL) to the door that carries it out,
//! which nobody else names: the door checks a declaration before it is kept, and says how it does.
//! Does not know what an endpoint's settings mean.
//!
//! # Invariants
//! - What is kept has been checked by the door that is to carry it out.
//! - A call returns when the door has taken up what the call changed.

mod calls;
mod settings;
mod types;

pub(crate) use calls::Runner;
pub use settings::EndpointSettings;
pub use types::{EndpointDescription, EndpointRefused, EndpointRunner, EndpointState};
