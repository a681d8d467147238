//! The one trait a strategy is written against: the same code live, on paper, in replay and in backtest.
//!
//! A strategy is a pure machine. It is shown the market and its own orders ([`View`]) and says what it
//! wants ([`Intents`]); risk, order ids, sending and bookkeeping are the engine's. It reads no clock, keeps
//! no order table, allocates nothing after it was made, and works in integers.
//!
//! ```
//! use dp_strategy::{Intents, Strategy, View};
//! use dp_types::{OrderKind, Qty, Side, Tif};
//!
//! /// Buys once, one tick under the best bid, and waits.
//! struct OneBid {
//!     qty: Qty,
//!     is_done: bool,
//! }
//!
//! impl Strategy for OneBid {
//!     fn name(&self) -> &'static str {
//!         "one_bid"
//!     }
//!
//!     fn on_book(&mut self, view: &View<'_>, out: &mut Intents) {
//!         let Some(bid) = view.book.best_bid() else { return };
//!         if view.can_trade && !self.is_done && view.live.is_empty() {
//!             let price = view.instrument.tick_down(dp_types::Price(bid.price.0 - 1));
//!             out.new_order(Side::Buy, OrderKind::PostOnly, Tif::Gtc, price, self.qty);
//!             self.is_done = true;
//!         }
//!     }
//! }
//! ```
//!
//! Where single orders are followed, a strategy sees who stands before it:
//!
//! ```
//! use dp_strategy::{Intents, Strategy, View};
//! use dp_types::Qty;
//!
//! /// Cancels an order that has more than so much before it in its queue.
//! struct Impatient {
//!     ahead_max: Qty,
//! }
//!
//! impl Strategy for Impatient {
//!     fn name(&self) -> &'static str {
//!         "impatient"
//!     }
//!
//!     fn on_orders(&mut self, view: &View<'_>, out: &mut Intents) {
//!         // Neither asked for nor proven: nothing is known of queues.
//!         let Some(orders) = view.orders.and_then(|orders| orders.whole()) else { return };
//!         for order in view.live {
//!             if orders.ahead_of(order.order_id).is_some_and(|ahead| ahead > self.ahead_max) {
//!                 out.cancel(order.client_id);
//!             }
//!         }
//!     }
//! }
//! ```
#![forbid(unsafe_code)]

mod arbitrage;
mod avellaneda;
mod fixed;
mod flow_alpha;
mod inputs;
mod intent;
mod kind;
mod market_maker;
mod param;
mod quoter;
#[cfg(test)]
mod rig;
mod saved;
mod scale;
mod sizing;

pub use arbitrage::{Arbitrage, ArbitrageParams};
pub use avellaneda::{AvellanedaParams, AvellanedaStoikov};
pub use flow_alpha::{FlowAlpha, FlowParams};
pub use inputs::Inputs;
pub use intent::{INTENTS_MAX, Intent, Intents, OnLeg, Wish};
pub use kind::{Boxed, Kind, SHIPPED};
pub use market_maker::{MarketMaker, Params};
pub use param::{PARAMS_MAX, Param, ParamFault, Unit, Values};
pub use quoter::{Pace, Quoter, beside};
pub use saved::{STATE_MAX, StateFault, StateReader, StateWriter};
pub use sizing::Sizing;

use dp_book::{Book, L3Book, Proof, State};
use dp_types::{
    FillReport, Instrument, LiveOrder, Notional, Now, OrderState, Qty, QuoteMsg, TradeMsg,
};

/// An instrument's single orders, as the venue shows them.
///
/// They come beside the book, on another channel: the two agree when nothing happens, and neither waits for the other.
#[derive(Debug, Clone, Copy)]
pub struct OrdersView<'a> {
    /// The queues. Only to be relied on while `proof` says [`dp_book::State::Synced`].
    pub book: &'a L3Book,
    /// May they be trusted, up to which number of the venue, since when.
    pub proof: Proof,
}

impl<'a> OrdersView<'a> {
    /// The queues, where they may be trusted.
    pub fn whole(&self) -> Option<&'a L3Book> {
        (self.proof.state == State::Synced).then_some(self.book)
    }
}

/// One of a strategy's instruments, as it stands.
#[derive(Debug, Clone, Copy)]
pub struct Leg<'a> {
    /// Rules and increments.
    pub instrument: &'a Instrument,
    /// The book. Whole and fresh while `can_trade`; else only to look at.
    pub book: &'a Book,
    /// Single orders, where the configuration asks for them (`single_orders`); else `None`.
    pub orders: Option<OrdersView<'a>>,
    /// What this strategy holds of this instrument, increments: its own fills, whatever others trade. Limits are of the sum.
    pub position: Qty,
    /// What the venue counts of this strategy's orders here and has not told the fills of yet, increments; sold is negative.
    pub coming: Qty,
    /// What the position cost, 10⁻¹² quote units.
    pub cost: Notional,
    /// The gate would look at an order now: book proven, venue reconciled, lease held, not killed.
    pub can_trade: bool,
}

/// All instruments a strategy declared, in its order.
pub trait Legs: core::fmt::Debug {
    /// The one at `at`; `None` beyond them, or while its rules are not known.
    fn get(&self, at: usize) -> Option<Leg<'_>>;

    /// How many there are.
    fn count(&self) -> usize;
}

/// No instruments but the one a call is about: for tests and benchmarks.
#[derive(Debug, Clone, Copy)]
pub struct Alone;

impl Legs for Alone {
    fn get(&self, _: usize) -> Option<Leg<'_>> {
        None
    }

    fn count(&self) -> usize {
        0
    }
}

/// What a strategy may look at when it is called: the instrument the call is about, and its others by `legs`.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// Now, the same for the whole turn.
    pub now: Now,
    /// Which of the strategy's instruments the call is about: its place in `legs`.
    pub leg: usize,
    /// Rules and increments.
    pub instrument: &'a Instrument,
    /// The book. Whole and fresh while `can_trade`; else only to look at.
    pub book: &'a Book,
    /// Single orders, where the configuration asks for them (`single_orders`); else `None`.
    pub orders: Option<OrdersView<'a>>,
    /// What this strategy holds of this instrument, increments: its own fills, whatever others trade. Limits are of the sum.
    pub position: Qty,
    /// What the position cost, 10⁻¹² quote units.
    pub cost: Notional,
    /// This strategy's orders that are not final, on all its instruments; of each the oldest first.
    pub live: &'a [LiveOrder],
    /// Every fill that venues count of this strategy's orders is in the positions: none is told and still to come.
    pub is_settled: bool,
    /// The gate would look at an order now: book proven, venue reconciled, lease held, not killed.
    pub can_trade: bool,
    /// All its instruments.
    pub legs: &'a dyn Legs,
}

/// One strategy on one or several instruments. Every method but the name may be left out.
pub trait Strategy {
    /// For logs, tables and the database.
    fn name(&self) -> &'static str;

    /// What it wants to hear; asked once, when it takes its seat. A strategy that names less costs less.
    fn inputs(&self) -> Inputs {
        Inputs::ALL
    }

    /// Version of what [`Strategy::save`] writes; 0: it keeps nothing. Raise it when the integers mean something else.
    fn state_version(&self) -> u32 {
        0
    }

    /// Writes what it has learnt and wants to know again after a restart: every five minutes, when it is paused or
    /// stopped, and when the node ends.
    fn save(&self, out: &mut StateWriter) {
        let _ = out;
    }

    /// Takes up what one of the same kind, version and instruments has saved.
    ///
    /// Errors: it makes no sense; a fresh one takes the seat.
    fn restore(&mut self, saved: &mut StateReader<'_>) -> Result<(), StateFault> {
        let _ = saved;
        Ok(())
    }

    /// Its parameters are these from now on; all of them are in range. What it has learnt stays.
    ///
    /// Errors: values that do not go together; then nothing changed.
    fn set(&mut self, values: &Values) -> Result<(), ParamFault> {
        let _ = values;
        Ok(())
    }

    /// The book changed (after the change; once a message, not once a level).
    fn on_book(&mut self, view: &View<'_>, out: &mut Intents) {
        let _ = (view, out);
    }

    /// Single orders changed, or are not to be trusted any more (once a message).
    fn on_orders(&mut self, view: &View<'_>, out: &mut Intents) {
        let _ = (view, out);
    }

    /// Somebody traded.
    fn on_trade(&mut self, view: &View<'_>, trade: &TradeMsg, out: &mut Intents) {
        let _ = (view, trade, out);
    }

    /// The venue's best-quote channel spoke; it may be ahead of the book.
    fn on_quote(&mut self, view: &View<'_>, quote: &QuoteMsg, out: &mut Intents) {
        let _ = (view, quote, out);
    }

    /// One of our orders traded; the position in `view` has it.
    fn on_fill(&mut self, view: &View<'_>, fill: &FillReport, out: &mut Intents) {
        let _ = (view, fill, out);
    }

    /// One of our orders moved to `state`.
    fn on_order(
        &mut self,
        view: &View<'_>,
        order: &LiveOrder,
        state: OrderState,
        out: &mut Intents,
    ) {
        let _ = (view, order, state, out);
    }

    /// Called about every 100 ms, market or not.
    fn on_timer(&mut self, view: &View<'_>, out: &mut Intents) {
        let _ = (view, out);
    }
}
