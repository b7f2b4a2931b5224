//! What the crate promises, through its public face.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod build;
mod damage;
mod expansion;
mod golden;
mod patch;
mod rebuild;
mod support;
