//! `spinlane-dataplane replay`: recordings of what engines were told, played again.

use dp_journal::Entry;
use dp_lane::inputs::{Replayed, replay};
use dp_strategy::Kind;
use dp_types::UnixNanos;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What is played.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Recordings: `NODE-EPOCH-LANE.inputs`.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// One JSON object a file.
    #[arg(long)]
    json: bool,
    /// Also each order and fill that comes out, one JSON object a line, before its file's.
    #[arg(long)]
    orders: bool,
}

/// Plays each file; fails where one cannot be played, or where another thing comes out than did then.
pub(crate) fn run(args: &Args, kinds: &[Kind]) -> ExitCode {
    let mut is_same = true;
    for file in &args.files {
        let mut show = |at: UnixNanos, entry: &Entry| {
            if let Some(line) = line(at, entry).filter(|_| args.orders) {
                println!("{line}");
            }
        };
        match replay(file, kinds, &mut show) {
            Ok(played) => {
                is_same &= played.diverged.is_none();
                if args.json {
                    println!("{}", object(file, &played));
                } else {
                    tell(file, &played);
                }
            }
            Err(error) => {
                eprintln!("error: {}: {error}", file.display());
                is_same = false;
            }
        }
    }
    if is_same {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn line(at: UnixNanos, entry: &Entry) -> Option<Value> {
    let (kind, id, instrument, side, price, qty) = match entry {
        Entry::OrderIntent(it) => (
            "order",
            Some(it.client_id),
            it.instrument,
            it.side,
            it.price,
            it.qty,
        ),
        Entry::Fill(it) => (
            "fill",
            it.client_id,
            it.instrument,
            it.side,
            it.price,
            it.qty,
        ),
        _ => return None,
    };
    let id = id.map(|id| id.0);
    Some(json!({
        "at_ns": at.0, "kind": kind, "client_order_id": id, "instrument": instrument.0,
        "side": side.name(), "price": price.0, "qty": qty.0,
    }))
}

fn object(file: &Path, played: &Replayed) -> Value {
    let diverged = played.diverged;
    json!({
        "file": file, "inputs": played.inputs, "events": played.events, "records": played.records,
        "orders": played.orders, "fills": played.fills, "checks": played.checks, "digest": played.digest_text(),
        "from_ns": played.span.0.0, "to_ns": played.span.1.0, "torn_at": played.torn_at,
        "is_same": diverged.is_none(),
        "diverged": diverged.map(|it| json!({ "input": it.input, "at_ns": it.at.0 })),
    })
}

fn tell(file: &Path, played: &Replayed) {
    let seconds = played.span.1.since(played.span.0) / 1_000_000_000;
    println!("{}", file.display());
    println!(
        "  {} inputs in {seconds} s, {} of them events; {} records came out: {} orders, {} fills",
        played.inputs, played.events, played.records, played.orders, played.fills
    );
    if let Some(at) = played.torn_at {
        println!("  its end is torn at byte {at}: played up to there");
    }
    match played.diverged {
        None => println!("  the same as then, compared {} times", played.checks),
        Some(it) => println!(
            "  ANOTHER THING came out after input {} (at {} ns): nothing behind it was played",
            it.input, it.at.0
        ),
    }
    println!("  digest {}", played.digest_text());
}
