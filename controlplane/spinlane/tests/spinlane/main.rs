//! The `spinlane` program, run as people run it.

mod cli;
mod daemon;
mod node;
