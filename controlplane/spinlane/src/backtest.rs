//! `spinlane backtest`: has the trading program run recordings, and shows what came of it.
//!
//! The run is the dataplane's own (`spinlane-dataplane backtest`), since only that program knows the strategies it was
//! built with; here its report is read and shown.

use crate::cli::BacktestArgs;
use crate::demo::child::find;
use crate::fail::Usage;
use crate::report;
use crate::table::Table;
use anyhow::{Context, bail};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// The program's exit code for a bad command line or configuration.
const USAGE: i32 = 2;

/// Runs it. Errors: what the program said.
pub fn run(args: &BacktestArgs, config: Option<&Path>, as_json: bool) -> anyhow::Result<()> {
    let Some(config) = config else {
        let why = "backtest: name the node's configuration: --config FILE";
        return Err(Usage(why.into()).into());
    };
    let program = match &args.dataplane {
        Some(path) => path.clone(),
        None => find("spinlane-dataplane")?,
    };
    let output = Command::new(&program)
        .arg("backtest")
        .arg("--config")
        .arg(config)
        .args(args.words())
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("starting {}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let why = said.trim().trim_start_matches("error: ").to_owned();
        if output.status.code() == Some(USAGE) {
            return Err(Usage(why).into());
        }
        bail!("{}: {why}", program.display());
    }
    eprint!("{said}");
    let text = String::from_utf8(output.stdout).context("the report is not text")?;
    let report: Value = serde_json::from_str(&text)
        .with_context(|| format!("{}: its report is not JSON", program.display()))?;
    if let Some(path) = &args.html {
        report::write_backtest(path, &report)?;
    }
    if as_json {
        println!("{text}");
        return Ok(());
    }
    print!("{}", table(&report));
    if let Some(path) = &args.html {
        println!("\nreport: {}", path.display());
    }
    Ok(())
}

/// A text of the report; `-` where there is none.
pub fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or("-")
}

/// A number of the report; `-` where there is none.
fn number(value: &Value, key: &str) -> String {
    value[key].as_u64().map_or("-".into(), crate::table::count)
}

/// A ratio of the report with two decimals; `-` where there is none.
fn ratio(value: &Value, key: &str, times: f64) -> String {
    let ratio = value[key].as_f64();
    ratio.map_or("-".into(), |ratio| format!("{:.2}", ratio * times))
}

/// Money with at most four decimals, towards zero.
pub fn money(text: &str) -> &str {
    match text.find('.') {
        Some(point) => text.get(..text.len().min(point + 5)).unwrap_or(text),
        None => text,
    }
}

/// A quantity without the zeros at its end.
fn plain(text: &str) -> &str {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}

/// What people want to see, at most 80 columns.
fn table(report: &Value) -> String {
    let mut out = String::new();
    let settings = &report["settings"];
    let ns = |key: &str| report[key].as_u64().unwrap_or(0);
    let _ = writeln!(
        out,
        "{} messages over {} in {}: {} a second",
        number(report, "messages"),
        crate::table::nanos(ns("to_ns").saturating_sub(ns("from_ns"))),
        crate::table::nanos(ns("wall_ms").saturating_mul(1_000_000)),
        number(report, "messages_per_s"),
    );
    let _ = writeln!(
        out,
        "{} decode errors, {} gaps; queue {}, seed {}\ndigest {}",
        number(report, "decode_errors"),
        number(report, "gaps"),
        text(settings, "queue"),
        number(settings, "seed"),
        text(report, "digest"),
    );
    if ns("rate_refusals") > 0 {
        let _ = writeln!(
            out,
            "{} orders, amends and cancels held back by the venues' rate limits",
            number(report, "rate_refusals")
        );
    }
    if ns("lost_records") > 0 {
        let _ = writeln!(out, "NOT WHOLE: {} records were lost", ns("lost_records"));
    }
    for strategy in report["strategies"].as_array().into_iter().flatten() {
        let _ = writeln!(
            out,
            "\n{} ({})",
            text(strategy, "name"),
            text(strategy, "kind")
        );
        let instruments = strategy["instruments"].as_array();
        let all = || instruments.into_iter().flatten();
        let mut orders = Table::new(&[
            "instrument",
            ">orders",
            ">filled %",
            ">fills",
            ">maker",
            ">volume",
            ">fees",
        ]);
        let mut money_made = Table::new(&[
            "instrument",
            ">realised",
            ">unrealised",
            ">P&L",
            ">drawdown",
            ">Sharpe",
        ]);
        let mut after = Table::new(&["markout, bps", ">100 ms", ">1 s", ">10 s", ">60 s"]);
        for it in all() {
            let name = format!("{} {}", text(it, "venue"), text(it, "symbol"));
            orders.row([
                name.clone(),
                number(it, "orders"),
                ratio(it, "fill_rate", 100.0),
                number(it, "fills"),
                number(it, "fills_maker"),
                money(text(it, "volume")).to_owned(),
                money(text(it, "fees")).to_owned(),
            ]);
            money_made.row([
                name.clone(),
                money(text(it, "realised")).to_owned(),
                money(text(it, "unrealised")).to_owned(),
                format!("{} {}", money(text(it, "pnl")), text(it, "quote")),
                money(text(it, "drawdown_max")).to_owned(),
                ratio(it, "sharpe", 1.0),
            ]);
            let markouts = it["markouts"].as_array().into_iter().flatten();
            let bps = markouts.map(|one| ratio(one, "bps", 1.0));
            after.row(std::iter::once(name).chain(bps));
        }
        let _ = writeln!(
            out,
            "{}\n\n{}\n\n{}",
            orders.render(),
            money_made.render(),
            after.render()
        );
        let held: Vec<String> = all()
            .filter(|it| plain(text(it, "position")) != "0")
            .map(|it| format!("{} {}", plain(text(it, "position")), text(it, "symbol")))
            .collect();
        let refused = number(strategy, "risk_refusals");
        if !held.is_empty() {
            let _ = writeln!(out, "\nstill held: {}", held.join(", "));
        }
        if refused != "0" {
            let _ = writeln!(
                out,
                "refusals of the risk gate, one a second and rule: {refused}"
            );
        }
        if let (Some(total), Some(true)) = (
            strategy["total"].as_object(),
            instruments.map(|all| all.len() > 1),
        ) {
            let pnl = total.get("pnl").and_then(Value::as_str).unwrap_or("-");
            let quote = total.get("quote").and_then(Value::as_str).unwrap_or("");
            let _ = writeln!(out, "together: {} {quote}", money(pnl));
        }
    }
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A report with one of everything.
    pub(crate) fn sample() -> Value {
        serde_json::from_str(include_str!("backtest_sample.json")).unwrap()
    }

    #[test]
    fn the_table_tells_orders_money_and_markouts_in_80_columns() {
        let table = table(&sample());
        assert!(
            table.lines().all(|line| line.chars().count() <= 80),
            "{table}"
        );
        for word in [
            "20 messages over 2.00 s",
            "okx BTC-USDT",
            "25.00",
            "-1.4876",
            "-1.50 USDT",
            "-100.00",
            "still held: 1 BTC-USDT",
            "digest 00ff",
            "refusals of the risk gate, one a second and rule: 2",
        ] {
            assert!(table.contains(word), "{word}: {table}");
        }
        assert!(!table.contains("NOT WHOLE"));
    }
}
