//! The page of a backtest: what was asked, what came of it, and the curves.

use super::lines::{Series, svg};
use super::page::{STYLE, escape, list};
use super::plot::{COLOURS, css};
use crate::backtest::{money, text};
use plotters::style::RGBColor;
use serde_json::Value;
use std::fmt::Write as _;

const LINE: RGBColor = COLOURS[0];
const FALL: RGBColor = COLOURS[1];
const BOUGHT: RGBColor = COLOURS[2];
const SOLD: RGBColor = COLOURS[1];

/// The whole page. Errors: a plot cannot be drawn.
pub fn render(report: &Value) -> anyhow::Result<String> {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>Backtest</title><style>{STYLE}</style></head><body>\n\
         <h1>Backtest</h1>\n<p class=\"soft\">Spinlane {}</p>\n<h2>The run</h2>\n",
        env!("CARGO_PKG_VERSION"),
    );
    list(&mut page, &facts(report));
    let start = report["from_ns"].as_u64().unwrap_or(0);
    for strategy in array(&report["strategies"]) {
        let _ = writeln!(
            page,
            "<h2>{} <span class=\"soft\">{}</span></h2>",
            escape(text(strategy, "name")),
            escape(text(strategy, "kind"))
        );
        for instrument in array(&strategy["instruments"]) {
            self::instrument(&mut page, instrument, start)?;
        }
    }
    page.push_str(HOW_TO_READ);
    page.push_str("</body></html>\n");
    Ok(page)
}

const HOW_TO_READ: &str = "<h2>How to read this</h2>
<p>The market is what was recorded: our orders moved nothing in it. An order stands behind what was at its price when it
arrived; it is filled when trades reach past that, or when the market goes through it. P&amp;L is realised and unrealised
at the mid, less fees. A markout is the mid so long after a fill against the price of the fill: below 0, whoever traded
with us knew more. The Sharpe ratio is mean over deviation of the changes of P&amp;L each second, times the root of the
31,536,000 seconds of a year; over minutes it says little.</p>
<p>The same recordings, configuration and seed give the same digest.</p>
";

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A value as it reads.
fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".into(),
        other => other.to_string(),
    }
}

fn facts(report: &Value) -> Vec<(String, String)> {
    let settings = &report["settings"];
    let mut rows: Vec<(String, String)> = Vec::new();
    let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));
    row("configuration", word(&settings["config"]));
    for file in array(&settings["files"]) {
        row(
            "recording",
            format!("{} {}", word(&file[0]), word(&file[1])),
        );
    }
    for (name, key) in [
        ("repeated", "repeat"),
        ("feed, µs", "feed_us"),
        ("order, µs", "order_us"),
        ("answer, µs", "answer_us"),
        ("delays from", "latency"),
        ("queue", "queue"),
        ("seed", "seed"),
    ] {
        row(name, word(&settings[key]));
    }
    for fees in array(&settings["fees"]) {
        let value = format!("maker {} ppm, taker {} ppm", word(&fees[1]), word(&fees[2]));
        row(&format!("fees {}", word(&fees[0])), value);
    }
    for (name, key) in [
        ("messages", "messages"),
        ("messages a second", "messages_per_s"),
        ("decode errors", "decode_errors"),
        ("gaps", "gaps"),
        ("held back by rate limits", "rate_refusals"),
        ("digest", "digest"),
    ] {
        row(name, word(&report[key]));
    }
    rows
}

/// For a plot alone: nothing is booked from it.
fn float(value: &Value) -> Option<f64> {
    value.as_str()?.parse().ok()
}

fn instrument(page: &mut String, it: &Value, start: u64) -> anyhow::Result<()> {
    let quote = text(it, "quote");
    let _ = writeln!(
        page,
        "<h2>{} {}</h2>",
        escape(text(it, "venue")),
        escape(text(it, "symbol"))
    );
    let amount = |key: &str| format!("{} {quote}", money(text(it, key)));
    let rows = [
        ("P&L", amount("pnl")),
        ("realised", amount("realised")),
        ("unrealised", amount("unrealised")),
        ("fees", amount("fees")),
        ("volume", amount("volume")),
        ("largest drawdown", amount("drawdown_max")),
        ("Sharpe", word(&it["sharpe"])),
        ("orders", word(&it["orders"])),
        ("filled of them", word(&it["orders_filled"])),
        ("held back by the rate limit", word(&it["rate_rejects"])),
        (
            "fills, of orders that rested",
            format!("{}, {}", word(&it["fills"]), word(&it["fills_maker"])),
        ),
        ("still held", word(&it["position"])),
    ];
    list(page, &rows.map(|(name, value)| (name.to_owned(), value)));
    let x = |at: &Value| {
        let at = at["at_ns"].as_u64().unwrap_or(start);
        at.saturating_sub(start) as f64 / 1e9
    };
    let over_time = |key: &str| -> Vec<(f64, f64)> {
        let points = array(&it["equity"]);
        points
            .filter_map(|at| Some((x(at), float(&at[key])?)))
            .collect()
    };
    let equity = over_time("pnl");
    plot(
        page,
        &format!("P&L, {quote}"),
        &[line(equity.clone(), LINE)],
        ("seconds", quote),
    )?;
    let mut peak = 0f64;
    let falls = equity.into_iter().map(|(x, y)| {
        peak = peak.max(y);
        (x, y - peak)
    });
    let falls = line(falls.collect(), FALL);
    plot(
        page,
        &format!("Drawdown, {quote}"),
        &[falls],
        ("seconds", quote),
    )?;
    let fills = |side: &str, colour| Series {
        points: array(&it["fills_shown"])
            .filter(|fill| text(fill, "side") == side)
            .filter_map(|fill| Some((x(fill), float(&fill["price"])?)))
            .collect(),
        colour,
        is_dots: true,
    };
    let prices = [
        line(over_time("mid"), COLOURS[6]),
        fills("buy", BOUGHT),
        fills("sell", SOLD),
    ];
    let title = format!(
        "Fills on the mid: <span style=\"color:{}\">bought</span>, <span style=\"color:{}\">sold</span>",
        css(BOUGHT),
        css(SOLD)
    );
    titled(page, &title, &prices, ("seconds", quote))?;
    plot(
        page,
        "Position",
        &[line(over_time("position"), LINE)],
        ("seconds", "quantity"),
    )?;
    markouts(page, it, quote)
}

fn markouts(page: &mut String, it: &Value, quote: &str) -> anyhow::Result<()> {
    let points = array(&it["markouts"]).filter_map(|one| {
        let ms = one["ms"].as_f64().filter(|ms| *ms > 0.0)?;
        Some((ms.log10(), one["bps"].as_f64()?))
    });
    let points: Vec<_> = points.collect();
    let dots = Series {
        points: points.clone(),
        colour: LINE,
        is_dots: true,
    };
    let axes = ("log10 of milliseconds after the fill", "bps");
    plot(page, "Markouts, bps", &[line(points, LINE), dots], axes)?;
    page.push_str(
        "<table><thead><tr><th>after</th><th>fills</th><th>gain</th><th>bps</th></tr></thead><tbody>\n",
    );
    for one in array(&it["markouts"]) {
        let bps = one["bps"].as_f64();
        let _ = writeln!(
            page,
            "<tr><td>{} ms</td><td>{}</td><td>{} {}</td><td>{}</td></tr>",
            word(&one["ms"]),
            word(&one["fills"]),
            escape(money(text(one, "gain"))),
            escape(quote),
            bps.map_or("-".into(), |bps| format!("{bps:.3}")),
        );
    }
    page.push_str("</tbody></table>\n");
    Ok(())
}

const fn line(points: Vec<(f64, f64)>, colour: RGBColor) -> Series {
    Series {
        points,
        colour,
        is_dots: false,
    }
}

fn plot(
    page: &mut String,
    title: &str,
    series: &[Series],
    axes: (&str, &str),
) -> anyhow::Result<()> {
    titled(page, &escape(title), series, axes)
}

/// As [`plot`], with a title that is HTML.
fn titled(
    page: &mut String,
    title: &str,
    series: &[Series],
    axes: (&str, &str),
) -> anyhow::Result<()> {
    if let Some(drawn) = svg(series, axes.0, axes.1)? {
        let _ = writeln!(page, "<h3>{title}</h3>\n{drawn}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_holds_every_plot_and_needs_nothing_else() {
        let page = render(&crate::backtest::tests::sample()).unwrap();
        for title in [
            "P&amp;L, USDT",
            "Drawdown, USDT",
            "Fills on the mid",
            "Position",
            "Markouts, bps",
        ] {
            assert!(page.contains(title), "{title}");
        }
        assert_eq!(page.matches("<svg").count(), 5);
        assert!(page.contains("<circle"), "the fill is a dot");
        assert!(page.contains("fees okx") && page.contains("maker -10 ppm"));
        assert!(
            !page.contains("http-equiv") && !page.contains("<script") && !page.contains("src=")
        );
    }

    #[test]
    fn names_from_outside_are_text() {
        let mut report = crate::backtest::tests::sample();
        report["strategies"][0]["name"] = "<script>".into();
        report["strategies"][0]["instruments"][0]["symbol"] = "<b>".into();
        let page = render(&report).unwrap();
        assert!(!page.contains("<script") && !page.contains("<b>"));
    }
}
