//! Plain line charts over time: values as lines, single events as dots.

use super::plot::{Area, SIZE, scalable};
use anyhow::anyhow;
use plotters::prelude::*;

/// One series.
#[derive(Debug, Clone)]
pub struct Series {
    /// (x, y).
    pub points: Vec<(f64, f64)>,
    /// How it is drawn.
    pub colour: RGBColor,
    /// Single dots instead of a line.
    pub is_dots: bool,
}

/// Draws series over the same axes as an SVG element; `None` when there is nothing to draw.
pub fn svg(series: &[Series], x_name: &str, y_name: &str) -> anyhow::Result<Option<String>> {
    let points = || series.iter().flat_map(|one| one.points.iter().copied());
    let is_finite = |point: &(f64, f64)| point.0.is_finite() && point.1.is_finite();
    if !points().any(|point| is_finite(&point)) {
        return Ok(None);
    }
    let range = |of: fn((f64, f64)) -> f64| {
        let values = || points().filter(is_finite).map(of);
        let (low, high) = (
            values().fold(f64::INFINITY, f64::min),
            values().fold(f64::NEG_INFINITY, f64::max),
        );
        // A flat line has room around it too.
        let pad = ((high - low) * 0.03).max(high.abs().max(1.0) * 1e-6);
        low - pad..high + pad
    };
    let ranges = (range(|point| point.0), range(|point| point.1));
    let mut text = String::new();
    draw(&mut text, series, ranges, (x_name, y_name))
        .map_err(|error| anyhow!("drawing: {error}"))?;
    Ok(Some(scalable(&text)))
}

type Ranges = (std::ops::Range<f64>, std::ops::Range<f64>);

fn draw(
    text: &mut String,
    series: &[Series],
    (x, y): Ranges,
    (x_name, y_name): (&str, &str),
) -> Result<(), Box<dyn std::error::Error>> {
    let area: Area<'_> = SVGBackend::with_string(text, SIZE).into_drawing_area();
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        .margin_right(44)
        .x_label_area_size(48)
        .y_label_area_size(92)
        .build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .x_desc(x_name)
        .y_desc(y_name)
        .label_style(("sans-serif", 15))
        .axis_desc_style(("sans-serif", 15))
        .bold_line_style(RGBColor(205, 205, 205))
        .light_line_style(RGBColor(236, 236, 236))
        .draw()?;
    for one in series {
        let points = one.points.iter().copied();
        if one.is_dots {
            chart.draw_series(points.map(|at| Circle::new(at, 3, one.colour.filled())))?;
        } else {
            chart.draw_series(LineSeries::new(points, one.colour.stroke_width(2)))?;
        }
    }
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_not_drawn_and_a_flat_line_is() {
        let series = |points| {
            [Series {
                points,
                colour: RGBColor(0, 0, 0),
                is_dots: false,
            }]
        };
        assert!(svg(&series(Vec::new()), "x", "y").unwrap().is_none());
        let flat = svg(&series(vec![(0.0, 5.0), (1.0, 5.0)]), "x", "y")
            .unwrap()
            .unwrap();
        assert!(flat.contains("<polyline"), "{flat}");
    }
}
