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
use dp_venue_okx::sync::OkxSync;
use dp_venue_okx::{LINK_PRIVATE, LINK_PUBLIC};
use rig::{Rig, fixture};
use std::hint::black_box;
use tests_venues::rig::{allocating, at_ms};

#[global_allocator]
static COUNTING: Counting = Counting;

/// A lane's sink: applies depth, counts the rest.
struct Lane {
    keeper: Keeper<OkxSync>,
    instrument: dp_types::Instrument,
    count: usize,
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

fn depth(action: &str, levels: usize, seq: i64) -> Vec<u8> {
    let side = |base: i64, step: i64| {
        (0..levels as i64)
            .map(|at| {
                format!(
                    r#"["{}.{}","0.{}","0","1"]"#,
                    base + step * at,
                    at % 10,
                    1 + at % 7
                )
            })
            .collect::<Vec<_>>()
            .join(",")
    };
    let (bids, asks) = (side(60_000, -1), side(60_001, 1));
    format!(
        r#"{{"arg":{{"channel":"books","instId":"BTC-USDT"}},"action":"{action}","data":[{{"asks":[{asks}],"bids":[{bids}],"ts":"1760000000085","checksum":0,"prevSeqId":{},"seqId":{seq}}}]}}"#,
        if action == "snapshot" { -1 } else { seq - 1 }
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
    let instrument = *rig.registry.get(InstrumentId(0)).unwrap();
    let mut lane = Lane {
        keeper: Keeper::new(OkxSync::new(&instrument)),
        instrument,
        count: 0,
    };
    let mut messages: Vec<(LinkId, Vec<u8>)> = vec![(LINK_PUBLIC, depth("snapshot", 400, 1))];
    for seq in 2..200 {
        messages.push((LINK_PUBLIC, depth("update", 20, seq)));
    }
    for name in ["feed_bbo", "feed_trades", "feed_ticker"] {
        messages.push((LINK_PUBLIC, fixture(name).as_bytes().to_vec()));
    }
    for name in [
        "entry_new_ack",
        "entry_reject_funds",
        "entry_cancel_ack",
        "entry_batch_cancel_partial",
        "account_order_live",
        "account_order_partial",
        "account_order_filled_echo",
        "account_balance",
    ] {
        messages.push((LINK_PRIVATE, fixture(name).as_bytes().to_vec()));
    }
    messages.push((LINK_PUBLIC, b"pong".to_vec()));
    let count = allocations(|| {
        for (link, bytes) in &mut messages {
            rig.venue
                .on_text(&rig.registry, *link, at_ms(1), bytes, &mut lane)
                .unwrap();
        }
    });
    assert_eq!(lane.keeper.counts().deltas, 198);
    assert!(lane.count >= 212, "{}", lane.count);
    assert_eq!(count, (0, 0));
}

#[test]
fn order_entry_touches_no_allocator() {
    let mut rig = rig::ready();
    let instrument = *rig.registry.get(InstrumentId(0)).unwrap();
    let mut lane = Lane {
        keeper: Keeper::new(OkxSync::new(&instrument)),
        instrument,
        count: 0,
    };
    let id = ClientOrderId::new(Epoch(9), LaneId(1), 77).unwrap();
    let order = NewOrder {
        instrument: InstrumentId(0),
        client_id: id,
        side: Side::Buy,
        kind: OrderKind::Limit,
        tif: Tif::Ioc,
        price: Price(65_000_100),
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
    let live = [cancel; 40];
    let Rig {
        venue, registry, ..
    } = &mut rig;
    let orders = [order; 20];
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
    assert_eq!(lane.count, 8, "six messages of orders, two pings");
    // The pings' deadline also re-arms the dead man's switch: REST, cold, on the same call.
    let rest_only = count.0 <= 2;
    assert!(rest_only, "{count:?}");
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
