//! One file per command. A client command uses nothing but the node's HTTP door; `zmq` not even that.

pub(crate) mod acl;
pub(crate) mod backup;
pub(crate) mod cert;
mod cert_lines;
pub(crate) mod config;
pub(crate) mod consume;
pub(crate) mod endpoint;
pub(crate) mod group;
pub(crate) mod produce;
pub(crate) mod queue;
pub(crate) mod say;
pub(crate) mod serve;
pub(crate) mod sink;
pub(crate) mod sql;
pub(crate) mod table;
pub(crate) mod token;
pub(crate) mod topic;
pub(crate) mod user;
pub(crate) mod webhook;
pub(crate) mod zmq;
