//! The control plane: the daemon that keeps history, and the one command line.
//!
//! ```text
//!   main ─▶ cli (what was asked) ─▶ app ─┬─▶ view     shared memory, read-only, always works
//!                                        ├─▶ control  kill and arm: words in shared memory
//!                                        ├─▶ strategy start, pause, resume, stop, set: commands to a lane
//!                                        ├─▶ daemon   rings → PostgreSQL; api: the kill switch over HTTP
//!                                        ├─▶ report   latency as HTML
//!                                        ├─▶ demo     simulator + dataplane + daemon, and the verdict
//!                                        └─▶ backtest, replay, venue_tools   the venues' own code, offline
//! ```
//!
//! Nothing here stands in an order's path: all of it may be stopped while a node trades.
#![forbid(unsafe_code)]

pub mod api;
pub mod app;
pub mod backtest;
pub mod cli;
pub mod control;
pub mod daemon;
pub mod datagrams;
pub mod demo;
pub mod fail;
pub mod halts;
pub mod leftovers;
pub mod limits;
pub mod names;
pub mod pnl;
pub mod record;
pub mod replay;
pub mod report;
pub mod strategy;
pub mod table;
pub mod target;
pub mod template;
pub mod tools;
pub mod venue_list;
pub mod venue_tools;
pub mod view;
pub mod watch;
