//! Market making after Avellaneda and Stoikov: quotes around a price that inventory and volatility have moved.
//!
//! ```text
//!   fair  = mid − q γ σ² τ
//!   half  = γ σ² τ / 2 + ln(1 + γ/k) / γ
//!   bid   = fair − half, rounded down;  ask = fair + half, rounded up; neither ever takes
//! ```
//! q: the position, in quotes. σ²: variance of mid a second, in squared ticks, as [`dp_signal::Volatility`] measures
//! it. τ: the horizon, seconds; the paper's T − t, held still because this market does not close. γ: aversion to risk, per
//! tick and quote. k: how fast fewer orders come the further a quote is away, per tick.
//!
//! Source: M. Avellaneda, S. Stoikov, "High-frequency trading in a limit order book", Quantitative Finance 8(3), 2008,
//! equations 3.17 and 3.18. All of it in integers; the logarithm is taken once.

use crate::fixed::ln_nano;
use crate::quoter::{Pace, Quoter, beside};
use crate::{
    Inputs, Intents, Kind, Param, ParamFault, StateFault, StateReader, StateWriter, Strategy,
    Values, View,
};
use dp_signal::Volatility;
use dp_types::{FillReport, Price, Qty, Side};

/// Parts of one in which γ, k and the distance are kept.
const NANO: i128 = 1_000_000_000;
/// Parts of one in which prices are reckoned.
const PICO: i128 = 1_000_000_000_000;

/// What it is set to. Quantities in increments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AvellanedaParams {
    /// Quantity of each quote.
    pub quote_qty: Qty,
    /// Position at which the side that would add to it is not quoted; above 0.
    pub position_max: Qty,
    /// Aversion to risk (γ), 10^-9 per tick and quote; above 0.
    pub gamma_nano: u64,
    /// How fast orders thin out (k), 10^-9 per tick; above 0.
    pub k_nano: u64,
    /// How far ahead risk is looked at (τ), milliseconds.
    pub horizon_ms: u32,
    /// Half-life of the volatility, nanoseconds.
    pub half_life_ns: u64,
    /// When a quote is moved, and how.
    pub pace: Pace,
}

impl AvellanedaParams {
    const LIST: [Param; 9] = [
        Param::qty("quote_qty", "quantity of each quote"),
        Param::qty(
            "position_max",
            "position at which the side that would add to it is not quoted",
        ),
        Param::nano("gamma", 100_000_000, "aversion to risk, per tick and quote"),
        Param::nano(
            "k",
            1_500_000_000,
            "how fast orders thin out with the distance, per tick",
        ),
        Param::count(
            "horizon_ms",
            1_000,
            (1, 86_400_000),
            "how far ahead risk is looked at, ms",
        ),
        Param::count(
            "half_life_ms",
            60_000,
            (1, 86_400_000),
            "half-life of the volatility, ms",
        ),
        Pace::PARAMS[0],
        Pace::PARAMS[1],
        Pace::PARAMS[2],
    ];

    fn of(values: &Values) -> Self {
        Self {
            quote_qty: Qty(values.get(0)),
            position_max: Qty(values.get(1)),
            gamma_nano: values.get(2) as u64,
            k_nano: values.get(3) as u64,
            horizon_ms: values.get(4) as u32,
            half_life_ns: (values.get(5) as u64).saturating_mul(1_000_000),
            pace: Pace::of(values, 6),
        }
    }
}

const UNFIT: ParamFault = ParamFault::Together("`gamma` and `k` are too large together");

/// The strategy. One instrument.
#[derive(Debug)]
pub struct AvellanedaStoikov {
    params: AvellanedaParams,
    /// ln(1 + γ/k) / γ, 10^-9 ticks.
    distance_nano: i128,
    volatility: Volatility,
    quoter: Quoter,
}

impl AvellanedaStoikov {
    /// For the configuration.
    pub const KIND: Kind = Kind {
        name: "avellaneda_stoikov",
        help: "quotes around a price that inventory and volatility have moved",
        params: &AvellanedaParams::LIST,
        legs: (1, 1),
        make: |values| match Self::new(AvellanedaParams::of(values)) {
            Some(made) => Ok(Box::new(made)),
            None => Err(UNFIT),
        },
    };

    /// One that has seen nothing yet. `None` where γ or k is 0, or their sum leaves 64 bits.
    pub fn new(params: AvellanedaParams) -> Option<Self> {
        Some(Self {
            params,
            distance_nano: distance(params.gamma_nano, params.k_nano)?,
            volatility: Volatility::new(params.half_life_ns),
            quoter: Quoter::new(params.pace),
        })
    }

    /// Fair price and distance of a quote from it, in 10^-12 increments. `None` before volatility is known.
    fn fair_and_half(&self, view: &View<'_>) -> Option<(i128, i128)> {
        let mid = i128::from(view.book.mid_doubled()?) * (PICO / 2);
        // In squared half increments: four times that of increments.
        let variance = i128::from(self.volatility.per_second()?);
        let tick = i128::from(view.instrument.tick.0.max(1));
        // γ σ² τ, 10^-12 ticks: γ has nine digits, the milliseconds three.
        let risk = i128::from(self.params.gamma_nano)
            .checked_mul(variance)?
            .checked_mul(self.params.horizon_ms.into())?
            / (4 * tick * tick);
        let quotes = i128::from(self.params.quote_qty.0.max(1));
        let moved = risk.checked_mul(view.position.0.into())? / quotes;
        let fair = mid.checked_sub(moved.checked_mul(tick)?)?;
        let half = (risk / 2).checked_add(self.distance_nano * (PICO / NANO))?;
        Some((fair, half.checked_mul(tick)?))
    }

    fn target(&self, view: &View<'_>, side: Side) -> Option<Price> {
        let along = view.position.0.checked_mul(side.sign())?;
        if along.checked_add(self.params.quote_qty.0)? > self.params.position_max.0 {
            return None;
        }
        let (fair, half) = self.fair_and_half(view)?;
        let price = match side {
            Side::Buy => fair.checked_sub(half)?.div_euclid(PICO),
            Side::Sell => -(-fair.checked_add(half)?).div_euclid(PICO),
        };
        beside(view, side, Price(i64::try_from(price).ok()?))
    }

    fn quote_both(&mut self, view: &View<'_>, out: &mut Intents) {
        for side in [Side::Buy, Side::Sell] {
            let quote = self
                .target(view, side)
                .map(|price| (price, self.params.quote_qty));
            self.quoter.quote(view, side, quote, out);
        }
    }
}

/// ln(1 + γ/k) / γ in 10^-9 ticks.
fn distance(gamma_nano: u64, k_nano: u64) -> Option<i128> {
    let log = ln_nano(gamma_nano.checked_add(k_nano)?, k_nano)?;
    (i128::from(log) * NANO).checked_div(gamma_nano.into())
}

impl Strategy for AvellanedaStoikov {
    fn name(&self) -> &'static str {
        Self::KIND.name
    }

    fn set(&mut self, values: &Values) -> Result<(), ParamFault> {
        let params = AvellanedaParams::of(values);
        self.distance_nano = distance(params.gamma_nano, params.k_nano).ok_or(UNFIT)?;
        if params.half_life_ns != self.params.half_life_ns {
            self.volatility = Volatility::new(params.half_life_ns);
        }
        self.quoter.pace = params.pace;
        self.params = params;
        Ok(())
    }

    fn inputs(&self) -> Inputs {
        Inputs::BOOK.and(Inputs::TIMER)
    }

    fn state_version(&self) -> u32 {
        1
    }

    fn save(&self, out: &mut StateWriter) {
        out.put(self.params.half_life_ns.cast_signed());
        out.put_all(&self.volatility.keep());
    }

    fn restore(&mut self, saved: &mut StateReader<'_>) -> Result<(), StateFault> {
        if saved.take()? != self.params.half_life_ns.cast_signed() {
            return Err(StateFault("its volatility had another half-life"));
        }
        self.volatility.resume(saved.take_all()?);
        Ok(())
    }

    fn on_book(&mut self, view: &View<'_>, out: &mut Intents) {
        match view.book.mid_doubled().filter(|_| view.can_trade) {
            Some(mid) => self.volatility.on_mid(mid, view.now.unix),
            None => self.volatility.on_gap(),
        }
        self.quote_both(view, out);
    }

    fn on_fill(&mut self, view: &View<'_>, _fill: &FillReport, out: &mut Intents) {
        self.quote_both(view, out);
    }

    fn on_timer(&mut self, view: &View<'_>, out: &mut Intents) {
        self.quote_both(view, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::{Rig, prices};

    const PARAMS: AvellanedaParams = AvellanedaParams {
        quote_qty: Qty(10),
        position_max: Qty(100),
        // 0.1 a tick and quote, 1.5 a tick: the paper's own example.
        gamma_nano: 100_000_000,
        k_nano: 1_500_000_000,
        horizon_ms: 1_000,
        half_life_ns: u64::MAX,
        pace: Pace {
            ticks: 0,
            ns_min: 0,
            amend: false,
        },
    };

    /// A market that has moved by two ticks a second: a variance of 4.
    fn seen(params: AvellanedaParams) -> (Rig, AvellanedaStoikov) {
        let mut rig = Rig::new(1);
        let mut maker = AvellanedaStoikov::new(params).unwrap();
        for second in 0..10 {
            let bid = if second % 2 == 0 { 1_000 } else { 1_002 };
            rig.set_book(bid, bid + 10);
            rig.now(second * 1_000_000_000);
            rig.call(|view, out| maker.on_book(view, out));
        }
        rig.set_book(1_000, 1_010);
        (rig, maker)
    }

    #[test]
    fn the_distance_is_that_of_the_paper() {
        // ln(1 + 0.1/1.5) / 0.1 = 0.645385...
        assert_eq!(
            distance(100_000_000, 1_500_000_000).unwrap() / 1_000,
            645_385
        );
        assert_eq!(distance(0, 1), None);
        assert_eq!(distance(1, 0), None);
    }

    #[test]
    fn quotes_by_hand() {
        let (mut rig, mut maker) = seen(PARAMS);
        // γσ²τ = 0.4; half = 0.2 + 0.645 = 0.845; mid 1005.
        let flat = rig.call(|view, out| maker.on_timer(view, out));
        assert_eq!(prices(&flat), [(Side::Buy, 1_004), (Side::Sell, 1_006)]);
        // Eight quotes long: fair is 8 x 0.4 = 3.2 lower, 1001.8; bid 1000.95, ask 1002.65.
        rig.position(80);
        let long = rig.call(|view, out| maker.on_timer(view, out));
        assert_eq!(prices(&long), [(Side::Buy, 1_000), (Side::Sell, 1_003)]);
        rig.position(-80);
        let short = rig.call(|view, out| maker.on_timer(view, out));
        assert_eq!(
            prices(&short),
            [(Side::Buy, 1_007), (Side::Sell, 1_010)],
            "the mirror image"
        );
        rig.position(95);
        let full = rig.call(|view, out| maker.on_timer(view, out));
        assert_eq!(
            prices(&full).len(),
            1,
            "nothing that would add beyond the largest position"
        );
    }

    #[test]
    fn more_volatility_quotes_wider_and_none_known_not_at_all() {
        let (rig, mut maker) = seen(AvellanedaParams {
            gamma_nano: 1_000_000_000,
            ..PARAMS
        });
        // γσ²τ = 4; half = 2 + ln(1 + 1/1.5) = 2.51.
        let wide = rig.call(|view, out| maker.on_timer(view, out));
        assert_eq!(prices(&wide), [(Side::Buy, 1_002), (Side::Sell, 1_008)]);
        let mut fresh = AvellanedaStoikov::new(PARAMS).unwrap();
        assert_eq!(rig.call(|view, out| fresh.on_book(view, out)), []);
    }

    #[test]
    fn one_that_takes_up_what_another_learnt_quotes_as_it_would() {
        let (rig, mut maker) = seen(PARAMS);
        let mut kept = StateWriter::new();
        maker.save(&mut kept);
        let mut heir = AvellanedaStoikov::new(PARAMS).unwrap();
        heir.restore(&mut StateReader::new(kept.words().unwrap()))
            .unwrap();
        let want = rig.call(|view, out| maker.on_timer(view, out));
        assert_eq!(rig.call(|view, out| heir.on_timer(view, out)), want);
        assert_eq!(prices(&want).len(), 2, "no volatility has to be seen first");
        let other = AvellanedaParams {
            half_life_ns: 1,
            ..PARAMS
        };
        let mut other = AvellanedaStoikov::new(other).unwrap();
        let refused = other.restore(&mut StateReader::new(kept.words().unwrap()));
        assert!(refused.is_err(), "what was forgotten at another pace");
    }

    #[test]
    fn pulls_its_quotes_when_it_may_not_trade() {
        let (mut rig, mut maker) = seen(PARAMS);
        rig.rest(Side::Buy, 1_004);
        rig.rest(Side::Sell, 1_006);
        assert_eq!(
            rig.call(|view, out| maker.on_timer(view, out)),
            [],
            "they stand right"
        );
        rig.may_trade(false);
        assert_eq!(rig.call(|view, out| maker.on_timer(view, out)).len(), 2);
    }
}
