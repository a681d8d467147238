//! What each strategy holds, and what an instrument holds altogether: the sum over its strategies.
//!
//! ```text
//!   fill of a strategy's order ─▶ its part ─▶ total = total − the part before + the part after
//! ```
//! One strategy long and another short are flat altogether, and each of them still has its own profit. The sums keep the
//! identity of [`Position`] (realised + unrealised == value at mark − cash paid), since every part does.
//!
//! A funding payment is of the position that the venue sees, which is the total: each part has its share of it, as its
//! quantity is to the total's (a short part of a long total pays what the long ones get beyond the venue's payment), cut
//! towards zero; what is left of the cutting goes to the part opened first that holds any. While the total is flat a
//! payment is nobody's.

use crate::position::{Fee, Position, PositionFault, share};
use crate::seen::Seen;
use dp_types::{
    ClientOrderId, Instrument, InstrumentId, Notional, Price, Qty, Side, StrategyId, TradeId,
};

/// Funding payments remembered, the newest: of 64 instruments, hourly, a week and more.
const PAYMENTS_MAX: usize = 16_384;
/// Beyond this a sum of funding is not booked: what cutting leaves over still fits above it.
const FUNDING_MAX: i128 = i128::MAX / 4;

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
    /// Funding payments booked.
    paid: Seen,
}

impl Ledger {
    /// Flat in everything.
    pub fn new(instruments: usize) -> Self {
        Self {
            lines: vec![Line::default(); instruments].into_boxed_slice(),
            paid: Seen::new(PAYMENTS_MAX),
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
        let value = instrument.outlay(price, qty);
        let value = value.ok_or(PositionFault::Overflow)?;
        let fee = fee.into();
        self.open(instrument.id, strategy);
        self.change(instrument.id, strategy, |part| {
            let mut next = *part;
            next.book(side, qty, value, fee).map(|()| next)
        })
    }

    /// Books a funding payment, by shares: `booked` is told each of them, what it comes to in quote units, and the part
    /// after it. False: it was booked before.
    ///
    /// Errors: [`PositionFault`]; nothing changed.
    pub fn fund(
        &mut self,
        instrument: InstrumentId,
        payment: TradeId,
        amount: Notional,
        mut booked: impl FnMut(StrategyId, Notional, &Position),
    ) -> Result<bool, PositionFault> {
        let key = (instrument, payment, ClientOrderId(0));
        if self.paid.has(&key) {
            return Ok(false);
        }
        if self.total(instrument).qty.0 == 0 {
            self.open(instrument, StrategyId::NOBODY);
        }
        let nowhere = PositionFault::NoLine(instrument.0);
        let line = self.lines.get_mut(instrument.0 as usize).ok_or(nowhere)?;
        let mut left = line.left_over(amount).ok_or(PositionFault::Overflow)?;
        let net = line.total.qty;
        for (strategy, part) in &mut line.parts {
            let share = share_of(*strategy, part.qty, net, amount);
            let mut share = share.ok_or(PositionFault::Overflow)?;
            if part.qty.0 != 0 {
                share.0 += core::mem::take(&mut left);
            }
            if share.0 != 0 {
                part.funding.0 += share.0;
                booked(*strategy, share, part);
            }
        }
        line.total.funding.0 += amount.0;
        self.paid.insert(key);
        Ok(true)
    }

    /// Remembers a funding payment booked by an earlier run.
    pub fn adopt_payment(&mut self, instrument: InstrumentId, payment: TradeId) {
        self.paid.insert((instrument, payment, ClientOrderId(0)));
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

impl Line {
    /// What of a payment the cutting leaves over: less than one a part. `None` when a number would leave the range.
    fn left_over(&self, amount: Notional) -> Option<i128> {
        let is_within = |sum: i128| (-FUNDING_MAX..=FUNDING_MAX).contains(&sum).then_some(sum);
        is_within(self.total.funding.0.checked_add(amount.0)?)?;
        let mut left = amount.0;
        for (strategy, part) in &self.parts {
            let share = share_of(*strategy, part.qty, self.total.qty, amount)?;
            is_within(part.funding.0.checked_add(share.0)?)?;
            left = left.checked_sub(share.0)?;
        }
        Some(left)
    }
}

/// What of a payment for `net` is that of a strategy holding `qty` of it, cut towards zero.
fn share_of(strategy: StrategyId, qty: Qty, net: Qty, amount: Notional) -> Option<Notional> {
    if net.0 == 0 {
        let is_nobody = strategy == StrategyId::NOBODY;
        return Some(if is_nobody { amount } else { Notional(0) });
    }
    let (held, of) = (qty.0.unsigned_abs(), net.0.unsigned_abs());
    let cut = share(amount.0, held.into(), of.into())?;
    cut.checked_mul(i128::from(qty.0.signum() * net.0.signum()))
        .map(Notional)
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
            funding: money(self.funding, before.funding, after.funding)?,
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

    fn pay(ledger: &mut Ledger, id: u128, amount: i128) -> Result<bool, PositionFault> {
        ledger.fund(InstrumentId(0), TradeId(id), Notional(amount), |_, _, _| {})
    }

    fn funding(ledger: &Ledger, strategy: StrategyId) -> i128 {
        ledger.part(InstrumentId(0), strategy).funding.0
    }

    /// Worked by hand: 100 for 3 long of one, 1 short of another, 1 long of a third: 3, -1 and 1 of 3 parts of it.
    #[test]
    fn a_payment_is_shared_by_what_each_holds_and_booked_once() {
        let mut ledger = Ledger::new(1);
        fill(&mut ledger, 0, Side::Buy, 100, 3);
        fill(&mut ledger, 1, Side::Sell, 100, 1);
        fill(&mut ledger, 2, Side::Buy, 100, 1);
        let mut told = Vec::new();
        let paid = ledger.fund(InstrumentId(0), TradeId(7), Notional(100), |who, it, _| {
            told.push((who.0, it.0));
        });
        assert_eq!(paid, Ok(true));
        assert_eq!(told, [(0, 101 - 1), (1, -33), (2, 33)], "cut towards zero");
        assert_eq!(pay(&mut ledger, 7, 100), Ok(false), "told again");
        // -100: -100, +33, -33. 101: 101, -33 (cut), 33 (cut): nothing over. 2: 2 and twice 0.
        for (id, amount, shares) in [
            (8, -100, [-100, 33, -33]),
            (9, 101, [101, -33, 33]),
            (10, 2, [2, 0, 0]),
        ] {
            let before = [0, 1, 2].map(|at| funding(&ledger, StrategyId(at)));
            assert_eq!(pay(&mut ledger, id, amount), Ok(true));
            let after = [0, 1, 2].map(|at| funding(&ledger, StrategyId(at)));
            assert_eq!(
                [0, 1, 2].map(|at| after[at] - before[at]),
                shares,
                "{amount}"
            );
        }
        assert_eq!(ledger.total(InstrumentId(0)).funding, Notional(103));
    }

    #[test]
    fn what_the_cutting_leaves_is_the_first_holders_and_a_flat_totals_is_nobodys() {
        let mut ledger = Ledger::new(1);
        ledger.open(InstrumentId(0), StrategyId(5));
        for strategy in 0..3 {
            fill(&mut ledger, strategy, Side::Sell, 100, 1);
        }
        assert_eq!(pay(&mut ledger, 1, -11), Ok(true));
        let shares = [5, 0, 1, 2].map(|at| funding(&ledger, StrategyId(at)));
        assert_eq!(shares, [0, -5, -3, -3], "the first opened holds none");
        fill(&mut ledger, 5, Side::Buy, 100, 3);
        assert_eq!(pay(&mut ledger, 2, 11), Ok(true));
        assert_eq!(funding(&ledger, StrategyId::NOBODY), 11);
        assert_eq!(ledger.total(InstrumentId(0)).funding, Notional(0));
        let mut later = Ledger::new(1);
        later.adopt_payment(InstrumentId(0), TradeId(2));
        assert_eq!(pay(&mut later, 2, 11), Ok(false), "of an earlier run");
    }

    #[test]
    fn a_payment_that_does_not_fit_changes_nothing() {
        let mut ledger = Ledger::new(1);
        fill(&mut ledger, 0, Side::Buy, 1, 2);
        fill(&mut ledger, 1, Side::Sell, 1, 1);
        assert_eq!(
            pay(&mut ledger, 1, FUNDING_MAX),
            Err(PositionFault::Overflow),
            "twice that is the first's"
        );
        assert_eq!(pay(&mut ledger, 1, i128::MIN), Err(PositionFault::Overflow));
        assert_eq!(ledger.total(InstrumentId(0)).funding, Notional(0));
        assert_eq!(funding(&ledger, StrategyId(1)), 0);
        assert_eq!(
            pay(&mut ledger, 1, FUNDING_MAX / 4),
            Ok(true),
            "and is not taken for booked"
        );
        let nowhere = ledger.fund(InstrumentId(1), TradeId(1), Notional(1), |_, _, _| {});
        assert_eq!(nowhere, Err(PositionFault::NoLine(1)));
    }

    proptest! {
        /// Whatever is held: every payment is the parts' to the last unit, and each has its share but for what is cut.
        #[test]
        fn payments_are_the_sum_of_their_shares(
            held in proptest::collection::vec(-1_000i64..1_000, 1..6),
            amounts in proptest::collection::vec(-1i128 << 80..1 << 80, 1..8)
        ) {
            let mut ledger = Ledger::new(1);
            for (at, qty) in held.iter().enumerate().filter(|(_, qty)| **qty != 0) {
                let side = if *qty > 0 { Side::Buy } else { Side::Sell };
                fill(&mut ledger, at as u16, side, 1, qty.abs());
            }
            let net: i64 = held.iter().sum();
            for (id, amount) in amounts.iter().enumerate() {
                let mut shares = Vec::new();
                let told = ledger.fund(InstrumentId(0), TradeId(id as u128), Notional(*amount), |who, it, _| {
                    shares.push((who, it.0));
                });
                prop_assert_eq!(told, Ok(true));
                prop_assert_eq!(shares.iter().map(|it| it.1).sum::<i128>(), *amount);
                for (who, it) in shares.iter().filter(|it| it.0 != StrategyId::NOBODY) {
                    let qty = i128::from(held[usize::from(who.0)]);
                    let over = (it * i128::from(net) - amount * qty).abs();
                    prop_assert!(over < i128::from(net.abs()) * held.len() as i128);
                }
            }
            let sum: i128 = ledger.parts(InstrumentId(0)).map(|(_, part)| part.funding.0).sum();
            prop_assert_eq!(sum, ledger.total(InstrumentId(0)).funding.0);
            prop_assert_eq!(sum, amounts.iter().sum::<i128>());
        }

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
