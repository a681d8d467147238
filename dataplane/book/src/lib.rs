//! Books: the flat L2 book lanes trade on, the book of single orders (L3) where a venue shows them, the rules that
//! splice and check them, and the proof that they may be trusted.
//!
//! ```text
//!   BookMsg ──▶ Feeds: copies of several connections become one
//!                 │
//!                 ▼
//!               Keeper ── SyncRule says: apply · drop · buffer · resnapshot
//!                 │ apply
//!                 ▼
//!               Book (flat arrays, best at the end) ──▶ checksum, crossed? ──▶ Proof
//! ```
//!
//! Deliberately not here: any venue's field names or hosts, and any I/O. A venue's `sync.rs` picks a
//! [`SyncRule`]; the lane asks the venue machine for a snapshot when the keeper wants one.
#![forbid(unsafe_code)]

mod arbiter;
mod feeds;
mod flat;
mod keeper;
mod l3;
#[cfg(any(test, feature = "oracle"))]
pub mod naive;
mod once;
mod orders;
mod splice;
mod sync;

pub use arbiter::{Arbiter, Fate};
pub use feeds::{FeedCounts, FeedPlan, Feeds, Loss, Taken};
pub use flat::Book;
pub use keeper::{Counts, Keeper, Outcome, Proof, State};
pub use l3::{L3Book, L3Error};
pub use once::Once;
pub use orders::{OrdersKeeper, OrdersRule};
pub use sync::{Bootstrap, Chain, Copies, Gap, Ids, Step, SyncRule};
