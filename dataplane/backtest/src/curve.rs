//! What an account was worth over time: a thinned curve, the deepest fall, and the Sharpe ratio.

use crate::thin::Thin;
use dp_types::{Notional, Price, UnixNanos};

/// Seconds of a year: what the Sharpe ratio is annualised with.
const YEAR_S: f64 = 31_536_000.0;
/// A sample of the Sharpe ratio.
const SAMPLE_NS: u64 = 1_000_000_000;

/// What an account was worth at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// When.
    pub at: UnixNanos,
    /// Realised and unrealised, less fees.
    pub equity: Notional,
    /// Net quantity, increments.
    pub qty: i64,
    /// Price it was valued at; 0 = none.
    pub mark: Price,
}

/// One account's history.
#[derive(Debug, Clone)]
pub struct Curve {
    points: Thin<Point>,
    peak: i128,
    drawdown: i128,
    sharpe: Sharpe,
}

impl Curve {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            points: Thin::new(),
            peak: 0,
            drawdown: 0,
            sharpe: Sharpe::default(),
        }
    }

    /// The account as it is now. Looks come at even times.
    pub fn look(&mut self, point: Point) {
        self.peak = self.peak.max(point.equity.0);
        self.drawdown = self.drawdown.max(self.peak.saturating_sub(point.equity.0));
        self.sharpe.look(point.at, point.equity.0);
        self.points.push(point);
    }

    /// The points, thinned evenly.
    pub fn points(&self) -> impl Iterator<Item = Point> + '_ {
        self.points.iter()
    }

    /// The largest fall from a peak, which is at least the start's 0.
    pub const fn drawdown(&self) -> Notional {
        Notional(self.drawdown)
    }

    /// Mean over deviation of the changes of each second, annualised; `None` when nothing ever changed.
    pub fn sharpe(&self) -> Option<f64> {
        self.sharpe.ratio()
    }
}

/// Changes of equity a second, by Welford's running mean and deviation.
#[derive(Debug, Clone, Copy, Default)]
struct Sharpe {
    due: u64,
    before: i128,
    count: u64,
    mean: f64,
    squares: f64,
}

impl Sharpe {
    fn look(&mut self, at: UnixNanos, equity: i128) {
        if at.0 < self.due {
            return;
        }
        let is_first = self.due == 0;
        self.due = at.0.saturating_add(SAMPLE_NS);
        let change = equity.saturating_sub(self.before) as f64;
        self.before = equity;
        if is_first {
            return;
        }
        self.count += 1;
        let off = change - self.mean;
        self.mean += off / self.count as f64;
        self.squares += off * (change - self.mean);
    }

    fn ratio(&self) -> Option<f64> {
        if self.count < 2 || self.squares <= 0.0 {
            return None;
        }
        let deviation = (self.squares / (self.count - 1) as f64).sqrt();
        Some(self.mean / deviation * YEAR_S.sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(curve: &mut Curve, at: u64, equity: i128) {
        curve.look(Point {
            at: UnixNanos(at),
            equity: Notional(equity),
            qty: 0,
            mark: Price(0),
        });
    }

    #[test]
    fn the_drawdown_is_the_deepest_fall_from_a_peak_or_the_start() {
        let mut curve = Curve::new();
        for (at, equity) in [0, -3, 10, 4, 8, 1, 20].into_iter().enumerate() {
            look(&mut curve, at as u64, equity);
        }
        assert_eq!(curve.drawdown(), Notional(9));
    }

    /// Changes of 1, 3, 1, 3 a second: mean 2, deviation of the sample 2 / sqrt(3).
    #[test]
    fn the_sharpe_ratio_is_that_of_a_second_times_the_root_of_a_year() {
        let mut curve = Curve::new();
        assert_eq!(curve.sharpe(), None);
        for (at, equity) in [0, 1, 4, 5, 8].into_iter().enumerate() {
            look(&mut curve, 1 + at as u64 * SAMPLE_NS, equity);
            look(&mut curve, 2 + at as u64 * SAMPLE_NS, 99);
        }
        let want = 2.0 / (4.0_f64 / 3.0).sqrt() * YEAR_S.sqrt();
        let got = curve.sharpe().unwrap();
        assert!((got / want - 1.0).abs() < 1e-12, "{got} {want}");
    }
}
