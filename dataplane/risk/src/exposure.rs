//! What everything held and working is worth in one currency, over all instruments of the lane, and how much of it may be.
//!
//! ```text
//!   line (instrument)   long:  position + all buys that work       short: position − all sells that work
//!   currency            the sums of both over the instruments of one base asset, whichever venue they are at:
//!                       long here and short there come to nothing
//!   gross               the larger side of every line, added up: nothing comes to nothing
//! ```
//!
//! An order is checked against the lines as they were last told, its own as it would be: one multiplication and a few
//! additions. What only takes risk off (a cancel, a fill) is told by time, until when a line says too much, never too
//! little. Worths are told by time too: between two tellings a market moves by less than the collar allows.

use crate::Refusal;
use dp_types::limit::ASSETS_MAX;
use dp_types::{AssetId, Instrument, InstrumentId, Notional, Price, Qty, Side};

/// Worths are kept in 10^-18 of the reporting currency: a million times finer than a [`Notional`].
const FINER: i128 = 1_000_000;
/// The largest worth of one line: a sum over 1,024 of them, and what is added to it, stays within its integer.
const LINE_MAX: i128 = i128::MAX / 4_096;
/// One hundredth of the reporting currency.
const HUNDREDTH: i128 = 10_000_000_000 * FINER;

/// One instrument, 10^-18 of the reporting currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    /// Of one quantity increment, as last known; 0 = it never was.
    worth: i128,
    /// It is known now.
    is_known: bool,
    base: AssetId,
    long: i128,
    short: i128,
}

impl Line {
    const NONE: Self = Self {
        worth: 0,
        is_known: false,
        base: AssetId::NONE,
        long: 0,
        short: 0,
    };

    const fn of(&self, qty: i128) -> i128 {
        let (short_qty, short_worth) = (qty as i64, self.worth as i64);
        let is_short = short_qty as i128 == qty && short_worth as i128 == self.worth;
        // Two of 64 bits, as good as always: one multiplication that cannot overflow.
        let product = if is_short {
            short_qty as i128 * short_worth as i128
        } else {
            qty.saturating_mul(self.worth)
        };
        if product > LINE_MAX {
            LINE_MAX
        } else if product < -LINE_MAX {
            -LINE_MAX
        } else {
            product
        }
    }

    fn worst(&self) -> i128 {
        self.long.max(self.short.saturating_neg()).max(0)
    }
}

/// What an order that passes changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    side: Side,
    /// That side of the line, as it will be.
    worth: i128,
    gross: i128,
}

/// One currency.
#[derive(Debug, Clone, Copy, Default)]
struct Currency {
    long: i128,
    short: i128,
    /// 0 = not limited.
    max: i128,
}

/// Exposure of one lane. Nothing is limited until it is told so.
#[derive(Debug, Clone)]
pub struct Exposures {
    lines: Box<[Line]>,
    currencies: Box<[Currency]>,
    gross: i128,
    /// 0 = not limited.
    gross_max: i128,
    /// What others of the same limit hold.
    elsewhere: i128,
    /// Of one order; 0 = not limited.
    order_max: i128,
    /// Some amount of money is limited: what cannot be counted must not grow.
    is_counted: bool,
    /// Whose worth is not known though some is held or was paid of it: nothing may be added to anything.
    blind: Option<AssetId>,
}

impl Exposures {
    /// Nothing held, nothing limited. Takes its memory here.
    pub fn new(instruments: usize) -> Self {
        Self {
            lines: vec![Line::NONE; instruments].into_boxed_slice(),
            currencies: vec![Currency::default(); ASSETS_MAX].into_boxed_slice(),
            gross: 0,
            gross_max: 0,
            elsewhere: 0,
            order_max: 0,
            is_counted: false,
            blind: None,
        }
    }

    /// The largest gross exposure, reporting currency; 0 = not limited.
    pub const fn set_gross_max(&mut self, max: Notional) {
        self.gross_max = fine(max);
    }

    /// Gross exposure of the others that the limit is shared with: by it there is less room here.
    pub const fn set_elsewhere(&mut self, gross: Notional) {
        self.elsewhere = fine(gross);
    }

    /// The largest worth of one order, reporting currency; 0 = not limited.
    pub const fn set_order_max(&mut self, max: Notional) {
        self.order_max = fine(max);
    }

    /// The largest exposure in one currency either way, reporting currency; 0 = not limited.
    pub fn set_currency_max(&mut self, asset: AssetId, max: Notional) {
        if let Some(currency) = self.currencies.get_mut(usize::from(asset.0)) {
            currency.max = fine(max);
        }
    }

    /// Whether one order, gross exposure or that in some currency is limited.
    pub fn is_limited(&self) -> bool {
        self.order_max > 0
            || self.gross_max > 0
            || self.currencies.iter().any(|currency| currency.max > 0)
    }

    /// Whether orders whose worth is not known are refused: some amount of money is limited, here or in a watch.
    pub const fn set_counted(&mut self, is_counted: bool) {
        self.is_counted = is_counted;
    }

    /// What is held or was paid cannot all be counted, for want of the worth of this asset ([`AssetId::NONE`]: of an
    /// instrument whose rules are not known yet): while money is limited, nothing that adds to a position passes. `None`:
    /// everything is counted.
    pub const fn set_blind(&mut self, asset: Option<AssetId>) {
        self.blind = asset;
    }

    /// One increment of an instrument is worth this: `value` is what a million of them are worth in the reporting
    /// currency; `None` = that is not known, and what is held counts with what was known last.
    pub fn set_worth(&mut self, instrument: &Instrument, value: Option<Notional>) {
        let at = instrument.id.0 as usize;
        if let Some(line) = self.lines.get(at).copied() {
            let base = instrument.base;
            // Under its old base it is nothing any more.
            if line.base != base {
                self.put(instrument.id, Line { base, ..Line::NONE });
            }
            if let Some(line) = self.lines.get_mut(at) {
                line.is_known = value.is_some_and(|value| value.0 > 0);
                line.worth = value.map_or(line.worth, |value| value.0.max(0));
            }
        }
    }

    /// An instrument stands so: position, and what works on either side, increments.
    pub fn show(&mut self, instrument: InstrumentId, held: Qty, buys: Qty, sells: Qty) {
        if let Some(line) = self.lines.get(instrument.0 as usize).copied() {
            let held = i128::from(held.0);
            let long = line.of(held + i128::from(buys.0));
            let short = line.of(held - i128::from(sells.0));
            self.put(
                instrument,
                Line {
                    long,
                    short,
                    ..line
                },
            );
        }
    }

    /// Gross exposure, and the most it may be (0 = not limited), reporting currency.
    pub const fn gross(&self) -> (Notional, Notional) {
        (coarse(self.gross), coarse(self.gross_max))
    }

    /// Exposure in one currency, the larger way, signed, and the most it may be (0 = not limited), reporting currency.
    pub fn currency(&self, asset: AssetId) -> (Notional, Notional) {
        let held = self.currencies.get(usize::from(asset.0)).copied();
        let held = held.unwrap_or_default();
        let is_long = held.long >= held.short.saturating_neg();
        let larger = if is_long { held.long } else { held.short };
        (coarse(larger), coarse(held.max))
    }

    /// The currency that is nearest to its limit, or the one with the largest exposure where none is limited. Cost: a look
    /// at every asset.
    pub fn top(&self) -> Option<AssetId> {
        let mut top: Option<(usize, (u64, i128))> = None;
        for (at, currency) in self.currencies.iter().enumerate() {
            let exposure = currency.long.max(currency.short.saturating_neg());
            let rank = (crate::used_ppm(exposure, currency.max), exposure);
            if exposure > 0 && top.is_none_or(|(_, held)| rank > held) {
                top = Some((at, rank));
            }
        }
        top.map(|(at, _)| AssetId(at as u16))
    }

    /// Whether an order of `qty` may be: `along` is the position if all that works on its side and it were filled, along its own
    /// direction, increments. Gives what it changes, to be [`Exposures::take`]n when the order passes.
    #[inline]
    pub(crate) fn check(
        &self,
        instrument: InstrumentId,
        side: Side,
        (qty, along): (Qty, i128),
        quote: AssetId,
    ) -> Result<Option<Step>, Refusal> {
        if !self.is_counted {
            return Ok(None);
        }
        let Some(line) = self.lines.get(instrument.0 as usize) else {
            return Ok(None);
        };
        // Too large is too large, whichever way it goes.
        if self.order_max > 0 && line.of(qty.0.into()) > self.order_max {
            return Err(Refusal::OrderValue {
                value: hundredths(line.of(qty.0.into())),
                limit: hundredths(self.order_max),
            });
        }
        let mut next = *line;
        match side {
            Side::Buy => next.long = line.of(along),
            Side::Sell => next.short = line.of(-along),
        }
        let gross = self.gross - line.worst() + next.worst();
        let (before, worth) = match side {
            Side::Buy => (line.long, next.long),
            Side::Sell => (line.short, next.short),
        };
        let step = Step { side, worth, gross };
        // An order that brings a position back towards zero passes, whatever the others are.
        if along <= 0 {
            return Ok(Some(step));
        }
        if !line.is_known {
            return Err(Refusal::NoRate { asset: quote.0 });
        }
        if let Some(asset) = self.blind {
            return Err(Refusal::NoRate { asset: asset.0 });
        }
        let all = gross.saturating_add(self.elsewhere);
        if self.gross_max > 0 && all > self.gross_max {
            return Err(Refusal::Exposure {
                exposure: hundredths(all),
                limit: hundredths(self.gross_max),
            });
        }
        if let Some(currency) = self.currencies.get(usize::from(line.base.0))
            && currency.max > 0
        {
            let held = match side {
                Side::Buy => currency.long,
                Side::Sell => currency.short,
            };
            let exposure = held - before + worth;
            let over = match side {
                Side::Buy => exposure,
                Side::Sell => -exposure,
            };
            if over > currency.max {
                return Err(Refusal::Currency {
                    asset: line.base.0,
                    exposure: hundredths(exposure),
                    limit: hundredths(currency.max),
                });
            }
        }
        Ok(Some(step))
    }

    /// An order passed.
    #[inline]
    pub(crate) fn take(&mut self, instrument: InstrumentId, step: Option<Step>) {
        let (Some(step), Some(line)) = (step, self.lines.get_mut(instrument.0 as usize)) else {
            return;
        };
        self.gross = step.gross;
        let mut currency = self.currencies.get_mut(usize::from(line.base.0));
        let (of_line, of_all) = match step.side {
            Side::Buy => (&mut line.long, currency.as_mut().map(|it| &mut it.long)),
            Side::Sell => (&mut line.short, currency.as_mut().map(|it| &mut it.short)),
        };
        if let Some(of_all) = of_all {
            *of_all += step.worth - *of_line;
        }
        *of_line = step.worth;
    }

    /// A line as it is.
    pub(crate) fn line(&self, instrument: InstrumentId) -> Option<Line> {
        self.lines.get(instrument.0 as usize).copied()
    }

    /// A line as it was before a check that came to nothing.
    pub(crate) fn put_back(&mut self, instrument: InstrumentId, line: Option<Line>) {
        if let Some(line) = line {
            self.put(instrument, line);
        }
    }

    /// Replaces a line and keeps the sums.
    #[inline]
    pub(crate) fn put(&mut self, instrument: InstrumentId, line: impl Into<Option<Line>>) {
        let (Some(next), Some(held)) = (line.into(), self.lines.get_mut(instrument.0 as usize))
        else {
            return;
        };
        let before = core::mem::replace(held, next);
        self.gross += next.worst() - before.worst();
        for (line, sign) in [(&before, -1), (&next, 1)] {
            if let Some(currency) = self.currencies.get_mut(usize::from(line.base.0)) {
                currency.long += sign * line.long;
                currency.short += sign * line.short;
            }
        }
    }
}

/// What a million increments are worth in quote units, to be converted for [`Exposures::set_worth`].
pub fn million_of(instrument: &Instrument, mark: Price) -> Option<Notional> {
    instrument.notional(mark, Qty(FINER as i64))
}

const fn fine(amount: Notional) -> i128 {
    amount.0.saturating_mul(FINER)
}

const fn coarse(amount: i128) -> Notional {
    Notional(amount / FINER)
}

fn hundredths(amount: i128) -> i64 {
    let clamped = (amount / HUNDREDTH).clamp(i64::MIN.into(), i64::MAX.into());
    clamped as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Text, VenueId};
    use proptest::prelude::*;

    const ONE: i128 = 1_000_000_000_000;
    const BTC: AssetId = AssetId(1);
    const USDT: AssetId = AssetId(2);

    /// One increment is one unit, at 100 of the reporting currency; 0 and 1 of one base, 2 of another.
    fn three() -> Exposures {
        let mut all = Exposures::new(3);
        all.set_counted(true);
        for (id, base) in [(0, BTC), (1, BTC), (2, AssetId(7))] {
            let bare = Instrument::bare(InstrumentId(id), VenueId::OKX, Text::EMPTY, 0, 0);
            let instrument = Instrument {
                base,
                quote: USDT,
                ..bare
            };
            let value = million_of(&instrument, Price(100));
            all.set_worth(&instrument, value);
        }
        all
    }

    fn units(all: &Exposures) -> (i128, i128) {
        (all.gross().0.0 / ONE, all.currency(BTC).0.0 / ONE)
    }

    #[test]
    fn long_here_and_short_there_come_to_nothing_in_the_currency_and_not_in_the_gross() {
        let mut all = three();
        all.show(InstrumentId(0), Qty(5), Qty(1), Qty(0));
        assert_eq!(units(&all), (600, 600));
        all.show(InstrumentId(1), Qty(-5), Qty(0), Qty(2));
        assert_eq!(units(&all), (1_300, -200), "6 - 5 long, 5 - 7 short");
        all.show(InstrumentId(0), Qty(0), Qty(0), Qty(0));
        assert_eq!(units(&all), (700, -700));
    }

    #[test]
    fn orders_beyond_gross_or_currency_are_refused_and_those_that_reduce_pass() {
        let mut all = three();
        all.show(InstrumentId(0), Qty(5), Qty(0), Qty(0));
        all.show(InstrumentId(2), Qty(-3), Qty(0), Qty(0));
        all.set_gross_max(Notional(1_000 * ONE));
        let buy = |all: &Exposures, id, along| {
            let checked = all.check(InstrumentId(id), Side::Buy, (Qty(1), along), USDT);
            checked.map(|_| ())
        };
        assert_eq!(buy(&all, 0, 7), Ok(()));
        let refused = Refusal::Exposure {
            exposure: 110_000,
            limit: 100_000,
        };
        assert_eq!(buy(&all, 0, 8), Err(refused));
        all.set_currency_max(BTC, Notional(600 * ONE));
        let refused = Refusal::Currency {
            asset: 1,
            exposure: 70_000,
            limit: 60_000,
        };
        assert_eq!(buy(&all, 0, 7), Err(refused));
        assert_eq!(buy(&all, 1, 1), Ok(()), "another venue, the same limit");
        assert!(buy(&all, 1, 2).is_err());
        assert_eq!(buy(&all, 2, 3), Ok(()), "of another base");
        all.set_gross_max(Notional(1));
        assert_eq!(buy(&all, 2, 0), Ok(()), "closing what is short");
    }

    #[test]
    fn what_cannot_be_counted_is_refused_only_where_money_is_limited() {
        let mut all = Exposures::new(1);
        let ask = |all: &Exposures| all.check(InstrumentId(0), Side::Sell, (Qty(1), 1), USDT);
        assert_eq!(ask(&all), Ok(None));
        all.set_counted(true);
        assert_eq!(ask(&all), Err(Refusal::NoRate { asset: 2 }));
    }

    #[test]
    fn an_order_worth_too_much_is_refused_whichever_way_it_goes() {
        let mut all = three();
        all.set_order_max(Notional(250 * ONE));
        let sell = |along| {
            let checked = all.check(InstrumentId(0), Side::Sell, (Qty(3), along), USDT);
            checked.map(|_| ())
        };
        let refused = Refusal::OrderValue {
            value: 30_000,
            limit: 25_000,
        };
        assert_eq!((sell(3), sell(-5)), (Err(refused), Err(refused)));
        let two = all.check(InstrumentId(0), Side::Buy, (Qty(2), 2), USDT);
        assert!(two.is_ok());
    }

    #[test]
    fn what_nobody_can_count_keeps_its_last_worth_and_nothing_is_added() {
        let mut all = three();
        all.show(InstrumentId(0), Qty(5), Qty(0), Qty(0));
        let bare = Instrument::bare(InstrumentId(0), VenueId::OKX, Text::EMPTY, 0, 0);
        let base = Instrument { base: BTC, ..bare };
        all.set_worth(&base, None);
        all.show(InstrumentId(0), Qty(5), Qty(0), Qty(0));
        assert_eq!(units(&all), (500, 500));
        let buy = |all: &Exposures, id, along| {
            let checked = all.check(InstrumentId(id), Side::Buy, (Qty(1), along), USDT);
            checked.map(|_| ())
        };
        let of_usdt = Err(Refusal::NoRate { asset: USDT.0 });
        assert_eq!((buy(&all, 0, 6), buy(&all, 2, 1)), (of_usdt, Ok(())));
        all.set_blind(Some(AssetId(9)));
        assert_eq!(buy(&all, 2, 1), Err(Refusal::NoRate { asset: 9 }));
        assert_eq!(buy(&all, 2, 0), Ok(()), "what takes risk off passes");
        all.set_blind(None);
        assert_eq!(buy(&all, 2, 1), Ok(()));
    }

    proptest! {
        /// Whatever was told in whatever order, the sums are those of the lines as they are.
        #[test]
        fn sums_are_sums(tellings in proptest::collection::vec((0u32..3, any::<i64>(), 0i64.., 0i64..), 1..50)) {
            let mut all = three();
            for (id, held, buys, sells) in tellings {
                all.show(InstrumentId(id), Qty(held), Qty(buys), Qty(sells));
            }
            prop_assert_eq!(all.gross, all.lines.iter().map(Line::worst).sum::<i128>());
            let long: i128 = all.lines[..2].iter().map(|line| line.long).sum();
            prop_assert_eq!(all.currencies[1].long, long);
        }
    }
}
