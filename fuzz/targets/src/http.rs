//! The HTTP door: bodies and parameters. hyper owns the protocol.

pub use posthouse_http::fuzz;

use crate::Target;

/// The targets of this file.
pub const TARGETS: &[Target] = &[
    Target { name: "http_produce_body", run: fuzz::produce_body },
    Target { name: "http_parameters", run: fuzz::parameters },
    Target { name: "http_frame", run: fuzz::frame },
    Target { name: "http_assignment", run: fuzz::assignment },
];
