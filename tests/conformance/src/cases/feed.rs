//! F: feeds and books.

use super::{Case, Outcome, Verdict, held};
use crate::trial::{Held, TRADED, Trial};
use dp_shm::Counter;

pub const CASES: &[Case] = &[
    Case::new("F01", "books come up whole and are the venue's", come_up),
    Case::new("F02", "books follow a minute of trading", follow),
    Case::new("F03", "trades and changes are heard", heard),
    Case::new(
        "F04",
        "a lost message is a gap: found, counted, mended",
        gap,
    ),
    Case::new("F05", "a message sent twice changes nothing", duplicate),
    Case::new("F06", "messages out of order are found and mended", reorder),
    Case::new("F07", "a wrong checksum is found and mended", checksum),
    Case::new(
        "F08",
        "sequence numbers that fall are found and mended",
        sequence,
    ),
    Case::new(
        "F09",
        "a snapshot older than the stream is not believed",
        old_snapshot,
    ),
    Case::new(
        "F10",
        "a snapshot newer than the stream is spliced",
        new_snapshot,
    ),
    Case::new("F11", "unknown fields are passed over", extra_fields),
    Case::new("F12", "ten gaps in ten seconds end in a whole book", gaps),
];

fn come_up(it: &mut Trial<'_, '_>) -> Outcome {
    held(it.come_up())
}

fn follow(it: &mut Trial<'_, '_>) -> Outcome {
    it.come_up()?;
    it.run(if it.is_virtual() { 60_000 } else { 3_000 });
    for counter in [
        Counter::Gaps,
        Counter::ChecksumFailures,
        Counter::Reconnects,
    ] {
        let count = it.count(counter);
        if count != 0 {
            return Err(format!("{} {count} without a fault", counter.name()));
        }
    }
    Ok(Verdict::Held)
}

fn heard(it: &mut Trial<'_, '_>) -> Outcome {
    it.come_up()?;
    if !it.takes_orders() {
        return Ok(Verdict::NotHere("prices alone: trades are not told"));
    }
    held(it.until("ten trades and a hundred changes", 60_000, |it| {
        let script = it.script();
        script.trades >= 10 && script.books >= 100
    }))
}

/// Messages lost one after the other, until one is missed, and how long that is waited for.
const GAPS: usize = 10;
const GAP_MS: u64 = 3_000;

/// Gives a fault, waits until it has been used, and says whether it was.
pub(super) fn inflict(it: &mut Trial<'_, '_>, fault: &str) -> Result<bool, String> {
    it.come_up()?;
    let name = fault.split(':').next().unwrap_or_default().to_owned();
    let used = it.used(&name);
    it.fault(fault);
    let done = it.until("the fault is used", 20_000, |it| it.used(&name) > used);
    Ok(done.is_ok())
}

/// Why a fault in the order of book messages has no meaning, where it has none.
pub(super) const UNPROVEN: &str = "books have neither numbers nor checksums: nothing could show it";

/// Whether anything proves a book. Where nothing does, the venue promises that a living connection loses nothing.
pub(super) fn is_proven(it: &mut Trial<'_, '_>) -> Result<bool, String> {
    it.come_up()?;
    let book = it.stage().engine().book(TRADED);
    let is_numbered = book.is_some_and(|(_, proof)| proof.last_id >= 0);
    Ok(is_numbered || it.known.capabilities.book_checksum)
}

/// The fault was noticed as one of these.
fn noticed(it: &mut Trial<'_, '_>, counters: &[Counter]) -> Held {
    it.until("the fault is noticed", 30_000, |it| {
        counters.iter().any(|counter| it.count(*counter) > 0)
    })
}

fn gap(it: &mut Trial<'_, '_>) -> Outcome {
    if !is_proven(it)? {
        return Ok(Verdict::NotHere(UNPROVEN));
    }
    // A session's own numbers show it before the book's do, and cost the connection.
    let session = it.known.venue.is_fix.then_some(Counter::Reconnects);
    let books = [Counter::Gaps, Counter::ChecksumFailures];
    let counters: Vec<Counter> = books.into_iter().chain(session).collect();
    // Where only a checksum tells, what was lost may be said again before it is missed, or lie below what it covers.
    let mut found = Err(String::new());
    for _ in 0..GAPS {
        if !inflict(it, "gap")? {
            return Err("no message was dropped".to_owned());
        }
        found = it.until("the gap is found", GAP_MS, |it| {
            counters.iter().any(|counter| it.count(*counter) > 0)
        });
        if found.is_ok() {
            break;
        }
    }
    held(found)
}

fn duplicate(it: &mut Trial<'_, '_>) -> Outcome {
    if !is_proven(it)? {
        return Ok(Verdict::NotHere(UNPROVEN));
    }
    if !inflict(it, "duplicate:n=5")? {
        return Err("no message was sent twice".to_owned());
    }
    it.run(1_000);
    Ok(Verdict::Held)
}

fn reorder(it: &mut Trial<'_, '_>) -> Outcome {
    if it.known.venue.is_fix {
        return Ok(Verdict::NotHere("a session's messages have one order"));
    }
    if !is_proven(it)? {
        return Ok(Verdict::NotHere(UNPROVEN));
    }
    if !inflict(it, "reorder")? {
        return Err("no message was held back".to_owned());
    }
    it.run(2_000);
    Ok(Verdict::Held)
}

fn checksum(it: &mut Trial<'_, '_>) -> Outcome {
    if !it.known.capabilities.book_checksum {
        return Ok(Verdict::NotHere("books carry no checksum today"));
    }
    if !inflict(it, "bad-checksum")? {
        return Err("no checksum was spoilt".to_owned());
    }
    held(noticed(it, &[Counter::ChecksumFailures]))
}

fn sequence(it: &mut Trial<'_, '_>) -> Outcome {
    inflict(it, "seq-reset")?;
    it.run(3_000);
    // Believed or not, the books must be the venue's in the end.
    match it.count(Counter::Resyncs) {
        0 => Ok(Verdict::NotHere(
            "numbers do not fall, or the venue says so",
        )),
        _ => Ok(Verdict::Held),
    }
}

/// A fault of REST books, which only some venues' books begin with.
fn snapshot(it: &mut Trial<'_, '_>, fault: &str) -> Outcome {
    it.come_up()?;
    it.fault(fault);
    // The feed begins anew, and with it the book.
    it.fault("disconnect:link=public");
    it.run(1_000);
    it.come_up()?;
    let name = fault.split(':').next().unwrap_or_default();
    if it.used(name) == 0 {
        return Ok(Verdict::NotHere("books begin with a pushed snapshot"));
    }
    Ok(Verdict::Held)
}

fn old_snapshot(it: &mut Trial<'_, '_>) -> Outcome {
    snapshot(it, "snapshot-old")
}

fn new_snapshot(it: &mut Trial<'_, '_>) -> Outcome {
    snapshot(it, "snapshot-new:ms=400")
}

fn extra_fields(it: &mut Trial<'_, '_>) -> Outcome {
    if !inflict(it, "extra-fields:n=20")? {
        return Ok(Verdict::NotHere("messages are arrays, or FIX"));
    }
    it.run(2_000);
    match it.count(Counter::Gaps) {
        0 => Ok(Verdict::Held),
        count => Err(format!("{count} gaps")),
    }
}

fn gaps(it: &mut Trial<'_, '_>) -> Outcome {
    if !is_proven(it)? {
        return Ok(Verdict::NotHere(UNPROVEN));
    }
    for _ in 0..10 {
        it.fault("gap");
        it.run(1_000);
    }
    // Where a gap costs the connection, some seconds have no message to drop: the fault waits for one.
    held(it.until("ten messages are dropped", 90_000, |it| {
        it.used("gap") == 10
    }))
}
