//! `spinlane demo`, the command of the README, run as a user runs it with its output going to a file.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tests_system::{binary, turn};

/// Long enough for every stage to be timed and for orders to be filled at both venues.
const SECONDS: u64 = 6;

fn demo(dir: &Path, seconds: u64, options: &[&str]) -> Output {
    Command::new(binary("spinlane"))
        .args(["demo", "--seconds", &seconds.to_string(), "--dir"])
        .arg(dir)
        .args(options)
        .stdin(Stdio::null())
        .output()
        .expect("spinlane starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// A whole number of the summary, by its path.
fn number(summary: &Value, path: &str) -> u64 {
    summary
        .pointer(path)
        .and_then(Value::as_u64)
        .unwrap_or_else(|| panic!("{path} is no whole number in {summary}"))
}

fn report(summary: &Value) -> String {
    let path = PathBuf::from(summary["report"].as_str().expect("the report's path"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_demo_tells_what_it_did_and_it_adds_up() {
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    let output = demo(dir.path(), SECONDS, &["--json"]);
    let (out, talk) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{out}\n{talk}");
    assert_eq!(out.trim_end().lines().count(), 1, "{out}");
    let summary: Value = serde_json::from_str(&out).expect("one JSON object on stdout");

    let sum = |key: &str| number(&summary, key);
    assert_eq!(summary["outcome"], "done");
    assert_eq!(summary["equal"], true, "{}", summary["verdict"]);
    assert!(sum("/orders_sent") > 10 && sum("/fills") > 0, "{out}");
    assert!(sum("/db_ticks") > 0, "{out}");
    // What the venues took and refused is what was sent, unless an outcome was never told.
    assert!(
        sum("/acks") + sum("/rejects") >= sum("/orders_sent"),
        "{out}"
    );
    assert_eq!(sum("/gaps"), 0, "{out}");
    assert_eq!(sum("/decode_errors"), 0, "{out}");
    assert_eq!(sum("/db_orders"), sum("/orders_sent"), "{out}");
    assert_eq!(sum("/db_fills"), sum("/fills"), "{out}");
    assert_eq!(sum("/verdict/sim_fills"), sum("/fills"), "{out}");

    let percentiles = ["p50", "p99", "p999", "max"];
    let values = percentiles.map(|name| sum(&format!("/tick_to_trade_ns/{name}")));
    assert!(values[0] > 0 && values.is_sorted(), "{values:?}");

    for key in ["orders_sent", "acks", "rejects", "fills"] {
        let parts = ["binance", "okx"].map(|venue| sum(&format!("/venues/{venue}/{key}")));
        assert_eq!(parts[0] + parts[1], sum(&format!("/{key}")), "{key}: {out}");
    }
    for venue in ["binance", "okx"] {
        let pnl = &summary["venues"][venue]["pnl"];
        let parsed = pnl.as_str().and_then(|pnl| pnl.parse::<f64>().ok());
        assert!(parsed.is_some(), "P&L of {venue}: {pnl}");
        assert!(sum(&format!("/venues/{venue}/orders_sent")) > 0, "{out}");
    }

    let page = report(&summary);
    assert!(
        page.matches("<svg").count() >= 2,
        "plots end to end and inside"
    );
    // Curves, not empty frames: one a stage.
    let stages = summary["stages"].as_array().expect("stages");
    assert!(page.matches("<polyline").count() >= stages.len());
    for stage in [
        "decrypt",
        "decode",
        "book",
        "strategy",
        "risk",
        "tick_to_trade",
    ] {
        let name = stage.replace('_', " ");
        assert!(page.contains(&name), "{name} is not in the report");
        assert!(stages.iter().any(|one| one["stage"] == stage), "{out}");
    }
}

#[test]
fn the_demo_is_plain_text_where_no_terminal_is() {
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    let output = demo(dir.path(), 3, &[]);
    let (out, talk) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{out}\n{talk}");
    for stream in [&out, &talk] {
        assert!(!stream.contains('\x1b'), "escape codes: {stream}");
        assert!(!stream.contains('\r'), "carriage returns: {stream}");
    }
    assert!(out.contains("EQUAL"), "{out}");
    for word in ["binance", "okx", "tick_to_trade", "PostgreSQL:", "report:"] {
        assert!(out.contains(word), "{word} is not in: {out}");
    }
    // A line a second while it trades, on the other stream.
    let lines = talk.lines().filter(|line| line.contains("  orders "));
    assert_eq!(lines.count(), 3, "{talk}");
}
