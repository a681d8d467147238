//! The report of a comparison that has no rates: rows, ratios with intervals, verdicts, facts.

use crate::head::{self, Head};
use crate::host::{Hiccups, Seats};
use crate::stats::{self, Bootstrap, Estimate, Samples, Set};
use crate::target::{self, Verdict};
use core::fmt;
use serde::Serialize;

/// Quantiles with their 95 % intervals, ns.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Figures {
    /// Samples.
    pub count: u64,
    /// Median.
    pub p50: Estimate,
    /// 90th percentile.
    pub p90: Estimate,
    /// 99th percentile.
    pub p99: Estimate,
    /// 99.9th percentile.
    pub p999: Estimate,
    /// Worst.
    pub max: f64,
}

impl Figures {
    /// Of one client's samples; `draws` has it at index `at`. `None` when the set is empty.
    pub fn of(samples: &Samples, set: Set, draws: &Bootstrap, at: usize) -> Option<Self> {
        let (values, max) = samples.quantiles(set)?;
        let estimate = |quantile: usize| {
            let (low, high) = draws.interval(at, quantile);
            let value = values[quantile];
            Estimate { value, low, high }
        };
        let [p50, p90, p99, p999] = core::array::from_fn(estimate);
        Some(Self {
            count: samples.count(set),
            p50,
            p90,
            p99,
            p999,
            max,
        })
    }
}

/// One thing measured.
#[derive(Debug, Clone, Serialize)]
pub struct Item {
    /// What.
    pub name: String,
    /// Under which circumstances; rows are compared inside one.
    pub group: String,
    /// Of clean windows.
    pub clean: Option<Figures>,
    /// Of all.
    pub all: Option<Figures>,
    /// Windows: clean, preempted.
    pub windows: (usize, usize),
    /// Rounds the intervals stand on.
    pub rounds: usize,
    /// HdrHistogram V2, deflated, base64, all samples.
    pub histogram: String,
}

/// One thing against another.
#[derive(Debug, Clone, Serialize)]
pub struct Pair {
    /// Under which circumstances.
    pub group: String,
    /// The slower one, or so one hopes.
    pub over: String,
    /// The other one.
    pub under: String,
    /// `p50` or `p99`.
    pub quantile: &'static str,
    /// Clean windows: its times over theirs.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// `lower` or `higher` is better for us.
    pub better: &'static str,
}

/// A number with a name.
#[derive(Debug, Clone, Serialize)]
pub struct Fact {
    /// What it is, with its unit.
    pub what: String,
    /// How much.
    pub value: f64,
}

/// Everything of one run.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// Where and how.
    #[serde(flatten)]
    pub head: Head,
    /// Gaps on the core before and between.
    pub hiccups: Hiccups,
    /// What was measured.
    pub rows: Vec<Item>,
    /// Comparisons.
    pub ratios: Vec<Pair>,
    /// Single numbers.
    pub facts: Vec<Fact>,
    /// The design's targets.
    pub targets: Vec<Verdict>,
    /// What to know beside.
    pub notes: Vec<String>,
}

impl Summary {
    /// An empty one of this machine.
    pub fn new(kind: &'static str, tsc_hz: u64, seats: Seats, hiccups: Hiccups) -> Self {
        Self {
            notes: seats.doubts(),
            head: Head::new(kind, tsc_hz, seats),
            hiccups,
            rows: Vec::new(),
            ratios: Vec::new(),
            facts: Vec::new(),
            targets: Vec::new(),
        }
    }

    /// Adds rows of one group, and everyone against the first. Peers are set against ours (`higher` is
    /// better) or ours against a floor (`lower`), as [`Summary::better`] says.
    pub fn add(&mut self, group: &str, all: &[(String, Samples)]) {
        let samples: Vec<&Samples> = all.iter().map(|(_, samples)| samples).collect();
        let clean = Bootstrap::new(&samples, Set::Clean, 7);
        let every = Bootstrap::new(&samples, Set::All, 7);
        for (at, (name, samples)) in all.iter().enumerate() {
            self.rows.push(Item {
                name: name.clone(),
                group: group.to_owned(),
                clean: Figures::of(samples, Set::Clean, &clean, at),
                all: Figures::of(samples, Set::All, &every, at),
                windows: samples.window_counts(),
                rounds: samples.rounds(),
                histogram: stats::encoded(&samples.histogram(Set::All)),
            });
        }
        for (over, (name, samples)) in all.iter().enumerate().skip(1) {
            for (at, quantile) in [(0, "p50"), (2, "p99")] {
                let point = |samples: &Samples| samples.quantiles(Set::Clean).map(|it| it.0[at]);
                let (Some(top), Some(bottom)) = (point(samples), point(&all[0].1)) else {
                    continue;
                };
                let (low, high) = clean.ratio(over, 0, at);
                let value = top / bottom;
                self.ratios.push(Pair {
                    group: group.to_owned(),
                    over: name.clone(),
                    under: all[0].0.clone(),
                    quantile,
                    estimate: Estimate { value, low, high },
                    better: self.better(),
                });
            }
        }
    }

    /// What is better for a ratio of this kind of run.
    fn better(&self) -> &'static str {
        match self.head.kind {
            "in_process" => "higher",
            _ => "lower",
        }
    }

    /// Adds a number.
    pub fn fact(&mut self, what: impl Into<String>, value: f64) {
        let what = what.into();
        self.facts.push(Fact { what, value });
    }

    /// The comparison of `over` with the first of its group.
    pub fn ratio(&self, group: &str, over: &str, quantile: &str) -> Option<Estimate> {
        let is_it = |pair: &&Pair| {
            (pair.group.as_str(), pair.over.as_str(), pair.quantile) == (group, over, quantile)
        };
        self.ratios.iter().find(is_it).map(|pair| pair.estimate)
    }

    /// Rounds behind the figures of a group: of the row that has fewest.
    pub fn rounds(&self, group: &str) -> usize {
        let rows = self.rows.iter().filter(|row| row.group == group);
        rows.map(|row| row.rounds).min().unwrap_or(0)
    }

    /// A row's figures of clean windows.
    pub fn clean(&self, group: &str, name: &str) -> Option<Figures> {
        let is_it = |row: &&Item| (row.group.as_str(), row.name.as_str()) == (group, name);
        self.rows.iter().find(is_it).and_then(|row| row.clean)
    }

    /// Errors, when `is_gate`: a gated target that is not proven.
    pub fn check(&self, is_gate: bool) -> anyhow::Result<()> {
        target::check(&self.targets, is_gate)
    }
}

/// `3.91 3.80-4.02`, in at most 16 columns.
pub fn span(estimate: &Estimate) -> String {
    let Estimate { value, low, high } = *estimate;
    let digits = match high {
        high if high < 9.995 => 2,
        high if high < 99.95 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$} {low:.digits$}-{high:.digits$}");
    if text.len() > 16 {
        format!("{value:.digits$} wide")
    } else {
        text
    }
}

/// Nanoseconds in at most 8 columns: three digits, or whole ones, or milliseconds.
fn nanos(value: f64) -> String {
    match value {
        v if v < 1e6 => format!("{v:.0}"),
        v => format!("{:.1}ms", v / 1e6),
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head.fmt(f)?;
        let Hiccups {
            looked_ns,
            count,
            max_ns,
            ..
        } = self.hiccups;
        writeln!(
            f,
            "hiccups on the core: {count} over {} us in {} ms, longest {} us",
            crate::host::HICCUP_NS / 1_000,
            looked_ns / 1_000_000,
            max_ns / 1_000
        )?;
        let mut group = "";
        for row in &self.rows {
            if row.group != group {
                group = &row.group;
                writeln!(f, "\n{group}")?;
                writeln!(
                    f,
                    "{:<34}{:>8}{:>8}{:>8}{:>8}{:>8}{:>6}",
                    "ns", "p50", "p90", "p99", "p99.9", "max", "clean"
                )?;
            }
            let windows = row.windows.0 + row.windows.1;
            let share = 100 * row.windows.0 / windows.max(1);
            let name: String = row.name.chars().take(34).collect();
            for (name, figures, share) in [
                (name.as_str(), row.clean, format!("{share}%")),
                ("  all", row.all, String::new()),
            ] {
                let Some(it) = figures else { continue };
                let [p50, p90, p99, p999] =
                    [it.p50, it.p90, it.p99, it.p999].map(|one| nanos(one.value));
                let max = nanos(it.max);
                writeln!(
                    f,
                    "{name:<34}{p50:>8}{p90:>8}{p99:>8}{p999:>8}{max:>8}{share:>6}"
                )?;
            }
        }
        if !self.ratios.is_empty() {
            let head = "times as long, clean windows";
            writeln!(f, "\n{head:<63}{:>16}", "ratio")?;
        }
        for pair in &self.ratios {
            let Pair {
                group,
                over,
                under,
                quantile,
                estimate,
                ..
            } = pair;
            let who: String = format!("{group}: {over} / {under}")
                .chars()
                .take(58)
                .collect();
            writeln!(f, "{who:<58} {quantile}{:>17}", span(estimate))?;
        }
        for Fact { what, value } in &self.facts {
            let digits = if *value < 100.0 { 2 } else { 0 };
            writeln!(f, "{what:<63}{value:>16.digits$}")?;
        }
        target::fmt_table(f, &self.targets)?;
        head::fmt_notes(f, &self.notes)?;
        write!(f, "\nIntervals are 95 %. Method: bench/METHOD.md")
    }
}
