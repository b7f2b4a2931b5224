//! The ZeroMQ door: declarations, and messages as records.

pub use posthouse_zeromq::fuzz::{declaration, frames};

use crate::Target;

/// The targets of this file.
pub const TARGETS: &[Target] = &[
    Target { name: "zeromq_declaration", run: declaration },
    Target { name: "zeromq_frames", run: frames },
];
