//! File sinks: many publishers into one log file.
//!
//! A topic's records, or what is said on channels, become lines ([`line`]) of a file below one
//! configured directory ([`place`]), rotated by size or age. Of a topic each record is written once:
//! progress lies beside the file ([`checkpoint`]) together with the length the file had, so whatever
//! a crash left behind that length is cut off and written again ([`file`]).

mod checkpoint;
mod file;
mod line;
mod place;
mod runner;
mod spec;
mod status;

pub(crate) use place::forget;
pub(crate) use runner::Sinks;
pub(crate) use spec::{Format, Match, SinkSpec, Source};
pub(crate) use status::SinkState;
