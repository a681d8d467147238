//! `--html`: percentile curves, time series and heat maps of a race, as one page without scripts.
//!
//! Drawing is plotters', as in the control plane's reports; here is what goes on which axis.

use crate::race::Measured;
use crate::stats::{Set, WINDOW_NS};
use crate::t2t::{BOTH, FLOOR_TLS, Line, OURS, PEER_PARKING, Ratio, Report, VETH};
use anyhow::anyhow;
use plotters::coord::combinators::IntoLogRange;
use plotters::prelude::*;
use std::fmt::Write as _;
use std::ops::Range;

/// Drawn sizes; the page scales them.
const SIZE: (u32, u32) = (980, 420);
const MAP: (u32, u32) = (980, 260);
/// Steps of a percentile curve each time the distance to 100 % halves.
const TICKS_PER_HALF: u32 = 8;
/// Columns and rows of a heat map.
const CELLS: (usize, usize) = (100, 36);
/// Whose samples are all shown.
const MAPPED: [&str; 6] = [OURS, FLOOR_TLS, PEER_PARKING, VETH, BOTH[0], BOTH[1]];
/// Microseconds the axes show: nothing here is faster, and what is slower stands at the edge.
const MICROS: Range<f64> = 2.0..100_000.0;
/// Colours that stay apart for most eyes (Okabe and Ito).
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(120, 120, 120),
    RGBColor(40, 40, 40),
    RGBColor(213, 94, 0),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(86, 180, 233),
    RGBColor(204, 121, 167),
];

const STYLE: &str = "
body { font: 16px/1.5 system-ui, sans-serif; color: #1b1f24; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.4rem; } h3 { font-size: 1rem; margin-bottom: 0; }
svg { width: 100%; height: auto; display: block; } .soft { color: #5b6570; }
.key span { margin-right: 1.2rem; white-space: nowrap; }
.key i { display: inline-block; width: 1.4rem; height: .25rem; vertical-align: middle; margin-right: .4rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .5rem; border-bottom: 1px solid #dde2e7; text-align: right; }
th:first-child, td:first-child { text-align: left; }
";

/// The page. Errors: a drawing that fails.
pub fn page(report: &Report, measured: &[Measured]) -> anyhow::Result<String> {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <title>Tick-to-trade</title><style>{STYLE}</style></head><body>\n<h1>Tick-to-trade</h1>\n\
         <pre class=\"soft\">{}</pre>\n",
        escape(&report.head.machine.to_string())
    );
    if report.head.is_debug {
        page.push_str("<p><b>Not a release build: these numbers mean nothing.</b></p>\n");
    }
    let mut rates: Vec<u64> = report.rows.iter().map(|row| row.rate).collect();
    rates.dedup();
    for rate in rates {
        let here: Vec<&Measured> = measured
            .iter()
            .filter(|one| one.load.rate == rate)
            .collect();
        let (veth, loopback): (Vec<&Measured>, Vec<&Measured>) = here
            .into_iter()
            .partition(|one| one.name.starts_with("veth: "));
        for (place, here) in [("loopback", loopback), ("a cable (veth)", veth)] {
            if here.is_empty() {
                continue;
            }
            let _ = writeln!(page, "<h2>{rate} ticks a second, over {place}</h2>");
            key(&mut page, &here);
            page.push_str("<h3>Percentiles, clean windows</h3>\n");
            page.push_str(&percentiles(&here)?);
            page.push_str(
                "<h3>Each window's 99th percentile, in the order they were measured</h3>\n",
            );
            page.push_str(&time_series(&here)?);
            for one in here
                .iter()
                .filter(|one| MAPPED.contains(&one.name.as_str()))
            {
                let _ = writeln!(page, "<h3>All samples: {}</h3>", escape(&one.name));
                page.push_str(&heat_map(one)?);
            }
        }
        let rows = report.rows.iter().filter(|row| row.rate == rate);
        table(&mut page, rows);
        let ratios = report.ratios.iter().filter(|ratio| ratio.rate == rate);
        ratio_table(&mut page, ratios);
    }
    page.push_str("<h2>Notes</h2><ul>\n");
    for note in &report.notes {
        let _ = writeln!(page, "<li>{}</li>", escape(note));
    }
    page.push_str("</ul>\n<p class=\"soft\">Method: bench/METHOD.md</p></body></html>\n");
    Ok(page)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

fn key(page: &mut String, here: &[&Measured]) {
    page.push_str("<p class=\"key\">");
    for (one, RGBColor(r, g, b)) in here.iter().zip(COLOURS) {
        let name = escape(&one.name);
        let _ = write!(
            page,
            "<span><i style=\"background:#{r:02x}{g:02x}{b:02x}\"></i>{name}</span>"
        );
    }
    page.push_str("</p>\n");
}

fn table<'a>(page: &mut String, rows: impl Iterator<Item = &'a Line>) {
    page.push_str(
        "<table><tr><th>us</th><th>p50</th><th>95 %</th><th>p99</th><th>95 %</th><th>p99.9</th>\
         <th>max</th><th>clean windows</th><th>all: p50</th><th>all: p99</th></tr>\n",
    );
    let us = |ns: f64| crate::report::micros(ns);
    for row in rows {
        let windows = (row.windows.0 + row.windows.1).max(1);
        let Some(all) = row.all else {
            continue;
        };
        let Some(clean) = row.clean else {
            let _ = writeln!(
                page,
                "<tr><td>{}</td><td colspan=\"7\">no clean windows</td><td>0 %</td><td>{}</td><td>{}</td></tr>",
                escape(&row.client),
                us(all.p50.value),
                us(all.p99.value),
            );
            continue;
        };
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}–{}</td><td>{}</td><td>{}–{}</td><td>{}</td><td>{}</td>\
             <td>{} %</td><td>{}</td><td>{}</td></tr>",
            escape(&row.client),
            us(clean.p50.value),
            us(clean.p50.low),
            us(clean.p50.high),
            us(clean.p99.value),
            us(clean.p99.low),
            us(clean.p99.high),
            us(clean.p999.value),
            us(clean.max),
            100 * row.windows.0 / windows,
            us(all.p50.value),
            us(all.p99.value),
        );
    }
    page.push_str("</table>\n");
}

/// Every comparison, in clean windows, which are gated, and in all.
fn ratio_table<'a>(page: &mut String, ratios: impl Iterator<Item = &'a Ratio> + Clone) {
    page.push_str(
        "<table><tr><th>times as long</th><th>p50, clean</th><th>p50, all</th><th>p99, clean</th>\
         <th>p99, all</th></tr>\n",
    );
    let is_first = |ratio: &&Ratio| (ratio.quantile, ratio.set) == ("p50", "all");
    for first in ratios.clone().filter(is_first) {
        let who = format!("{} / {}", first.over, first.under);
        let _ = write!(page, "<tr><td>{}</td>", escape(&who));
        for (quantile, set) in [
            ("p50", "clean"),
            ("p50", "all"),
            ("p99", "clean"),
            ("p99", "all"),
        ] {
            let is_it = |ratio: &&Ratio| {
                (ratio.quantile, ratio.set) == (quantile, set)
                    && (&ratio.over, &ratio.under) == (&first.over, &first.under)
            };
            let found = ratios.clone().find(is_it);
            let found = found.map_or(String::new(), |ratio| crate::summary::span(&ratio.estimate));
            let _ = write!(page, "<td>{found}</td>");
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table>\n");
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Points = Vec<(f64, f64)>;

/// Lines over a logarithmic time axis; an SVG element.
fn lines(
    curves: &[(RGBColor, Points)],
    x: Range<f64>,
    x_name: &str,
    x_label: &dyn Fn(&f64) -> String,
) -> anyhow::Result<String> {
    let mut text = String::new();
    let draw = || -> Result<(), Box<dyn std::error::Error>> {
        let area: Area<'_> = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(10)
            .margin_right(40)
            .x_label_area_size(44)
            .y_label_area_size(70)
            .build_cartesian_2d(x, MICROS.log_scale())?;
        chart
            .configure_mesh()
            .x_labels(8)
            .x_label_formatter(x_label)
            .y_label_formatter(&|us| format!("{us} us"))
            .x_desc(x_name)
            .label_style(("sans-serif", 14))
            .light_line_style(RGBColor(238, 238, 238))
            .draw()?;
        for (colour, points) in curves {
            let line = LineSeries::new(points.iter().copied(), colour.stroke_width(2));
            chart.draw_series(line)?;
        }
        area.present()?;
        Ok(())
    };
    draw().map_err(|error| anyhow!("drawing: {error}"))?;
    Ok(scalable(&text, SIZE))
}

/// Nanoseconds on the axis of microseconds.
fn on_axis(ns: f64) -> f64 {
    (ns / 1_000.0).clamp(MICROS.start, MICROS.end)
}

fn percentiles(here: &[&Measured]) -> anyhow::Result<String> {
    let curve = |one: &&Measured| -> Points {
        let histogram = one.samples.histogram(Set::Clean);
        let last = 1.0 / histogram.len().max(1) as f64;
        let stretched = |quantile: f64| -(1.0 - quantile).max(last).log10();
        let steps = histogram.iter_quantiles(TICKS_PER_HALF).map(|step| {
            let ns = step.value_iterated_to().min(histogram.max()) as f64;
            (stretched(step.quantile_iterated_to()), on_axis(ns))
        });
        steps.collect()
    };
    let curves: Vec<_> = COLOURS.into_iter().zip(here.iter().map(curve)).collect();
    let points = curves.iter().flat_map(|(_, points)| points);
    let end = points.map(|point| point.0).fold(2.0, f64::max).ceil();
    lines(&curves, 0.0..end, "percentile", &|x| {
        let nines = x.round();
        match nines as u32 {
            _ if (x - nines).abs() > 1e-6 => String::new(),
            0 => "0 %".to_owned(),
            1 => "90 %".to_owned(),
            2 => "99 %".to_owned(),
            n => format!("99.{} %", "9".repeat(n as usize - 2)),
        }
    })
}

/// Each window's 99th percentile, at its place in time.
fn series(one: &Measured) -> Points {
    let mut windows: Vec<Vec<u32>> = vec![Vec::new(); one.samples.windows.len()];
    for (ns, window) in &one.samples.values {
        windows[*window as usize].push(*ns);
    }
    let seconds = WINDOW_NS as f64 / 1e9;
    let point = |(at, values): (usize, &mut Vec<u32>)| {
        values.sort_unstable();
        let p99 = values.get((values.len().max(1) - 1) * 99 / 100)?;
        Some((at as f64 * seconds, on_axis(f64::from(*p99))))
    };
    windows.iter_mut().enumerate().filter_map(point).collect()
}

fn time_series(here: &[&Measured]) -> anyhow::Result<String> {
    let curves: Vec<_> = COLOURS
        .into_iter()
        .zip(here.iter().map(|one| series(one)))
        .collect();
    let points = curves.iter().flat_map(|(_, points)| points);
    let end = points.map(|point| point.0).fold(0.1, f64::max);
    lines(&curves, 0.0..end, "measured seconds, rounds joined", &|x| {
        format!("{x:.1}")
    })
}

/// Samples by time and latency; the darker, the more.
fn heat(one: &Measured) -> Vec<Vec<u64>> {
    let (columns, rows) = CELLS;
    let mut cells = vec![vec![0u64; rows]; columns];
    let windows = one.samples.windows.len().max(1);
    let decades = (MICROS.end / MICROS.start).log10();
    for (ns, window) in &one.samples.values {
        let column = *window as usize * columns / windows;
        let height = (on_axis(f64::from(*ns)) / MICROS.start).log10() / decades;
        let row = ((height * rows as f64) as usize).min(rows - 1);
        cells[column][row] += 1;
    }
    cells
}

fn heat_map(one: &Measured) -> anyhow::Result<String> {
    let cells = heat(one);
    let most = cells.iter().flatten().max().copied().unwrap_or(1).max(2);
    let (columns, rows) = CELLS;
    let seconds = one.samples.windows.len() as f64 * WINDOW_NS as f64 / 1e9;
    let step = (MICROS.end / MICROS.start).powf(1.0 / rows as f64);
    let mut text = String::new();
    let mut draw = || -> Result<(), Box<dyn std::error::Error>> {
        let area: Area<'_> = SVGBackend::with_string(&mut text, MAP).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(10)
            .margin_right(40)
            .x_label_area_size(28)
            .y_label_area_size(70)
            .build_cartesian_2d(0.0..seconds.max(0.1), MICROS.log_scale())?;
        chart
            .configure_mesh()
            .disable_mesh()
            .x_label_formatter(&|x| format!("{x:.1} s"))
            .y_label_formatter(&|us| format!("{us} us"))
            .label_style(("sans-serif", 14))
            .draw()?;
        let filled = cells.iter().enumerate().flat_map(|(column, rows)| {
            let filled = rows.iter().enumerate().filter(|(_, count)| **count > 0);
            filled.map(move |(row, count)| (column, row, *count))
        });
        chart.draw_series(filled.map(|(column, row, count)| {
            let x = |at: usize| at as f64 * seconds / columns as f64;
            let y = |at: usize| MICROS.start * step.powi(at as i32);
            // A single sample must be seen beside a million: the logarithm, from a third on.
            let shade = (count as f64).ln() / (most as f64).ln();
            let light = |full: f64| (255.0 - (0.25 + 0.75 * shade) * (255.0 - full)) as u8;
            let colour = RGBColor(light(8.0), light(48.0), light(107.0));
            Rectangle::new(
                [(x(column), y(row)), (x(column + 1), y(row + 1))],
                colour.filled(),
            )
        }))?;
        area.present()?;
        Ok(())
    };
    draw().map_err(|error| anyhow!("drawing: {error}"))?;
    Ok(scalable(&text, MAP))
}

/// Lets the page decide how wide a drawing is.
fn scalable(svg: &str, (width, height): (u32, u32)) -> String {
    let fixed = format!("width=\"{width}\" height=\"{height}\" viewBox=");
    svg.replacen(&fixed, "role=\"img\" viewBox=", 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::Load;

    fn measured(name: &str) -> Measured {
        let mut one = Measured::new(name, Load::new(10_000, 1.0));
        let values = (0..1_000u32).map(|at| (10_000 + at * 7, at / 100));
        one.samples.add_round(&[true; 10], values);
        one
    }

    #[test]
    fn every_sample_is_somewhere_on_the_heat_map() {
        let mut one = measured(OURS);
        one.samples.values.push((u32::MAX, 3));
        one.samples.values.push((1, 3));
        let cells = heat(&one);
        assert_eq!(cells.iter().flatten().sum::<u64>(), 1_002);
        assert!(heat_map(&one).unwrap().contains("<rect"));
    }

    #[test]
    fn curves_and_series_are_drawn() {
        let all = [measured(OURS), measured("a <peer>")];
        let here: Vec<&Measured> = all.iter().collect();
        assert!(percentiles(&here).unwrap().contains("99.9 %"));
        assert!(time_series(&here).unwrap().contains("<polyline"));
        let mut page = String::new();
        key(&mut page, &here);
        assert!(page.contains("a &lt;peer>"));
    }
}
