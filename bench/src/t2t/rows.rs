//! What was measured of each client, and of one against another.

use super::entrants::{BOTH, BOTH_FLOOR, OURS, VETH};
use crate::host::Hiccups;
use crate::race::Measured;
use crate::stats::{self, Bootstrap, Estimate, Set};
use crate::summary::Figures;
use dp_shm::HistSnapshot;
use dp_transport::Clock;
use serde::Serialize;

/// A stage no lane has by itself: from the received frame's descriptor to the order's, TCP included.
const DESCRIPTORS: &str = "rx_to_tx_descriptor";

/// One client at one rate. Times in nanoseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// Who.
    pub client: String,
    /// Ticks a second.
    pub rate: u64,
    /// Ticks that were to be answered.
    pub asked: u64,
    /// Those that were not.
    pub unanswered: u64,
    /// Orders that answer no tick.
    pub strays: u64,
    /// A lane of ours.
    pub is_lane: bool,
    /// Rounds it left before it was heard out at this rate.
    pub rounds_missed: usize,
    /// Of clean windows; absent when there were none.
    pub clean: Option<Figures>,
    /// Of all windows.
    pub all: Option<Figures>,
    /// Windows of 20 ms: clean, preempted.
    pub windows: (usize, usize),
    /// Preemptions counted: client, venue.
    pub preemptions: (u64, u64),
    /// How late the venue wrote its ticks, p50 and p99.
    pub venue_late: (u64, u64),
    /// Share of the time the venue worked, worst round.
    pub venue_load: f64,
    /// Gaps on the client's core right before.
    pub hiccups: Hiccups,
    /// Merged histograms (HdrHistogram V2, deflated, base64): clean, all.
    pub histograms: (String, String),
}

impl Line {
    /// What is missing of it, in words: no verdict stands on such a row.
    pub fn missing(&self) -> Option<String> {
        let (client, ticks, rounds) = (&self.client, self.unanswered, self.rounds_missed);
        match (ticks, rounds) {
            (0, 0) => None,
            (0, _) => Some(format!("{rounds} rounds missed, {client}")),
            _ => Some(format!("{ticks} ticks unanswered, {client}")),
        }
    }
}

/// One client against another at one rate.
#[derive(Debug, Clone, Serialize)]
pub struct Ratio {
    /// The slower one, or so one hopes.
    pub over: String,
    /// The other one.
    pub under: String,
    /// Ticks a second.
    pub rate: u64,
    /// `p50` or `p99`.
    pub quantile: &'static str,
    /// `clean` or `all`.
    pub set: &'static str,
    /// Its times over theirs.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// `lower` or `higher` is better for us.
    pub better: &'static str,
}

/// A stage of the lane at one rate, ns.
#[derive(Debug, Clone, Serialize)]
pub struct StageLine {
    /// Whose.
    pub client: String,
    /// Ticks a second.
    pub rate: u64,
    /// Its name.
    pub stage: &'static str,
    /// Times.
    pub count: u64,
    /// Median.
    pub p50: u64,
    /// 99th percentile.
    pub p99: u64,
    /// Mean.
    pub mean: u64,
}

/// Every comparison of one rate, in clean windows and in all; `draws` are of both.
pub fn ratios(here: &[&Measured], draws: &[Bootstrap; 2]) -> Vec<Ratio> {
    let [clean, all] = draws;
    let mut ratios = Vec::new();
    for (over, under) in pairs(here) {
        for (at, quantile) in [(0, "p50"), (2, "p99")] {
            for (set, name, draws) in [(Set::Clean, "clean", clean), (Set::All, "all", all)] {
                let point = |one: &Measured| one.samples.quantiles(set).map(|it| it.0[at]);
                let (Some(top), Some(bottom)) = (point(here[over]), point(here[under])) else {
                    continue;
                };
                let (low, high) = draws.ratio(over, under, at);
                let value = top / bottom;
                ratios.push(Ratio {
                    over: here[over].name.clone(),
                    under: here[under].name.clone(),
                    rate: here[over].load.rate,
                    quantile,
                    set: name,
                    estimate: Estimate { value, low, high },
                    better: better(&here[over].name),
                });
            }
        }
    }
    ratios
}

/// Everyone over ours; ours over the floors; over the cable alike. For any other field, everyone over the
/// first.
fn pairs(here: &[&Measured]) -> Vec<(usize, usize)> {
    let find = |name: &str| here.iter().position(|one| one.name == name);
    let mut pairs = Vec::new();
    for (at, one) in here.iter().enumerate() {
        let name = one.name.as_str();
        let floor_of = BOTH_FLOOR.iter().position(|floor| *floor == name);
        let base = match floor_of {
            Some(mode) => find(BOTH[mode]),
            None if name.starts_with("veth: ") => find(VETH),
            None => find(OURS).or(Some(0)),
        };
        let Some(base) = base.filter(|base| *base != at) else {
            continue;
        };
        pairs.push(if name.contains("floor") {
            (base, at)
        } else {
            (at, base)
        });
    }
    pairs
}

/// What is better for a ratio over this client: ours over a floor, and bypass over the kernel, want to be
/// small.
fn better(over: &str) -> &'static str {
    let is_ours = over == OURS || over.starts_with("veth: ");
    if is_ours { "lower" } else { "higher" }
}

/// A client's line; the draws, of clean windows and of all, have it at index `at`.
pub fn line(one: &Measured, at: usize, [clean, all]: &[Bootstrap; 2]) -> Line {
    let histogram = |set| stats::encoded(&one.samples.histogram(set));
    Line {
        client: one.name.clone(),
        rate: one.load.rate,
        asked: one.asked,
        unanswered: one.asked - one.answered,
        strays: one.strays,
        is_lane: one.is_lane,
        rounds_missed: one.ends.len(),
        clean: Figures::of(&one.samples, Set::Clean, clean, at),
        all: Figures::of(&one.samples, Set::All, all, at),
        windows: one.samples.window_counts(),
        preemptions: one.preemptions,
        venue_late: (
            one.late.value_at_quantile(0.5),
            one.late.value_at_quantile(0.99),
        ),
        venue_load: one.venue_load,
        hiccups: one.hiccups,
        histograms: (histogram(Set::Clean), histogram(Set::All)),
    }
}

/// The stages its lane went through.
pub fn stage_lines(one: &Measured, clock: &Clock) -> Vec<StageLine> {
    let line = |(stage, times): (&'static str, &HistSnapshot)| StageLine {
        client: one.name.clone(),
        rate: one.load.rate,
        stage,
        count: times.total(),
        p50: clock.cycles_to_ns(times.quantile(0.5)),
        p99: clock.cycles_to_ns(times.quantile(0.99)),
        mean: clock.cycles_to_ns(times.mean()),
    };
    let stages = one.stages.iter();
    let stages = stages.map(|(stage, times)| (stage.name(), times));
    let all = stages.chain([(DESCRIPTORS, &one.spans)]);
    all.filter(|(_, times)| times.total() > 0)
        .map(line)
        .collect()
}
