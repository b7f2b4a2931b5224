//! Shared vocabulary: ids, offsets, units, names, principals, the clock and error kinds.
//!
//! Everything here is plain data. It performs no I/O and depends on no other Posthouse crate.

mod chain;
mod clock;
mod fault;
mod ids;
mod name;
mod principal;
mod units;

pub use chain::chain;
pub use clock::{Clock, ManualClock, SystemClock};
pub use fault::{Fault, Retry};
pub use ids::{
    LeaderEpoch, NodeId, Offset, PartitionId, PartitionIndex, ProducerEpoch, ProducerId, Sequence,
    TopicId,
};
pub use name::{NameError, TOPIC_NAME_BYTES_MAX, TopicName};
pub use principal::Principal;
pub use units::{ByteSize, ByteSizeError, Timestamp};
