//! The posthouse program: command line, configuration, wiring, start and drain.
//!
//! [`run`] starts a node and is what tests call; [`cli::Cli`] is everything that can be typed.

pub mod cli;
#[cfg(test)]
mod cli_page;
mod client;
mod client_tls;
mod commands;
pub mod config;
mod demo;
pub mod exit;
mod node;
mod rows;
mod secret;
pub mod telemetry;

pub use node::{AddressError, Running, StartError, run, start};
