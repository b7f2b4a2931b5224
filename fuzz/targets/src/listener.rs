//! What every door shares: certificates.

pub use posthouse_listener::fuzz::certificate;

use crate::Target;

/// The targets of this file.
pub const TARGETS: &[Target] = &[Target { name: "listener_certificate", run: certificate }];
