//! Signals: what the market says in numbers, apart from what anybody does about it.
//!
//! Each is a machine fed with best quotes, books or trades and read at any time. They allocate nothing after they
//! were made, read no clock, and count in integers, so that live, replay and backtest come to the same number to the bit.
//!
//! ```
//! use dp_signal::{Flow, Top};
//! use dp_types::{Price, Qty, UnixNanos};
//!
//! let mut flow = Flow::new(1_000_000_000);
//! let top = |bid_qty| Top { bid: (Price(100), Qty(bid_qty)), ask: (Price(101), Qty(5)) };
//! flow.on_top(&top(5), UnixNanos(0));
//! flow.on_top(&top(9), UnixNanos(1_000));
//! assert!(flow.imbalance_ppm() > 0, "more is wanted than before");
//! ```
#![forbid(unsafe_code)]

mod bars;
mod decay;
mod depth;
mod flow;
mod volatility;
mod vwap;

pub use bars::{Bar, Bars};
pub use decay::{Decay, Leaky};
pub use depth::{Depth, DepthStats};
pub use flow::{Flow, Top};
pub use volatility::Volatility;
pub use vwap::Vwap;

/// Parts of one in which ratios are told.
pub const PPM: i64 = 1_000_000;
