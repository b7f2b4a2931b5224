//! Webhooks: a topic delivered to a URL.
//!
//! Progress is a queue over the topic ([`spec`] says which): a message is leased, sent
//! ([`request`], [`client`]), and then settled, held back for its next attempt, or dead-lettered as
//! [`schedule`] decides. What is acknowledged, waiting or given up is therefore kept as the queue
//! keeps it, and a node that dies goes on where it was.

mod client;
mod request;
mod runner;
mod schedule;
mod signature;
mod spec;
mod status;

pub(crate) use client::WebhookClient;
pub(crate) use runner::{Disabled, Webhooks};
pub(crate) use schedule::Outcome;
pub(crate) use signature::{Secret, SecretError};
pub(crate) use spec::{Order, SpecError, WebhookSpec};
pub(crate) use status::WebhookState;
