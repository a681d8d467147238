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
use dp_venue_bitfinex::sync::BitfinexSync;
use dp_venue_bitfinex::{LINK_MARKET, LINK_PRIVATE};
use rig::{Rig, fixture};
use std::hint::black_box;
use tests_venues::rig::{allocating, at_ms};

#[global_allocator]
static COUNTING: Counting = Counting;

/// A lane's sink: applies depth, counts the rest.
struct Lane {
    keeper: Keeper<BitfinexSync>,
    instrument: dp_types::Instrument,
    count: usize,
}

impl Lane {
    fn new(rig: &Rig) -> Self {
        let instrument = *rig.registry.get(InstrumentId(0)).unwrap();
        Self {
            keeper: Keeper::new(BitfinexSync::new(&instrument)),
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

fn snapshot(levels: i64) -> Vec<u8> {
    let bids = (0..levels).map(|at| format!("[{},2,{}.{:08}]", 65_000 - at, 1 + at, 1 + at));
    let asks = (0..levels).map(|at| format!("[{},1,-0.{:08}]", 65_001 + at, 1 + at));
    let rows: Vec<_> = bids.chain(asks).collect();
    format!("[17082,[{}],1,1760000000085]", rows.join(",")).into_bytes()
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
    let mut messages = vec![(LINK_MARKET, snapshot(250))];
    let mut seq = 1;
    let mut market = |text: String, messages: &mut Vec<(LinkId, Vec<u8>)>| {
        seq += 1;
        let text = text.replace("SEQ", &format!("{seq},1760000000090"));
        messages.push((LINK_MARKET, text.into_bytes()));
    };
    for at in 0..200 {
        let price = 64_900 + at;
        market(
            format!("[17082,[{price},1,0.{:06}],SEQ]", 1 + at),
            &mut messages,
        );
    }
    for text in [
        r#"[17082,"hb",SEQ]"#,
        r"[17084,[[401597395,1760000000123,0.005,65000],[401597394,1760000000000,-1e-7,64999.5]],SEQ]",
        r#"[17084,"te",[401597396,1760000000201,-0.02,10087.98969503],SEQ]"#,
        r#"[17084,"tu",[401597396,1760000000201,-0.02,10087.98969503],SEQ]"#,
        r"[99,[65000,31.89,65001,43.35],SEQ]",
    ] {
        market(text.to_owned(), &mut messages);
    }
    for name in [
        "entry_new_ack",
        "entry_reject_funds",
        "entry_cancel_ack",
        "entry_cancels_ack",
        "entry_several_ack",
        "account_order_new",
        "account_order_partial",
        "account_order_filled",
        "account_trade_executed",
        "account_trade_confirmed",
        "account_wallets",
    ] {
        messages.push((LINK_PRIVATE, fixture(name).as_bytes().to_vec()));
    }
    messages.push((LINK_MARKET, fixture("feed_pong").as_bytes().to_vec()));
    let count = allocations(|| {
        for (link, bytes) in &mut messages {
            rig.venue
                .on_text(&rig.registry, *link, at_ms(1), bytes, &mut lane)
                .unwrap();
        }
    });
    let counts = lane.keeper.counts();
    assert_eq!((counts.snapshots, counts.gaps), (1, 0));
    assert!(lane.count >= messages.len(), "{}", lane.count);
    assert_eq!(count, (0, 0));
}

#[test]
fn a_checksum_touches_no_allocator() {
    let mut rig = rig::ready();
    let mut lane = Lane::new(&rig);
    let mut messages =
        ["feed_snapshot", "feed_checksum"].map(|name| fixture(name).as_bytes().to_vec());
    let count = allocations(|| {
        for bytes in &mut messages {
            rig.venue
                .on_text(&rig.registry, LINK_MARKET, at_ms(1), bytes, &mut lane)
                .unwrap();
        }
    });
    assert_eq!(lane.keeper.counts().checksums_ok, 1);
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
        kind: OrderKind::Limit,
        tif: Tif::Ioc,
        price: Price(650_001_000_000_000),
        qty: Qty(1_000_000),
    };
    let amend = AmendOrder {
        instrument: InstrumentId(0),
        client_id: id,
        order_id: OrderId(5),
        price: Some(Price(650_001_000_000_000)),
        qty: None,
    };
    let cancel = CancelOrder {
        instrument: InstrumentId(0),
        client_id: id,
        order_id: OrderId(0),
    };
    let live = [cancel; 80];
    let orders = [order; 75];
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
        venue.on_deadline(registry, at_ms(20_001), &mut lane);
        black_box(venue.next_deadline());
    });
    assert_eq!(lane.count, 8, "six messages of orders, two pings");
    assert_eq!(count, (0, 0));
    // Refused whole: it is looked for among all that was sent.
    let mut refused = fixture("entry_several_reject").as_bytes().to_vec();
    let Rig {
        venue, registry, ..
    } = &mut rig;
    let count = allocations(|| {
        venue
            .on_text(registry, LINK_PRIVATE, at_ms(2), &mut refused, &mut lane)
            .unwrap();
    });
    assert_eq!((lane.count, count), (10, (0, 0)), "one id, told once");
}

/// Refusals, amends, cancels and signs of life too.
#[test]
fn no_fixture_touches_the_allocator() {
    let links = [
        ("feed_", LINK_MARKET),
        ("entry_", LINK_PRIVATE),
        ("account_", LINK_PRIVATE),
    ];
    let dir = env!("CARGO_MANIFEST_DIR");
    let found = allocating(dir, &links, rig::ready, |work| allocations(work));
    assert_eq!(found, [""; 0]);
}
