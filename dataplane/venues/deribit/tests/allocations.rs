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
use dp_venue_deribit::sync::DeribitSync;
use dp_venue_deribit::{LINK_MD, LINK_ORDERS};
use rig::{Rig, fixture};
use std::hint::black_box;
use tests_venues::rig::{allocating, at_ms};

#[global_allocator]
static COUNTING: Counting = Counting;

/// A lane's sink: applies depth, counts the rest.
struct Lane {
    keeper: Keeper<DeribitSync>,
    instrument: dp_types::Instrument,
    count: usize,
}

impl Lane {
    fn new(rig: &Rig) -> Self {
        let instrument = *rig.registry.get(InstrumentId(0)).unwrap();
        Self {
            keeper: Keeper::new(DeribitSync::new(&instrument)),
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

fn depth(kind: &str, levels: usize, id: i64) -> Vec<u8> {
    let side = |base: i64, step: i64| {
        (0..levels as i64)
            .map(|at| format!(r#"["new",{}.5,{}0.0]"#, base + step * at, 1 + at % 7))
            .collect::<Vec<_>>()
            .join(",")
    };
    let (bids, asks) = (side(60_000, -1), side(60_001, 1));
    format!(
        r#"{{"jsonrpc":"2.0","method":"subscription","params":{{"channel":"book.BTC-PERPETUAL.raw","data":{{"type":"{kind}","timestamp":1760000000000,"instrument_name":"BTC-PERPETUAL","prev_change_id":{},"change_id":{id},"bids":[{bids}],"asks":[{asks}]}}}}}}"#,
        id - 1
    )
    .into_bytes()
}

#[test]
fn decode_and_apply_touch_no_allocator() {
    let mut rig = rig::ready();
    let mut lane = Lane::new(&rig);
    let snapshot = depth("snapshot", 2_000, 1);
    assert!(snapshot.len() > 64 << 10);
    let mut messages: Vec<(LinkId, Vec<u8>)> = vec![(LINK_MD, snapshot)];
    for id in 2..200 {
        messages.push((LINK_MD, depth("change", 20, id)));
    }
    for name in [
        "feed_quote",
        "feed_trades",
        "feed_ticker",
        "feed_heartbeat",
        "feed_test_request",
    ] {
        messages.push((LINK_MD, fixture(name).as_bytes().to_vec()));
    }
    for name in [
        "entry_new_ack",
        "entry_new_ioc_filled",
        "entry_reject_funds",
        "entry_amend_ack",
        "entry_cancel_ack",
        "entry_cancel_by_label",
        "entry_cancel_all",
        "account_changes_partial",
        "account_changes_filled",
        "account_portfolio",
    ] {
        messages.push((LINK_ORDERS, fixture(name).as_bytes().to_vec()));
    }
    let count = allocations(|| {
        for (link, bytes) in &mut messages {
            rig.venue
                .on_text(&rig.registry, *link, at_ms(1), bytes, &mut lane)
                .unwrap();
        }
    });
    assert_eq!(lane.keeper.counts().deltas, 198);
    assert_eq!(lane.count, 227);
    assert_eq!(count, (0, 0));
}

#[test]
fn order_entry_and_upkeep_touch_no_allocator() {
    let mut rig = rig::ready();
    let mut lane = Lane::new(&rig);
    let id = ClientOrderId::new(Epoch(9), LaneId(1), 77).unwrap();
    let order = NewOrder {
        instrument: InstrumentId(0),
        client_id: id,
        side: Side::Buy,
        kind: OrderKind::Limit,
        tif: Tif::Ioc,
        price: Price(65_000_500),
        qty: Qty(100_000_000),
    };
    let amend = |order_id| AmendOrder {
        instrument: InstrumentId(0),
        client_id: id,
        order_id: OrderId(order_id),
        price: Some(Price(65_000_000)),
        qty: Some(Qty(200_000_000)),
    };
    let cancel = |order_id| CancelOrder {
        instrument: InstrumentId(0),
        client_id: id,
        order_id: OrderId(order_id),
    };
    let Rig {
        venue, registry, ..
    } = &mut rig;
    let now = at_ms(1);
    let count = allocations(|| {
        venue.new_order(registry, &order, now, &mut lane).unwrap();
        for id in [0, 5] {
            venue
                .amend_order(registry, &amend(id), now, &mut lane)
                .unwrap();
            venue
                .cancel_order(registry, &cancel(id), now, &mut lane)
                .unwrap();
        }
        venue
            .cancel_all(registry, InstrumentId(0), &[cancel(5)], now, &mut lane)
            .unwrap();
        venue.request_snapshot(registry, InstrumentId(0), now, &mut lane);
        venue.on_deadline(registry, at_ms(5_001), &mut lane);
        black_box(venue.next_deadline());
    });
    assert_eq!(lane.count, 10, "six of orders, a subscription anew twice");
    assert_eq!(count, (0, 0));
}

/// Refusals, amends, cancels and signs of life too.
#[test]
fn no_fixture_touches_the_allocator() {
    let links = [
        ("feed_", LINK_MD),
        ("entry_", LINK_ORDERS),
        ("account_", LINK_ORDERS),
    ];
    let dir = env!("CARGO_MANIFEST_DIR");
    let found = allocating(dir, &links, rig::ready, |work| allocations(work));
    assert_eq!(found, [""; 0]);
}
