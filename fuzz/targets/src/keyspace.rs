//! The key space: its stored effects, and values that a peer restores.

pub use posthouse_keyspace::fuzz;

use crate::Target;

/// The targets of this file.
pub const TARGETS: &[Target] = &[
    Target { name: "keyspace_effects", run: fuzz::effects },
    Target { name: "keyspace_dump", run: fuzz::dump },
];
