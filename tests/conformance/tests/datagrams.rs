//! A lane that hears its market data by multicast, beside TLS for orders: what its turns allocate, and what datagrams
//! that nobody should send do to it.

#[path = "../../../dataplane/wire/tests/alloc_count/mod.rs"]
mod alloc_count;

use alloc_count::{Counting, allocations};
use dp_book::State;
use dp_shm::Counter;
use dp_types::InstrumentId;
use tests_conformance::stage::{LINES, Memory, Stage as _, Virtual, sim_config};
use tests_conformance::venues::{Follows, Tried};

#[global_allocator]
static COUNTING: Counting = Counting;

const STEP_NS: u64 = 1_000_000;

fn stage(memory: &Memory) -> Virtual<'_> {
    let venue = Tried::named("deribit-multicast").expect("on the list");
    stage_of(memory, venue)
}

/// A lane that follows single orders by Starbase's lines, and levels by its link.
fn stage_of_orders(memory: &Memory) -> Virtual<'_> {
    let venue = Tried::named("deribit-starbase").expect("on the list");
    stage_of(memory, venue.following(Follows::Orders))
}

fn stage_of(memory: &Memory, venue: Tried) -> Virtual<'_> {
    let (mut stage, _) = Virtual::with(memory, venue, LINES.len(), &sim_config(&venue, 1));
    for _ in 0..20_000 {
        stage.step(STEP_NS);
        let has_orders = venue.follows == Follows::Levels || are_orders_whole(&stage);
        if is_whole(&stage) && has_orders {
            return stage;
        }
    }
    panic!("no book came");
}

fn are_orders_whole(stage: &Virtual<'_>) -> bool {
    (0..2).all(|at| {
        let orders = stage.engine().orders(InstrumentId(at));
        orders.is_some_and(|orders| orders.whole().is_some())
    })
}

fn is_whole(stage: &Virtual<'_>) -> bool {
    (0..2).all(|at| {
        let book = stage.engine().book(InstrumentId(at));
        book.is_some_and(|(_, proof)| proof.state == State::Synced)
    })
}

fn count(stage: &Virtual<'_>, counter: Counter) -> u64 {
    stage.engine().wall.counters.get(counter)
}

/// Losses on one line and on both, copies, datagrams out of order, one after the other: what of them takes memory takes it
/// once. Returns what the lane's turns allocated.
fn spoilt(stage: &mut Virtual<'_>) -> u64 {
    let faults = [
        "gap:conn=1:n=100",
        "gap:conn=2:n=100",
        "duplicate:n=100",
        "reorder:conn=1",
        "reorder",
        "gap",
    ];
    spoilt_by(stage, &faults)
}

fn spoilt_by(stage: &mut Virtual<'_>, faults: &[&str]) -> u64 {
    let mut calls = 0;
    for fault in faults {
        stage.fault(fault);
        for _ in 0..4_000 {
            calls += stage.step_as(STEP_NS, |turn| allocations(turn).0);
        }
    }
    calls
}

#[test]
fn a_lane_that_hears_datagrams_touches_no_allocator() {
    let memory = Memory::new();
    let mut stage = stage(&memory);
    spoilt(&mut stage);
    let told = [
        Counter::BookEvents,
        Counter::TradeEvents,
        Counter::FeedCopies,
        Counter::HolesFilled,
        Counter::Gaps,
    ];
    let before = told.map(|counter| count(&stage, counter));
    let calls = spoilt(&mut stage);
    let after = told.map(|counter| count(&stage, counter));
    let [books, trades, copies, filled, gaps] =
        [0, 1, 2, 3, 4].map(|at: usize| after[at] - before[at]);
    println!("{books} books, {trades} trades, {copies} copies, {filled} holes filled, {gaps} gaps");
    assert!(
        books > 500 && trades > 50 && copies > 500,
        "the lines did not carry it"
    );
    assert!(filled > 0 && gaps > 0, "nothing was lost");
    assert!(is_whole(&stage));
    assert_eq!(calls, 0, "allocations");
}

/// As above, of single orders, beside a link that goes on.
#[test]
fn a_lane_that_hears_single_orders_touches_no_allocator() {
    let memory = Memory::new();
    let mut stage = stage_of_orders(&memory);
    // The link is the first that brings books.
    let faults = [
        "gap:on=orders:conn=2:n=100",
        "gap:on=orders:conn=3:n=100",
        "duplicate:on=orders:n=100",
        "reorder:on=orders:conn=2",
        "reorder:on=orders",
        "gap:on=orders",
    ];
    spoilt_by(&mut stage, &faults);
    let told = [
        Counter::TradeEvents,
        Counter::FeedCopies,
        Counter::HolesFilled,
        Counter::Gaps,
    ];
    let before = told.map(|counter| count(&stage, counter));
    let printed = stage.stats()["trades"].as_u64().unwrap_or(0);
    let calls = spoilt_by(&mut stage, &faults);
    let printed = stage.stats()["trades"].as_u64().unwrap_or(0) - printed;
    let after = told.map(|counter| count(&stage, counter));
    let [trades, copies, filled, gaps] = [0, 1, 2, 3].map(|at: usize| after[at] - before[at]);
    println!("{trades} trades, {copies} copies, {filled} holes filled, {gaps} gaps");
    assert!(trades > 50 && copies > 500, "the lines did not carry it");
    // By one of two roads, and by it once; some were in what both lines lost.
    assert!(
        trades <= printed && trades + 20 > printed,
        "{trades} of {printed} trades"
    );
    assert!(filled > 0 && gaps > 0, "nothing was lost");
    assert!(is_whole(&stage) && are_orders_whole(&stage));
    assert_eq!(calls, 0, "allocations");
}

/// Cut, longer than they say, of no kind, of a channel or a number that cannot be: none is a packet, and none moves a
/// book.
#[test]
fn packets_of_single_orders_nobody_should_send_are_counted_and_harmless() {
    let memory = Memory::new();
    let mut stage = stage_of_orders(&memory);
    let (errors, gaps) = (
        count(&stage, Counter::DecodeErrors),
        count(&stage, Counter::Gaps),
    );
    let packet = |number: i64, channel: i32, kind: u16, messages: u16, body: &[u8]| {
        let mut bytes = vec![0; 8];
        bytes.extend(number.to_le_bytes());
        bytes.extend(channel.to_le_bytes());
        bytes.extend([kind.to_le_bytes(), messages.to_le_bytes()].concat());
        bytes.extend(body);
        bytes
    };
    let mut hostile = vec![
        vec![0],
        packet(1, 44_801, 1, 1, &[]),
        packet(9_000_002, 44_801, 1, u16::MAX, &[16; 16]),
        packet(9_000_002, 44_801, 1, 0, b"more than it says"),
        packet(-1, 44_801, 1, 0, &[]),
        packet(1, -44_801, 2, 0, &[]),
        packet(1, 44_801, 0, 1, b"refused, and cut"),
        vec![0xff; 3_000],
    ];
    let mut seed = 7u64;
    for len in 1..200 {
        let byte = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 56) as u8 | 1
        };
        hostile.push(std::iter::repeat_with(byte).take(len).collect());
    }
    for (at, bytes) in hostile.iter().enumerate() {
        stage.cast(LINES[at % 2], bytes);
        stage.step(STEP_NS);
        assert!(is_whole(&stage) && are_orders_whole(&stage), "{bytes:?}");
    }
    let found = count(&stage, Counter::DecodeErrors) - errors;
    assert_eq!(found, hostile.len() as u64);
    assert_eq!(count(&stage, Counter::Gaps), gaps);
}

#[test]
fn datagrams_nobody_should_send_are_counted_and_harmless() {
    let memory = Memory::new();
    let mut stage = stage(&memory);
    let counted = [Counter::Gaps, Counter::Resyncs, Counter::Snapshots];
    let before = counted.map(|counter| count(&stage, counter));
    let (errors, heard) = (
        count(&stage, Counter::DecodeErrors),
        count(&stage, Counter::MessagesRx),
    );
    // Of no length it says, of no schema we know, cut, too long, and random ones that are none of all this.
    let frame = |len: u16, body: &[u8]| {
        let head = [len.to_le_bytes(), [1, 0], [0xff, 0xff], [0xff, 0x7f]];
        [&head.concat()[..], body].concat()
    };
    let mut hostile = vec![
        vec![0],
        frame(9, b"short"),
        vec![0xff; 3_000],
        frame(2, b"longer than said"),
    ];
    let mut seed = 7u64;
    for len in 1..200 {
        let byte = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 56) as u8 | 1
        };
        hostile.push(std::iter::repeat_with(byte).take(len).collect());
    }
    for (at, bytes) in hostile.iter().enumerate() {
        stage.cast(LINES[at % 2], bytes);
        stage.step(STEP_NS);
    }
    let found = count(&stage, Counter::DecodeErrors) - errors;
    assert_eq!(found, hostile.len() as u64);
    assert!(is_whole(&stage), "no book was lost by them");
    assert_eq!(counted.map(|counter| count(&stage, counter)), before);
    // To a group nobody joined.
    let mut other = LINES[0];
    other.set_port(1);
    let all = count(&stage, Counter::MessagesRx);
    assert!(all > heard + hostile.len() as u64);
    for _ in 0..50 {
        stage.cast(other, &hostile[1]);
    }
    stage.step(STEP_NS);
    assert!(count(&stage, Counter::MessagesRx) < all + 50);
    assert_eq!(count(&stage, Counter::DecodeErrors) - errors, found);
}
