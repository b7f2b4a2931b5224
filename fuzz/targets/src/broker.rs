//! The broker's stored state, and what members of consumer groups send of themselves.

pub use posthouse_broker::fuzzing;

use crate::Target;

/// The targets of this file.
pub const TARGETS: &[Target] = &[
    Target { name: "broker_catalog_command", run: fuzzing::catalog_command },
    Target { name: "broker_catalog_snapshot", run: fuzzing::catalog_snapshot },
    Target { name: "broker_state_record", run: fuzzing::state_record },
    Target { name: "broker_group_record", run: fuzzing::group_record },
    Target { name: "broker_subscription", run: fuzzing::subscription },
];
