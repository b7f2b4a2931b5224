//! What doors call.

mod acquire;
mod manage;
mod owners;
mod pending;
mod place;
mod settle;
