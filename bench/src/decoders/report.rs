//! What was found: a table of at most 80 columns, or JSON.

use crate::head::{self, Machine};
use crate::host::Hiccups;
use crate::meter::{Meter, Row as Timed};
use crate::stats::Estimate;
use crate::target::{self, Bound, Verdict};
use core::fmt;
use serde::Serialize;

/// Updates a second that one core is to decode and apply: of the fastest venue, and of the slowest.
const FASTEST: f64 = 1_000_000.0;
const SLOWEST: f64 = 400_000.0;

/// Times of one way, ns a message.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Figures {
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Mean, interrupts and neighbours in it.
    pub mean: f64,
}

impl Figures {
    /// Of a timed row.
    pub const fn of(row: &Timed) -> Self {
        Self {
            p50: row.p50,
            p99: row.p99,
            mean: row.mean,
        }
    }
}

/// One venue.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Its name.
    pub venue: &'static str,
    /// The recording, or that these are fixtures.
    pub from: String,
    /// Distinct updates, gone through again and again.
    pub messages: usize,
    /// Levels of an update, mean.
    pub levels_a_message: f64,
    /// Bytes of an update's text, mean.
    pub bytes_a_message: f64,
    /// Of the updates, what the scanner took; the general parser took the rest.
    pub scanned_share: f64,
    /// Text to event.
    pub decode: Figures,
    /// The median of it, a level.
    pub ns_a_level: f64,
    /// Text to event to book.
    pub apply: Figures,
    /// What one core does of that, by the mean.
    pub updates_a_second: f64,
    /// Text to document to levels.
    pub serde_json: Figures,
    /// The same by simd-json.
    pub simd_json: Figures,
    /// What of each is inflating, where a venue compresses.
    pub inflate: Option<Figures>,
}

/// The run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// `done`: a run that ends has measured all it was asked for.
    outcome: &'static str,
    machine: Machine,
    is_debug: bool,
    hiccups: Hiccups,
    venues: Vec<Row>,
    targets: Vec<Verdict>,
    notes: Vec<String>,
}

impl Report {
    /// Of the rows, on this machine.
    pub fn new(meter: Meter, venues: Vec<Row>) -> Self {
        Self {
            outcome: "done",
            machine: Machine::here(meter.tsc_hz()),
            is_debug: cfg!(debug_assertions),
            hiccups: meter.hiccups,
            targets: targets(&venues),
            venues,
            notes: meter.notes,
        }
    }
}

/// Told, not gated: they are absolute times.
fn targets(venues: &[Row]) -> Vec<Verdict> {
    let rates = || venues.iter().map(|row| (row.updates_a_second, row.venue));
    let fastest = rates().max_by(|a, b| a.0.total_cmp(&b.0));
    let slowest = rates().min_by(|a, b| a.0.total_cmp(&b.0));
    let ratios = venues
        .iter()
        .map(|row| (row.simd_json.p50 / row.decode.p50, row.venue));
    let ratio = ratios.min_by(|a, b| a.0.total_cmp(&b.0));
    [
        (fastest, FASTEST, "updates/s applied, the fastest venue"),
        (slowest, SLOWEST, "updates/s applied, the slowest venue"),
        (
            ratio,
            1.0,
            "simd-json's document over ours, the worst venue",
        ),
    ]
    .into_iter()
    .filter_map(|(found, wanted, what)| {
        let (value, venue) = found?;
        let what = format!("{what} ({venue}), at least {wanted}");
        Some(Bound::AtLeast.judge(what, wanted, Estimate::exact(value), false))
    })
    .collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.machine.fmt(f)?;
        head::fmt_build(f, self.is_debug)?;
        writeln!(f, "{}", self.hiccups)?;
        writeln!(
            f,
            "\n{:<14}{:>5}{:>6}{:>6}|{:>6}{:>7}{:>6}|{:>6}{:>6}|{:>6}{:>8}",
            "ns a message",
            "msgs",
            "level",
            "bytes",
            "p50",
            "p99",
            "level",
            "serde",
            "simd",
            "apply",
            "a s"
        )?;
        for row in &self.venues {
            writeln!(
                f,
                "{:<14}{:>5}{:>6.1}{:>6.0}|{:>6.0}{:>7.0}{:>6.0}|{:>5.1}x{:>5.1}x|{:>6.0}{:>8.0}",
                row.venue,
                row.messages,
                row.levels_a_message,
                row.bytes_a_message,
                row.decode.p50,
                row.decode.p99,
                row.ns_a_level,
                row.serde_json.p50 / row.decode.p50,
                row.simd_json.p50 / row.decode.p50,
                row.apply.p50,
                row.updates_a_second,
            )?;
            if let Some(inflate) = row.inflate {
                writeln!(
                    f,
                    "  of that gunzip{:>16}{:>6.0}{:>7.0}{:>9.0} % of ours in the median",
                    "|",
                    inflate.p50,
                    inflate.p99,
                    100.0 * inflate.p50 / row.decode.p50
                )?;
            }
        }
        writeln!(f)?;
        for row in &self.venues {
            let how = match row.scanned_share {
                share if share > 0.99 => "scanned".to_owned(),
                share if share < 0.01 => "parsed".to_owned(),
                share => format!("{:.0} % scanned", share * 100.0),
            };
            writeln!(f, "{:<15}{how}; {}", row.venue, row.from)?;
        }
        target::fmt_table(f, &self.targets)?;
        head::fmt_notes(f, &self.notes)?;
        write!(
            f,
            "\nserde, simd: the median of a document and its levels as doubles, over ours.\n\
             apply: decoded and in the book, median; a s: updates a second, by the mean, one\n\
             core."
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(venue: &'static str, updates_a_second: f64) -> Row {
        let figures = Figures {
            p50: 98_765.0,
            p99: 987_654.0,
            mean: 98_765.0,
        };
        Row {
            venue,
            from: "fixtures of the crate".to_owned(),
            messages: 4_096,
            levels_a_message: 300.0,
            bytes_a_message: 12_345.0,
            scanned_share: 0.5,
            decode: figures,
            ns_a_level: 12_345.0,
            apply: figures,
            updates_a_second,
            serde_json: figures,
            simd_json: figures,
            inflate: Some(figures),
        }
    }

    #[test]
    fn the_table_fits_80_columns_and_each_goal_has_its_venue() {
        let rows = vec![row("kraken-futures", 1_200_000.0), row("huobi", 300_000.0)];
        let report = Report::new(Meter::new(100), rows);
        for line in report.to_string().lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        let met: Vec<_> = report.targets.iter().map(|target| target.is_met).collect();
        assert_eq!(met, [true, false, true]);
        assert!(report.targets[1].what.contains("huobi"));
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["venues"][1]["messages"], 4_096);
        assert!(json["hiccups"]["max_ns"].is_u64());
    }
}
