//! What every run tells first and last: where it ran and how it was built, and what to know beside.

use crate::host::Seats;
use core::fmt;
use serde::Serialize;

/// Where it was measured.
#[derive(Debug, Serialize)]
pub struct Machine {
    cpu: String,
    cores: usize,
    tsc_hz: u64,
    kernel: String,
    /// Load averages when the report was made.
    load: String,
}

impl Machine {
    /// This machine.
    pub fn here(tsc_hz: u64) -> Self {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = cpuinfo
            .lines()
            .find_map(|line| line.strip_prefix("model name"))
            .map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':']));
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cpu: cpu.to_owned(),
            // Not what this thread may use: it may be pinned.
            cores: cpuinfo
                .lines()
                .filter(|line| line.starts_with("processor"))
                .count(),
            tsc_hz,
            kernel: kernel.trim().to_owned(),
            load: load.split(' ').take(3).collect::<Vec<_>>().join(" "),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cpu,
            cores,
            tsc_hz,
            kernel,
            load,
        } = self;
        let cpu: String = cpu.chars().take(40).collect();
        let mhz = tsc_hz / 1_000_000;
        writeln!(f, "{cpu}, {cores} cores, TSC {mhz} MHz, load {load}")?;
        writeln!(f, "Linux {kernel}")
    }
}

/// The head of a run with a client and a venue.
#[derive(Debug, Serialize)]
pub struct Head {
    /// `done`.
    pub outcome: &'static str,
    /// What was run.
    pub kind: &'static str,
    /// Where.
    pub machine: Machine,
    /// Cores and priority.
    pub seats: Seats,
    /// Built without optimisation: the numbers mean nothing.
    pub is_debug: bool,
}

impl Head {
    /// Of a run that has ended, on this machine.
    pub fn new(kind: &'static str, tsc_hz: u64, seats: Seats) -> Self {
        Self {
            outcome: "done",
            kind,
            machine: Machine::here(tsc_hz),
            seats,
            is_debug: cfg!(debug_assertions),
        }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.machine.fmt(f)?;
        fmt_build(f, self.is_debug)
    }
}

/// Warns of a build whose numbers mean nothing.
pub fn fmt_build(f: &mut fmt::Formatter<'_>, is_debug: bool) -> fmt::Result {
    if is_debug {
        writeln!(f, "NOT A RELEASE BUILD: these numbers mean nothing")?;
    }
    Ok(())
}

/// The notes, one under the other.
pub fn fmt_notes(f: &mut fmt::Formatter<'_>, notes: &[String]) -> fmt::Result {
    for note in notes {
        writeln!(f, "note: {}", wrapped(note))?;
    }
    Ok(())
}

/// At most 72 columns a line, the next ones under the first word of the note.
fn wrapped(note: &str) -> String {
    let (mut text, mut column) = (String::new(), 0);
    for word in note.split(' ') {
        if column > 0 && column + 1 + word.chars().count() > 72 {
            text.push_str("\n      ");
            column = 0;
        } else if column > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += word.chars().count();
    }
    text
}
