//! Samples, quantiles, and how far a quantile can be trusted.
//!
//! ```text
//!   sample = (latency, window)      window = 20 ms of one round, clean or preempted
//!   point   quantile of all samples of the set
//!   spread  bootstrap: draw rounds with replacement (the same draw for every client), inside each drawn
//!           round draw its windows with replacement, take the quantile; 2.5 % to 97.5 % of the results
//! ```
//! Neighbouring samples share one machine mood, so single samples are never drawn: whole windows are, and
//! above them whole rounds, in which all clients ran one after the other. A ratio is formed inside one draw,
//! so that what hit both cancels. It deliberately knows no test of significance and no normal distribution.
//! Source: Efron and Tibshirani, "An Introduction to the Bootstrap", chapters 8 and 13 (percentile interval,
//! resampling of clusters).

use crate::data::Random;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};
use serde::Serialize;

/// Length of a window, ns: short against the 40 to 50 ms a preemption costs here, long against one tick.
pub const WINDOW_NS: u64 = 20_000_000;
/// Draws of a bootstrap. The ends of a 95 % interval then stand on 12 draws each.
pub const DRAWS: usize = 500;
/// Rounds an interval needs: with fewer a draw of them repeats itself, and the interval is too narrow.
pub const ROUNDS_MIN: usize = 8;
/// Samples of one client a bootstrap looks at: more are thinned evenly over the sorted values.
const BOOTSTRAP_MAX: usize = 100_000;
/// The quantiles every table shows.
pub const QUANTILES: [f64; 4] = [0.5, 0.9, 0.99, 0.999];

/// A stretch of time in which the machine was left alone or was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Round it belongs to.
    pub round: u32,
    /// Neither client nor venue was preempted in it or in the one before.
    pub is_clean: bool,
}

/// Which samples count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// Those of clean windows.
    Clean,
    /// All.
    All,
}

/// Latencies of one client at one rate, over all rounds.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    /// (nanoseconds, index of the window), in the order they came.
    pub values: Vec<(u32, u32)>,
    /// The windows, rounds one after the other.
    pub windows: Vec<Window>,
}

/// A number and the 95 % interval around it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// Of all samples.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Estimate {
    /// A count: no interval.
    pub const fn exact(value: f64) -> Self {
        Self {
            value,
            low: value,
            high: value,
        }
    }

    /// Of what was not measured: no number, `null` in JSON; it meets no target.
    pub const NONE: Self = Self {
        value: f64::NAN,
        low: f64::NAN,
        high: f64::NAN,
    };
}

impl Samples {
    /// Adds a round: `clean[i]` says how its window `i` was, `values` name windows from 0.
    pub fn add_round(&mut self, clean: &[bool], values: impl IntoIterator<Item = (u32, u32)>) {
        let round = self.windows.last().map_or(0, |last| last.round + 1);
        let first = self.windows.len() as u32;
        let windows = clean.iter().map(|&is_clean| Window { round, is_clean });
        self.windows.extend(windows);
        let moved = values.into_iter().map(|(ns, window)| (ns, first + window));
        self.values.extend(moved);
    }

    /// Whether a sample of this window counts.
    fn is_in(&self, set: Set, window: u32) -> bool {
        set == Set::All || self.windows[window as usize].is_clean
    }

    /// The samples of a set, sorted by value.
    fn sorted(&self, set: Set) -> Vec<(u32, u32)> {
        let values = self.values.iter().copied();
        let mut sorted: Vec<_> = values.filter(|(_, at)| self.is_in(set, *at)).collect();
        sorted.sort_unstable();
        sorted
    }

    /// How many samples a set has.
    pub fn count(&self, set: Set) -> u64 {
        let values = self.values.iter();
        values.filter(|(_, at)| self.is_in(set, *at)).count() as u64
    }

    /// Rounds there were.
    pub fn rounds(&self) -> usize {
        self.windows
            .last()
            .map_or(0, |last| last.round as usize + 1)
    }

    /// Windows of each kind: (clean, preempted).
    pub fn window_counts(&self) -> (usize, usize) {
        let clean = self.windows.iter().filter(|window| window.is_clean).count();
        (clean, self.windows.len() - clean)
    }

    /// The quantiles of a set and its maximum; `None` when it is empty.
    pub fn quantiles(&self, set: Set) -> Option<([f64; 4], f64)> {
        let sorted = self.sorted(set);
        let max = f64::from(sorted.last()?.0);
        let at = |quantile: f64| {
            let rank = (quantile * sorted.len() as f64).ceil() as usize;
            f64::from(sorted[rank.clamp(1, sorted.len()) - 1].0)
        };
        Some((QUANTILES.map(at), max))
    }

    /// The samples of a set, all rounds together, as an HDR histogram, ns, three digits.
    pub fn histogram(&self, set: Set) -> Histogram<u64> {
        let mut all = histogram();
        for (ns, window) in &self.values {
            if self.is_in(set, *window) {
                all.saturating_record(u64::from(*ns).max(1));
            }
        }
        all
    }
}

/// 1 ns to ten seconds, three significant digits.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 10_000_000_000, 3).expect("the bounds are constants that fit")
}

/// A histogram as HdrHistogram's own tools read it: V2, deflated, base64.
pub fn encoded(histogram: &Histogram<u64>) -> String {
    use base64::Engine as _;
    let mut bytes = Vec::new();
    let result = V2DeflateSerializer::new().serialize(histogram, &mut bytes);
    result.expect("writing to memory cannot fail");
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// The quantiles of every client in every draw: `draws[draw][client][quantile]`, NaN where a draw has no
/// samples of a client.
#[derive(Debug, Clone)]
pub struct Bootstrap {
    draws: Vec<Vec<[f64; 4]>>,
}

impl Bootstrap {
    /// Draws [`DRAWS`] times. All clients must have run in the same rounds.
    pub fn new(clients: &[&Samples], set: Set, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let prepared: Vec<Prepared> = clients.iter().map(|one| Prepared::new(one, set)).collect();
        let rounds = prepared.iter().map(|one| one.rounds.len()).max();
        let rounds = rounds.unwrap_or(0);
        let draws = (0..DRAWS).map(|_| {
            let mut drawn = vec![0u32; rounds];
            for _ in 0..rounds {
                drawn[random.below(rounds as u64) as usize] += 1;
            }
            let seed = random.below(1 << 31) << 31 | random.below(1 << 31);
            let quantiles = |one: &Prepared| one.draw(&drawn, &mut Random::new(seed));
            prepared.iter().map(quantiles).collect()
        });
        Self {
            draws: draws.collect(),
        }
    }

    /// The interval of one client's quantile; `at` is its index in [`QUANTILES`].
    pub fn interval(&self, client: usize, at: usize) -> (f64, f64) {
        interval(self.draws.iter().map(|draw| draw[client][at]))
    }

    /// The interval of `over`'s quantile divided by `under`'s.
    pub fn ratio(&self, over: usize, under: usize, at: usize) -> (f64, f64) {
        let ratios = self.draws.iter();
        interval(ratios.map(|draw| draw[over][at] / draw[under][at]))
    }
}

/// One client's samples of a set, ready to be drawn from.
struct Prepared {
    sorted: Vec<(u32, u32)>,
    /// The windows of each round that are in the set.
    rounds: Vec<Vec<u32>>,
    windows: usize,
}

impl Prepared {
    fn new(samples: &Samples, set: Set) -> Self {
        let sorted = samples.sorted(set);
        let stride = sorted.len().div_ceil(BOOTSTRAP_MAX).max(1);
        let mut rounds: Vec<Vec<u32>> = Vec::new();
        for (at, window) in (0u32..).zip(&samples.windows) {
            rounds.resize(rounds.len().max(window.round as usize + 1), Vec::new());
            if samples.is_in(set, at) {
                rounds[window.round as usize].push(at);
            }
        }
        Self {
            sorted: sorted.into_iter().step_by(stride).collect(),
            rounds,
            windows: samples.windows.len(),
        }
    }

    /// One draw: how often each window counts, then one walk over the sorted samples.
    fn draw(&self, drawn: &[u32], random: &mut Random) -> [f64; 4] {
        let mut weights = vec![0u32; self.windows];
        for (windows, times) in self.rounds.iter().zip(drawn) {
            for _ in 0..windows.len() as u64 * u64::from(*times) {
                weights[windows[random.below(windows.len() as u64) as usize] as usize] += 1;
            }
        }
        weighted_quantiles(&self.sorted, &weights)
    }
}

fn weighted_quantiles(sorted: &[(u32, u32)], weights: &[u32]) -> [f64; 4] {
    let weight = |window: u32| u64::from(weights[window as usize]);
    let total: u64 = sorted.iter().map(|(_, window)| weight(*window)).sum();
    let mut found = [f64::NAN; 4];
    let (mut seen, mut at) = (0, 0);
    for (ns, window) in sorted {
        seen += weight(*window);
        while at < found.len() && seen > 0 && seen as f64 >= QUANTILES[at] * total as f64 {
            found[at] = f64::from(*ns);
            at += 1;
        }
    }
    found
}

/// The middle 95 % of the results, those that are no number left out.
pub fn interval(results: impl Iterator<Item = f64>) -> (f64, f64) {
    let mut sorted: Vec<f64> = results.filter(|result| result.is_finite()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| {
        let last = sorted.len().checked_sub(1)?;
        sorted.get((share * last as f64).round() as usize).copied()
    };
    (at(0.025).unwrap_or(f64::NAN), at(0.975).unwrap_or(f64::NAN))
}

/// The interval of the ratio of two medians of independent measurements, one number a round: `over[i]` and
/// `under[i]` come from round `i` and are drawn together.
pub fn median_ratio(over: &[f64], under: &[f64], seed: u64) -> Estimate {
    let rounds = over.len().min(under.len());
    let mut random = Random::new(seed);
    let draws: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let picks: Vec<usize> = (0..rounds)
                .map(|_| random.below(rounds.max(1) as u64) as usize)
                .collect();
            let of = |all: &[f64]| median(picks.iter().map(|at| all[*at]));
            of(over) / of(under)
        })
        .collect();
    let (low, high) = interval(draws.into_iter());
    let value = median(over.iter().copied()) / median(under.iter().copied());
    Estimate { value, low, high }
}

/// The middle value, the lower one of two; NaN of nothing.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len().saturating_sub(1) / 2;
    sorted.get(middle).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Rounds of windows of samples drawn around `centre`.
    fn samples(centre: u32, spread: u32, rounds: u32, seed: u64) -> Samples {
        let mut random = Random::new(seed);
        let mut samples = Samples::default();
        for _ in 0..rounds {
            let values: Vec<(u32, u32)> = (0..1_000)
                .map(|at| {
                    (
                        centre + random.below(u64::from(spread)) as u32,
                        (at / 100) as u32,
                    )
                })
                .collect();
            samples.add_round(&[true; 10], values);
        }
        samples
    }

    #[test]
    fn quantiles_are_exact_and_clean_leaves_the_preempted_out() {
        let mut samples = Samples::default();
        samples.add_round(&[true], (1..=1_000).map(|ns| (ns, 0)));
        samples.add_round(&[false], (0..10).map(|_| (50_000_000, 0)));
        let (clean, max) = samples.quantiles(Set::Clean).unwrap();
        assert_eq!((clean, max), ([500.0, 900.0, 990.0, 999.0], 1_000.0));
        let (all, max) = samples.quantiles(Set::All).unwrap();
        assert_eq!((all[3], max), (50_000_000.0, 50_000_000.0));
        assert_eq!(samples.window_counts(), (1, 1));
        assert_eq!(Samples::default().quantiles(Set::All), None);
    }

    #[test]
    fn a_known_ratio_lies_inside_its_interval_and_the_interval_is_narrow() {
        let (ours, theirs) = (samples(10_000, 2_000, 8, 3), samples(30_000, 6_000, 8, 5));
        let bootstrap = Bootstrap::new(&[&ours, &theirs], Set::Clean, 1);
        for at in 0..3 {
            let (low, high) = bootstrap.ratio(1, 0, at);
            assert!(
                low <= 3.0 * 1.01 && high >= 3.0 * 0.99,
                "{at}: {low}..{high}"
            );
            assert!(high / low < 1.1, "{at}: {low}..{high}");
        }
        let (low, high) = bootstrap.interval(0, 0);
        assert!(low >= 10_000.0 && high <= 12_000.0 && low <= high);
    }

    #[test]
    fn a_round_that_was_slow_for_everyone_does_not_widen_a_ratio() {
        let (mut ours, mut theirs) = (Samples::default(), Samples::default());
        for round in 0..8u32 {
            let mood = 1 + round; // the machine slows down eightfold
            ours.add_round(&[true; 2], (0..100).map(|at| (100 * mood + at % 3, at % 2)));
            theirs.add_round(&[true; 2], (0..100).map(|at| (200 * mood + at % 3, at % 2)));
        }
        let bootstrap = Bootstrap::new(&[&ours, &theirs], Set::Clean, 1);
        let (low, high) = bootstrap.interval(0, 0);
        assert!(high / low > 1.5, "absolute times vary: {low}..{high}");
        let (low, high) = bootstrap.ratio(1, 0, 0);
        assert!(low > 1.9 && high < 2.1, "{low}..{high}");
    }

    #[test]
    fn two_that_are_the_same_are_not_told_apart() {
        let (a, b) = (samples(10_000, 3_000, 8, 3), samples(10_000, 3_000, 8, 77));
        let bootstrap = Bootstrap::new(&[&a, &b], Set::All, 1);
        let (low, high) = bootstrap.ratio(0, 1, 0);
        assert!(low < 1.0 && high > 1.0, "{low}..{high}");
        let rounds = [1.0, 1.1, 0.9, 1.05, 0.95];
        let ratio = median_ratio(&rounds, &rounds, 9);
        assert_eq!((ratio.value, ratio.low, ratio.high), (1.0, 1.0, 1.0));
    }

    proptest! {
        #[test]
        fn merged_rounds_are_the_whole(
            rounds in prop::collection::vec(prop::collection::vec(1u32..2_000_000_000, 1..50), 1..6)
        ) {
            let mut samples = Samples::default();
            let mut merged = histogram();
            for round in &rounds {
                samples.add_round(&[true], round.iter().map(|ns| (*ns, 0)));
                let mut one = histogram();
                for ns in round {
                    one.saturating_record(u64::from(*ns));
                }
                merged.add(one).unwrap();
            }
            prop_assert_eq!(samples.histogram(Set::All), merged);
        }

        #[test]
        fn a_weight_is_a_copy(values in prop::collection::vec((1u32..10_000, 0u32..4), 1..60),
                              weights in prop::array::uniform4(0u32..4)) {
            let mut values = values;
            values.sort_unstable();
            let copies: Vec<(u32, u32)> = values
                .iter()
                .flat_map(|&(ns, window)| (0..weights[window as usize]).map(move |_| (ns, 0)))
                .collect();
            let weighted = weighted_quantiles(&values, &weights);
            if copies.is_empty() {
                prop_assert!(weighted.iter().all(|q| q.is_nan()));
            } else {
                let copied = weighted_quantiles(&copies, &[1]);
                prop_assert_eq!(weighted.map(f64::to_bits), copied.map(f64::to_bits));
            }
        }

        #[test]
        fn a_stored_histogram_comes_back(values in prop::collection::vec(1u64..1_000_000_000, 0..50)) {
            use base64::Engine as _;
            let mut histogram = histogram();
            for ns in &values {
                histogram.saturating_record(*ns);
            }
            let bytes = base64::engine::general_purpose::STANDARD.decode(encoded(&histogram)).unwrap();
            let back: Histogram<u64> =
                hdrhistogram::serialization::Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
            prop_assert_eq!(back, histogram);
        }
    }
}
