//! The broker's stored state, and what members of consumer groups send of themselves.

pub use posthouse_broker::fuzz;

use crate::Target;

/// The targets of this file.
pub const TARGETS: &[Target] = &[
    Target { name: "broker_catalog_command", run: fuzz::catalog_command },
    Target { name: "broker_catalog_snapshot", run: fuzz::catalog_snapshot },
    Target { name: "broker_offsets_command", run: fuzz::offsets_command },
    Target { name: "broker_offsets_snapshot", run: fuzz::offsets_snapshot },
    Target { name: "broker_queues_command", run: fuzz::queues_command },
    Target { name: "broker_queues_snapshot", run: fuzz::queues_snapshot },
    Target { name: "broker_state_record", run: fuzz::state_record },
    Target { name: "broker_group_record", run: fuzz::group_record },
    Target { name: "broker_subscription", run: fuzz::subscription },
];
