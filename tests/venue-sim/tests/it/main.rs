//! The simulator from outside: over real TLS with clients that are not its own, and as a process.

mod ccxt;
mod edge;
mod process;
mod quickfix;
