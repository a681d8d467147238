//! `baseline`: runs kept in `bench/baselines`, and a later one compared with them.
//!
//! What is compared are the ratios of a run, with their intervals: times belong to the machine and the hour.
//! A ratio has become worse when the two intervals do not touch and the new one is on the wrong side.
//! Medians are kept beside them, to be looked at.

use crate::stats::ROUNDS_MIN;
use anyhow::{Context as _, bail, ensure};
use core::fmt;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Where they are kept.
const FOLDER: &str = "bench/baselines";

/// `baseline save` and `baseline compare`.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Verb {
    /// Keep a run (the output of `--json`).
    Save {
        /// The run.
        run: PathBuf,
        /// What to call it: the file is KIND-LABEL.json.
        #[arg(long)]
        label: String,
        /// Where.
        #[arg(long, default_value = FOLDER)]
        folder: PathBuf,
    },
    /// Compare a run with one that was kept; fails when a ratio has become worse.
    Compare {
        /// The run.
        run: PathBuf,
        /// The kept one.
        #[arg(long)]
        against: PathBuf,
    },
}

/// One number of a run with its interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// What it is.
    pub what: String,
    /// `lower` or `higher` is better.
    pub better: String,
    /// All samples.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// A run as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// What was run.
    pub kind: String,
    /// What it is called.
    pub label: String,
    /// Where.
    pub machine: Value,
    /// Rounds its intervals stand on, where a run has them.
    #[serde(default)]
    pub rounds: Option<usize>,
    /// Compared.
    pub ratios: Vec<Kept>,
    /// Looked at.
    pub medians: Vec<Kept>,
}

/// What has become of a ratio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The intervals touch.
    Same,
    /// They do not, and the new one is on the right side.
    Better,
    /// They do not, and it is on the wrong side.
    Worse,
}

/// A ratio then and now.
#[derive(Debug, Serialize)]
pub struct Row {
    then: Kept,
    now: Kept,
    change: Change,
}

/// Everything of one comparison.
#[derive(Debug, Serialize)]
pub struct Report {
    outcome: &'static str,
    kind: String,
    against: String,
    rows: Vec<Row>,
    /// Ratios of the baseline the run did not measure.
    missing: Vec<String>,
    /// The fewest rounds of the two, where they have them.
    rounds: Option<usize>,
}

/// Keeps or compares. `Ok(None)`: kept. Errors: files that are no runs of ours.
pub fn run(verb: &Verb) -> anyhow::Result<Option<Report>> {
    match verb {
        Verb::Save { run, label, folder } => {
            let baseline = read_run(run, label)?;
            std::fs::create_dir_all(folder)?;
            let path = folder.join(format!("{}-{label}.json", baseline.kind));
            let text = serde_json::to_string_pretty(&baseline)? + "\n";
            std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
            eprintln!("kept as {}", path.display());
            Ok(None)
        }
        Verb::Compare { run, against } => {
            let now = read_run(run, "now")?;
            let text = std::fs::read_to_string(against)
                .with_context(|| format!("reading {}", against.display()))?;
            let then: Baseline = serde_json::from_str(&text)
                .with_context(|| format!("{}: not a baseline", against.display()))?;
            Ok(Some(compare(&then, &now)?))
        }
    }
}

fn read_run(path: &Path, label: &str) -> anyhow::Result<Baseline> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let json: Value =
        serde_json::from_str(&text).with_context(|| format!("{}: not JSON", path.display()))?;
    distil(&json, label).with_context(|| format!("{}: not a run of ours", path.display()))
}

/// What is kept of a report.
fn distil(json: &Value, label: &str) -> Option<Baseline> {
    let ratios = json["ratios"].as_array()?.iter().filter_map(|ratio| {
        if ratio["set"] == "all" {
            return None;
        }
        let word = |key: &str| ratio[key].as_str();
        let group = place(ratio);
        let (over, under, quantile) = (word("over")?, word("under")?, word("quantile")?);
        if [over, under]
            .iter()
            .any(|client| is_short(json, client, ratio))
        {
            return None;
        }
        let what = format!("{group}: {over} / {under}, {quantile}");
        kept(what, word("better")?, ratio)
    });
    let ratios: Vec<Kept> = ratios.collect();
    let medians = json["rows"].as_array()?.iter().filter_map(|row| {
        let name = row["client"].as_str().or(row["name"].as_str())?;
        let what = format!("{}: {name}, p50, ns", place(row));
        kept(what, "lower", &row["clean"]["p50"])
    });
    Some(Baseline {
        kind: json["kind"].as_str()?.to_owned(),
        label: label.to_owned(),
        machine: json["machine"].clone(),
        rounds: json["rounds"]
            .as_u64()
            .and_then(|rounds| rounds.try_into().ok()),
        medians: medians.collect(),
        ratios,
    })
}

/// Whether ticks or rounds of a client are missing at a ratio's rate: no verdict stands on it.
fn is_short(json: &Value, client: &str, ratio: &Value) -> bool {
    let rows = json["rows"].as_array();
    let mut rows = rows.into_iter().flatten();
    let row = rows.find(|row| row["client"] == client && row["rate"] == ratio["rate"]);
    let counts = |row: &Value| ["unanswered", "rounds_missed"].map(|key| row[key].as_u64());
    row.is_some_and(|row| counts(row).iter().flatten().any(|count| *count > 0))
}

/// The rate or group something belongs to.
fn place(value: &Value) -> String {
    match (value["rate"].as_u64(), value["group"].as_str()) {
        (Some(rate), _) => format!("{rate}/s"),
        (None, group) => group.unwrap_or_default().to_owned(),
    }
}

fn kept(what: String, better: &str, of: &Value) -> Option<Kept> {
    // Three digits are more than an interval is worth; more would change with every run.
    let number = |key: &str| of[key].as_f64().map(|it| (it * 1_000.0).round() / 1_000.0);
    Some(Kept {
        what,
        better: better.to_owned(),
        value: number("value")?,
        low: number("low")?,
        high: number("high")?,
    })
}

fn change(then: &Kept, now: &Kept) -> Change {
    let is_below = now.high < then.low;
    let is_above = now.low > then.high;
    match (is_below, is_above, then.better == "lower") {
        (false, false, _) => Change::Same,
        (true, _, true) | (_, true, false) => Change::Better,
        _ => Change::Worse,
    }
}

/// Errors: runs of different kinds, or with nothing in common.
fn compare(then: &Baseline, now: &Baseline) -> anyhow::Result<Report> {
    if then.kind != now.kind {
        bail!("a run of {} beside a baseline of {}", now.kind, then.kind);
    }
    let row = |then: &Kept| {
        let now = now.ratios.iter().find(|now| now.what == then.what)?;
        Some(Row {
            then: then.clone(),
            now: now.clone(),
            change: change(then, now),
        })
    };
    let rows: Vec<Row> = then.ratios.iter().filter_map(row).collect();
    ensure!(!rows.is_empty(), "the two have no ratio in common");
    let is_missing = |then: &&Kept| rows.iter().all(|row| row.then.what != then.what);
    let missing = then.ratios.iter().filter(is_missing);
    Ok(Report {
        outcome: "done",
        kind: then.kind.clone(),
        against: then.label.clone(),
        missing: missing.map(|then| then.what.clone()).collect(),
        rounds: then.rounds.into_iter().chain(now.rounds).min(),
        rows,
    })
}

impl Report {
    /// Errors: a ratio has become worse, or there were too few rounds to tell.
    pub fn check(&self) -> anyhow::Result<()> {
        if let Some(rounds) = self.rounds.filter(|rounds| *rounds < ROUNDS_MIN) {
            bail!("not proven ({rounds} rounds): an interval needs {ROUNDS_MIN}");
        }
        let worse = self.rows.iter().filter(|row| row.change == Change::Worse);
        let worse: Vec<&str> = worse.map(|row| row.then.what.as_str()).collect();
        ensure!(
            worse.is_empty(),
            "worse than {}: {}",
            self.against,
            worse.join("; ")
        );
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = format!("{} against {}", self.kind, self.against);
        writeln!(f, "{head:<58}{:>15}{:>7}", "then", "")?;
        for Row { then, now, change } in &self.rows {
            let word = match change {
                Change::Same => "same",
                Change::Better => "better",
                Change::Worse => "WORSE",
            };
            let what: String = then.what.chars().take(72).collect();
            writeln!(f, "{what}")?;
            let [then, now] =
                [then, now].map(|it| format!("{:.2} {:.2}-{:.2}", it.value, it.low, it.high));
            writeln!(f, "  then {then:<26} now {now:<26} {word}")?;
        }
        for what in &self.missing {
            let what: String = what.chars().take(64).collect();
            writeln!(f, "not measured: {what}")?;
        }
        write!(f, "\nIntervals are 95 %; same: they touch.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_of(low: f64, high: f64) -> Value {
        serde_json::json!({
            "kind": "tick_to_trade",
            "machine": {"cpu": "x"},
            "rows": [{"client": "spinlane", "rate": 10_000, "clean": {"p50": {"value": 9.0, "low": 8.0, "high": 10.0}}}],
            "ratios": [
                {"over": "peer", "under": "spinlane", "rate": 10_000, "quantile": "p50", "set": "clean",
                 "better": "higher", "value": f64::midpoint(low, high), "low": low, "high": high},
                {"over": "peer", "under": "spinlane", "rate": 10_000, "quantile": "p50", "set": "all",
                 "better": "higher", "value": 1.0, "low": 1.0, "high": 1.0},
            ],
        })
    }

    #[test]
    fn only_what_leaves_the_interval_is_a_change() {
        let then = distil(&run_of(3.0, 4.0), "then").unwrap();
        assert_eq!((then.ratios.len(), then.medians.len()), (1, 1));
        let report = |low, high| compare(&then, &distil(&run_of(low, high), "now").unwrap());
        assert_eq!(report(2.0, 3.1).unwrap().rows[0].change, Change::Same);
        let worse = report(2.0, 2.9).unwrap();
        assert_eq!(worse.rows[0].change, Change::Worse);
        assert!(worse.check().is_err());
        let better = report(4.1, 5.0).unwrap();
        assert_eq!(better.rows[0].change, Change::Better);
        assert!(better.check().is_ok());
        for line in better.to_string().lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        assert!(better.missing.is_empty());
        let mut more = then.clone();
        more.ratios.push(Kept {
            what: "another".to_owned(),
            ..then.ratios[0].clone()
        });
        let less = compare(&more, &then).unwrap();
        assert_eq!(less.missing, ["another"]);
        assert!(less.to_string().contains("not measured: another"));
    }

    #[test]
    fn lost_ticks_and_few_rounds_prove_nothing() {
        let then = distil(&run_of(3.0, 4.0), "then").unwrap();
        let mut run = run_of(2.0, 2.9);
        run["rounds"] = 7.into();
        let few = compare(&then, &distil(&run, "now").unwrap()).unwrap();
        let error = few.check().unwrap_err().to_string();
        assert!(error.contains("not proven (7 rounds)"), "{error}");
        run["rows"][0]["unanswered"] = 3.into();
        assert!(distil(&run, "now").unwrap().ratios.is_empty());
    }

    #[test]
    fn what_is_lower_is_better_where_it_says_so() {
        let kept = |low, high| Kept {
            what: String::new(),
            better: "lower".to_owned(),
            value: low,
            low,
            high,
        };
        assert_eq!(change(&kept(1.2, 1.3), &kept(1.0, 1.1)), Change::Better);
        assert_eq!(change(&kept(1.2, 1.3), &kept(1.4, 1.5)), Change::Worse);
        assert_eq!(change(&kept(1.2, 1.3), &kept(1.25, 1.5)), Change::Same);
    }

    #[test]
    fn a_kept_run_comes_back() {
        let folder = std::env::temp_dir().join(format!("spinlane-baseline-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("run.json");
        std::fs::write(&file, run_of(3.0, 4.0).to_string()).unwrap();
        let save = Verb::Save {
            run: file.clone(),
            label: "first".to_owned(),
            folder: folder.clone(),
        };
        assert!(run(&save).unwrap().is_none());
        let against = folder.join("tick_to_trade-first.json");
        let report = run(&Verb::Compare { run: file, against }).unwrap().unwrap();
        assert!(report.check().is_ok());
        let none = run(&Verb::Compare {
            run: folder.join("none"),
            against: folder.join("none"),
        });
        assert!(none.is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
