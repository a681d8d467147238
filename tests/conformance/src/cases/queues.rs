//! F20 and on: books of single orders, beside the books of levels. At the end of each they are the venue's, order by
//! order ([`Trial::calm`]).

use super::feed::inflict;
use super::{Case, Outcome, Verdict};
use crate::trial::{Held, Trial};
use dp_shm::Counter;

pub const CASES: &[Case] = &[
    Case::orders(
        "F20",
        "single orders come up whole and are the venue's",
        come_up,
    ),
    Case::orders("F21", "single orders follow a minute of trading", follow),
    Case::orders(
        "F22",
        "a lost message of single orders is found and mended",
        gap,
    ),
    Case::orders(
        "F23",
        "a message of single orders sent twice does no harm",
        duplicate,
    ),
    Case::orders(
        "F24",
        "messages of single orders out of order are found and mended",
        reorder,
    ),
    Case::orders(
        "F25",
        "a wrong checksum of single orders is found and mended",
        checksum,
    ),
    Case::orders("F26", "a lost link costs single orders their proof", lost),
    Case::orders("F27", "ten gaps in ten seconds end in whole queues", gaps),
    Case::orders(
        "F28",
        "a snapshot of single orders that is too old is not believed",
        old_snapshot,
    ),
    Case::orders(
        "F29",
        "what one line of single orders loses the other fills in",
        gap_of_a_line,
    )
    .by_two(),
    Case::orders(
        "F30",
        "one line of single orders is cut, then the other: unseen",
        cut_line,
    )
    .by_two(),
    Case::orders(
        "F31",
        "what both lines of single orders lose is a gap: found once, mended once",
        gap_of_both,
    )
    .by_two(),
];

const NONE: &str = "this venue shows no single orders";

fn come_up(it: &mut Trial<'_, '_>) -> Outcome {
    if it.window().is_none() {
        return Ok(Verdict::NotHere(NONE));
    }
    it.come_up()?;
    it.until("the strategy hears of single orders", 20_000, |it| {
        it.script().queues > 0
    })?;
    Ok(Verdict::Held)
}

fn follow(it: &mut Trial<'_, '_>) -> Outcome {
    if it.window().is_none() {
        return Ok(Verdict::NotHere(NONE));
    }
    it.come_up()?;
    it.run(if it.is_virtual() { 60_000 } else { 3_000 });
    for counter in [
        Counter::Gaps,
        Counter::ChecksumFailures,
        Counter::Resyncs,
        Counter::Reconnects,
    ] {
        let count = it.count(counter);
        if count != 0 {
            return Err(format!("{} {count} without a fault", counter.name()));
        }
    }
    Ok(Verdict::Held)
}

/// Gives a fault to messages of single orders; says that there are none, where there are none.
fn strike(it: &mut Trial<'_, '_>, fault: &str) -> Result<Option<Verdict>, String> {
    if it.window().is_none() {
        return Ok(Some(Verdict::NotHere(NONE)));
    }
    if inflict(it, &format!("{fault}:on=orders"))? {
        Ok(None)
    } else {
        Err(format!("{fault} was not used"))
    }
}

/// The fault was noticed as one of these.
fn noticed(it: &mut Trial<'_, '_>, counters: &[Counter]) -> Outcome {
    it.until("the fault is noticed", 30_000, |it| {
        counters.iter().any(|counter| it.count(*counter) > 0)
    })?;
    Ok(Verdict::Held)
}

fn gap(it: &mut Trial<'_, '_>) -> Outcome {
    match strike(it, "gap")? {
        Some(not_here) => Ok(not_here),
        None => noticed(it, &[Counter::Gaps, Counter::ChecksumFailures]),
    }
}

fn duplicate(it: &mut Trial<'_, '_>) -> Outcome {
    if let Some(not_here) = strike(it, "duplicate:n=5")? {
        return Ok(not_here);
    }
    it.run(1_000);
    Ok(Verdict::Held)
}

fn reorder(it: &mut Trial<'_, '_>) -> Outcome {
    if let Some(not_here) = strike(it, "reorder")? {
        return Ok(not_here);
    }
    it.run(2_000);
    Ok(Verdict::Held)
}

fn checksum(it: &mut Trial<'_, '_>) -> Outcome {
    if it.window().is_none() {
        return Ok(Verdict::NotHere(NONE));
    }
    if !it.known.capabilities.book_checksum {
        return Ok(Verdict::NotHere("books carry no checksum today"));
    }
    match strike(it, "bad-checksum")? {
        Some(not_here) => Ok(not_here),
        None => noticed(it, &[Counter::ChecksumFailures]),
    }
}

fn lost(it: &mut Trial<'_, '_>) -> Outcome {
    if it.window().is_none() {
        return Ok(Verdict::NotHere(NONE));
    }
    it.come_up()?;
    if it.known.venue.is_starbase() {
        // No link: three signs of life are missed.
        it.fault("disconnect:link=public:for=20s");
        it.until("the proof is gone", 19_000, |it| !it.are_queues_synced())?;
    } else {
        it.fault("disconnect:link=public");
        it.until("the proof is gone", 5_000, |it| !it.are_queues_synced())?;
    }
    it.until("single orders are whole again", 60_000, |it| {
        it.are_queues_synced()
    })?;
    Ok(Verdict::Held)
}

fn gaps(it: &mut Trial<'_, '_>) -> Outcome {
    if it.window().is_none() {
        return Ok(Verdict::NotHere(NONE));
    }
    it.come_up()?;
    for _ in 0..10 {
        it.fault("gap:on=orders");
        it.run(1_000);
    }
    it.until("ten messages are dropped", 90_000, |it| {
        it.used("gap") == 10
    })?;
    Ok(Verdict::Held)
}

/// Until both lines bring single orders.
fn both_up(it: &mut Trial<'_, '_>) -> Held {
    it.come_up()?;
    let copies = it.count(Counter::FeedCopies);
    it.until("both lines bring single orders", 60_000, |it| {
        it.count(Counter::FeedCopies) >= copies + 20
    })
}

/// Gaps and restarts of any book so far.
fn breaks(it: &Trial<'_, '_>) -> [u64; 3] {
    [Counter::Gaps, Counter::Resyncs, Counter::Snapshots].map(|counter| it.count(counter))
}

/// Lets time pass; single orders must stand whole in every step of it.
fn unseen(it: &mut Trial<'_, '_>, ms: u64, before: [u64; 3]) -> Held {
    for _ in 0..ms {
        it.run(1);
        if !it.are_queues_synced() {
            return Err(format!("single orders were seen to break; {}", it.told()));
        }
    }
    let after = breaks(it);
    if after == before {
        return Ok(());
    }
    Err(format!(
        "gaps, resyncs, snapshots: {before:?}, then {after:?}"
    ))
}

/// The lines as a fault counts what brings books: the market data link is the first.
const LINES: [usize; 2] = [2, 3];

fn gap_of_a_line(it: &mut Trial<'_, '_>) -> Outcome {
    both_up(it)?;
    let before = breaks(it);
    for line in LINES {
        let used = it.used("gap");
        let firsts = it.count(Counter::FEED_FIRSTS[1]);
        it.fault(&format!("gap:on=orders:conn={line}:n=20"));
        it.until("twenty packets are dropped", 60_000, |it| {
            it.used("gap") == used + 20
        })?;
        unseen(it, 1_000, before)?;
        // The first line is ahead of the second, which is first where that one lost something.
        let filled = it.count(Counter::FEED_FIRSTS[1]) - firsts;
        if (line == LINES[0]) != (filled >= 20) {
            return Err(format!("the second line was first {filled} times"));
        }
    }
    Ok(Verdict::Held)
}

fn cut_line(it: &mut Trial<'_, '_>) -> Outcome {
    both_up(it)?;
    let before = breaks(it);
    for line in LINES {
        it.fault(&format!("silence:conn={line}:for=20s"));
        unseen(it, 19_000, before)?;
        it.run(1_500);
        let copies = it.count(Counter::FeedCopies);
        it.until("the line is back", 10_000, |it| {
            it.count(Counter::FeedCopies) >= copies + 20
        })?;
    }
    unseen(it, 1_000, before)?;
    Ok(Verdict::Held)
}

fn gap_of_both(it: &mut Trial<'_, '_>) -> Outcome {
    both_up(it)?;
    let [gaps, _, snapshots] = breaks(it);
    it.fault("gap:on=orders");
    it.until("it is found", 20_000, |it| it.count(Counter::Gaps) > gaps)?;
    it.until("it is mended", 5_000, |it| it.are_queues_synced())?;
    it.run(2_000);
    let [found, _, mended] = breaks(it);
    if (found, mended) != (gaps + 1, snapshots + 1) {
        return Err(format!(
            "{} gaps, {} whole books of one loss",
            found - gaps,
            mended - snapshots
        ));
    }
    Ok(Verdict::Held)
}

fn old_snapshot(it: &mut Trial<'_, '_>) -> Outcome {
    if it.window().is_none() {
        return Ok(Verdict::NotHere(NONE));
    }
    it.come_up()?;
    it.fault("snapshot-old");
    // A lost message has the book fetched, where it is fetched.
    it.fault("gap:on=orders");
    it.run(5_000);
    it.come_up()?;
    if it.used("snapshot-old") == 0 {
        return Ok(Verdict::NotHere(
            "single orders begin with a pushed snapshot",
        ));
    }
    Ok(Verdict::Held)
}
