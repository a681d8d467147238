//! After warm-up, inflating, decode, apply and order entry touch no allocator.
#![allow(missing_docs)]

#[path = "../../../wire/tests/alloc_count/mod.rs"]
mod alloc_count;
mod rig;

use alloc_count::{Counting, allocations};
use dp_book::Keeper;
use dp_types::{
    CancelOrder, ClientOrderId, Epoch, InstrumentId, LaneId, LinkId, NewOrder, OrderId, OrderKind,
    Price, Qty, Side, Tif, UnixNanos,
};
use dp_venue_api::{Event, RestRequest, Sink, Venue};
use dp_venue_huobi::sync::HuobiSync;
use dp_venue_huobi::{LINK_FEED, LINK_ORDERS, LINK_TRADES, LINK_USER};
use rig::{Rig, fixture, gzip};
use std::hint::black_box;
use tests_venues::rig::{allocating, at_ms};

#[global_allocator]
static COUNTING: Counting = Counting;

/// A lane's sink: applies depth, counts the rest.
struct Lane {
    keeper: Keeper<HuobiSync>,
    instrument: dp_types::Instrument,
    count: usize,
}

impl Lane {
    fn new(rig: &Rig) -> Self {
        let instrument = *rig.registry.get(InstrumentId(0)).unwrap();
        Self {
            keeper: Keeper::new(HuobiSync::new(&instrument)),
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

fn levels(count: i64, base: i64, step: i64) -> String {
    let level = |at: i64| {
        format!(
            "[{}.{},{}.0E-{}]",
            base + step * at,
            at % 10,
            1 + at,
            1 + at % 5
        )
    };
    (0..count).map(level).collect::<Vec<_>>().join(",")
}

fn delta(seq: i64) -> Vec<u8> {
    let (bids, asks) = (levels(20, 60_000 + seq, -1), levels(20, 60_500 + seq, 1));
    gzip(&format!(
        r#"{{"ch":"market.btcusdt.mbp.20","ts":1760000000123,"tick":{{"seqNum":{seq},"prevSeqNum":{},"bids":[{bids}],"asks":[{asks}]}}}}"#,
        seq - 1
    ))
}

fn whole(seq: i64) -> Vec<u8> {
    let (bids, asks) = (levels(150, 60_000, -1), levels(150, 60_500, 1));
    gzip(&format!(
        r#"{{"ch":"market.btcusdt.depth.step0","ts":1760000000123,"tick":{{"version":{seq},"bids":[{bids}],"asks":[{asks}]}}}}"#
    ))
}

#[test]
fn the_counter_counts() {
    assert_eq!(
        allocations(|| drop(black_box(Vec::<u8>::with_capacity(10)))),
        (1, 10)
    );
}

#[test]
fn inflate_decode_and_apply_touch_no_allocator() {
    let mut rig = rig::new(&["btcusdt"], false);
    let mut lane = Lane::new(&rig);
    let mut messages: Vec<_> = (1..50).map(whole).collect();
    let count = allocations(|| {
        for bytes in &mut messages {
            rig.venue
                .on_binary(&rig.registry, LINK_FEED, at_ms(1), bytes, &mut lane)
                .unwrap();
        }
    });
    assert_eq!((lane.keeper.counts().snapshots, count), (49, (0, 0)));
}

#[test]
fn increments_pushes_and_pings_touch_no_allocator() {
    let mut rig = rig::ready();
    let mut lane = Lane::new(&rig);
    let snapshot =
        r#"{"rep":"market.btcusdt.mbp.20","status":"ok","data":{"seqNum":1}}"#.to_owned();
    rig.venue
        .on_text(
            &rig.registry,
            LINK_FEED,
            at_ms(1),
            &mut snapshot.into_bytes(),
            &mut lane,
        )
        .unwrap();
    let mut binary: Vec<_> = (2..200).map(|seq| (LINK_FEED, delta(seq))).collect();
    for name in ["feed_bbo", "feed_trades", "feed_ticker", "feed_ping"] {
        binary.push((LINK_TRADES, gzip(fixture(name))));
    }
    let mut texts = Vec::new();
    for name in [
        "entry_new_ack",
        "entry_reject_funds",
        "entry_cancel_ack",
        "entry_ping",
    ] {
        texts.push((LINK_ORDERS, fixture(name).as_bytes().to_vec()));
    }
    for name in [
        "account_order_creation",
        "account_order_partial",
        "account_clearing",
        "account_clearing_rebate",
        "account_order_filled",
        "account_update",
    ] {
        texts.push((LINK_USER, fixture(name).as_bytes().to_vec()));
    }
    let count = allocations(|| {
        let Rig {
            venue, registry, ..
        } = &mut rig;
        for (link, bytes) in &mut binary {
            venue
                .on_binary(registry, *link, at_ms(1), bytes, &mut lane)
                .unwrap();
        }
        for (link, bytes) in &mut texts {
            venue
                .on_text(registry, *link, at_ms(1), bytes, &mut lane)
                .unwrap();
        }
    });
    assert_eq!(
        lane.keeper.counts().deltas,
        198,
        "{:?}",
        lane.keeper.counts()
    );
    assert!(lane.count >= 215, "{}", lane.count);
    assert_eq!(count, (0, 0));
}

#[test]
fn order_entry_and_snapshots_touch_no_allocator() {
    let mut rig = rig::ready();
    let mut lane = Lane::new(&rig);
    let id = ClientOrderId::new(Epoch(9), LaneId(1), 77).unwrap();
    let order = NewOrder {
        instrument: InstrumentId(0),
        client_id: id,
        side: Side::Buy,
        kind: OrderKind::Limit,
        tif: Tif::Ioc,
        price: Price(650_001_000),
        qty: Qty(10_000_000),
    };
    let cancel = |order_id| CancelOrder {
        instrument: InstrumentId(0),
        client_id: id,
        order_id: OrderId(order_id),
    };
    let live = [cancel(0); 120];
    let Rig {
        venue, registry, ..
    } = &mut rig;
    let orders = [order; 10];
    let count = allocations(|| {
        venue
            .new_order(registry, &order, at_ms(1), &mut lane)
            .unwrap();
        venue
            .new_orders(registry, &orders, at_ms(1), &mut lane)
            .unwrap();
        for order_id in [0, 1_314_507_823_485_263] {
            venue
                .cancel_order(registry, &cancel(order_id), at_ms(1), &mut lane)
                .unwrap();
        }
        venue
            .cancel_all(registry, InstrumentId(0), &live, at_ms(1), &mut lane)
            .unwrap();
        venue.request_snapshot(registry, InstrumentId(0), at_ms(1), &mut lane);
        black_box(venue.next_deadline());
    });
    assert_eq!(lane.count, 8, "seven messages of orders, one request");
    assert_eq!(count, (0, 0));
}

/// Refusals, amends, cancels and signs of life too.
#[test]
fn no_fixture_touches_the_allocator() {
    let links = [
        ("feed_", LINK_FEED),
        ("entry_", LINK_ORDERS),
        ("account_", LINK_USER),
    ];
    let dir = env!("CARGO_MANIFEST_DIR");
    let found = allocating(dir, &links, rig::ready, |work| allocations(work));
    assert_eq!(found, [""; 0]);
}
