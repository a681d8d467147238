//! The `spinlane` program, run as people run it.

mod api;
mod captures;
mod cli;
mod daemon;
mod node;
mod risk;
mod strategies;
