//! Keys with types, expiry and blocking reads: a state machine without I/O.
//!
//! A [`Keyspace`] holds sixteen databases of strings, lists, hashes, sets and sorted sets, and knows
//! which keys hold streams. What a
//! Redis command does is one call on a [`Database`], which is a keyspace seen at a number and a
//! moment. The call answers at once; what has to be stored comes out of [`Keyspace::take_effects`],
//! and which waiting clients are served out of [`Keyspace::serve_waiting`].
//!
//! # Invariants
//! - Keys are touched by [`Change`]s alone, so replaying the effects gives the same keys.
//! - Time is an argument. An expired key is gone for every read, whether or not it was removed yet.
//! - Chance comes from a seed, and what it chose is in the effects.
//!
//! It knows nothing of protocols, of connections or of where effects are kept.

pub mod fuzz;

mod bits;
mod blocking;
mod database;
mod dict;
mod dump;
mod effect;
mod error;
mod glob;
mod hashes;
mod hyperloglog;
mod keys;
mod keyspace;
mod lcs;
mod lists;
mod notices;
mod number;
mod random;
mod recalling;
mod score_tree;
mod sets;
mod snapshot;
mod sort;
mod sorted_sets;
mod streams;
mod strings;
mod table;
mod value;
mod watch;

#[cfg(test)]
mod tests;

pub use bits::BitRange;
pub use blocking::{ClientId, Served, Wait};
pub use database::Database;
pub use effect::{Change, Damage, Effect, End};
pub use error::KeyError;
pub use glob::glob_matches;
pub use hyperloglog::check_estimates;
pub use keys::{ExpireCondition, ScanFilter, Scanned, TimeToLive};
pub use keyspace::{DATABASES, DatabaseIndex, Keyspace};
pub use lcs::{Common, CommonRun};
pub use lists::{Beside, PositionQuery};
pub use notices::{Happened, Notice};
pub use number::{format_float, parse_float, parse_integer};
pub use sets::Combine;
pub use snapshot::{Snapshot, SnapshotStep};
pub use sort::SortQuery;
pub use sorted_sets::{
    AddScores, Added, Aggregate, Bound, LexBound, RangeBy, RangeQuery, WeightedKey,
};
pub use streams::StreamTopic;
pub use strings::{Existing, Lifetime, STRING_BYTES_MAX, SetOutcome};
pub use value::Kind;
pub use watch::Watch;
