//! The catalog: who the node is, which topics exist, which producer ids are given out, what was
//! declared.
//!
//! A [`StateMachine`](crate::state::StateMachine) over the one partition of
//! `__posthouse_catalog`. It decides nothing: what a caller may change is checked by
//! [`crate::topics`] before a command is made.

mod command;
mod machine;

pub(crate) use command::{CatalogCommand, TopicEntry};
pub(crate) use machine::{Catalog, CatalogEffect};
