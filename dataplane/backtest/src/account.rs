//! One strategy's account in one instrument.

use crate::curve::{Curve, Point};
use crate::markout::Markouts;
use crate::thin::Thin;
use dp_journal::entry::Fill;
use dp_oms::{Fee, Position};
use dp_types::{Instrument, InstrumentId, Liquidity, Notional, Price, Qty, Side, UnixNanos};

/// A fill, for the plot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// When we heard of it.
    pub at: UnixNanos,
    /// Our side.
    pub side: Side,
    /// Price, increments.
    pub price: Price,
    /// Quantity, increments.
    pub qty: Qty,
}

/// What a strategy did in an instrument, and what came of it.
#[derive(Debug)]
pub struct Account {
    /// Which.
    pub instrument: InstrumentId,
    /// Orders wished for and sent.
    pub orders: u64,
    /// Orders refused.
    pub rejects: u64,
    /// Of these, those there was no room for in the venue's rate limits.
    pub rate_rejects: u64,
    /// Orders cancelled, or expired.
    pub cancels: u64,
    /// Orders that got anything.
    pub orders_filled: u64,
    /// Executions that rested, and all.
    pub fills: (u64, u64),
    /// Quantity ordered, increments.
    pub ordered: i128,
    /// Quantity got, increments.
    pub got: i128,
    /// Value traded.
    pub volume: Notional,
    /// What is held, and what it brought.
    pub position: Position,
    /// Its history.
    pub curve: Curve,
    /// What the market did after fills.
    pub markouts: Markouts,
    /// Fills for the plot.
    pub shown: Thin<Shown>,
    /// Last price it could be valued at.
    mark: Price,
}

impl Account {
    /// Flat.
    pub fn new(instrument: InstrumentId) -> Self {
        Self {
            instrument,
            orders: 0,
            rejects: 0,
            rate_rejects: 0,
            cancels: 0,
            orders_filled: 0,
            fills: (0, 0),
            ordered: 0,
            got: 0,
            volume: Notional(0),
            position: Position::default(),
            curve: Curve::new(),
            markouts: Markouts::default(),
            shown: Thin::new(),
            mark: Price(0),
        }
    }

    /// Books a fill. False: a number left its range.
    pub fn book(&mut self, at: UnixNanos, fill: &Fill, instrument: &Instrument) -> bool {
        let (value, outlay) = (
            instrument.notional(fill.price, fill.qty),
            instrument.outlay(fill.price, fill.qty),
        );
        let (Some(value), Some(outlay)) = (value, outlay) else {
            return false;
        };
        // Paper venues charge in the quote asset.
        let fee = fill.fee.to_increments(12).unwrap_or(0);
        let fee = Fee::from(Notional(i128::from(fee)));
        if self
            .position
            .book(fill.side, fill.qty, outlay, fee)
            .is_err()
        {
            return false;
        }
        self.volume.0 = self.volume.0.saturating_add(value.0);
        self.got += i128::from(fill.qty.0);
        self.fills.0 += u64::from(fill.liquidity == Liquidity::Maker);
        self.fills.1 += 1;
        self.markouts.fill(at, fill.side, fill.price, fill.qty);
        if self.mark == Price(0) {
            self.mark = fill.price;
        }
        self.shown.push(Shown {
            at,
            side: fill.side,
            price: fill.price,
            qty: fill.qty,
        });
        true
    }

    /// What it is worth at a mid, or at the last one there was. Fees are paid.
    pub fn look(&mut self, at: UnixNanos, instrument: &Instrument, mid: Option<Price>) -> Notional {
        self.mark = mid.unwrap_or(self.mark);
        let equity = Notional(
            self.position
                .realised
                .0
                .saturating_add(self.unrealised(instrument).0)
                .saturating_sub(self.position.fees.0),
        );
        self.curve.look(Point {
            at,
            equity,
            qty: self.position.qty.0,
            mark: self.mark,
        });
        equity
    }

    /// P&L of what is open, at the last mid.
    pub fn unrealised(&self, instrument: &Instrument) -> Notional {
        let open = self.position.unrealised(instrument, self.mark);
        open.unwrap_or(Notional(0))
    }
}
