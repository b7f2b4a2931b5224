//! What groups may take: times from the configuration, and the limits on memory.

use std::time::Duration;

use crate::BrokerConfig;

/// LIMIT: groups of one coordinator. A group without members takes about half a kilobyte.
pub(crate) const GROUPS_MAX: usize = 1_000_000;

/// LIMIT: bytes that one member may hold in its ids, its protocols' metadata and its assignment.
pub(crate) const MEMBER_BYTES_MAX: usize = 1 << 20;

/// LIMIT: the same over all members of a group, which is written as one record.
pub(crate) const GROUP_BYTES_MAX: usize = 16 << 20;

/// LIMIT: the same over all groups.
pub(crate) const TOTAL_BYTES_MAX: usize = 256 << 20;

/// LIMIT: assignors that one member may offer; Kafka's clients offer at most a handful.
pub(crate) const PROTOCOLS_MAX: usize = 100;

/// LIMIT: longest timeout that the wire can say, so that a deadline can always be computed.
pub(crate) const TIMEOUT_MAX: Duration = Duration::from_millis(i32::MAX as u64);

/// How long a new member's join may be parked: the client, if it is still there, asks again. Its
/// session timeout does not count yet, because it cannot send heartbeats without its id.
pub(crate) const NEW_MEMBER_JOIN_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// The coordinator's settings.
#[derive(Clone, Debug)]
pub(crate) struct GroupsConfig {
    /// Shortest session timeout that a member may ask for.
    pub(crate) session_timeout_min: Duration,
    /// Longest session timeout that a member may ask for.
    pub(crate) session_timeout_max: Duration,
    /// How long the first rebalance of an empty group waits for more members, from each new one.
    pub(crate) initial_rebalance_delay: Duration,
    /// Members of one group, and separately its ids given out and not yet used.
    pub(crate) members_max: usize,
    /// Groups.
    pub(crate) groups_max: usize,
    /// Bytes of one member.
    pub(crate) member_bytes_max: usize,
    /// Bytes of one group's members.
    pub(crate) group_bytes_max: usize,
    /// Bytes of all groups' members.
    pub(crate) total_bytes_max: usize,
}

impl From<&BrokerConfig> for GroupsConfig {
    fn from(config: &BrokerConfig) -> GroupsConfig {
        GroupsConfig {
            session_timeout_min: config.session_timeout_min,
            session_timeout_max: config.session_timeout_max,
            initial_rebalance_delay: config.initial_rebalance_delay.min(TIMEOUT_MAX),
            members_max: config.group_members_max,
            groups_max: GROUPS_MAX,
            member_bytes_max: MEMBER_BYTES_MAX,
            group_bytes_max: GROUP_BYTES_MAX,
            total_bytes_max: TOTAL_BYTES_MAX,
        }
    }
}
