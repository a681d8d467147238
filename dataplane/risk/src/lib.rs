//! The synchronous pre-trade gate: every new order and amend passes it, or does not leave.
//!
//! ```text
//!   strategy ─▶ NewOrder ─▶ Gate::check_new ─┬─▶ Cleared<NewOrder> ─▶ gateway (takes nothing else)
//!                              ▲             └─▶ Refusal (why, observed, limit) ─▶ risk_events
//!             limits, lease, kill, clock
//! ```
//!
//! Pure: the gate reads no clock and no memory but its own and the [`Context`] it is handed; after
//! construction it allocates nothing. It does not track orders or positions (`dp-oms` does) and it
//! never changes an order to make it fit: it passes or refuses.
//!
//! A clearance cannot be made by anybody else, copied, or used twice:
//!
//! ```compile_fail,E0423
//! let order: dp_types::NewOrder = unreachable!();
//! let forged = dp_risk::Cleared(order); // the field is private
//! ```
//! ```compile_fail,E0308
//! fn twice(cleared: dp_risk::Cleared<dp_types::NewOrder>) {
//!     let _again: dp_risk::Cleared<_> = cleared.clone(); // one clearance, one send
//! }
//! ```
#![forbid(unsafe_code)]

mod cleared;
mod context;
mod exposure;
mod gate;
mod money;
mod rate;
mod refusal;
mod watch;

pub use cleared::Cleared;
pub use context::{BookState, Context, Resting};
pub use exposure::{Exposures, million_of};
pub use gate::{Gate, Lease, Limits, NodeLimits};
pub use money::Rates;
pub use rate::Bucket;
pub use refusal::{Refusal, Unit};
pub use watch::{
    Equity, LossWatch, MoveWatch, RejectWatch, Trip, WatchLimits, rule_name, rule_unit, used_ppm,
};
