//! A whole node, started as the program starts it, and asked over HTTP.

mod config;
mod groups;
mod lifecycle;
mod records;
mod sql;
mod support;
mod topics;
