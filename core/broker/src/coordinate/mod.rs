//! Consumer groups: driving the coordinators and keeping what they decide.
//!
//! Groups are spread by name over the partitions of `__consumer_offsets`. Each partition has a
//! [`Shard`]: the machine of [`crate::groups`], the state of [`crate::offsets`] with its log, and
//! one task for timers and for writes that have become durable.

mod driver;
mod membership;
mod offset_calls;
mod recovery;
mod shard;

pub(crate) use recovery::recover;
pub(crate) use shard::Shard;

use std::sync::Arc;

use posthouse_types::Principal;

use crate::{Broker, GroupError, Operation, Resource};

impl Broker {
    /// Finds a group's coordinator on behalf of a principal: the one authorisation point of every
    /// group call.
    fn coordinator(
        &self,
        principal: &Principal,
        operation: Operation,
        group: &str,
    ) -> Result<&Arc<Shard>, GroupError> {
        self.authorize(principal, operation, Resource::Group(group))?;
        let shards = self.shards();
        let count = u32::try_from(shards.len()).expect("there are a handful of shards");
        let place = crc32c::crc32c(group.as_bytes()) % count;
        Ok(&shards[usize::try_from(place).expect("an index fits")])
    }
}
