//! What we have sent and what became of it: orders, fills, positions, P&L. Pure, integers only.
//!
//! ```text
//!   NewOrder ─▶ admit ─▶ New ─▶ Pending ─┬▶ Ack ─▶ PartiallyFilled ─▶ Filled
//!                                        ├▶ Rejected · Cancelled · Expired
//!                                        └▶ Unknown ─▶ (only the venue tells) any of the above
//! ```
//!
//! The OMS sends nothing and decides nothing: it records evidence. What it returns ([`Change`]) the
//! lane journals. An order whose fate is not known stays [`dp_types::OrderState::Unknown`], counts as
//! working in full, and is asked about; it is never sent again.
#![forbid(unsafe_code)]

mod index;
mod ledger;
mod lots;
mod order;
mod orders;
mod position;
mod seen;
mod table;
mod transition;
mod working;

pub use ledger::{Booked, Ledger};
pub use lots::{Lot, Lots};
pub use order::{Change, Order, Recovered};
pub use orders::{ANSWER_NS_MAX, Exposure, FillOutcome, Oms, OmsFault, Room, Tally};
pub use position::{Fee, Position, PositionFault, Positions};
pub use transition::{Verdict, judge};
