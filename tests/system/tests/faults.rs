//! What venues do on bad days, one thing after the other, at every venue it makes sense at: each must be
//! noticed where it can be, none may stop trading for longer than it lasts, and the records agree at the end.

use tests_system::{Options, Rig, turn, wait_for};

const BOTH: &[&str] = &["binance", "okx"];

/// Gives a fault to each of `venues` and waits until `counter` has risen in each one's lane and every lane
/// trades again.
fn rises(rig: &Rig, venues: &[&str], fault: &str, counter: &str) {
    rises_only(rig, venues, fault, counter);
    trades(rig, fault);
}

/// As [`rises`], for a fault that lasts until it is taken back.
fn rises_only(rig: &Rig, venues: &[&str], fault: &str, counter: &str) {
    let before = counters(rig, venues, counter);
    give(rig, venues, fault);
    wait_for(&format!("{counter} of {venues:?} rises by {fault}"), || {
        is_above(&counters(rig, venues, counter), &before).then_some(())
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", rig.tails()));
}

fn counters(rig: &Rig, venues: &[&str], counter: &str) -> Vec<u64> {
    let read = |venue: &&str| rig.counter_at(venue, counter).unwrap();
    venues.iter().map(read).collect()
}

fn is_above(now: &[u64], before: &[u64]) -> bool {
    now.iter().zip(before).all(|(now, before)| now > before)
}

/// Gives a fault that must change nothing: used up, no counter of trouble moves, trading goes on.
fn passes(rig: &Rig, venues: &[&str], fault: &str, quiet: &[&str]) {
    let read = || -> Vec<Vec<u64>> {
        let all = quiet.iter();
        all.map(|counter| counters(rig, venues, counter)).collect()
    };
    let before = read();
    give(rig, venues, fault);
    trades(rig, fault);
    assert_eq!(read(), before, "{quiet:?} of {venues:?} after {fault}");
}

/// Gives each part of a fault (they are joined by `+`) to each venue and waits until every one was used up.
fn give(rig: &Rig, venues: &[&str], fault: &str) {
    let used = |venue: &str, part: &str| {
        let kind = part.split(':').next().unwrap_or(part);
        rig.stat(venue, &format!("/faults/{kind}")).unwrap()
    };
    let times = |part: &str| -> u64 {
        let n = part.split(':').find_map(|word| word.strip_prefix("n="));
        n.map_or(1, |n| n.parse().expect("a number"))
    };
    let parts: Vec<(&str, &str)> = venues
        .iter()
        .flat_map(|venue| fault.split('+').map(move |part| (*venue, part)))
        .collect();
    let want: Vec<u64> = parts
        .iter()
        .map(|(venue, part)| used(venue, part) + times(part))
        .collect();
    let list: Vec<String> = parts
        .iter()
        .map(|(venue, part)| format!("{part}:venue={venue}"))
        .collect();
    rig.fault(&list.join(",")).unwrap();
    for ((venue, part), want) in parts.iter().zip(want) {
        wait_for(&format!("{part} happens at {venue}"), || {
            (used(venue, part) >= want).then_some(())
        })
        .unwrap_or_else(|error| panic!("{error}\n{}", rig.tails()));
    }
}

fn trades(rig: &Rig, after: &str) {
    rig.wait_acks(2)
        .unwrap_or_else(|error| panic!("after {after}: {error}\n{}", rig.tails()));
}

#[test]
fn books_are_held_against_what_feeds_do() {
    let _turn = turn();
    let options = Options {
        sim_args: vec!["--okx-checksums".into()],
        ..Options::default()
    };
    let rig = Rig::trading("feeds", &options).unwrap();
    rises(&rig, BOTH, "gap:n=1", "gaps");
    rises(&rig, BOTH, "gap:n=1", "snapshots");
    rises(&rig, BOTH, "reorder:n=1", "gaps");
    let trouble = [
        "gaps",
        "decode_errors",
        "crossed_books",
        "checksum_failures",
    ];
    passes(&rig, &["binance"], "duplicate:n=3", &trouble);
    // Whatever does not follow on the last sequence number is a gap to OKX's chain, a repetition too.
    rises(&rig, &["okx"], "duplicate:n=1", "gaps");
    passes(&rig, BOTH, "extra-fields:n=50", &trouble);
    passes(&rig, &["okx"], "seq-reset", &trouble);
    rises(&rig, &["okx"], "bad-checksum:n=1", "checksum_failures");
    rises(&rig, &["binance"], "gap:n=1+snapshot-old:n=2", "snapshots");
    rises(
        &rig,
        &["binance"],
        "gap:n=1+snapshot-new:n=1:ms=700",
        "snapshots",
    );
    rises(&rig, BOTH, "disconnect:link=public", "reconnects");
    rises(&rig, BOTH, "restart:link=all:for=1s", "reconnects");
    for venue in BOTH {
        for counter in ["decode_errors", "crossed_books", "illegal_transitions"] {
            assert_eq!(
                rig.counter_at(venue, counter).unwrap(),
                0,
                "{venue} {counter}"
            );
        }
    }
    rig.ends_equal().unwrap();
}

/// REST behind a gateway that is away: asked again on the same connections, nothing doubled.
#[test]
fn a_broken_gateway_is_asked_again() {
    let _turn = turn();
    let rig = Rig::trading("gateway", &Options::default()).unwrap();
    let sockets = |venue: &&str| {
        let stat = |path| rig.stat(venue, path).unwrap();
        (stat("/sockets"), stat("/accepted"))
    };
    let before: Vec<(u64, u64)> = BOTH.iter().map(sockets).collect();
    // A gap makes the lane fetch a book, an outcome left open makes it ask for the order.
    let fault = "http-500:n=3:code=502+gap:n=1+timeout:n=1:executed=true";
    rises(&rig, &["binance"], fault, "http_errors");
    let fault = "http-500:n=3:code=503+timeout:n=2:executed=false";
    rises(&rig, &["okx"], fault, "http_errors");
    let after: Vec<(u64, u64)> = BOTH.iter().map(sockets).collect();
    assert_eq!(after, before, "connections open now, and opened so far");
    rig.ends_equal().unwrap();
}

/// The bootstrap announced by OKX: no snapshot on the stream, the book is spliced with the REST one.
#[test]
fn okx_books_are_spliced_with_rest() {
    let _turn = turn();
    let options = Options {
        venues: vec![("okx", "BTC-USDT")],
        sim_args: vec!["--okx-no-snapshot".into()],
        ..Options::default()
    };
    let rig = Rig::trading("splice", &options).unwrap();
    rises(&rig, &["okx"], "gap:n=1", "snapshots");
    rises(&rig, &["okx"], "gap:n=1+snapshot-old:n=1", "snapshots");
    rises(
        &rig,
        &["okx"],
        "gap:n=1+snapshot-new:n=1:ms=700",
        "snapshots",
    );
    rises(&rig, &["okx"], "disconnect:link=public", "snapshots");
    assert_eq!(rig.counter("crossed_books").unwrap(), 0);
    rig.ends_equal().unwrap();
}

/// A feed that falls silent without closing: nothing rests on a book nobody can vouch for.
#[test]
fn quotes_are_pulled_from_a_silent_feed() {
    let _turn = turn();
    let options = Options {
        edits: vec![("[risk]\n", "[risk]\nbook_age_ms_max = 2000\n")],
        ..Options::default()
    };
    let rig = Rig::trading("silence", &options).unwrap();
    let gaps = counters(&rig, BOTH, "gaps");
    rig.fault("silence:link=public:for=8s").unwrap();
    wait_for("no order rests at a silent venue", || {
        (rig.open_at_venue().ok()? == 0).then_some(())
    })
    .unwrap();
    wait_for("what was missed is a gap", || {
        is_above(&counters(&rig, BOTH, "gaps"), &gaps).then_some(())
    })
    .unwrap();
    trades(&rig, "a silent feed");
    rises(&rig, BOTH, "silence:link=private:for=8s", "unknown_orders");
    rig.ends_equal().unwrap();
}

#[test]
fn orders_keep_one_fate_whatever_answers_do() {
    let _turn = turn();
    let options = Options {
        // A venue's clock that is off by more than this refuses; by less, nothing happens.
        edits: vec![("order_window_ms = 5000", "order_window_ms = 2000")],
        ..Options::default()
    };
    let rig = Rig::trading("answers", &options).unwrap();
    rises(&rig, BOTH, "disconnect:link=private", "reconnects");
    for executed in ["true", "false"] {
        let fault = format!("timeout:n=1:executed={executed}");
        rises(&rig, BOTH, &fault, "unknown_orders");
    }
    rises(&rig, BOTH, "reject:n=2", "rejects");
    rises(&rig, BOTH, "duplicate-fill:n=2", "duplicate_fills");
    rises(&rig, BOTH, "rate-limit:n=1:for=2s", "rate_refusals");
    // What the private stream tells needs no answer; of a refusal the answer is all there is.
    let trouble = ["illegal_transitions", "foreign_fills", "decode_errors"];
    passes(&rig, BOTH, "reply-after-stream:n=5", &trouble);
    passes(&rig, BOTH, "slow-ack:n=6:ms=1500", &trouble);
    passes(&rig, BOTH, "lost-ack:n=2", &trouble);
    passes(&rig, BOTH, "stream-after-reply:n=5:ms=300", &trouble[1..]);
    // Both refuse what comes in after its window by their clock.
    rises_only(&rig, BOTH, "clock-skew:ms=3000", "rejects");
    rig.fault("clock-skew:ms=0").unwrap();
    trades(&rig, "the clock is right again");
    rig.ends_equal().unwrap();
}
