//! The page around the plots.

use super::{Facts, Machine, plot};
use crate::table::{count, nanos};
use crate::view::latency::{Latency, StageLatency};
use dp_shm::Stage;
use std::fmt::Write;

/// What is plotted together: what an order waits for, and where that time goes.
const GROUPS: [(&str, &str, &[Stage]); 2] = [
    (
        "End to end",
        "From the bytes of a market message to the bytes of an order, and from an order to the venue's answer.",
        &[
            Stage::TickToTrade,
            Stage::OrderToAck,
            Stage::CancelToAck,
            Stage::DutyCycle,
        ],
    ),
    (
        "Inside the lane",
        "The stages a message passes on its way to an order; the counts below say how often each was timed.",
        &[
            Stage::Decrypt,
            Stage::Decode,
            Stage::Book,
            Stage::Strategy,
            Stage::Risk,
            Stage::Oms,
            Stage::Journal,
            Stage::Encode,
            Stage::Seal,
        ],
    ),
];

/// How pages look.
pub const STYLE: &str = "
:root { color-scheme: light; --ink: #1b1f24; --soft: #5b6570; --line: #dde2e7; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: #fff; margin: 2rem auto;
  max-width: 62rem; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .3rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .2rem; }
p { margin: .3rem 0; } .soft { color: var(--soft); }
.key { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; margin: .4rem 0 0; }
.key i { display: inline-block; width: 1.4rem; height: .25rem; vertical-align: middle; margin-right: .4rem; }
svg { width: 100%; height: auto; display: block; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } th { font-weight: 600; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.2rem; margin: .4rem 0; }
dt { color: var(--soft); } dd { margin: 0; }
";

/// The whole page. Errors: nothing was recorded.
pub fn render(
    latency: &Latency,
    machine: &Machine,
    facts: Option<&Facts>,
) -> anyhow::Result<String> {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>Latency of {node}</title><style>{STYLE}</style></head><body>\n\
         <h1>Latency of {node}</h1>\n<p class=\"soft\">Spinlane {version}</p>\n",
        node = escape(&latency.node),
        version = env!("CARGO_PKG_VERSION"),
    );
    if let Some(facts) = facts {
        page.push_str("<h2>The run</h2>\n");
        list(&mut page, &facts.rows);
    }
    for (title, what, stages) in GROUPS {
        group(&mut page, latency, title, what, stages)?;
    }
    page.push_str("<h2>All stages</h2>\n");
    table(&mut page, &latency.all);
    for lane in latency
        .lanes
        .iter()
        .filter(|lane| latency.lanes.len() > 1 && !lane.stages.is_empty())
    {
        let _ = writeln!(page, "<h2>Lane {}</h2>", lane.lane);
        table(&mut page, &lane.stages);
    }
    page.push_str("<h2>Measured on</h2>\n");
    list(&mut page, &machine_rows(machine, latency));
    page.push_str(HOW_TO_READ);
    page.push_str("</body></html>\n");
    Ok(page)
}

const HOW_TO_READ: &str = "<h2>How to read this</h2>
<p>A point at 99.9 % and 20 µs says: 999 of 1,000 took 20 µs or less. The axis is stretched towards 100 %
because that is where orders are lost; a curve that stays flat to the right is a quiet machine, a step is
something that interrupts it (the scheduler, another tenant, an interrupt).</p>
<p>Times are TSC cycles of the lane's own core turned into nanoseconds; a figure is at most 1 % too high and
never too low. Tick-to-trade is measured inside the process, from
the bytes handed over by the transport to the order's bytes handed back; the wire and the kernel are not in it.
Order-to-ack holds the venue's time too.</p>
<p>On a machine whose cores are shared, the tail (p99.9, max) belongs to its neighbours: compare figures only
with others of the same machine and load, and take the ratio of two builds measured in turn.</p>
";

fn group(
    page: &mut String,
    latency: &Latency,
    title: &str,
    what: &str,
    stages: &[Stage],
) -> anyhow::Result<()> {
    let found: Vec<_> = stages
        .iter()
        .filter_map(|stage| latency.stage(*stage))
        .zip(plot::COLOURS)
        .collect();
    if found.is_empty() && !latency.all.is_empty() {
        return Ok(());
    }
    let _ = writeln!(
        page,
        "<h2>{title}</h2>\n<p class=\"soft\">{what}</p>\n<div class=\"key\">"
    );
    for (stage, colour) in &found {
        let _ = writeln!(
            page,
            "<span><i style=\"background:{}\"></i>{}</span>",
            plot::css(*colour),
            stage.stage.replace('_', " ")
        );
    }
    let _ = writeln!(page, "</div>\n{}", plot::svg(&found)?);
    Ok(())
}

fn table(page: &mut String, stages: &[StageLatency]) {
    page.push_str(
        "<table><thead><tr><th>stage</th><th>count</th><th>p50</th><th>p99</th><th>p99.9</th><th>max</th>\
         </tr></thead><tbody>\n",
    );
    for stage in stages {
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            stage.stage.replace('_', " "),
            count(stage.count),
            nanos(stage.p50_ns),
            nanos(stage.p99_ns),
            nanos(stage.p999_ns),
            nanos(stage.max_ns)
        );
    }
    page.push_str("</tbody></table>\n");
}

fn machine_rows(machine: &Machine, latency: &Latency) -> Vec<(String, String)> {
    let isolated = if machine.isolated.is_empty() {
        "none"
    } else {
        &machine.isolated
    };
    let virtual_word = if machine.is_virtual { "yes" } else { "no" };
    [
        ("processor", machine.cpu.clone()),
        ("cores", machine.cores.to_string()),
        ("isolated cores", isolated.to_owned()),
        ("virtual machine", virtual_word.to_owned()),
        ("memory", format!("{} MiB", count(machine.memory_mib))),
        ("kernel", machine.kernel.clone()),
        ("load, 1 5 15 min", machine.load.clone()),
        ("TSC", format!("{} MHz", count(latency.tsc_hz / 1_000_000))),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

/// Names and values.
pub fn list(page: &mut String, rows: &[(String, String)]) {
    page.push_str("<dl>\n");
    for (name, value) in rows {
        let _ = writeln!(page, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
    }
    page.push_str("</dl>\n");
}

/// Text as HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
