//! Everything of one run, and whether it passes.

use super::Args;
use super::rows::{self, Line, Ratio, StageLine};
use super::targets;
use crate::head::Head;
use crate::host::Seats;
use crate::race::Measured;
use crate::stats::{Bootstrap, Set};
use crate::target::{self, Verdict};
use dp_shm::Counter;
use dp_transport::Clock;
use serde::Serialize;

/// Everything of one run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where and how.
    #[serde(flatten)]
    pub head: Head,
    /// Rounds run.
    pub rounds: u32,
    /// Seconds a rate, client and round.
    pub seconds: f64,
    /// One line a client and rate.
    pub rows: Vec<Line>,
    /// Clients against ours, ours against the floors.
    pub ratios: Vec<Ratio>,
    /// The lane's own stages.
    pub stages: Vec<StageLine>,
    /// The design's targets.
    pub targets: Vec<Verdict>,
    /// What to know beside.
    pub notes: Vec<String>,
}

impl Report {
    /// Of everything that was measured.
    pub fn new(
        measured: &[Measured],
        args: &Args,
        asked: &[&str],
        seats: Seats,
        clock: &Clock,
        mut notes: Vec<String>,
    ) -> Self {
        let (mut lines, mut ratios, mut stages) = (Vec::new(), Vec::new(), Vec::new());
        let mut rates: Vec<u64> = measured.iter().map(|one| one.load.rate).collect();
        rates.sort_unstable();
        rates.dedup();
        for rate in rates {
            let here: Vec<&Measured> = measured
                .iter()
                .filter(|one| one.load.rate == rate)
                .collect();
            let samples: Vec<_> = here.iter().map(|one| &one.samples).collect();
            let draws = [Set::Clean, Set::All].map(|set| Bootstrap::new(&samples, set, rate));
            for (at, one) in here.iter().enumerate() {
                lines.push(rows::line(one, at, &draws));
                stages.extend(rows::stage_lines(one, clock));
                lane_notes(one, &mut notes);
            }
            ratios.extend(rows::ratios(&here, &draws));
        }
        let (targets, others) = targets::judge(&lines, &ratios, args.rounds as usize, asked);
        if !others.is_empty() {
            notes.push(format!("targets not asked for: {}", others.join("; ")));
        }
        Self {
            head: Head::new("tick_to_trade", clock.tsc_hz(), seats),
            rounds: args.rounds,
            seconds: args.seconds,
            targets,
            rows: lines,
            ratios,
            stages,
            notes,
        }
    }

    /// Whether our lanes answered every tick once and, where `--gate` asks, in every round, and every target asked
    /// for is proven.
    pub fn check(&self, is_gate: bool) -> anyhow::Result<()> {
        let lost: u64 = self
            .rows
            .iter()
            .map(|row| row.unanswered + row.strays)
            .sum();
        let lanes = || self.rows.iter().filter(|row| row.is_lane);
        let missed = self.rows.iter().map(|row| row.rounds_missed).sum::<usize>();
        if missed > 0 {
            eprintln!("warning: {missed} rounds without a client that left; see the notes");
        }
        let ours: u64 = lanes().map(|row| row.unanswered + row.strays).sum();
        anyhow::ensure!(
            ours == 0,
            "our lanes left {ours} ticks without their one order"
        );
        let missed: usize = lanes().map(|row| row.rounds_missed).sum();
        anyhow::ensure!(
            !is_gate || missed == 0,
            "our lanes were missing in {missed} rounds"
        );
        if lost > 0 {
            eprintln!("warning: {lost} ticks of others without their one order");
        }
        target::check(&self.targets, is_gate)
    }
}

/// What a lane counted that it should not have.
fn lane_notes(one: &Measured, notes: &mut Vec<String>) {
    let bad = [
        Counter::Gaps,
        Counter::DecodeErrors,
        Counter::RiskRefusals,
        Counter::RateRefusals,
        Counter::JournalRefusals,
        Counter::UnknownOrders,
        Counter::IllegalTransitions,
        Counter::Reconnects,
    ];
    for doubt in &one.doubts {
        let note = format!("{}: {doubt}; a node's lane has it", one.name);
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    for end in &one.ends {
        notes.push(format!("missing at {}/s: {end}", one.load.rate));
    }
    for counter in bad {
        let count = one.count(counter);
        if count > 0 {
            let (name, rate) = (&one.name, one.load.rate);
            notes.push(format!("{name} at {rate}/s: {count} {}", counter.name()));
        }
    }
}
