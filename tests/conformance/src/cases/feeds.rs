//! F: two feeds of one venue, and what befalls one of them while the other goes on.

use super::feed::{UNPROVEN, is_proven};
use super::{Case, Outcome, Verdict};
use crate::trial::{Held, TRADED, Trial};
use dp_shm::Counter;
use dp_types::{InstrumentId, VenueId};

pub const CASES: &[Case] = &[
    Case::twice(
        "F13",
        "two feeds make one book, and copies are dropped",
        copies,
    ),
    Case::twice(
        "F14",
        "one of two feeds is cut, then the other: unseen",
        cut,
    ),
    Case::twice("F15", "one of two feeds falls silent: unseen", silence).slow(),
    Case::twice("F16", "what one of two feeds loses the other fills in", gap),
    Case::twice(
        "F17",
        "one of two feeds says things twice: unseen",
        duplicate,
    ),
    Case::twice(
        "F18",
        "what both feeds lose is a gap: found once, mended once",
        gap_of_both,
    ),
    Case::twice("F19", "both feeds are cut: the book starts over", cut_both),
];

const ONE_SESSION: &str = "a session is one connection";

/// A book that a feed brings at 50 changes a second is never older, on the busiest machine.
const AGE_NS_MAX: u64 = 3_000_000_000;

/// Until both feeds bring the books.
fn both_up(it: &mut Trial<'_, '_>) -> Held {
    it.come_up()?;
    both_bring(it)
}

/// Until either feed could bring each book alone, and does. Of lines, which are merged before the books, there is
/// nothing to ask: datagrams are counted.
fn both_bring(it: &mut Trial<'_, '_>) -> Held {
    let copies = it.count(Counter::FeedCopies);
    it.until("both feeds bring the books", 60_000, |it| {
        let engine = it.stage().engine();
        let is_ready = |at| {
            engine
                .feeds_ready(InstrumentId(at))
                .is_none_or(|feeds| feeds == 2)
        };
        let are_ready = is_ready(0) && is_ready(1);
        are_ready && it.count(Counter::FeedCopies) >= copies + 20
    })
}

/// Whether the venue takes a second connection for what one brings. A FIX session has one, by its name.
fn takes_two(it: &Trial<'_, '_>) -> bool {
    it.known.venue.id != VenueId::YOFX
}

/// Whole books taken, restarts and gaps so far.
fn restarts(it: &Trial<'_, '_>) -> [u64; 4] {
    let mut counts = [
        Counter::Snapshots,
        Counter::Resyncs,
        Counter::Gaps,
        Counter::ChecksumFailures,
    ]
    .map(|counter| it.count(counter));
    if it.known.venue.id == VenueId::OANDA {
        // Each price is a whole book.
        counts[0] = 0;
    }
    counts
}

/// Lets time pass; the books must stand whole and fresh in every step of it.
fn unseen(it: &mut Trial<'_, '_>, ms: u64, before: [u64; 4]) -> Held {
    let end = it.stage().now().after(ms * 1_000_000);
    while it.stage().now() < end {
        it.stage().step(1_000_000);
        let now = it.stage().now();
        let proof = it.stage().engine().book(TRADED).map(|(_, proof)| proof);
        let age = proof.map_or(u64::MAX, |proof| now.since(proof.at));
        if !it.is_synced() || age > AGE_NS_MAX {
            return Err(format!(
                "the book was seen to break, {age} ns old: {proof:?}; {}",
                it.told()
            ));
        }
    }
    let after = restarts(it);
    if after != before {
        return Err(format!(
            "snapshots, resyncs, gaps, wrong checksums: {before:?} before, {after:?} after"
        ));
    }
    Ok(())
}

/// Gives a fault of one feed and waits until it is used.
fn inflict(it: &mut Trial<'_, '_>, fault: &str) -> Held {
    let name = fault
        .split([':', ','])
        .next()
        .unwrap_or_default()
        .to_owned();
    let used = it.used(&name);
    it.fault(fault);
    it.until("the fault is used", 20_000, |it| it.used(&name) > used)
}

fn copies(it: &mut Trial<'_, '_>) -> Outcome {
    if !takes_two(it) {
        return Ok(Verdict::NotHere(ONE_SESSION));
    }
    both_up(it)?;
    let before = restarts(it);
    unseen(it, 5_000, before)?;
    let firsts: u64 = Counter::FEED_FIRSTS
        .into_iter()
        .map(|counter| it.count(counter))
        .sum();
    // The rest are copies, and the few that wait for their turn. Of lines, datagrams are counted.
    let all = if it.known.venue.is_multicast() {
        Counter::MessagesRx
    } else {
        Counter::BookEvents
    };
    let (copies, all) = (it.count(Counter::FeedCopies), it.count(all));
    if firsts + copies > all || copies * 3 < firsts {
        return Err(format!("{firsts} firsts, {copies} copies of {all}"));
    }
    Ok(Verdict::Held)
}

fn cut(it: &mut Trial<'_, '_>) -> Outcome {
    if !takes_two(it) {
        return Ok(Verdict::NotHere(ONE_SESSION));
    }
    both_up(it)?;
    let before = restarts(it);
    let reconnects = it.count(Counter::Reconnects);
    for _ in 0..2 {
        // The one that was not cut last is the oldest.
        inflict(it, "disconnect:conn=1")?;
        unseen(it, 2_000, before)?;
        both_bring(it)?;
    }
    unseen(it, 1_000, before)?;
    // A line is silent and then goes on.
    let has_links = !it.known.venue.is_multicast();
    if has_links && it.count(Counter::Reconnects) < reconnects + 2 {
        return Err("no feed was cut".to_owned());
    }
    Ok(Verdict::Held)
}

fn silence(it: &mut Trial<'_, '_>) -> Outcome {
    if !takes_two(it) {
        return Ok(Verdict::NotHere(ONE_SESSION));
    }
    both_up(it)?;
    let before = restarts(it);
    inflict(it, "silence:conn=1:for=90s")?;
    unseen(it, 75_000, before)?;
    both_up(it)?;
    Ok(Verdict::Held)
}

fn gap(it: &mut Trial<'_, '_>) -> Outcome {
    if !is_proven(it)? {
        return Ok(Verdict::NotHere(UNPROVEN));
    }
    both_up(it)?;
    let before = restarts(it);
    for feed in [1, 2, 1, 2] {
        inflict(it, &format!("gap:conn={feed}"))?;
        unseen(it, 2_000, before)?;
    }
    Ok(Verdict::Held)
}

fn duplicate(it: &mut Trial<'_, '_>) -> Outcome {
    if !is_proven(it)? {
        return Ok(Verdict::NotHere(UNPROVEN));
    }
    both_up(it)?;
    let before = restarts(it);
    inflict(it, "duplicate:n=5:conn=2")?;
    unseen(it, 2_000, before)?;
    Ok(Verdict::Held)
}

fn gap_of_both(it: &mut Trial<'_, '_>) -> Outcome {
    if !is_proven(it)? {
        return Ok(Verdict::NotHere(UNPROVEN));
    }
    both_up(it)?;
    let before = begun_anew(it);
    // The second is for a venue that numbers each connection for itself. Where only a checksum tells, what was lost may be
    // said again before it is missed: then more is lost, and a feed that came back may lose some of it again.
    let mut lost = 0;
    let mut found = Err(String::new());
    while found.is_err() && lost < 8 {
        lost += 1;
        inflict(it, &format!("gap:n={lost},gap:n={lost}:conn=2"))?;
        found = it.until("the gap is found", 5_000, |it| {
            let [resyncs, of_feeds] = begun_anew(it);
            // Feeds that prove themselves apart are found out one after the other: each may be whole again before the other
            // is missed, and stands in for it. Whoever looks at the book sees no gap then.
            resyncs > before[0] || of_feeds >= before[1] + 2
        });
    }
    found?;
    it.run(3_000);
    it.come_up()?;
    it.calm(20_000)?;
    // What was lost was of one book or of both.
    match begun_anew(it)[0] - before[0] {
        count if count <= 2 * lost => Ok(Verdict::Held),
        count => Err(format!("{count} resyncs of {lost} lost; {}", it.told())),
    }
}

/// Times that a book began anew, and that a feed's own did.
fn begun_anew(it: &Trial<'_, '_>) -> [u64; 2] {
    [Counter::Resyncs, Counter::FeedResyncs].map(|counter| it.count(counter))
}

fn cut_both(it: &mut Trial<'_, '_>) -> Outcome {
    if !takes_two(it) {
        return Ok(Verdict::NotHere(ONE_SESSION));
    }
    both_up(it)?;
    inflict(it, "disconnect:conn=1")?;
    inflict(it, "disconnect:conn=1")?;
    it.until("the book is lost", 10_000, |it| !it.is_synced())?;
    both_up(it)?;
    Ok(Verdict::Held)
}
