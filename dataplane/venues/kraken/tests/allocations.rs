//! After warm-up, decode, apply and order entry touch no allocator.
#![allow(missing_docs)]

#[path = "../../../wire/tests/alloc_count/mod.rs"]
mod alloc_count;
mod rig;

use alloc_count::{Counting, allocations};
use dp_book::Keeper;
use dp_types::{AmendOrder, LinkId, OrderId, Price, Qty, UnixNanos};
use dp_venue_api::{Event, RestRequest, Sink, Venue};
use dp_venue_kraken::sync::KrakenSync;
use dp_venue_kraken::{LINK_PRIVATE, LINK_PUBLIC};
use rig::{BTC, Rig, cancel, client, fixture, new_order};
use std::hint::black_box;
use tests_venues::rig::{allocating, at_ms};

#[global_allocator]
static COUNTING: Counting = Counting;

/// A lane's sink: applies depth, counts the rest.
struct Lane {
    keeper: Keeper<KrakenSync>,
    instrument: dp_types::Instrument,
    count: usize,
}

impl Lane {
    fn new(rig: &Rig) -> Self {
        let instrument = *rig.registry.get(BTC).unwrap();
        Self {
            keeper: Keeper::new(KrakenSync::new(&instrument)),
            instrument,
            count: 0,
        }
    }
}

impl Sink for Lane {
    fn event(&mut self, event: &Event<'_>) {
        self.count += 1;
        if let Event::Book(message) = event {
            self.keeper.on_msg(message, &self.instrument, UnixNanos(1));
        }
    }
    fn send_text(&mut self, _: LinkId, text: &[u8]) {
        black_box(text);
        self.count += 1;
    }
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

/// A book message without a checksum.
fn depth(kind: &str, levels: usize, step: usize) -> Vec<u8> {
    let side = |base: i64, sign: i64| {
        let level = |at: usize| {
            let price = base + sign * at as i64;
            format!(
                r#"{{"price":{price}.{},"qty":{}.00000000}}"#,
                (at + step) % 10,
                1 + (at + step) % 7
            )
        };
        (0..levels).map(level).collect::<Vec<_>>().join(",")
    };
    let (bids, asks) = (side(60_000, -1), side(60_002, 1));
    format!(
        r#"{{"channel":"book","type":"{kind}","data":[{{"symbol":"BTC/USD","bids":[{bids}],"asks":[{asks}],"timestamp":"2026-05-05T10:00:00.440295Z"}}]}}"#
    )
    .into_bytes()
}

#[test]
fn the_counter_counts() {
    assert_eq!(
        allocations(|| drop(black_box(Vec::<u8>::with_capacity(10)))),
        (1, 10)
    );
}

#[test]
fn decode_and_apply_touch_no_allocator() {
    let mut rig = rig::with_order();
    let mut lane = Lane::new(&rig);
    let mut messages: Vec<(LinkId, Vec<u8>)> = vec![
        (LINK_PUBLIC, depth("snapshot", 1_000, 0)),
        (LINK_PUBLIC, depth("snapshot", 10, 0)),
    ];
    for step in 1..200 {
        messages.push((LINK_PUBLIC, depth("update", 10, step)));
    }
    for name in [
        "feed_ticker",
        "feed_trade",
        "feed_status",
        "feed_heartbeat",
        "feed_pong",
        "feed_level3_snapshot",
    ] {
        messages.push((LINK_PUBLIC, fixture(name).as_bytes().to_vec()));
    }
    for name in [
        "entry_new_ack",
        "account_pending_new",
        "account_new",
        "account_trade",
        "account_canceled",
        "account_balances",
        "entry_cancel_ack",
        "entry_cancel_unknown",
        "entry_dead_man_ack",
        "account_not_followed",
    ] {
        messages.push((LINK_PRIVATE, fixture(name).as_bytes().to_vec()));
    }
    // Foreign orders fill the table and then take each other's places.
    let foreign = fixture("account_pending_new").replace(r#""cl_ord_id":"sl1z141z5","#, "");
    for number in 10_000..19_000 {
        let text = foreign.replace("12345", &number.to_string());
        messages.push((LINK_PRIVATE, text.into_bytes()));
    }
    let count = allocations(|| {
        for (link, bytes) in &mut messages {
            rig.venue
                .on_text(&rig.registry, *link, at_ms(1), bytes, &mut lane)
                .unwrap();
        }
    });
    assert_eq!(lane.keeper.counts().snapshots, 2);
    assert_eq!(lane.keeper.counts().deltas, 199);
    assert!(lane.count >= 9_217, "{}", lane.count);
    assert_eq!(count, (0, 0));
}

#[test]
fn order_entry_touches_no_allocator() {
    let mut rig = rig::ready();
    let mut lane = Lane::new(&rig);
    let amend = AmendOrder {
        instrument: BTC,
        client_id: client(1),
        order_id: OrderId(5),
        price: Some(Price(65_000_000)),
        qty: Some(Qty(2_000_000)),
    };
    let live: Vec<_> = (1..=60).map(cancel).collect();
    let orders: Vec<_> = (6..=20).map(new_order).collect();
    let Rig {
        venue, registry, ..
    } = &mut rig;
    let count = allocations(|| {
        for sequence in 1..=5 {
            venue
                .new_order(registry, &new_order(sequence), at_ms(1), &mut lane)
                .unwrap();
        }
        venue
            .new_orders(registry, &orders, at_ms(1), &mut lane)
            .unwrap();
        venue
            .amend_order(registry, &amend, at_ms(1), &mut lane)
            .unwrap();
        venue
            .cancel_order(registry, &cancel(1), at_ms(1), &mut lane)
            .unwrap();
        let _ = venue.cancel_all(registry, BTC, &live, at_ms(1), &mut lane);
        venue.request_snapshot(registry, BTC, at_ms(1), &mut lane);
        // Pings, the dead man's switch, a lost snapshot.
        venue.on_deadline(registry, at_ms(20_001), &mut lane);
        black_box(venue.next_deadline());
    });
    assert_eq!(lane.count, 13);
    assert_eq!(count, (0, 0));
}

#[test]
fn a_batch_s_answer_touches_no_allocator() {
    let mut rig = rig::ready();
    let mut lane = Lane::new(&rig);
    let orders = [new_order(1), new_order(2)];
    let mut answer = fixture("entry_batch_add_ack").as_bytes().to_vec();
    let Rig {
        venue, registry, ..
    } = &mut rig;
    let count = allocations(|| {
        venue
            .new_orders(registry, &orders, at_ms(1), &mut lane)
            .unwrap();
        venue
            .on_text(registry, LINK_PRIVATE, at_ms(2), &mut answer, &mut lane)
            .unwrap();
    });
    assert_eq!(lane.count, 4, "sent, two answers, one of them a refusal");
    assert_eq!(count, (0, 0));
}

/// Refusals, amends, cancels and signs of life too.
#[test]
fn no_fixture_touches_the_allocator() {
    let links = [
        ("feed_", LINK_PUBLIC),
        ("entry_", LINK_PRIVATE),
        ("account_", LINK_PRIVATE),
    ];
    let dir = env!("CARGO_MANIFEST_DIR");
    let found = allocating(dir, &links, rig::with_order, |work| allocations(work));
    // An order that was never named is asked about by REST: cold.
    assert_eq!(found, ["account_stray"]);
}
