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
use dp_venue_bybit::sync::BybitSync;
use dp_venue_bybit::{LINK_ORDERS, LINK_PRIVATE, LINK_PUBLIC, LINK_REST};
use rig::{Rig, fixture};
use std::hint::black_box;
use tests_venues::rig::{allocating, at_ms};

#[global_allocator]
static COUNTING: Counting = Counting;

/// A lane's sink: applies depth, counts the rest.
struct Lane {
    keeper: Keeper<BybitSync>,
    instrument: dp_types::Instrument,
    count: usize,
}

impl Lane {
    fn new(rig: &Rig) -> Self {
        let instrument = *rig.registry.get(InstrumentId(0)).unwrap();
        Self {
            keeper: Keeper::new(BybitSync::new(&instrument)),
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

fn depth(kind: &str, levels: usize, u: i64) -> Vec<u8> {
    let side = |base: i64, step: i64| {
        (0..levels as i64)
            .map(|at| format!(r#"["{}.{}","0.{}"]"#, base + step * at, at % 10, 1 + at % 7))
            .collect::<Vec<_>>()
            .join(",")
    };
    let (bids, asks) = (side(60_000, -1), side(60_001, 1));
    format!(
        r#"{{"topic":"orderbook.50.BTCUSDT","type":"{kind}","ts":1760000000978,"data":{{"s":"BTCUSDT","b":[{bids}],"a":[{asks}],"u":{u},"seq":{u}}},"cts":1760000000976}}"#
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
    let mut messages: Vec<(LinkId, Vec<u8>)> = vec![(LINK_PUBLIC, depth("snapshot", 500, 2))];
    for u in 3..200 {
        messages.push((LINK_PUBLIC, depth("delta", 20, u)));
    }
    for (link, names) in [
        (
            LINK_PUBLIC,
            &["feed_best", "feed_trades", "feed_ticker", "feed_pong"][..],
        ),
        (
            LINK_ORDERS,
            &[
                "entry_new_ack",
                "entry_reject_funds",
                "entry_cancel_ack",
                "entry_amend_ack",
                "entry_batch_cancel_partial",
                "entry_pong",
            ][..],
        ),
        (
            LINK_PRIVATE,
            &[
                "account_order_new",
                "account_order_partial",
                "account_order_canceled",
                "account_execution",
                "account_position",
                "account_wallet",
            ][..],
        ),
    ] {
        let texts = names.iter().map(|name| fixture(name).as_bytes().to_vec());
        messages.extend(texts.map(|text| (link, text)));
    }
    let count = allocations(|| {
        for (link, bytes) in &mut messages {
            rig.venue
                .on_text(&rig.registry, *link, at_ms(1), bytes, &mut lane)
                .unwrap();
        }
    });
    assert_eq!(lane.keeper.counts().deltas, 197);
    assert_eq!(lane.count, 198 + 5 + 7 + 6);
    assert_eq!(count, (0, 0));
}

#[test]
fn order_entry_touches_no_allocator() {
    let mut rig = rig::ready();
    // Over REST cancel-all is cold; without that link it goes out in batches.
    rig.close(LINK_REST, 0);
    let mut lane = Lane::new(&rig);
    let id = ClientOrderId::new(Epoch(9), LaneId(1), 77).unwrap();
    let order = NewOrder {
        instrument: InstrumentId(0),
        client_id: id,
        side: Side::Buy,
        kind: OrderKind::Limit,
        tif: Tif::Ioc,
        price: Price(650_001_000),
        qty: Qty(10_000),
    };
    let amend = AmendOrder {
        instrument: InstrumentId(0),
        client_id: id,
        order_id: OrderId(5),
        price: Some(Price(650_000_000)),
        qty: Some(Qty(20_000)),
    };
    let cancel = CancelOrder {
        instrument: InstrumentId(0),
        client_id: id,
        order_id: OrderId(5),
    };
    let live = [cancel; 10];
    let Rig {
        venue, registry, ..
    } = &mut rig;
    let orders = [order; 9];
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
        venue.on_deadline(registry, at_ms(20_001), &mut lane);
        black_box(venue.next_deadline());
    });
    assert_eq!(lane.count, 5 + 2 + 3, "orders, a book anew, pings");
    assert_eq!(count, (0, 0));
}

/// Refusals, amends, cancels and signs of life too.
#[test]
fn no_fixture_touches_the_allocator() {
    let links = [
        ("feed_", LINK_PUBLIC),
        ("entry_", LINK_ORDERS),
        ("account_", LINK_PRIVATE),
    ];
    let dir = env!("CARGO_MANIFEST_DIR");
    let found = allocating(dir, &links, rig::ready, |work| allocations(work));
    assert_eq!(found, [""; 0]);
}
