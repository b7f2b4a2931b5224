//! The claims of the contract, by area. Each is one test; [`contract_suite!`](crate::contract_suite)
//! names them.
#![allow(missing_docs, reason = "the names are the claims")]
#![allow(clippy::missing_panics_doc, clippy::unwrap_used, reason = "a test panics when it fails")]

pub mod appending;
pub mod cleaning;
pub mod idempotence;
pub mod opening;
pub mod reading;
