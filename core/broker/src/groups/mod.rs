//! Consumer groups: Kafka's classic protocol, without its encoding.

mod types;

pub use types::{
    CommittedOffset, GroupDescription, GroupMember, GroupState, GroupSummary, Join, Joined, Leave,
    LeftMember, OffsetCommit, Sync, Synced,
};
