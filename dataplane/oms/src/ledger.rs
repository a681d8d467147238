//! What each strategy holds, and what an instrument holds altogether: the sum over its strategies.
//!
//! ```text
//!   fill of a strategy's order ─▶ its part ─▶ total = total − the part before + the part after
//! ```
//! One strategy long and another short are flat altogether, and each of them still has its own profit. The sums keep the
//! identity of [`Position`] (realised + unrealised == value at mark − cash paid), since every part does.

use crate::position::{Fee, Position, PositionFault};
use dp_types::{Instrument, InstrumentId, Notional, Price, Qty, Side, StrategyId};

/// One instrument.
#[derive(Debug, Clone, Default)]
struct Line {
    total: Position,
    parts: Vec<(StrategyId, Position)>,
}

/// A part after a fill, and the total with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Booked {
    /// The strategy's.
    pub part: Position,
    /// The instrument's.
    pub total: Position,
}

/// Positions of one lane, by instrument and strategy.
#[derive(Debug)]
pub struct Ledger {
    lines: Box<[Line]>,
}

impl Ledger {
    /// Flat in everything.
    pub fn new(instruments: usize) -> Self {
        Self {
            lines: vec![Line::default(); instruments].into_boxed_slice(),
        }
    }

    /// Makes room for a strategy's part of an instrument, so that its first fill need not.
    pub fn open(&mut self, instrument: InstrumentId, strategy: StrategyId) {
        if let Some(line) = self.lines.get_mut(instrument.0 as usize)
            && !line.parts.iter().any(|(held, _)| *held == strategy)
        {
            line.parts.push((strategy, Position::default()));
        }
    }

    /// Sets a part from what an earlier run left.
    ///
    /// Errors: [`PositionFault`]; nothing changed.
    pub fn restore(
        &mut self,
        instrument: InstrumentId,
        strategy: StrategyId,
        position: Position,
    ) -> Result<(), PositionFault> {
        self.open(instrument, strategy);
        self.change(instrument, strategy, |_| Ok(position))
            .map(drop)
    }

    /// The position of an instrument; flat when it is not in the table.
    #[inline]
    pub fn total(&self, instrument: InstrumentId) -> Position {
        let line = self.lines.get(instrument.0 as usize);
        line.map_or_else(Position::default, |line| line.total)
    }

    /// What a strategy holds of an instrument. Cost: a look at the instrument's strategies.
    #[inline]
    pub fn part(&self, instrument: InstrumentId, strategy: StrategyId) -> Position {
        let mut parts = self.parts(instrument);
        let found = parts.find(|(held, _)| *held == strategy);
        found.map_or_else(Position::default, |(_, part)| *part)
    }

    /// All parts of an instrument, in the order they were opened.
    pub fn parts(
        &self,
        instrument: InstrumentId,
    ) -> impl Iterator<Item = &(StrategyId, Position)> + '_ {
        let line = self.lines.get(instrument.0 as usize);
        line.into_iter().flat_map(|line| line.parts.iter())
    }

    /// Books one fill of a strategy at `price`.
    ///
    /// Errors: [`PositionFault`]; nothing changed. Cost: no allocation once the part is open.
    pub fn book(
        &mut self,
        instrument: &Instrument,
        strategy: StrategyId,
        side: Side,
        (price, qty): (Price, Qty),
        fee: impl Into<Fee>,
    ) -> Result<Booked, PositionFault> {
        let value = instrument.notional(price, qty);
        let value = value.ok_or(PositionFault::Overflow)?;
        let fee = fee.into();
        self.open(instrument.id, strategy);
        self.change(instrument.id, strategy, |part| {
            let mut next = *part;
            next.book(side, qty, value, fee).map(|()| next)
        })
    }

    fn change(
        &mut self,
        instrument: InstrumentId,
        strategy: StrategyId,
        change: impl FnOnce(&Position) -> Result<Position, PositionFault>,
    ) -> Result<Booked, PositionFault> {
        let nowhere = PositionFault::NoLine(instrument.0);
        let line = self.lines.get_mut(instrument.0 as usize).ok_or(nowhere)?;
        let held = line.parts.iter_mut().find(|(held, _)| *held == strategy);
        let (_, held) = held.ok_or(nowhere)?;
        let part = change(held)?;
        let total = line.total.replacing(held, &part);
        let total = total.ok_or(PositionFault::Overflow)?;
        (*held, line.total) = (part, total);
        Ok(Booked { part, total })
    }
}

impl Position {
    /// A sum of which one part was `before` and is `after`. `None` when it leaves the range.
    fn replacing(&self, before: &Self, after: &Self) -> Option<Self> {
        let money = |sum: Notional, before: Notional, after: Notional| {
            let rest = sum.0.checked_sub(before.0)?;
            rest.checked_add(after.0).map(Notional)
        };
        let number =
            |sum: i64, before: i64, after: i64| sum.checked_sub(before)?.checked_add(after);
        Some(Self {
            qty: Qty(number(self.qty.0, before.qty.0, after.qty.0)?),
            cost: money(self.cost, before.cost, after.cost)?,
            realised: money(self.realised, before.realised, after.realised)?,
            fees: money(self.fees, before.fees, after.fees)?,
            fills: self
                .fills
                .saturating_sub(before.fills)
                .saturating_add(after.fills),
            base_fees: number(self.base_fees, before.base_fees, after.base_fees)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Text, VenueId};
    use proptest::prelude::*;

    const ONE: i128 = 1_000_000_000_000;

    fn instrument() -> Instrument {
        Instrument::bare(InstrumentId(0), VenueId::BINANCE, Text::EMPTY, 0, 0)
    }

    fn fill(ledger: &mut Ledger, strategy: u16, side: Side, price: i64, qty: i64) -> Booked {
        let numbers = (Price(price), Qty(qty));
        let booked = ledger.book(
            &instrument(),
            StrategyId(strategy),
            side,
            numbers,
            Notional(ONE),
        );
        booked.unwrap()
    }

    /// Worked by hand: one buys 2 at 100 and sells them at 110, the other sells 2 at 105 and holds them.
    #[test]
    fn each_strategy_has_its_own_profit_and_together_they_have_the_sum() {
        let mut ledger = Ledger::new(1);
        fill(&mut ledger, 0, Side::Buy, 100, 2);
        let flat = fill(&mut ledger, 1, Side::Sell, 105, 2);
        assert_eq!((flat.total.qty, flat.part.qty), (Qty(0), Qty(-2)));
        assert_eq!(
            flat.total.realised,
            Notional(0),
            "neither has closed anything"
        );
        let open = flat.total.unrealised(&instrument(), Price(103));
        assert_eq!(
            open,
            Some(Notional(10 * ONE)),
            "6 of the one and 4 of the other"
        );
        let closed = fill(&mut ledger, 0, Side::Sell, 110, 2);
        assert_eq!(closed.part.realised, Notional(20 * ONE));
        assert_eq!(
            (closed.total.qty, closed.total.fees),
            (Qty(-2), Notional(3 * ONE))
        );
        assert_eq!(ledger.part(InstrumentId(0), StrategyId(1)).qty, Qty(-2));
        assert_eq!(
            ledger.part(InstrumentId(0), StrategyId(7)),
            Position::default()
        );
    }

    #[test]
    fn what_is_restored_counts_once_and_what_does_not_fit_changes_nothing() {
        let mut ledger = Ledger::new(1);
        let held = Position {
            qty: Qty(i64::MAX),
            ..Position::default()
        };
        for _ in 0..2 {
            ledger
                .restore(InstrumentId(0), StrategyId(3), held)
                .unwrap();
        }
        assert_eq!(ledger.total(InstrumentId(0)).qty, Qty(i64::MAX));
        let numbers = (Price(1), Qty(1));
        let fault = ledger.book(
            &instrument(),
            StrategyId(4),
            Side::Buy,
            numbers,
            Notional(0),
        );
        assert_eq!(fault, Err(PositionFault::Overflow));
        assert_eq!(
            ledger.part(InstrumentId(0), StrategyId(4)),
            Position::default()
        );
        assert_eq!(
            ledger.restore(InstrumentId(1), StrategyId(3), held),
            Err(PositionFault::NoLine(1))
        );
    }

    proptest! {
        /// The total is the sum of the parts, and its P&L at any mark is value at mark less cash paid.
        #[test]
        fn totals_are_sums(
            fills in proptest::collection::vec((0u16..4, any::<bool>(), 1i64..1_000, 1i64..100_000), 1..40),
            mark in 1i64..100_000
        ) {
            let (mut ledger, mut paid) = (Ledger::new(1), 0i128);
            for (strategy, is_buy, qty, price) in fills {
                let side = if is_buy { Side::Buy } else { Side::Sell };
                fill(&mut ledger, strategy, side, price, qty);
                paid += i128::from(side.sign()) * i128::from(qty) * i128::from(price) * ONE;
            }
            let total = ledger.total(InstrumentId(0));
            let qty: i64 = ledger.parts(InstrumentId(0)).map(|(_, part)| part.qty.0).sum();
            prop_assert_eq!(total.qty.0, qty);
            let open = total.unrealised(&instrument(), Price(mark)).unwrap();
            let value = i128::from(total.qty.0) * i128::from(mark) * ONE;
            prop_assert_eq!(total.realised.0 + open.0, value - paid);
        }
    }
}
