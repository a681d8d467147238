//! The floor everything stands on: numbers, ids, times, instruments, normalised messages, limits.
//!
//! `no_std`, no dependencies, no I/O, no clock, no `f64`, no `unsafe`. A type lives here when two or
//! more crates must agree on it; behaviour lives above.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod id;
pub mod instrument;
pub mod life;
pub mod limit;
pub mod market;
pub mod num;
pub mod order;
pub mod text;
pub mod time;

pub use id::{
    AssetId, ClientOrderId, Epoch, InstrumentId, LaneId, LinkId, OrderId, StrategyId, TradeId,
    VenueId,
};
pub use instrument::{BASE_FEE_PARTS, Instrument, InstrumentFault, Payoff};
pub use life::{IllegalMove, StrategyMove, StrategyState};
pub use market::{BookMsg, BookMsgKind, L3Msg, OrderAct, QuoteMsg, RawLevel, RawOrder, TradeMsg};
pub use num::{Decimal, Level, Notional, NumError, Price, Qty};
pub use order::{
    AmendOrder, Balance, CancelOrder, FillReport, FundingReport, Liquidity, LiveOrder, NewOrder,
    OrderKind, OrderReport, OrderState, PairResult, PositionReport, RejectReason, Side, Tif,
};
pub use text::Text;
pub use time::{NicNanos, Now, Tsc, UnixNanos, VenueNanos};
