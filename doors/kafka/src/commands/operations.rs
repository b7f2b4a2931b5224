//! What a client may do to something, as a bit for each operation: `authorizedOperations`.

use posthouse_broker::{Operation, Resource, Topic};

use super::acls::operation_code;
use crate::node::Call;

/// `authorizedOperations` when they were not asked for.
pub(super) const NOT_ASKED: i32 = i32::MIN;

/// The operations that Kafka knows of on a topic (`AclEntry.supportedOperations`).
const ON_TOPICS: [Operation; 8] = [
    Operation::Read,
    Operation::Write,
    Operation::Create,
    Operation::Delete,
    Operation::Alter,
    Operation::Describe,
    Operation::DescribeConfigs,
    Operation::AlterConfigs,
];

/// Those on a group.
const ON_GROUPS: [Operation; 5] = [
    Operation::Read,
    Operation::Delete,
    Operation::Describe,
    Operation::DescribeConfigs,
    Operation::AlterConfigs,
];

/// Those on the cluster.
const ON_THE_CLUSTER: [Operation; 7] = [
    Operation::Create,
    Operation::Alter,
    Operation::Describe,
    Operation::ClusterAction,
    Operation::DescribeConfigs,
    Operation::AlterConfigs,
    Operation::IdempotentWrite,
];

/// On a topic, when they are asked for.
pub(super) fn on_topic(call: &Call, topic: &Topic, asked: bool) -> i32 {
    if asked { bits(call, &ON_TOPICS, Resource::Topic(&topic.name)) } else { NOT_ASKED }
}

/// On a group, when they are asked for.
pub(super) fn on_group(call: &Call, group: &str, asked: bool) -> i32 {
    if asked { bits(call, &ON_GROUPS, Resource::Group(group)) } else { NOT_ASKED }
}

/// On the cluster, when they are asked for; none for one who may not know of it, as in Kafka.
pub(super) fn on_cluster(call: &Call, asked: bool) -> i32 {
    if !asked {
        return NOT_ASKED;
    }
    match call.broker().shows(&call.principal, Operation::Describe, Resource::Cluster) {
        true => bits(call, &ON_THE_CLUSTER, Resource::Cluster),
        false => 0,
    }
}

fn bits(call: &Call, operations: &[Operation], resource: Resource<'_>) -> i32 {
    let may = |one: &&Operation| call.broker().shows(&call.principal, **one, resource);
    operations.iter().filter(may).fold(0, |bits, &one| bits | 1 << operation_code(one))
}
