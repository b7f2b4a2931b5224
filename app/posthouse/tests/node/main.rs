//! A whole node, started as the program starts it, and asked over HTTP.

#![expect(clippy::unwrap_used, reason = "a test may panic, and its helpers with it")]

mod config;
mod groups;
mod lifecycle;
mod records;
mod sql;
mod support;
mod topics;
