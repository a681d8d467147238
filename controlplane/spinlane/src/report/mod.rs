//! Reports, of latency and of backtests: each one HTML file that needs nothing else, to keep beside a release or send to someone.

mod backtest;
mod lines;
mod machine;
mod page;
mod plot;

pub use machine::Machine;

use crate::view::latency::Latency;
use anyhow::Context;
use std::path::Path;

/// What a report says beyond the histograms.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Name and value, in the order to show.
    pub rows: Vec<(String, String)>,
}

/// Writes the report. Errors: nothing to plot, or the file cannot be written.
pub fn write(path: &Path, latency: &Latency, facts: Option<&Facts>) -> anyhow::Result<()> {
    save(path, page::render(latency, &Machine::read(), facts)?)
}

/// Writes the report of a backtest. Errors: a plot cannot be drawn, or the file cannot be written.
pub fn write_backtest(path: &Path, report: &serde_json::Value) -> anyhow::Result<()> {
    save(path, backtest::render(report)?)
}

fn save(path: &Path, html: String) -> anyhow::Result<()> {
    if let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        std::fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    }
    std::fs::write(path, html).with_context(|| format!("writing the report to {}", path.display()))
}
