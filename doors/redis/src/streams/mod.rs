//! Streams: topics with one partition, seen as Redis sees them.
//!
//! An entry is a record; its id is in a header, or follows from its timestamp and offset. Removing
//! entries appends a record that says so, which this door honours. What is where is in `record.rs`,
//! what is known of a stream in memory is in `stream.rs`, which key holds which stream in `table.rs`.

mod burial;
mod copy;
mod id;
mod index;
mod progress;
mod record;
mod stream;
mod table;

pub(crate) use burial::run as bury;
pub(crate) use copy::{StreamKey, copy_stream};
pub(crate) use id::{Bound, StreamId};
pub(crate) use record::Entry;
pub(crate) use stream::{Add, NewId, Rough, Stream, Trim};
pub(crate) use table::{Streams, topic_id, topic_name};
