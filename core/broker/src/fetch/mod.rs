//! Reading records: long-poll fetches, and finding positions.

mod poll;
mod positions;
mod types;
mod wait;

pub use types::{Fetch, FetchPartition, Fetched, FetchedPartition, Isolation};
