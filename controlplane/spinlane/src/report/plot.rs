//! HDR percentile plots: latency over percentile, the percentile axis stretched towards 100 %.
//!
//! x = log10(1 / (1 - quantile)): 0 = 0 %, 1 = 90 %, 2 = 99 %, 3 = 99.9 % … so that the tail, which is what
//! costs money, takes most of the room. y = nanoseconds, logarithmic: stages differ by three decades.

use crate::view::latency::StageLatency;
use anyhow::anyhow;
use plotters::coord::combinators::IntoLogRange;
use plotters::prelude::*;

/// Drawn size; the page scales it.
pub const SIZE: (u32, u32) = (980, 460);
/// Points each time the distance to 100 % halves.
const TICKS_PER_HALF: u32 = 8;

/// Colours that stay apart for most eyes (Okabe and Ito), then darker kin.
pub const COLOURS: [RGBColor; 13] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(110, 110, 110),
    RGBColor(150, 90, 30),
    RGBColor(90, 60, 160),
    RGBColor(0, 90, 80),
    RGBColor(160, 20, 60),
    RGBColor(120, 150, 0),
    RGBColor(40, 40, 40),
];

/// A colour as CSS.
pub fn css(colour: RGBColor) -> String {
    format!("#{:02x}{:02x}{:02x}", colour.0, colour.1, colour.2)
}

/// Draws one curve a stage as an SVG element. Errors: nothing to draw.
pub fn svg(stages: &[(&StageLatency, RGBColor)]) -> anyhow::Result<String> {
    let curves: Vec<(RGBColor, Vec<(f64, f64)>)> = stages
        .iter()
        .map(|(stage, colour)| (*colour, curve(stage)))
        .collect();
    let points = || curves.iter().flat_map(|(_, points)| points);
    let x_max = points().map(|point| point.0).fold(2.0, f64::max).ceil();
    let y_max = points().map(|point| point.1).fold(f64::NAN, f64::max);
    let y_min = points().map(|point| point.1).fold(f64::NAN, f64::min);
    if !y_max.is_finite() {
        return Err(anyhow!(
            "no latencies recorded yet; let the node trade first"
        ));
    }
    let decade = |y: f64, round: fn(f64) -> f64| 10f64.powf(round(y.log10()));
    let y_range =
        decade(y_min, f64::floor)..decade(y_max, f64::ceil).max(decade(y_min, f64::floor) * 10.0);
    let mut text = String::new();
    draw(&mut text, &curves, x_max, y_range).map_err(|error| anyhow!("drawing: {error}"))?;
    Ok(scalable(&text))
}

/// (stretched percentile, nanoseconds) up to the last value, which stands where its rank puts it.
fn curve(stage: &StageLatency) -> Vec<(f64, f64)> {
    let last = 1.0 / stage.count as f64;
    let stretched = |quantile: f64| -(1.0 - quantile).max(last).log10();
    let values = stage.histogram.iter_quantiles(TICKS_PER_HALF).map(|step| {
        let ns = step.value_iterated_to().clamp(1, stage.max_ns.max(1));
        (stretched(step.quantile_iterated_to()), ns as f64)
    });
    values.collect()
}

/// Where a chart is drawn.
pub type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw(
    text: &mut String,
    curves: &[(RGBColor, Vec<(f64, f64)>)],
    x_max: f64,
    y_range: std::ops::Range<f64>,
) -> Result<(), Box<dyn std::error::Error>> {
    let area: Area<'_> = SVGBackend::with_string(text, SIZE).into_drawing_area();
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        .margin_right(44)
        .x_label_area_size(48)
        .y_label_area_size(74)
        .build_cartesian_2d(0f64..x_max, y_range.log_scale())?;
    chart
        .configure_mesh()
        .x_labels(x_max as usize + 1)
        .x_label_formatter(&|x| percentile(*x))
        .y_label_formatter(&|y| crate::table::nanos(*y as u64).replace(".0 ", " "))
        .x_desc("percentile")
        .label_style(("sans-serif", 15))
        .axis_desc_style(("sans-serif", 15))
        .bold_line_style(RGBColor(205, 205, 205))
        .light_line_style(RGBColor(236, 236, 236))
        .draw()?;
    for (colour, points) in curves {
        let line = LineSeries::new(points.iter().copied(), colour.stroke_width(2));
        chart.draw_series(line)?;
    }
    area.present()?;
    Ok(())
}

/// 0 → `0 %`, 1 → `90 %`, 2 → `99 %`, 3 → `99.9 %`; between two labels, nothing.
fn percentile(x: f64) -> String {
    let nines = x.round();
    if (x - nines).abs() > 1e-6 {
        return String::new();
    }
    match nines as u32 {
        0 => "0 %".to_owned(),
        1 => "90 %".to_owned(),
        2 => "99 %".to_owned(),
        n => format!("99.{} %", "9".repeat(n as usize - 2)),
    }
}

/// Lets the page decide how wide the drawing is.
pub fn scalable(svg: &str) -> String {
    let (width, height) = SIZE;
    let fixed = format!("width=\"{width}\" height=\"{height}\" viewBox=");
    svg.replacen(&fixed, "role=\"img\" viewBox=", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nines_are_labelled() {
        let labels: Vec<String> = [0.0, 1.0, 2.0, 3.0, 5.0, 0.5]
            .iter()
            .map(|x| percentile(*x))
            .collect();
        assert_eq!(labels, ["0 %", "90 %", "99 %", "99.9 %", "99.999 %", ""]);
    }
}
