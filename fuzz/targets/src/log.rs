//! The local engine's files, as opening a partition finds them.

pub use posthouse_log::fuzz;

use crate::Target;

/// The targets of this file.
pub const TARGETS: &[Target] = &[
    Target { name: "log_checkpoint", run: fuzz::checkpoint },
    Target { name: "log_format", run: fuzz::format },
    Target { name: "log_index", run: fuzz::index },
    Target { name: "log_partition", run: fuzz::partition },
];
