//! What a pair made: its own fills and those of the orders that hedged it, until nothing of it is open or unhedged.
//!
//! Only what was both bought and sold counts: what is left over is too little for any venue, and is in the position. So is
//! what fees in the base asset took, whose worth is among the fees here.

use crate::scale::base_pico;
use dp_types::{FillReport, Instrument, Notional, PairResult, Side};

const PICO: i128 = 1_000_000_000_000;

/// What was traded on one side.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    /// 10^-12 base units.
    base: i128,
    /// 10^-12 quote units.
    quote: i128,
}

/// A pair under way.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Round {
    /// Orders wished for to hedge it.
    pub(super) hedges: u32,
    bought: Sum,
    sold: Sum,
    fees: i128,
    /// Fees of an asset that is neither side's, which has no price here.
    fees_unknown: u32,
    /// A number left its range: nothing is told.
    is_lost: bool,
}

impl Round {
    /// Counts a fill.
    pub(super) fn add(&mut self, instrument: &Instrument, fill: &FillReport) {
        if self.try_add(instrument, fill).is_none() {
            self.is_lost = true;
        }
    }

    fn try_add(&mut self, instrument: &Instrument, fill: &FillReport) -> Option<()> {
        let base = base_pico(instrument, instrument.qty(fill.qty).ok()?)?;
        let price = Notional::of(fill.price)?.0;
        let sum = match fill.side {
            Side::Buy => &mut self.bought,
            Side::Sell => &mut self.sold,
        };
        sum.quote = sum.quote.checked_add(times(price, base)?)?;
        sum.base = sum.base.checked_add(base)?;
        let fee = Notional::of(fill.fee)?.0;
        if fee == 0 {
            return Some(());
        }
        let worth = if fill.fee_asset == instrument.quote {
            fee
        } else if fill.fee_asset == instrument.base {
            times(price, fee)?
        } else {
            self.fees_unknown = self.fees_unknown.saturating_add(1);
            0
        };
        self.fees = self.fees.checked_add(worth)?;
        Some(())
    }

    /// What it made; `None` where nothing was both bought and sold.
    pub(super) fn result(&self) -> Option<PairResult> {
        let base = self.bought.base.min(self.sold.base);
        if base <= 0 || self.is_lost {
            return None;
        }
        let made = self.sold.part(base)?.checked_sub(self.bought.part(base)?)?;
        Some(PairResult {
            base,
            bought_at: Notional(self.bought.average()?),
            sold_at: Notional(self.sold.average()?),
            fees: Notional(self.fees),
            fees_unknown: self.fees_unknown,
            net: Notional(made.checked_sub(self.fees)?),
            hedges: self.hedges,
        })
    }
}

impl Sum {
    /// What so much of it came to. By what is left over, which is little: the plain product would leave an `i128`.
    fn part(self, base: i128) -> Option<i128> {
        let over = self.base.checked_sub(base)?;
        let (whole, rest) = (self.quote / self.base, self.quote % self.base);
        let over = whole
            .checked_mul(over)?
            .checked_add(rest.checked_mul(over)? / self.base)?;
        self.quote.checked_sub(over)
    }

    /// 10^-12 quote units for a base unit, rounded down.
    fn average(self) -> Option<i128> {
        let (whole, rest) = (self.quote / self.base, self.quote % self.base);
        whole
            .checked_mul(PICO)?
            .checked_add(rest.checked_mul(PICO)? / self.base)
    }
}

/// The product of two numbers in 10^-12.
fn times(a: i128, b: i128) -> Option<i128> {
    let (whole, rest) = (b / PICO, b % PICO);
    a.checked_mul(whole)?
        .checked_add(a.checked_mul(rest)? / PICO)
}
