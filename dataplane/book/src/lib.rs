//! L2 books: the flat book lanes trade on, the rules that splice and check it, and the proof that it
//! may be trusted.
//!
//! ```text
//!   BookMsg ──▶ Keeper ── SyncRule says: apply · drop · buffer · resnapshot
//!                 │ apply
//!                 ▼
//!               Book (flat arrays, best at the end) ──▶ checksum, crossed? ──▶ Proof
//! ```
//!
//! Deliberately not here: any venue's field names or hosts, and any I/O. A venue's `sync.rs` picks a
//! [`SyncRule`]; the lane asks the venue machine for a snapshot when the keeper wants one.
#![forbid(unsafe_code)]

mod flat;
mod keeper;
#[cfg(any(test, feature = "oracle"))]
pub mod naive;
mod splice;
mod sync;

pub use flat::Book;
pub use keeper::{Counts, Keeper, Outcome, Proof, State};
pub use sync::{Bootstrap, Chain, Gap, Ids, Step, SyncRule};
