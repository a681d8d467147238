//! `books`: our book, its messages and our backtest beside hftbacktest's and NautilusTrader's, in one run.
//!
//! ```text
//!   spinlane-bench-books (bench/peers/books): everyone in turn ─▶ figures of each round, as JSON
//!     ─▶ medians over the rounds, ratios with their intervals, targets ─▶ table or --json
//! ```
//! The peers are a program of their own: what they need, and under which licence, is no business of the product's build.

use crate::head::{self, Head};
use crate::host::Seats;
use crate::stats::{self, Estimate};
use crate::target::{self, Bound, Verdict};
use anyhow::{Context as _, ensure};
use core::fmt;
use dp_transport::Clock;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where the program with our books and the peers' is built.
const PEERS: &str = "bench/peers/target/release/spinlane-bench-books";
/// The recording, within the captures.
const RECORDING: &str = "binance/spot-btcusdt-20240808.jsonl.gz";
/// The draws of the intervals.
const SEED: u64 = 5;

/// What `books` is asked.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The program with our books and the peers' (`make bench` builds it).
    #[arg(long, default_value = PEERS)]
    pub peers: PathBuf,
    /// Recordings; where there are none, a market is made up from a fixed seed.
    #[arg(long, default_value = "../shared/captures")]
    pub captures: PathBuf,
    /// The node whose market maker both backtests run.
    #[arg(long, default_value = "dataplane/backtest/example.toml")]
    pub config: PathBuf,
    /// Rounds of the books: everyone once in each.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub rounds: u32,
    /// Rounds of the backtests.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub backtest_rounds: u32,
    /// Times each backtest runs the recording in a round.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub repeat: u32,
    /// Core to measure on.
    #[arg(long, default_value_t = 0)]
    pub core: usize,
}

/// What the program says. Of each list the first entry is ours.
#[derive(Debug, Deserialize)]
struct Said {
    source: String,
    levels: u64,
    messages: u64,
    trades: u64,
    digest: String,
    level: Vec<SaidBook>,
    made_up: Vec<SaidBook>,
    message: Vec<SaidBook>,
    backtest: Vec<SaidLoop>,
    notes: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct SaidBook {
    name: String,
    rounds: Vec<Round>,
}

/// Times of one round, ns.
#[derive(Debug, Deserialize)]
struct Round {
    p50: f64,
    p99: f64,
    p999: f64,
}

#[derive(Debug, Deserialize)]
struct SaidLoop {
    name: String,
    count: u64,
    messages: Option<u64>,
    orders: u64,
    seconds: Vec<f64>,
}

/// One way to keep a book: medians over the rounds, ns.
#[derive(Debug, Serialize)]
pub struct Row {
    name: String,
    p50: f64,
    p99: f64,
    p999: f64,
    /// The median over ours of the same round: above 1 it takes longer.
    over_ours: Estimate,
}

/// One backtest: medians over the rounds.
#[derive(Debug, Serialize)]
pub struct Loop {
    name: String,
    /// Level changes and trades a minute.
    a_minute: f64,
    /// The venue's messages a minute, where it reads those.
    messages_a_minute: Option<f64>,
    /// Orders of a round.
    orders: u64,
    seconds: f64,
    seconds_min: f64,
    /// Its time over ours of the same round: below 1 it is faster.
    over_ours: Estimate,
}

/// The run.
#[derive(Debug, Serialize)]
pub struct Report {
    #[serde(flatten)]
    head: Head,
    source: String,
    levels: u64,
    messages: u64,
    trades: u64,
    /// Of the best levels all books ended every round with.
    digest: String,
    level: Vec<Row>,
    /// The same over a made-up market that keeps to prices near the touch.
    made_up: Vec<Row>,
    message: Vec<Row>,
    backtest: Vec<Loop>,
    targets: Vec<Verdict>,
    notes: Vec<String>,
}

/// Runs it. Errors: the program is not built, or does not do its part.
pub fn run(args: &Args) -> anyhow::Result<Report> {
    ensure!(
        args.peers.is_file(),
        "no peers: {} is not there; `make bench` builds it (bench/peers, a workspace of its own)",
        args.peers.display()
    );
    let seats = Seats::find(args.core, args.core);
    let output = seats
        .client(&args.peers)
        .arg("--recording")
        .arg(args.captures.join(RECORDING))
        .arg("--config")
        .arg(&args.config)
        .args(["--rounds", &args.rounds.to_string()])
        .args(["--backtest-rounds", &args.backtest_rounds.to_string()])
        .args(["--repeat", &args.repeat.to_string()])
        .stderr(std::process::Stdio::inherit())
        .output()
        .with_context(|| format!("starting {}", args.peers.display()))?;
    let name = args.peers.display();
    ensure!(
        output.status.success(),
        "{name} failed: {}; what it said stands above",
        output.status
    );
    let said = serde_json::from_slice(&output.stdout);
    let said: Said = said.with_context(|| format!("what {name} says: is it of this version?"))?;
    let hz = Clock::calibrate(100).tsc_hz();
    Report::new(said, Head::new("books", hz, seats))
}

impl Report {
    /// Errors: a list without us, or without rounds.
    fn new(said: Said, head: Head) -> anyhow::Result<Self> {
        let mut notes = head.seats.doubts();
        notes.retain(|doubt| !doubt.starts_with("one core"));
        let targets = targets(&said);
        notes.extend(said.notes);
        Ok(Self {
            level: books(&said.level)?,
            made_up: books(&said.made_up)?,
            message: books(&said.message)?,
            backtest: loops(&said.backtest)?,
            targets,
            notes,
            head,
            source: said.source,
            levels: said.levels,
            messages: said.messages,
            trades: said.trades,
            digest: said.digest,
        })
    }
}

/// One number of every round.
fn all(book: &SaidBook, of: fn(&Round) -> f64) -> Vec<f64> {
    book.rounds.iter().map(of).collect()
}

fn median(values: &[f64]) -> f64 {
    stats::median(values.iter().copied())
}

fn books(said: &[SaidBook]) -> anyhow::Result<Vec<Row>> {
    let ours = said.first().context("no books were measured")?;
    let ours = all(ours, |round| round.p50);
    let row = |book: &SaidBook| -> anyhow::Result<Row> {
        let p50 = all(book, |round| round.p50);
        ensure!(
            !p50.is_empty() && p50.len() == ours.len(),
            "{}: {} rounds of {}",
            book.name,
            p50.len(),
            ours.len()
        );
        Ok(Row {
            name: book.name.clone(),
            p50: median(&p50),
            p99: median(&all(book, |round| round.p99)),
            p999: median(&all(book, |round| round.p999)),
            over_ours: stats::median_ratio(&p50, &ours, SEED),
        })
    };
    said.iter().map(row).collect()
}

fn loops(said: &[SaidLoop]) -> anyhow::Result<Vec<Loop>> {
    let ours = &said.first().context("no backtest was measured")?.seconds;
    let row = |one: &SaidLoop| -> anyhow::Result<Loop> {
        let rounds = one.seconds.len();
        let name = &one.name;
        ensure!(
            rounds > 0 && rounds == ours.len(),
            "{name}: {rounds} rounds of {}",
            ours.len()
        );
        let seconds = median(&one.seconds);
        let a_minute = |count: u64| 60.0 * count as f64 / seconds;
        Ok(Loop {
            name: name.clone(),
            a_minute: a_minute(one.count),
            messages_a_minute: one.messages.map(a_minute),
            orders: one.orders,
            seconds,
            seconds_min: one.seconds.iter().copied().fold(f64::INFINITY, f64::min),
            over_ours: stats::median_ratio(&one.seconds, ours, SEED),
        })
    };
    said.iter().map(row).collect()
}

/// The design's figures; told, not gated, like all of stages.
fn targets(said: &Said) -> Vec<Verdict> {
    let Said {
        level,
        made_up,
        message,
        backtest,
        ..
    } = said;
    let peer = |books: &[SaidBook], name: &str| {
        let ours = all(books.first()?, |round| round.p50);
        let peer = books.iter().find(|book| book.name.contains(name))?;
        let peer = all(peer, |round| round.p50);
        Some((
            stats::median_ratio(&peer, &ours, SEED),
            ours.len().min(peer.len()),
        ))
    };
    let alone = |values: Vec<f64>| {
        let ones = vec![1.0; values.len()];
        (stats::median_ratio(&values, &ones, SEED), values.len())
    };
    let ours = |books: &[SaidBook]| Some(alone(all(books.first()?, |round| round.p50)));
    let rate = || {
        let ours = backtest.first()?;
        let messages = ours.messages? as f64;
        let rates = ours.seconds.iter().map(|s| 60.0 * messages / s / 1e6);
        Some(alone(rates.collect()))
    };
    let (least, most) = (Bound::AtLeast, Bound::AtMost);
    let vector = "ROIVector";
    [
        (most, "a recorded level, p50, ns", 7.0, ours(level)),
        (most, "a made-up level, p50, ns", 7.0, ours(made_up)),
        (
            least,
            "hftbacktest's vector / ours, recorded level",
            3.5,
            peer(level, vector),
        ),
        (
            least,
            "hftbacktest's vector / ours, made-up level",
            3.5,
            peer(made_up, vector),
        ),
        (
            least,
            "serde_json, hftbacktest / ours, a message",
            5.0,
            peer(message, vector),
        ),
        (
            least,
            "serde_json, NautilusTrader / ours, a message",
            13.0,
            peer(message, "Nautilus"),
        ),
        (
            least,
            "backtest: millions of messages a minute",
            10.0,
            rate(),
        ),
    ]
    .into_iter()
    .filter_map(|(bound, what, wanted, found)| {
        let (found, rounds) = found?;
        let word = match bound {
            Bound::AtLeast => "at least",
            Bound::AtMost => "at most",
        };
        let what = format!("{what}, {word} {wanted}");
        Some(bound.judge(what, wanted, found, false).over_rounds(rounds))
    })
    .collect()
}

/// A ratio and its interval.
fn ratio(found: Estimate) -> String {
    let Estimate { value, low, high } = found;
    let digits = if high < 100.0 { 2 } else { 0 };
    format!("{value:.digits$} ({low:.digits$}-{high:.digits$})")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head.fmt(f)?;
        let Self {
            levels,
            messages,
            trades,
            ..
        } = self;
        let source: String = self.source.chars().take(79).collect();
        writeln!(f, "{source}")?;
        writeln!(
            f,
            "{levels} level changes in {messages} messages, {trades} trades"
        )?;
        for (what, digits, rows) in [
            ("one level, ns, 64 a batch", 1, &self.level),
            ("the same, made up, near the touch", 1, &self.made_up),
            ("one message, decoded and applied, ns", 0, &self.message),
        ] {
            let head = ["p50", "p99", "p99.9", "over ours, 95 %"];
            let [p50, p99, p999, over] = head;
            writeln!(f, "\n{what:<37}{p50:>7}{p99:>8}{p999:>9}{over:>19}")?;
            for row in rows {
                let Row {
                    name,
                    p50,
                    p99,
                    p999,
                    over_ours,
                } = row;
                writeln!(
                    f,
                    "{name:<37}{p50:>7.digits$}{p99:>8.digits$}{p999:>9.digits$}{:>19}",
                    ratio(*over_ours)
                )?;
            }
        }
        writeln!(
            f,
            "\n{:<37}{:>8}{:>8}{:>8}{:>19}",
            "backtest, millions a minute", "events", "msgs", "orders", "time over ours"
        )?;
        for row in &self.backtest {
            let messages = row.messages_a_minute.map(|it| format!("{:.1}", it / 1e6));
            writeln!(
                f,
                "{:<37}{:>8.1}{:>8}{:>8}{:>19}",
                row.name,
                row.a_minute / 1e6,
                messages.unwrap_or_default(),
                row.orders,
                ratio(row.over_ours)
            )?;
        }
        target::fmt_table(f, &self.targets)?;
        head::fmt_notes(f, &self.notes)?;
        write!(
            f,
            "\nMedians over the rounds. All books ended every round with the same twenty best\n\
             levels a side (digest {}). An event is a level change or a trade.",
            self.digest
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the program says it, in ten rounds that are all alike.
    fn said() -> Said {
        let round = |p50: f64| serde_json::json!({"p50": p50, "p99": 98_765.4, "p999": 987_654.3});
        let book = |name: &str, p50: f64| {
            let rounds: Vec<_> = (0..10).map(|_| round(p50)).collect();
            serde_json::json!({"name": name, "rounds": rounds})
        };
        let run = |name: &str, messages: Option<u64>, seconds: f64| {
            serde_json::json!({
                "name": name, "count": 4_000_000, "messages": messages, "orders": 123_456,
                "seconds": vec![seconds; 10],
            })
        };
        let said = serde_json::json!({
            "outcome": "done", "kind": "books", "source": "a file", "digest": "0123456789abcdef",
            "levels": 123_456_789, "messages": 12_345_678, "trades": 12_345_678, "notes": ["a note"],
            "level": [
                book("spinlane", 10.0), book("hftbacktest ROIVectorMarketDepth", 40.0),
                book("NautilusTrader OrderBook (L2)", 1_250.0),
            ],
            "made_up": [
                book("spinlane", 5.0), book("hftbacktest ROIVectorMarketDepth", 10.0),
            ],
            "message": [
                book("spinlane", 1_000.0), book("serde_json, hftbacktest ROIVector", 4_000.0),
                book("serde_json, NautilusTrader", 14_000.0),
            ],
            "backtest": [
                run("spinlane", Some(1_000_000), 3.0),
                run("hftbacktest ROIVector, every 250 ms", None, 1.5),
            ],
        });
        serde_json::from_value(said).unwrap()
    }

    fn head() -> Head {
        Head::new("books", 1_000_000_000, Seats::find(0, 0))
    }

    #[test]
    fn each_target_is_judged_by_what_the_program_said() {
        let report = Report::new(said(), head()).unwrap();
        let met: Vec<_> = report.targets.iter().map(|it| it.is_met).collect();
        assert_eq!(
            met,
            [false, true, true, false, false, true, true],
            "{:?}",
            report.targets
        );
        assert_eq!(ratio(report.level[1].over_ours), "4.00 (4.00-4.00)");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["kind"], "books");
        assert_eq!(json["backtest"][0]["messages_a_minute"], 20_000_000.0);
        assert_eq!(json["backtest"][1]["over_ours"]["value"], 0.5);
    }

    #[test]
    fn the_table_fits_80_columns() {
        for line in Report::new(said(), head()).unwrap().to_string().lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn a_list_with_a_round_missing_is_refused() {
        let mut short = said();
        short.level[1].rounds.pop();
        assert!(Report::new(short, head()).is_err());
        let mut empty = said();
        empty.message.clear();
        assert!(Report::new(empty, head()).is_err());
    }
}
