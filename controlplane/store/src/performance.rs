//! How strategies do: what `performance_metrics` holds of them. Pure but for the shared memory that is read.
//!
//! ```text
//!   shared memory ─▶ samples (by strategy and currency) ─▶ the day's curve ─▶ day P&L, drawdown, Sharpe ─▶ a row a minute
//! ```
//!
//! Statistics are floats; money is not. A ratio of changes of P&L needs no capital: what divides every change by the same
//! amount divides their mean and their deviation alike.

use dp_shm::{PartLine, Region, StrategyLine};
use dp_types::limit::STRATEGIES_MAX;
use dp_types::{Decimal, InstrumentId, Notional, Payoff, StrategyId, Text, UnixNanos};
use std::collections::BTreeMap;

/// Changes from minute to minute below which a Sharpe ratio would be noise.
pub const CHANGES_MIN: usize = 30;
/// Minutes of a year of 365 days: this market never closes.
const MINUTES_A_YEAR: f64 = 525_600.0;
const MINUTE_NS: u64 = 60_000_000_000;
const DAY_MINUTES: i64 = 1_440;

/// What one strategy has made in one currency, as shared memory shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sample {
    pub strategy: StrategyId,
    pub name: Text<31>,
    pub currency: Text<15>,
    pub realised: Notional,
    pub unrealised: Notional,
    pub fees: Notional,
    pub funding: Notional,
    /// Venue, symbol, and base units one unit of quantity stands for, of what it trades.
    pub instruments: BTreeMap<InstrumentId, (&'static str, Text<31>, Decimal, Payoff)>,
}

impl Sample {
    /// Realised + unrealised + funding - fees; saturates.
    pub fn pnl(&self) -> Notional {
        let sum = self.realised.0.saturating_add(self.unrealised.0);
        let sum = sum.saturating_add(self.funding.0);
        Notional(sum.saturating_sub(self.fees.0))
    }
}

/// Of every strategy with a seat, one for each currency it trades in.
pub(crate) fn samples(region: &Region) -> Vec<Sample> {
    let mut all = Samples {
        region,
        of: BTreeMap::new(),
    };
    for id in (0..STRATEGIES_MAX as u16).map(StrategyId) {
        let status = region.strategy(id).and_then(StrategyLine::read);
        if let Some(status) = status.filter(|status| status.is_seated) {
            let count = usize::from(status.legs_count);
            for leg in status.legs.iter().take(count) {
                all.place(id, *leg);
            }
        }
    }
    let lines = region.lanes().flat_map(|lane| lane.held.iter());
    for part in lines.filter_map(PartLine::read) {
        let state = part.state;
        if (state.fills == 0 && state.funding.0 == 0) || part.strategy == StrategyId::NOBODY {
            continue;
        }
        if let Some(sample) = all.place(part.strategy, part.instrument) {
            for (sum, more) in [
                (&mut sample.realised, state.realised),
                (&mut sample.unrealised, state.unrealised),
                (&mut sample.fees, state.fees),
                (&mut sample.funding, state.funding),
            ] {
                sum.0 = sum.0.saturating_add(more.0);
            }
        }
    }
    all.of.into_values().collect()
}

struct Samples<'r> {
    region: &'r Region,
    of: BTreeMap<(StrategyId, Text<15>), Sample>,
}

impl Samples<'_> {
    /// Where what a strategy has of an instrument is added; `None` where either is not known.
    fn place(&mut self, strategy: StrategyId, id: InstrumentId) -> Option<&mut Sample> {
        let spec = self.region.strategy_spec(strategy)?.read()?;
        let entry = self.region.instruments().get(id)?;
        let it = entry.instrument;
        let sample = self.of.entry((strategy, entry.quote));
        let sample = sample.or_insert_with(|| Sample {
            strategy,
            name: spec.name,
            currency: entry.quote,
            realised: Notional(0),
            unrealised: Notional(0),
            fees: Notional(0),
            funding: Notional(0),
            instruments: BTreeMap::new(),
        });
        let about = (it.venue.name(), it.symbol, it.multiplier, it.payoff);
        sample.instruments.insert(id, about);
        Some(sample)
    }
}

/// P&L at the last look of a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Point {
    /// Minutes since 1970.
    pub minute: i64,
    pub pnl: Notional,
    /// The shared memory it was seen in.
    pub born: i64,
}

impl Point {
    pub fn at(now: UnixNanos, pnl: Notional, born: i64) -> Self {
        Self {
            minute: (now.0 / MINUTE_NS).cast_signed(),
            pnl,
            born,
        }
    }

    /// When its minute begins.
    pub const fn begins(&self) -> UnixNanos {
        UnixNanos(self.minute.unsigned_abs() * MINUTE_NS)
    }
}

/// A UTC day of points, and the one of the minute before it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Curve {
    points: Vec<Point>,
}

/// What a day came to so far.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct SoFar {
    pub pnl: Notional,
    pub drawdown_max: Notional,
    pub sharpe: Option<f64>,
}

impl Curve {
    /// Adds a look; a later one in the same minute takes its place, and a new day leaves only yesterday's last minute. At
    /// most a point a minute of the day and one are held. One from an earlier minute (the clock was set back) is dropped,
    /// which is said.
    pub fn add(&mut self, point: Point) -> bool {
        match self.points.last_mut() {
            Some(last) if last.minute > point.minute => return false,
            Some(last) if last.minute == point.minute => *last = point,
            _ => self.points.push(point),
        }
        let midnight = point.minute.div_euclid(DAY_MINUTES) * DAY_MINUTES;
        // What was made over a longer gap than that is neither day's alone.
        self.points.retain(|point| point.minute >= midnight - 1);
        true
    }

    /// What it comes to.
    pub fn so_far(&self) -> SoFar {
        let (mut pnl, mut highest, mut drawdown) = (0i128, 0i128, 0i128);
        let mut changes: Vec<f64> = Vec::with_capacity(self.points.len());
        for pair in self.points.windows(2) {
            let [from, to] = pair else { continue };
            // P&L of another shared memory was counted from another beginning.
            if from.born != to.born {
                continue;
            }
            let change = to.pnl.0.saturating_sub(from.pnl.0);
            pnl = pnl.saturating_add(change);
            highest = highest.max(pnl);
            drawdown = drawdown.max(highest.saturating_sub(pnl));
            if to.minute - from.minute == 1 {
                changes.push(change as f64 / 1e12);
            }
        }
        SoFar {
            pnl: Notional(pnl),
            drawdown_max: Notional(drawdown),
            sharpe: sharpe(&changes),
        }
    }
}

/// Mean over sample standard deviation (n - 1), times the square root of the minutes of a year; `None` below
/// [`CHANGES_MIN`], or where all changes are equal.
fn sharpe(changes: &[f64]) -> Option<f64> {
    let count = changes.len();
    if count < CHANGES_MIN {
        return None;
    }
    let mean = changes.iter().sum::<f64>() / count as f64;
    let squares: f64 = changes.iter().map(|change| (change - mean).powi(2)).sum();
    let deviation = (squares / (count - 1) as f64).sqrt();
    let ratio = mean / deviation * MINUTES_A_YEAR.sqrt();
    (deviation > 0.0 && ratio.is_finite()).then_some(ratio)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ONE: i128 = 1_000_000_000_000;
    const SHARPE_BY_HAND: f64 = 1_425.594_612_784;
    /// 2026-11-22 00:00 UTC.
    const MIDNIGHT: i64 = 29_921_760;

    fn curve(of: &[(i64, i128)]) -> Curve {
        let mut curve = Curve::default();
        for (minute, pnl) in of {
            curve.add(Point {
                minute: MIDNIGHT + minute,
                pnl: Notional(pnl * ONE),
                born: 1,
            });
        }
        curve
    }

    /// Thirty changes, 3 and 1 in turn. By hand: the mean is 2; every change is 1 from it, so the sum of squares is 30 and
    /// the sample variance 30/29; 2 / sqrt(30/29) = 1.966384…; times sqrt(525600) = 724.982758… is 1425.594612….
    #[test]
    fn a_sharpe_ratio_by_hand() {
        let mut pnl = 0;
        let mut points = vec![(0, 0)];
        for minute in 1..=30 {
            pnl += if minute % 2 == 1 { 3 } else { 1 };
            points.push((minute, pnl));
        }
        let so_far = curve(&points).so_far();
        let sharpe = so_far.sharpe.unwrap();
        assert!((sharpe - SHARPE_BY_HAND).abs() < 1e-6, "{sharpe}");
        assert_eq!(
            (so_far.pnl, so_far.drawdown_max),
            (Notional(60 * ONE), Notional(0))
        );
        assert_eq!(curve(&points[..30]).so_far().sharpe, None, "29 are too few");
        // Losing as much as it won turns the sign and nothing else.
        let lost: Vec<(i64, i128)> = points.iter().map(|(at, pnl)| (*at, -pnl)).collect();
        let so_far = curve(&lost).so_far();
        assert!((so_far.sharpe.unwrap() + SHARPE_BY_HAND).abs() < 1e-6);
        assert_eq!(so_far.drawdown_max, Notional(60 * ONE));
    }

    #[test]
    fn where_nothing_varies_there_is_no_ratio() {
        let points: Vec<(i64, i128)> = (0..40).map(|at| (at, i128::from(at) * 2)).collect();
        assert_eq!(curve(&points).so_far().sharpe, None);
    }

    #[test]
    fn a_gap_is_no_minute_and_another_memory_no_change() {
        let points: Vec<(i64, i128)> = (0..31).map(|at| (at, i128::from(at % 2))).collect();
        let whole = curve(&points).so_far();
        assert!(whole.sharpe.is_some());
        let mut gap = curve(&points[..30]);
        gap.add(Point {
            minute: MIDNIGHT + 35,
            pnl: Notional(50 * ONE),
            born: 1,
        });
        let so_far = gap.so_far();
        assert_eq!((so_far.sharpe, so_far.pnl), (None, Notional(50 * ONE)));
        gap.add(Point {
            minute: MIDNIGHT + 36,
            pnl: Notional(-900 * ONE),
            born: 2,
        });
        assert_eq!(gap.so_far(), so_far);
    }

    #[test]
    fn the_deepest_fall_is_from_the_highest_before_it() {
        let so_far = curve(&[(0, 5), (1, 9), (2, 4), (3, 8), (4, 2), (5, 20)]).so_far();
        assert_eq!(so_far.drawdown_max, Notional(7 * ONE), "from 9 to 2");
        assert_eq!(so_far.pnl, Notional(15 * ONE));
    }

    #[test]
    fn a_minute_keeps_its_last_look_and_a_day_begins_where_the_last_one_ended() {
        let mut it = curve(&[(1_438, 1), (1_438, 2), (1_439, 4), (1_438, 9)]);
        assert_eq!(it.points.len(), 2, "the clock was set back: dropped");
        assert_eq!(it.so_far().pnl, Notional(2 * ONE));
        let mut late = it.clone();
        let next = |minute: i64, pnl: i128| Point {
            minute: MIDNIGHT + 1_440 + minute,
            pnl: Notional(pnl * ONE),
            born: 1,
        };
        it.add(next(0, 7));
        assert_eq!((it.points.len(), it.so_far().pnl), (2, Notional(3 * ONE)));
        it.add(next(1, 6));
        assert_eq!(it.so_far().pnl, Notional(2 * ONE));
        assert_eq!(it.so_far().drawdown_max, Notional(ONE));
        late.add(next(3, 70));
        late.add(next(2_000, 71));
        assert_eq!(
            late.so_far(),
            SoFar::default(),
            "a gap over midnight is neither day's"
        );
    }

    proptest! {
        #[test]
        fn a_curve_is_bounded_and_never_panics(looks in proptest::collection::vec((0i64..9_000, any::<i128>(), 0i64..3), 0..200)) {
            let mut curve = Curve::default();
            for (minute, pnl, born) in looks {
                curve.add(Point { minute, pnl: Notional(pnl), born });
                let so_far = curve.so_far();
                prop_assert!(so_far.drawdown_max.0 >= 0);
                prop_assert!(curve.points.len() <= 1_441);
            }
        }
    }
}
