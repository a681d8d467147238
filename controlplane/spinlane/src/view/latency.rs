//! `spinlane latency`: the stage histograms in nanoseconds.

use crate::table::{Table, count, nanos};
use dp_shm::{HistSnapshot, Region, Stage};
use hdrhistogram::Histogram;
use serde::Serialize;

/// TSC cycles as nanoseconds, rounded up: a latency is never told shorter than it was.
pub fn to_ns(cycles: u64, tsc_hz: u64) -> u64 {
    let ns = (u128::from(cycles) * 1_000_000_000).div_ceil(u128::from(tsc_hz.max(1)));
    u64::try_from(ns).unwrap_or(u64::MAX)
}

/// Stage latencies of a node.
#[derive(Debug, Clone, Serialize)]
pub struct Latency {
    /// `done`.
    pub outcome: &'static str,
    /// Name.
    pub node: String,
    /// Cycles a second, as measured by the dataplane.
    pub tsc_hz: u64,
    /// By lane, stages that recorded anything.
    pub lanes: Vec<LaneLatency>,
    /// All lanes together.
    pub all: Vec<StageLatency>,
}

/// One lane's.
#[derive(Debug, Clone, Serialize)]
pub struct LaneLatency {
    /// Which.
    pub lane: u8,
    /// By stage.
    pub stages: Vec<StageLatency>,
}

/// One stage's.
#[derive(Debug, Clone, Serialize)]
pub struct StageLatency {
    /// Which.
    pub stage: &'static str,
    /// Values.
    pub count: u64,
    /// Median.
    pub p50_ns: u64,
    /// 99th percentile.
    pub p99_ns: u64,
    /// 99.9th percentile.
    pub p999_ns: u64,
    /// Largest.
    pub max_ns: u64,
    /// What it was made from.
    #[serde(skip)]
    pub histogram: Histogram<u64>,
}

impl StageLatency {
    /// From a copy of shared memory; `None` when it recorded nothing.
    pub fn of(stage: Stage, snapshot: &HistSnapshot, tsc_hz: u64) -> Option<Self> {
        // Three digits: the precision the lane's buckets have.
        let mut histogram = Histogram::<u64>::new(3).ok()?;
        for (cycles, count) in snapshot.iter() {
            histogram
                .record_n(to_ns(cycles, tsc_hz).max(1), count)
                .ok()?;
        }
        if histogram.is_empty() {
            return None;
        }
        let max_ns = to_ns(snapshot.max(), tsc_hz);
        let at = |quantile: f64| histogram.value_at_quantile(quantile).min(max_ns);
        Some(Self {
            stage: stage.name(),
            count: histogram.len(),
            p50_ns: at(0.5),
            p99_ns: at(0.99),
            p999_ns: at(0.999),
            max_ns,
            histogram,
        })
    }
}

impl Latency {
    /// Reads it.
    pub fn read(region: &Region) -> Self {
        let tsc_hz = region.tsc_hz().unwrap_or(1_000_000_000);
        let lane = |view: dp_shm::LaneView<'_>| LaneLatency {
            lane: view.lane.0,
            stages: Stage::ALL
                .iter()
                .filter_map(|stage| {
                    StageLatency::of(*stage, &view.stages.view(*stage).snapshot(), tsc_hz)
                })
                .collect(),
        };
        let merged = |stage: &Stage| {
            let mut sum = HistSnapshot::default();
            for view in region.lanes() {
                sum.merge(&view.stages.view(*stage).snapshot());
            }
            StageLatency::of(*stage, &sum, tsc_hz)
        };
        Self {
            outcome: "done",
            node: region.node().as_str().to_owned(),
            tsc_hz,
            lanes: region.lanes().map(lane).collect(),
            all: Stage::ALL.iter().filter_map(merged).collect(),
        }
    }

    /// All lanes' values of one stage.
    pub fn stage(&self, stage: Stage) -> Option<&StageLatency> {
        self.all.iter().find(|one| one.stage == stage.name())
    }

    /// For people: a table a lane, or one for all.
    pub fn text(&self) -> String {
        if self.all.is_empty() {
            return "no latencies recorded yet".to_owned();
        }
        let lanes = self.lanes.iter().filter(|lane| !lane.stages.is_empty());
        let tables: Vec<String> = lanes
            .map(|lane| format!("lane {}\n{}", lane.lane, table(&lane.stages)))
            .collect();
        tables.join("\n\n")
    }
}

/// Stages as a table.
pub fn table(stages: &[StageLatency]) -> String {
    let mut table = Table::new(&["stage", ">count", ">p50", ">p99", ">p99.9", ">max"]);
    for stage in stages {
        table.row([
            stage.stage.to_owned(),
            count(stage.count),
            nanos(stage.p50_ns),
            nanos(stage.p99_ns),
            nanos(stage.p999_ns),
            nanos(stage.max_ns),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_become_nanoseconds_and_never_fewer() {
        assert_eq!(to_ns(3, 2_000_000_000), 2);
        assert_eq!(to_ns(0, 2_000_000_000), 0);
        assert_eq!(to_ns(u64::MAX, 0), u64::MAX);
    }
}
