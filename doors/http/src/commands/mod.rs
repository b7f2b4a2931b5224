//! One file per family of requests: a request to calls of the core, and back.

pub(crate) mod access;
pub(crate) mod channels;
pub(crate) mod consume;
pub(crate) mod endpoints;
pub(crate) mod groups;
pub(crate) mod health;
pub(crate) mod index;
pub(crate) mod input;
pub(crate) mod login;
pub(crate) mod produce;
pub(crate) mod queues;
pub(crate) mod queues_transfer;
pub(crate) mod queues_work;
pub(crate) mod services;
pub(crate) mod sinks;
pub(crate) mod sql;
pub(crate) mod topics;
pub(crate) mod webhooks;
pub(crate) mod websocket;
