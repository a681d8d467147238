//! `decoders`: what each venue's decoder costs, beside the documents people usually make of the same messages, and
//! how many updates a second one core decodes and applies.
//!
//! ```text
//!   tape ─┬─▶ machine ─▶ event               ours, as the lane calls it
//!         ├─▶ machine ─▶ event ─▶ book       ours, applied
//!         ├─▶ serde_json::Value ─▶ levels    as doubles
//!         └─▶ simd-json's document ─▶ levels as doubles
//! ```
//! Every message is copied to where it is parsed, untimed: it is as warm as bytes that were decrypted a moment ago.

mod peers;
mod report;
mod rig;
mod tape;

use crate::host::Seats;
use crate::meter::{Meter, Row as Timed};
use anyhow::{Context as _, bail, ensure};
use peers::{Peer, Way};
use report::{Figures, Report, Row};
use rig::Rig;
use std::path::PathBuf;
use tape::{SOURCES, Tape};

/// What `decoders` is asked.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Messages a figure.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(100..=10_000_000))]
    pub samples: u32,
    /// Recorded messages; where they are not, a venue's fixtures are decoded.
    #[arg(long, default_value = "../shared/captures")]
    pub captures: PathBuf,
    /// Only these venues, by name.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Core to run on.
    #[arg(long, default_value_t = 0)]
    pub core: usize,
}

/// Runs it. Errors: a recording that cannot be read, an update that is not understood or not applied.
pub fn run(args: &Args) -> anyhow::Result<Report> {
    for name in &args.only {
        let is_known = SOURCES.iter().any(|source| source.venue.name() == name);
        ensure!(is_known, "--only: no venue is called `{name}`");
    }
    let seats = Seats::find(args.core, args.core);
    let outcome = std::thread::scope(|scope| {
        let measure = || {
            seats.sit(args.core);
            measure(args)
        };
        scope.spawn(measure).join()
    });
    let (mut meter, rows) = outcome.unwrap_or_else(|_| bail!("the measuring thread panicked"))?;
    if !seats.is_fifo {
        let note = "SCHED_FIFO is not allowed here: others' turns are in the mean, and so in the updates a second";
        meter.notes.push(note.to_owned());
    }
    Ok(Report::new(meter, rows))
}

fn measure(args: &Args) -> anyhow::Result<(Meter, Vec<Row>)> {
    let mut meter = Meter::new(args.samples as usize);
    meter.begin("decoders");
    let (mut rows, mut left_out) = (Vec::new(), Vec::new());
    for source in SOURCES {
        let name = source.venue.name();
        if !args.only.is_empty() && !args.only.iter().any(|only| only == name) {
            continue;
        }
        match source.tape(&args.captures)? {
            Some(tape) => {
                meter.sample_hiccups();
                rows.push(row(&mut meter, &tape)?);
            }
            None => left_out.push(name),
        }
    }
    meter.sample_hiccups();
    if !left_out.is_empty() {
        let note = format!("no recordings, left out: {}", left_out.join(", "));
        meter.notes.push(note);
    }
    if peers::keeps_number_text() {
        let note = "serde_json keeps the text of bare numbers in this build (arbitrary_precision, which other parts \
                    of the workspace need): an allocation each at Bitfinex, Deribit, HTX and Kraken";
        meter.notes.push(note.to_owned());
    }
    Ok((meter, rows))
}

fn row(meter: &mut Meter, tape: &Tape) -> anyhow::Result<Row> {
    let (decode, (scanned, heard)) = ours(meter, tape, false)?;
    let (apply, _) = ours(meter, tape, true)?;
    let serde = usual(meter, tape, Way::Serde)?;
    let simd = usual(meter, tape, Way::Simd)?;
    let inflate = match tape.updates().next() {
        Some(step) if step.is_binary => Some(usual(meter, tape, Way::InflateOnly)?),
        _ => None,
    };
    let updates = tape.updates as f64;
    let bytes = tape.updates().map(|step| tape::inflated(step).len());
    Ok(Row {
        venue: tape.venue.name(),
        from: tape.from.clone(),
        messages: tape.updates,
        levels_a_message: tape.levels as f64 / updates,
        bytes_a_message: bytes.sum::<usize>() as f64 / updates,
        scanned_share: scanned as f64 / heard.max(1) as f64,
        ns_a_level: decode.p50 * updates / tape.levels.max(1) as f64,
        updates_a_second: 1e9 / apply.mean,
        decode: Figures::of(&decode),
        apply: Figures::of(&apply),
        serde_json: Figures::of(&serde),
        simd_json: Figures::of(&simd),
        inflate: inflate.as_ref().map(Figures::of),
    })
}

/// Ours, with books or without; and how many messages were scanned, of how many.
fn ours(meter: &mut Meter, tape: &Tape, has_books: bool) -> anyhow::Result<(Timed, (u64, u64))> {
    let mut rig = Rig::new(tape, has_books)?;
    let ready = |rig: &mut Rig, _| rig.load_update(tape);
    meter.each_on(tape.venue.name(), &mut rig, ready, Rig::decode);
    let read = rig.check(tape)?;
    Ok((last(meter)?, read))
}

fn usual(meter: &mut Meter, tape: &Tape, way: Way) -> anyhow::Result<Timed> {
    struct Usual<I> {
        peer: Peer,
        steps: I,
        bytes: Vec<u8>,
        is_binary: bool,
        failed: Option<anyhow::Error>,
    }
    let mut usual = Usual {
        peer: Peer::new(tape.venue, way),
        steps: tape.updates().cycle(),
        bytes: Vec::with_capacity(1 << 20),
        is_binary: false,
        failed: None,
    };
    meter.each_on(
        tape.venue.name(),
        &mut usual,
        |usual, _| {
            if let Some(step) = usual.steps.next() {
                usual.bytes.clear();
                usual.bytes.extend_from_slice(&step.bytes);
                usual.is_binary = step.is_binary;
            }
        },
        |usual| match usual.peer.read(&mut usual.bytes, usual.is_binary) {
            Ok(read) => read.levels,
            Err(error) => {
                usual.failed = Some(error);
                0
            }
        },
    );
    match usual.failed {
        Some(error) => Err(error.context(format!("{}, {way:?}", tape.venue))),
        None => last(meter),
    }
}

fn last(meter: &mut Meter) -> anyhow::Result<Timed> {
    meter.rows.pop().context("a row was measured")
}
