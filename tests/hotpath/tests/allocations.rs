//! From sealed record to sealed order: what the production lane allocates, counted. Nothing.

#[path = "../../../dataplane/wire/tests/alloc_count/mod.rs"]
mod alloc_count;

use alloc_count::{Counting, allocations};
use dp_shm::Counter;
use dp_strategy::{Intents, Strategy, View};
use tests_hotpath::{Memory, Rig};

#[global_allocator]
static COUNTING: Counting = Counting;

/// Turns until the venue has been heard; returns allocations of the lane's turns alone.
fn round(rig: &mut Rig<'_>) -> u64 {
    rig.move_book();
    let mut calls = 0;
    // Tick → cancels → confirmed → new orders → confirmed: a few turns with the venue between.
    for _ in 0..4 {
        calls += allocations(|| rig.turn()).0;
        rig.serve();
    }
    calls + allocations(|| rig.turn()).0
}

#[test]
fn the_counter_counts() {
    let (calls, bytes) = allocations(|| drop(std::hint::black_box(vec![1u8; 100])));
    assert_eq!((calls, bytes), (1, 100));
}

#[test]
fn a_tick_to_order_touches_no_allocator() {
    let memory = Memory::new("ours");
    no_allocations(Rig::new(&memory, None));
}

/// Feed, engine and gateway in lanes of their own: nor do the rings between them.
#[test]
fn a_tick_to_order_over_three_lanes_touches_no_allocator() {
    let memory = Memory::new("spread");
    no_allocations(Rig::spread(&memory, None));
}

fn no_allocations(mut rig: Rig<'_>) {
    for _ in 0..2_000 {
        round(&mut rig);
    }
    let counts = |rig: &Rig<'_>| {
        [
            Counter::BookEvents,
            Counter::OrdersSent,
            Counter::CancelsSent,
            Counter::HttpRequests,
            Counter::MessagesScanned,
            Counter::MessagesParsed,
        ]
        .map(|counter| rig.count(counter))
    };
    let (before, records) = (counts(&rig), (rig.records_in(), rig.records_out));
    let mut calls = 0;
    for _ in 0..5_000 {
        calls += round(&mut rig);
    }
    let after = counts(&rig);
    let [books, orders, cancels, requests, scanned, parsed] =
        [0, 1, 2, 3, 4, 5].map(|at: usize| after[at] - before[at]);
    let opened = rig.records_in() - records.0;
    let sealed = rig.records_out - records.1;
    println!(
        "{books} depth messages, {orders} orders, {cancels} cancels: {calls} allocations, \
         {opened} records opened and {sealed} sealed"
    );
    assert_eq!(books, 5_000);
    assert!(orders > 2_000 && cancels > 2_000, "the lane did not trade");
    assert_eq!(requests, 0, "REST is not the path that is measured");
    // Depth, and an answer and a report to each request; what came last may not be shown yet.
    let hot = books + 2 * (orders + cancels);
    assert!(
        parsed == 0 && scanned > hot / 2,
        "of {hot} hot messages {scanned} scanned, {parsed} parsed"
    );
    assert!(
        opened > 10_000 && sealed > 4_000,
        "the link did not carry it"
    );
    assert_eq!(calls, 0, "allocations");
}

/// The market maker's shape with an allocation in it, which the count must show.
struct Leaky;

impl Strategy for Leaky {
    fn name(&self) -> &'static str {
        "leaky"
    }

    fn on_book(&mut self, view: &View<'_>, out: &mut Intents) {
        let prices: Vec<i64> = view.book.bids().map(|level| level.price.0).collect();
        let qty = view
            .instrument
            .lot_down(dp_types::Qty(view.instrument.lot.0 * 1_000));
        for order in view
            .live
            .iter()
            .filter(|order| !order.is_cancelling && order.order_id.0 > 0)
        {
            out.cancel(order.client_id);
        }
        if let (true, true, Some(best)) = (view.can_trade, view.live.is_empty(), prices.first()) {
            for side in [dp_types::Side::Buy, dp_types::Side::Sell] {
                let off = view.instrument.tick.0 * 500 * side.sign();
                let price = dp_types::Price(best - off);
                let (kind, tif) = (dp_types::OrderKind::PostOnly, dp_types::Tif::Gtc);
                out.new_order(side, kind, tif, price, qty);
            }
        }
    }
}

#[test]
fn a_planted_allocation_is_found() {
    let memory = Memory::new("planted");
    let mut rig = Rig::new(&memory, Some(|| Box::new(Leaky)));
    for _ in 0..200 {
        round(&mut rig);
    }
    let mut calls = 0;
    for _ in 0..200 {
        calls += round(&mut rig);
    }
    assert!(calls >= 200, "{calls} allocations");
}
