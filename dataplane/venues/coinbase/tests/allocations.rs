//! After warm-up, decode, apply and order entry touch no allocator.
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
use dp_venue_api::{Event, RestRequest, RestResponse, RestTag, Sink, Venue};
use dp_venue_coinbase::sync::CoinbaseSync;
use dp_venue_coinbase::{LINK_ENTRY, LINK_PUBLIC, LINK_USER};
use rig::{Rig, fixture};
use std::hint::black_box;
use tests_venues::rig::{allocating, at_ms};

#[global_allocator]
static COUNTING: Counting = Counting;

/// A lane's sink: applies depth, counts the rest.
struct Lane {
    keeper: Keeper<CoinbaseSync>,
    instrument: dp_types::Instrument,
    events: usize,
    requests: usize,
    tag: RestTag,
}

impl Lane {
    fn new(rig: &Rig) -> Self {
        let instrument = *rig.registry.get(InstrumentId(0)).unwrap();
        Self {
            keeper: Keeper::new(CoinbaseSync::new(&instrument)),
            instrument,
            events: 0,
            requests: 0,
            tag: RestTag(0),
        }
    }
}

impl Sink for Lane {
    fn event(&mut self, event: &Event<'_>) {
        self.events += 1;
        if let Event::Book(message) = event {
            self.keeper.on_msg(message, &self.instrument, UnixNanos(1));
        }
    }
    fn send_text(&mut self, _: LinkId, _: &[u8]) {
        panic!("orders go over REST");
    }
    fn request(&mut self, link: LinkId, request: &RestRequest<'_>) {
        assert_eq!(link, LINK_ENTRY);
        black_box((request.target, request.body, request.headers));
        self.requests += 1;
        self.tag = request.tag;
    }
    fn reconnect(&mut self, _: LinkId, why: &'static str) {
        panic!("{why}");
    }
}

fn snapshot(levels: i64) -> Vec<u8> {
    let side = |base: i64, step: i64| {
        let levels: Vec<_> = (0..levels)
            .map(|at| format!(r#"["{}.00","0.{}"]"#, base + step * at, 1 + at % 7))
            .collect();
        levels.join(",")
    };
    format!(
        r#"{{"type":"snapshot","product_id":"BTC-USD","bids":[{}],"asks":[{}],"time":"2026-05-05T10:00:00.000000Z"}}"#,
        side(60_000, -1),
        side(60_001, 1)
    )
    .into_bytes()
}

fn change(at: i64) -> Vec<u8> {
    let (side, price) = if at % 2 == 0 {
        ("buy", 60_000 - at % 300)
    } else {
        ("sell", 60_001 + at % 300)
    };
    format!(
        r#"{{"type":"l2update","product_id":"BTC-USD","time":"2026-05-05T10:00:00.265000Z","changes":[["{side}","{price}.00","0.{:08}"]]}}"#,
        at % 5
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
    let mut messages: Vec<(LinkId, Vec<u8>)> = vec![(LINK_PUBLIC, snapshot(1_000))];
    messages.extend((0..400).map(|at| (LINK_PUBLIC, change(at))));
    for name in [
        "feed_ticker",
        "feed_match",
        "feed_last_match",
        "feed_heartbeat",
        "advanced_snapshot",
        "advanced_trades",
    ] {
        messages.push((LINK_PUBLIC, fixture(name).as_bytes().to_vec()));
    }
    for name in [
        "account_received",
        "account_open",
        "account_match_maker",
        "account_match_taker",
        "account_change",
        "account_done_filled",
    ] {
        messages.push((LINK_USER, fixture(name).as_bytes().to_vec()));
    }
    // One of Advanced Trade's books is met for the first time: it gets its place.
    let mut first = fixture("advanced_update").as_bytes().to_vec();
    rig.venue
        .on_text(&rig.registry, LINK_PUBLIC, at_ms(1), &mut first, &mut lane)
        .unwrap();
    let before = lane.keeper.counts().deltas;
    let count = allocations(|| {
        for (link, bytes) in &mut messages {
            rig.venue
                .on_text(&rig.registry, *link, at_ms(1), bytes, &mut lane)
                .unwrap();
        }
    });
    assert_eq!(lane.keeper.counts().deltas - before, 400);
    assert!(lane.events >= 414, "{}", lane.events);
    assert_eq!(count, (0, 0));
}

/// The full channel's table is taken with its first order, and never grows.
#[test]
fn single_orders_touch_no_allocator_after_the_first() {
    let mut rig = rig::ready();
    let mut lane = Lane::new(&rig);
    let text = |name: &str| fixture(name).as_bytes().to_vec();
    let mut run = |messages: &mut [Vec<u8>]| {
        for bytes in messages {
            rig.venue
                .on_text(&rig.registry, LINK_PUBLIC, at_ms(1), bytes, &mut lane)
                .unwrap();
        }
    };
    run(&mut [text("feed_open")]);
    let mut messages: Vec<_> = (0..100)
        .flat_map(|_| ["feed_open", "feed_match", "feed_change", "feed_done"].map(text))
        .collect();
    assert_eq!(allocations(|| run(&mut messages)), (0, 0));
}

#[test]
fn order_entry_touches_no_allocator() {
    let mut rig = rig::ready();
    let mut lane = Lane::new(&rig);
    let order = |sequence| NewOrder {
        instrument: InstrumentId(0),
        client_id: ClientOrderId::new(Epoch(9), LaneId(1), sequence).unwrap(),
        side: Side::Buy,
        kind: OrderKind::Limit,
        tif: Tif::Ioc,
        price: Price(650_000_100),
        qty: Qty(1_000_000),
    };
    let cancel = CancelOrder {
        instrument: InstrumentId(0),
        client_id: order(77).client_id,
        order_id: OrderId(5),
    };
    let answers = ["entry_pending", "entry_funds", "entry_rejected_post_only"];
    let mut answers = answers.map(|name| fixture(name).as_bytes().to_vec());
    let mut gone = fixture("entry_cancelled").as_bytes().to_vec();
    let Rig {
        venue, registry, ..
    } = &mut rig;
    let count = allocations(|| {
        for (sequence, body) in answers.iter_mut().enumerate() {
            let order = order(sequence as u32);
            venue
                .new_order(registry, &order, at_ms(1), &mut lane)
                .unwrap();
            let response = RestResponse {
                tag: lane.tag,
                status: if sequence == 1 { 400 } else { 200 },
                retry_after_s: None,
                usage: dp_venue_api::Usage::default(),
                body,
            };
            venue
                .on_response(registry, LINK_ENTRY, at_ms(2), response, &mut lane)
                .unwrap();
        }
        venue
            .cancel_order(registry, &cancel, at_ms(3), &mut lane)
            .unwrap();
        let response = RestResponse {
            tag: lane.tag,
            status: 200,
            retry_after_s: None,
            usage: dp_venue_api::Usage::default(),
            body: &mut gone,
        };
        venue
            .on_response(registry, LINK_ENTRY, at_ms(4), response, &mut lane)
            .unwrap();
        venue
            .cancel_all(registry, InstrumentId(0), &[cancel], at_ms(5), &mut lane)
            .unwrap();
        venue.on_deadline(registry, at_ms(20_001), &mut lane);
        black_box(venue.next_deadline());
    });
    assert_eq!((lane.requests, lane.events), (5, 7));
    assert_eq!(count, (0, 0));
}

/// Refusals, amends, cancels and signs of life too.
#[test]
fn no_fixture_touches_the_allocator() {
    let links = [
        ("feed_", LINK_PUBLIC),
        ("advanced_", LINK_PUBLIC),
        ("account_", LINK_USER),
    ];
    let dir = env!("CARGO_MANIFEST_DIR");
    let found = allocating(dir, &links, rig::ready, |work| allocations(work));
    // Tables are taken with the first message of their kind; a refused subscription is cold.
    let first = ["advanced_snapshot", "advanced_update", "feed_error"];
    assert_eq!(found, first);
}

/// Single orders over FIX, summed to levels: made, changed, taken from and gone.
#[test]
fn market_data_over_fix_touches_no_allocator() {
    use dp_wire::fix::{Frame, frame};
    let mut rig = rig::over_fix();
    let asked = rig.open(dp_venue_coinbase::LINK_REST, 0).requests;
    let (_, read) = rig.response(0, asked[0].tag, 200, fixture("rest_products"));
    read.unwrap();
    rig.open(LINK_PUBLIC, 0);
    let id = "d50ec984-77a8-460a-b958-66f114b0de9b";
    let event = |seq: u64, what: &str, qty: &str| {
        tests_venues::rig::fix_bytes(&format!(
            "35=X|262=1|268=1|{what}|278={id}|83={seq}|55=BTC-USD|270=65000.00|271={qty}|60=20260505-10:00:00.000001|5797=2|"
        ))
    };
    let whole = "35=W|262=1|83=100|893=Y|55=BTC-USD|268=1|269=1|278=132fb6ae-456b-4654-b4e0-d681ac05cea1|270=65001.00|271=1|";
    let mut messages = vec![tests_venues::rig::fix_bytes(whole)];
    for seq in (101..501).step_by(4) {
        messages.push(event(seq, "279=0|269=0", "1.5"));
        messages.push(event(seq + 1, "279=1|269=0", "1.2"));
        messages.push(event(seq + 2, "279=0|269=2", "0.2"));
        messages.push(event(seq + 3, "279=2|269=0", "0"));
    }
    let instrument = *rig.registry.get(InstrumentId(0)).unwrap();
    let mut lane = Lane {
        keeper: Keeper::new(CoinbaseSync::new(&instrument)),
        instrument,
        events: 0,
        requests: 0,
        tag: RestTag(0),
    };
    let count = allocations(|| {
        for bytes in &messages {
            let Frame::Message(message, _) = frame(bytes) else {
                panic!("a message");
            };
            let (venue, registry) = (&mut rig.venue, &rig.registry);
            venue
                .on_fix(registry, LINK_PUBLIC, at_ms(1), &message, &mut lane)
                .unwrap();
        }
    });
    assert_eq!(count, (0, 0));
    assert_eq!(lane.events, 501, "a book each, and the trades");
    assert_eq!(lane.keeper.proof().last_id, 500);
}
