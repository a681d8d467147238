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

/// Every gated target that was asked for, measured or not, and what a run says about the others; and those nobody
/// asked for. `asked`: the names of all who were to run.
pub fn judge(
    rows: &[Line],
    ratios: &[Ratio],
    rounds: usize,
    asked: &[&str],
) -> (Vec<Verdict>, Vec<String>) {
    let is_asked = |target: &&Target| {
        [target.over, target.under]
            .iter()
            .all(|name| asked.contains(name))
    };
    let (asked, others): (Vec<&Target>, Vec<&Target>) = TARGETS.iter().partition(is_asked);
    let relative = asked.iter().filter_map(|target| target.judge(rows, ratios));
    let verdicts = relative.chain(absolute(rows));
    let verdicts = verdicts
        .map(|verdict| verdict.over_rounds(rounds))
        .collect();
    let others = others.iter().filter(|target| target.is_gated);
    (verdicts, others.map(|target| target.what()).collect())
}

impl Target {
    /// The verdict, on clean windows; `None` when one of the two did not run and no gate asks.
    fn judge(&self, rows: &[Line], ratios: &[Ratio]) -> Option<Verdict> {
        let is_it = |ratio: &&Ratio| {
            (ratio.over.as_str(), ratio.under.as_str()) == (self.over, self.under)
                && (ratio.rate, ratio.quantile, ratio.set) == (self.rate, self.quantile, "clean")
        };
        let found = ratios.iter().find(is_it).map(|ratio| ratio.estimate);
        let found = found.or(self.is_gated.then_some(Estimate::NONE))?;
        let verdict = self
            .bound
            .judge(self.what(), self.value, found, self.is_gated);
        let ends = rows.iter().filter(|row| {
            row.rate == self.rate && [self.over, self.under].contains(&row.client.as_str())
        });
        let missing = ends.clone().find_map(Line::missing);
        Some(match missing {
            Some(missing) => verdict.not_measured(&missing),
            None => verdict,
        })
    }

    /// As a sentence.
    fn what(&self) -> String {
        let word = match self.bound {
            Bound::AtLeast => "at least",
            Bound::AtMost => "at most",
        };
        let Self {
            over,
            under,
            quantile,
            value,
            ..
        } = self;
        // Over the same road, which is named once.
        let under = under.strip_prefix("veth: ").unwrap_or(under);
        format!("{over} / {under}, {quantile}, {word} {value}")
    }
}

/// Our absolute times at 10,000 ticks a second beside the design's, in clean windows.
fn absolute(rows: &[Line]) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for (client, targets, promised) in &ABSOLUTE {
        let is_it = |row: &&Line| (row.client.as_str(), row.rate) == (*client, 10_000);
        let Some((row, figures)) = rows
            .iter()
            .find(is_it)
            .and_then(|row| Some((row, row.clean?)))
        else {
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
            let verdict = Bound::AtMost.judge(what, target, micros, false);
            verdicts.push(match row.missing() {
                Some(missing) => verdict.not_measured(&missing),
                None => verdict,
            });
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
        let judge = |low, high| TARGETS[0].judge(&[], &[ratio(low, high)]).unwrap();
        assert!(judge(3.5, 4.5).is_met);
        let verdict = judge(3.4, 4.6);
        assert!(verdict.found.value > 3.5 && !verdict.is_met);
        assert!((verdict.distance + 0.0286).abs() < 0.001);
        assert!(!judge(f64::NAN, f64::NAN).is_met);
    }

    #[test]
    fn every_gated_target_has_a_verdict_whoever_ran() {
        let all: Vec<&str> = TARGETS.iter().flat_map(|it| [it.over, it.under]).collect();
        let judged = |ratios: &[Ratio]| judge(&[], ratios, 8, &all).0;
        let none = judged(&[]);
        let gated = TARGETS.iter().filter(|target| target.is_gated).count();
        assert_eq!(none.len(), gated, "those only told are left out");
        assert!(none.iter().all(|one| one.is_gated && !one.is_met));
        assert!(target::check(&none, true).is_err() && target::check(&none, false).is_ok());
        let one = judged(&[ratio(3.5, 4.5)]);
        let met: Vec<bool> = one.iter().map(|one| one.is_met).collect();
        assert_eq!(met, [true, false, false, false, false, false]);
        let few = judge(&[], &[ratio(3.5, 4.5)], 7, &all).0;
        assert!(few.iter().all(|one| !one.is_met), "seven rounds");
    }

    #[test]
    fn what_nobody_asked_for_is_named_and_fails_nothing() {
        let found = [
            ratio(3.5, 4.5),
            Ratio {
                quantile: "p99",
                ..ratio(4.5, 5.0)
            },
        ];
        let (verdicts, others) = judge(&[], &found, 8, &[OURS, PEER_PARKING]);
        assert_eq!((verdicts.len(), others.len()), (2, 4));
        assert!(target::check(&verdicts, true).is_ok());
        let (verdicts, _) = judge(&[], &[], 8, &[OURS, PEER_PARKING]);
        assert!(
            target::check(&verdicts, true).is_err(),
            "asked, not measured"
        );
    }

    #[test]
    fn no_verdict_stands_on_a_row_with_something_missing() {
        for (unanswered, rounds_missed) in [(3, 0), (0, 1)] {
            for client in [OURS, PEER_PARKING] {
                let mut one =
                    crate::race::Measured::new(client, crate::venue::Load::new(10_000, 1.0));
                (one.asked, one.answered) = (10, 10 - unanswered);
                one.ends = vec![String::new(); rounds_missed];
                let none = [crate::stats::Set::Clean, crate::stats::Set::All]
                    .map(|set| crate::stats::Bootstrap::new(&[&one.samples], set, 1));
                let row = crate::t2t::rows::line(&one, 0, &none);
                let verdict = TARGETS[0].judge(&[row], &[ratio(3.5, 4.5)]).unwrap();
                assert!(!verdict.is_met && !verdict.is_measured());
                let why = verdict.why.unwrap();
                assert!(
                    why.starts_with("not measured: ") && why.contains(client),
                    "{why}"
                );
            }
        }
    }
}
