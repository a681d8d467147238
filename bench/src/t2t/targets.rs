//! The design's targets for tick-to-trade, and what a run says about each.

use super::entrants::{BOTH, FLOOR_PLAIN, ONE, OURS, PEER_PARKING, PEER_SPINNING, VETH};
use super::rows::{Line, Ratio};
use crate::stats::Estimate;
use crate::target::{Bound, Verdict};

/// A ratio between two clients of one run.
#[derive(Debug, Clone, Copy)]
struct Target {
    over: &'static str,
    under: &'static str,
    rate: u64,
    quantile: &'static str,
    bound: Bound,
    value: f64,
    is_gated: bool,
}

const fn target(
    over: &'static str,
    under: &'static str,
    quantile: &'static str,
    bound: Bound,
    value: f64,
) -> Target {
    Target {
        over,
        under,
        rate: 10_000,
        quantile,
        bound,
        value,
        is_gated: true,
    }
}

/// Told, never gated.
const fn told(over: &'static str, under: &'static str, value: f64) -> Target {
    Target {
        is_gated: false,
        ..target(over, under, "p50", Bound::AtMost, value)
    }
}

/// Design, section 7: tick-to-trade over kernel sockets at 10,000 ticks a second.
/// AF_XDP beside them: with both ends around the kernel gated, against a kernel venue told.
const TARGETS: [Target; 8] = [
    target(PEER_PARKING, OURS, "p50", Bound::AtLeast, 3.5),
    target(PEER_PARKING, OURS, "p99", Bound::AtLeast, 4.0),
    target(PEER_SPINNING, OURS, "p50", Bound::AtLeast, 1.8),
    target(OURS, FLOOR_PLAIN, "p50", Bound::AtMost, 1.3),
    target(BOTH[0], VETH, "p50", Bound::AtMost, 0.6),
    target(BOTH[1], VETH, "p50", Bound::AtMost, 0.6),
    told(ONE[0], VETH, 0.75),
    told(ONE[1], VETH, 0.75),
];

/// Design, section 7, absolute: who, p50 and p99 us, and the floors promised to users, us. Told, never gated:
/// times belong to the machine.
const ABSOLUTE: [(&str, [f64; 2], Option<[f64; 2]>); 3] = [
    (OURS, [15.5, 45.0], Some([50.0, 100.0])),
    (BOTH[0], [9.0, 20.0], None),
    (BOTH[1], [9.0, 20.0], None),
];

/// Every gated target, measured or not, and what a run says about the others.
pub fn judge(rows: &[Line], ratios: &[Ratio]) -> Vec<Verdict> {
    let relative = TARGETS.iter().filter_map(|target| target.judge(ratios));
    relative.chain(absolute(rows)).collect()
}

impl Target {
    /// The verdict, on clean windows; `None` when one of the two did not run and no gate asks.
    fn judge(&self, ratios: &[Ratio]) -> Option<Verdict> {
        let is_it = |ratio: &&Ratio| {
            (ratio.over.as_str(), ratio.under.as_str()) == (self.over, self.under)
                && (ratio.rate, ratio.quantile, ratio.set) == (self.rate, self.quantile, "clean")
        };
        let found = ratios.iter().find(is_it).map(|ratio| ratio.estimate);
        let found = found.or(self.is_gated.then_some(Estimate::NONE))?;
        let word = match self.bound {
            Bound::AtLeast => "at least",
            Bound::AtMost => "at most",
        };
        let Self {
            over,
            under,
            quantile,
            value,
            is_gated,
            ..
        } = self;
        // Over the same road, which is named once.
        let under = under.strip_prefix("veth: ").unwrap_or(under);
        let what = format!("{over} / {under}, {quantile}, {word} {value}");
        Some(self.bound.judge(what, *value, found, *is_gated))
    }
}

/// Our absolute times at 10,000 ticks a second beside the design's, in clean windows.
fn absolute(rows: &[Line]) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for (client, targets, promised) in &ABSOLUTE {
        let is_it = |row: &&Line| (row.client.as_str(), row.rate) == (*client, 10_000);
        let Some(figures) = rows.iter().find(is_it).and_then(|row| row.clean) else {
            continue;
        };
        let found = [("p50", figures.p50), ("p99", figures.p99)];
        for (at, (quantile, found)) in found.into_iter().enumerate() {
            let promised = promised.map_or(String::new(), |it| format!(" (promised {})", it[at]));
            let target = targets[at];
            let what = format!("{client}, {quantile}, at most {target} us{promised}");
            let micros = Estimate {
                value: found.value / 1_000.0,
                low: found.low / 1_000.0,
                high: found.high / 1_000.0,
            };
            verdicts.push(Bound::AtMost.judge(what, target, micros, false));
        }
    }
    verdicts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target;

    fn ratio(low: f64, high: f64) -> Ratio {
        Ratio {
            over: PEER_PARKING.to_owned(),
            under: OURS.to_owned(),
            rate: 10_000,
            quantile: "p50",
            set: "clean",
            estimate: Estimate {
                value: f64::midpoint(low, high),
                low,
                high,
            },
            better: "higher",
        }
    }

    #[test]
    fn the_interval_decides_and_not_the_point() {
        let judge = |low, high| TARGETS[0].judge(&[ratio(low, high)]).unwrap();
        assert!(judge(3.5, 4.5).is_met);
        let verdict = judge(3.4, 4.6);
        assert!(verdict.found.value > 3.5 && !verdict.is_met);
        assert!((verdict.distance + 0.0286).abs() < 0.001);
        assert!(!judge(f64::NAN, f64::NAN).is_met);
    }

    #[test]
    fn every_gated_target_has_a_verdict_whoever_ran() {
        let judged = |ratios: &[Ratio]| judge(&[], ratios);
        let none = judged(&[]);
        let gated = TARGETS.iter().filter(|target| target.is_gated).count();
        assert_eq!(none.len(), gated, "those only told are left out");
        assert!(none.iter().all(|one| one.is_gated && !one.is_met));
        assert!(target::check(&none, true).is_err() && target::check(&none, false).is_ok());
        let one = judged(&[ratio(3.5, 4.5)]);
        let met: Vec<bool> = one.iter().map(|one| one.is_met).collect();
        assert_eq!(met, [true, false, false, false, false, false]);
    }
}
