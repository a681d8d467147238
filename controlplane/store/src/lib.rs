//! History: the only SQL there is.
//!
//! ```text
//!   journal rings, tick rings (shared memory) ──▶ Drain ──▶ PostgreSQL: a DSN, or a private Cluster
//!                                                              ▲
//!                                          query ◀─────────────┘  what the command line shows
//! ```
//!
//! The database is never in an order's path: it may be slow, away or restarted for hours, and the rings
//! hold what it has not got. Deliberately not here: deciding anything from what is stored.
#![forbid(unsafe_code)]

mod batch;
mod cluster;
mod drain;
mod error;
mod measure;
pub mod migrate;
mod partition;
mod performance;
mod query;
mod rows;
mod session;
mod source;
mod sql;

pub use batch::Names;
pub use cluster::{Cluster, ClusterError};
pub use drain::{Drain, DrainStatus, JOURNAL_BATCH, TICK_BATCH};
pub use error::StoreError;
pub use performance::CHANGES_MIN;
pub use query::{FillView, MoveView, OrderView, PositionView, Query, SessionView, TableCount};
pub use session::Written;
pub use source::Source;
