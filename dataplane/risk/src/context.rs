//! What the gate is told about the world: plain values, filled by the lane from book and OMS.

use dp_types::{Instrument, NewOrder, OrderKind, Price, Qty, Side, UnixNanos};

/// What is known about the book an order would trade on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookState {
    /// Sequence whole and checksum right up to the last message.
    pub is_proven: bool,
    /// When the last message was applied, on our clock.
    pub updated: UnixNanos,
    /// Best bid, increments.
    pub bid: Option<Price>,
    /// Best ask, increments.
    pub ask: Option<Price>,
}

/// All the gate may look at beside its own limits.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Rules of the instrument.
    pub instrument: &'a Instrument,
    /// Its book.
    pub book: BookState,
    /// Signed position, increments.
    pub position: Qty,
    /// Leaves of all our working buys, unknown ones included, increments, not negative.
    pub working_buy: Qty,
    /// The same for sells.
    pub working_sell: Qty,
    /// Best price among our working buys.
    pub own_bid: Option<Price>,
    /// Best price among our working sells.
    pub own_ask: Option<Price>,
    /// Orders and positions agree with the venue's since the last (re)connect.
    pub is_reconciled: bool,
}

impl Context<'_> {
    /// As if this order worked already.
    pub(crate) fn add_working(&mut self, order: &NewOrder) {
        let (working, own) = match order.side {
            Side::Buy => (&mut self.working_buy, &mut self.own_bid),
            Side::Sell => (&mut self.working_sell, &mut self.own_ask),
        };
        *working = Qty(working.0.saturating_add(order.qty.0));
        let is_better = |held: Price| match order.side {
            Side::Buy => order.price > held,
            Side::Sell => order.price < held,
        };
        if own.is_none_or(is_better) {
            *own = Some(order.price);
        }
    }
}

/// The order an amend would change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resting {
    /// Side.
    pub side: Side,
    /// Kind.
    pub kind: OrderKind,
    /// Limit price now, increments.
    pub price: Price,
    /// Total quantity now (done and left), increments.
    pub qty: Qty,
}
