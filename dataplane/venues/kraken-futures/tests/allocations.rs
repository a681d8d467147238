//! After warm-up, decode, apply and order entry touch no allocator.
#![allow(missing_docs)]

#[path = "../../../wire/tests/alloc_count/mod.rs"]
mod alloc_count;
mod rig;

use alloc_count::{Counting, allocations};
use dp_book::Keeper;
use dp_types::{
    AmendOrder, CancelOrder, ClientOrderId, Epoch, InstrumentId, LaneId, LinkId, NewOrder, OrderId,
    OrderKind, Price, Qty, Side, Tif, UnixNanos,
};
use dp_venue_api::{Event, RestRequest, Sink, Venue};
use dp_venue_kraken_futures::sync::KrakenFuturesSync;
use dp_venue_kraken_futures::{LINK_PRIVATE, LINK_PUBLIC};
use rig::{Rig, fixture};
use std::hint::black_box;
use tests_venues::rig::{allocating, at_ms};

#[global_allocator]
static COUNTING: Counting = Counting;

/// A lane's sink: applies depth, counts the rest.
struct Lane {
    keeper: Keeper<KrakenFuturesSync>,
    instrument: dp_types::Instrument,
    count: usize,
}

impl Lane {
    fn new(rig: &Rig) -> Self {
        let instrument = *rig.registry.get(InstrumentId(0)).unwrap();
        Self {
            keeper: Keeper::new(KrakenFuturesSync::new(&instrument)),
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

fn depth(kind: &str, levels: usize, round: usize) -> Vec<u8> {
    let side = |base: usize, step: i64| {
        (0..levels as i64)
            .map(|at| {
                let price = base as i64 + step * (at + round as i64 % 7);
                format!(r#"{{"price":{price}.5,"qty":0.{}}}"#, 1 + at % 7)
            })
            .collect::<Vec<_>>()
            .join(",")
    };
    let (bids, asks) = (side(60_000, -1), side(60_001, 1));
    format!(
        r#"{{"channel":"book","type":"{kind}","data":[{{"symbol":"PF_XBTUSD","bids":[{bids}],"asks":[{asks}],"timestamp":"2025-10-09T08:53:20.440295Z"}}]}}"#
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
    let mut rig = rig::ready();
    let mut lane = Lane::new(&rig);
    let mut messages: Vec<(LinkId, Vec<u8>)> = vec![(LINK_PUBLIC, depth("snapshot", 100, 0))];
    for round in 1..200 {
        messages.push((LINK_PUBLIC, depth("update", 20, round)));
    }
    for name in [
        "feed_trade",
        "feed_ticker",
        "feed_level3",
        "feed_heartbeat",
        "legacy_delta",
        "legacy_trade",
    ] {
        messages.push((LINK_PUBLIC, fixture(name).as_bytes().to_vec()));
    }
    for name in [
        "entry_new_ack",
        "entry_cancel_ack",
        "entry_amend_ack",
        "entry_batch_cancel_ack",
        "account_new",
        "account_trade",
        "account_trade_last",
        "account_balances",
    ] {
        messages.push((LINK_PRIVATE, fixture(name).as_bytes().to_vec()));
    }
    let count = allocations(|| {
        for (link, bytes) in &mut messages {
            rig.venue
                .on_text(&rig.registry, *link, at_ms(1), bytes, &mut lane)
                .unwrap();
        }
    });
    assert_eq!(lane.keeper.counts().deltas, 199);
    assert_eq!(lane.keeper.book().bids().count(), 100, "kept to its depth");
    assert!(lane.count >= 216, "{}", lane.count);
    assert_eq!(count, (0, 0));
}

#[test]
fn order_entry_touches_no_allocator() {
    let mut rig = rig::ready();
    let mut lane = Lane::new(&rig);
    let id = ClientOrderId::new(Epoch(9), LaneId(1), 77).unwrap();
    let order = NewOrder {
        instrument: InstrumentId(0),
        client_id: id,
        side: Side::Buy,
        kind: OrderKind::PostOnly,
        tif: Tif::Gtc,
        price: Price(65_000_500),
        qty: Qty(1_000_000),
    };
    let amend = AmendOrder {
        instrument: InstrumentId(0),
        client_id: id,
        order_id: OrderId(5),
        price: Some(Price(65_000_000)),
        qty: Some(Qty(2_000_000)),
    };
    let cancel = CancelOrder {
        instrument: InstrumentId(0),
        client_id: id,
        order_id: OrderId(5),
    };
    let live = [cancel; 70];
    let orders = [order; 15];
    let Rig {
        venue, registry, ..
    } = &mut rig;
    let count = allocations(|| {
        venue
            .new_order(registry, &order, at_ms(1), &mut lane)
            .unwrap();
        venue
            .new_orders(registry, &orders, at_ms(1), &mut lane)
            .unwrap();
        venue
            .amend_order(registry, &amend, at_ms(1), &mut lane)
            .unwrap();
        venue
            .cancel_order(registry, &cancel, at_ms(1), &mut lane)
            .unwrap();
        venue
            .cancel_all(registry, InstrumentId(0), &live, at_ms(1), &mut lane)
            .unwrap();
        venue
            .query_order(registry, &cancel, at_ms(1), &mut lane)
            .unwrap();
        venue.on_deadline(registry, at_ms(2_501), &mut lane);
        black_box(venue.next_deadline());
    });
    assert_eq!(
        lane.count, 9,
        "six messages of orders, two pings, a look at what is open"
    );
    assert_eq!(count, (0, 0));
}

#[test]
fn a_batch_s_answer_touches_no_allocator() {
    let mut rig = rig::ready();
    let mut said = tests_venues::rig::Said::default();
    let order = |sequence| NewOrder {
        instrument: InstrumentId(0),
        client_id: ClientOrderId::new(Epoch(1), LaneId(0), sequence).unwrap(),
        side: Side::Buy,
        kind: OrderKind::PostOnly,
        tif: Tif::Gtc,
        price: Price(65_000_500),
        qty: Qty(1_000_000),
    };
    let orders = [order(1), order(2)];
    rig.venue
        .new_orders(&rig.registry, &orders, at_ms(1), &mut said)
        .unwrap();
    let mut answer = rig::answering(&said.sent[0].1, "entry_batch_add_ack").into_bytes();
    let mut lane = Lane::new(&rig);
    let count = allocations(|| {
        rig.venue
            .on_text(
                &rig.registry,
                LINK_PRIVATE,
                at_ms(2),
                &mut answer,
                &mut lane,
            )
            .unwrap();
    });
    assert_eq!(lane.count, 3, "two answers, one of them a refusal");
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
    let found = allocating(dir, &links, rig::ready, |work| allocations(work));
    assert_eq!(found, [""; 0]);
}
