//! A venue made of its own market data: what our orders would have met. For paper trading and backtests.
//!
//! ```text
//!   our order ──order delay──▶ ┌ Exchange ┐ ──answer delay──▶ report, fill
//!   book, trades of the venue ▶│  queues  │
//!                              └──────────┘
//! ```
//!
//! The market is what was recorded: we move nothing in it. What we would have met is reckoned so that it errs to our
//! harm rather than to our good:
//!
//! - A resting order stands behind all that was at its price when it arrived. Trades there take from the front. What
//!   is cancelled was before it or behind it, by the [`QueueModel`].
//! - It is filled when a trade reaches past what stands before it, or when the market trades or quotes through it.
//! - An order that takes gets what the book shows, at the book's prices, and what it took is gone until the level is
//!   told anew.
//! - What the market data is late by ([`Setup::feed`]) is reckoned with: an order meets the market of its arrival, which is
//!   heard so much later.
//! - Requests arrive after a delay and answers come back after another, drawn from measured quantiles by a seed; no
//!   request overtakes another.
//!
//! Not modelled: our own impact beyond the quantity taken, and balances. A venue's rate limits are asked before a request
//! gets here, by whoever stands in for the session (`dp-lane`: `paper`). Sources: queue models after hftbacktest, "Order
//! Fill", and R. Cont, S. Stoikov, R. Talreja, "A Stochastic Model for Order Book Dynamics", Operations Research 58(3), 2010.
#![forbid(unsafe_code)]

mod delay;
mod exchange;
mod queue;

pub use delay::Delay;
pub use exchange::{Answer, Exchange, Fees, Request, Setup};
pub use queue::QueueModel;
