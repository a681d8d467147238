//! The latency report: one HTML file that needs nothing else, to keep beside a release or send to someone.

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
    let html = page::render(latency, &Machine::read(), facts)?;
    if let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        std::fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    }
    std::fs::write(path, html).with_context(|| format!("writing the report to {}", path.display()))
}
