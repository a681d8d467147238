//! What was measured, as a table of at most 80 columns or as JSON with stable names.

use crate::head::{self, Machine};
use crate::host::{HICCUP_NS, Hiccups};
use crate::meter::{Meter, Row};
use crate::target::{self, Verdict};
use core::fmt;
use serde::Serialize;

/// One run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// `done`: a run that ends has measured all it was asked for.
    outcome: &'static str,
    machine: Machine,
    /// Built without optimisation: the numbers mean nothing.
    is_debug: bool,
    hiccups: Hiccups,
    hiccup_over_ns: u64,
    rows: Vec<Row>,
    targets: Vec<Verdict>,
    notes: Vec<String>,
}

impl Report {
    /// The report of everything `meter` has.
    pub fn new(meter: Meter, is_debug: bool) -> Self {
        Self {
            outcome: "done",
            machine: Machine::here(meter.tsc_hz()),
            is_debug,
            hiccups: meter.hiccups,
            hiccup_over_ns: HICCUP_NS,
            targets: target::stages(&meter.rows),
            rows: meter.rows,
            notes: meter.notes,
        }
    }
}

/// Three significant digits or whole nanoseconds, in at most 9 columns.
fn nanos(value: f64) -> String {
    match value {
        v if v < 10.0 => format!("{v:.2}"),
        v if v < 100.0 => format!("{v:.1}"),
        v if v < 1e6 => format!("{v:.0}"),
        v => format!("{:.1}ms", v / 1e6),
    }
}

/// Nanoseconds as microseconds, three significant digits, in at most 6 columns.
pub fn micros(nanos: f64) -> String {
    match nanos / 1e3 {
        v if v < 99.95 => format!("{v:.1}"),
        v if v < 99_999.5 => format!("{v:.0}"),
        v => format!("{:.0}ms", v / 1e3),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.machine.fmt(f)?;
        head::fmt_build(f, self.is_debug)?;
        writeln!(f, "{}", self.hiccups)?;
        let head = ["ns an op", "", "p50", "p99", "p99.9", "max", "vs"];
        let [name, batch, p50, p99, p999, max, ratio] = head;
        writeln!(
            f,
            "\n{name:<34}{batch:>4}{p50:>8}{p99:>8}{p999:>8}{max:>9}{ratio:>7}"
        )?;
        let mut scenario = "";
        for row in &self.rows {
            if row.scenario != scenario {
                scenario = row.scenario;
                writeln!(f, "{scenario}")?;
            }
            let batch = match row.batch {
                1 => String::new(),
                ops => format!("x{ops}"),
            };
            let ratio = row
                .peer_of
                .as_ref()
                .map_or(String::new(), |peer| format!("{:.1}x", peer.ratio));
            let [p50, p99, p999, max] = [row.p50, row.p99, row.p999, row.max].map(nanos);
            let name: String = row.name.chars().take(32).collect();
            writeln!(
                f,
                "  {name:<32}{batch:>4}{p50:>8}{p99:>8}{p999:>8}{max:>9}{ratio:>7}"
            )?;
        }
        target::fmt_table(f, &self.targets)?;
        head::fmt_notes(f, &self.notes)?;
        write!(
            f,
            "\nxN: batches of N, divided. vs: its p50 over ours. Floors are not taken off."
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_fits_80_columns_and_json_names_are_stable() {
        let mut meter = Meter::new(100);
        meter.begin("a_scenario");
        meter.each(
            "a name that is far too long for the column it stands in",
            |_| (),
        );
        meter.is_peer_of("a name that is far too long for the column it stands in");
        let row = meter.rows.last_mut().unwrap();
        (row.max, row.p999) = (9.9e9, 999_999.0);
        meter.notes.push("a note of many words ".repeat(9));
        let report = Report::new(meter, false);
        for line in report.to_string().lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        let json = serde_json::to_value(&report).unwrap();
        let row = &json["rows"][2];
        for key in [
            "scenario", "name", "batch", "ops", "p50", "p99", "p999", "max", "mean", "peer_of",
        ] {
            assert!(!row[key].is_null(), "{key}");
        }
        assert_eq!(json["outcome"], "done");
        assert!(json["hiccups"]["max_ns"].is_u64() && json["machine"]["tsc_hz"].is_u64());
    }
}
