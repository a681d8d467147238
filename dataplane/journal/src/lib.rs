//! What a lane must not forget, as fixed-size records in the region's journal ring.
//!
//! ```text
//!   lane: intent ─▶ publish ─▶ [ring in shared memory] ─▶ reader: PostgreSQL drain, `spinlane orders`
//!                      │ then, and only then, the order leaves          recover(): after kill -9
//! ```
//!
//! A record is durable against the death of the process the moment its head is published; the disk is
//! never waited for (that, and the peer, belong to higher durability levels, not in this release).
//!
//! A fill and the position after it are published together ([`Journal::publish_all`]), so recovery never
//! computes money: the last [`entry::Position`] of an instrument *is* its position. Live orders older than half
//! the ring are published again as [`entry::Checkpoint`], so that all of them are always within it.
//!
//! Deliberately not here: what may follow what (`dp-oms`), SQL (`cp-store`), waiting.
#![forbid(unsafe_code)]

mod codec;
pub mod entry;
pub mod epoch;
mod journal;
mod recover;
mod tick;

pub use codec::{Record, RecordFault};
pub use entry::{Durability, Entry};
pub use journal::{Journal, ReadItem, Reader};
pub use recover::{Recovered, RecoveredOrder, SEEN_TRADES_MAX, recover, recover_log};
pub use tick::{Tick, TickKind};
