//! After warm-up, decode, apply and order entry touch no allocator.
#![allow(missing_docs)]

#[path = "../../../wire/tests/alloc_count/mod.rs"]
mod alloc_count;
mod rig;

use alloc_count::{Counting, allocations};
use dp_book::Keeper;
use dp_types::{
    BookMsg, BookMsgKind, CancelOrder, ClientOrderId, Decimal, Epoch, InstrumentId, LaneId, LinkId,
    NewOrder, OrderId, OrderKind, Price, Qty, RawLevel, Side, Tif, UnixNanos, VenueNanos,
};
use dp_venue_api::{Event, Registry, RestRequest, RestResponse, RestTag, Sink, Venue};
use dp_venue_kucoin::sync::KucoinSync;
use dp_venue_kucoin::{Kucoin, LINK_BATCHES, LINK_MD, LINK_ORDERS, LINK_USER};
use rig::{Rig, fixture};
use std::hint::black_box;
use tests_venues::rig::{allocating, at_ms};

#[global_allocator]
static COUNTING: Counting = Counting;

/// A lane's sink: applies depth, counts the rest.
struct Lane {
    keeper: Keeper<KucoinSync>,
    instrument: dp_types::Instrument,
    count: usize,
    /// Of the latest request.
    tag: RestTag,
}

impl Lane {
    /// With a book at number 0.
    fn new(rig: &Rig) -> Self {
        let instrument = *rig.registry.get(InstrumentId(0)).unwrap();
        let mut keeper = Keeper::new(KucoinSync::new(&instrument));
        let decimal = |text: &str| Decimal::parse(text.as_bytes()).unwrap();
        let bid = RawLevel {
            price: decimal("1"),
            qty: decimal("1"),
        };
        let snapshot = BookMsg {
            instrument: InstrumentId(0),
            kind: BookMsgKind::Snapshot,
            first_id: 0,
            last_id: 0,
            prev_id: -1,
            checksum: None,
            bids: &[bid],
            asks: &[],
            venue_ns: VenueNanos(0),
        };
        keeper.on_msg(&snapshot, &instrument, UnixNanos(1));
        Self {
            keeper,
            instrument,
            count: 0,
            tag: RestTag(0),
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
    fn request(&mut self, link: LinkId, request: &RestRequest<'_>) {
        black_box(request.body);
        self.count += usize::from(link == LINK_BATCHES);
        self.tag = request.tag;
    }
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

/// A delta of 2 x 20 changes, the later half before the earlier: they are put in order.
fn delta(number: i64) -> Vec<u8> {
    let (first, last) = (number * 20 + 1, number * 20 + 20);
    let side = |base: i64, step: i64| {
        let change = |at: i64| {
            let sequence = first + (at + 10) % 20;
            format!(
                r#"["{}.{}","0.{}","{sequence}"]"#,
                base + step * at,
                at % 10,
                1 + (at + number) % 7
            )
        };
        (0..20).map(change).collect::<Vec<_>>().join(",")
    };
    let (bids, asks) = (side(60_000, -1), side(60_001, 1));
    format!(
        r#"{{"type":"message","topic":"/market/level2:BTC-USDT","subject":"trade.l2update","data":{{"changes":{{"asks":[{asks}],"bids":[{bids}]}},"sequenceEnd":{last},"sequenceStart":{first},"symbol":"BTC-USDT","time":1760000000123}}}}"#
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
    let mut messages: Vec<(LinkId, Vec<u8>)> = (0..200).map(|n| (LINK_MD, delta(n))).collect();
    for name in [
        "feed_level1",
        "feed_ticker",
        "feed_trade",
        "feed_candle",
        "feed_pong",
    ] {
        messages.push((LINK_MD, fixture(name).as_bytes().to_vec()));
    }
    for name in [
        "entry_new_ack",
        "entry_reject_funds",
        "entry_cancel_ack",
        "entry_cancel_reject",
        "entry_pong",
    ] {
        messages.push((LINK_ORDERS, fixture(name).as_bytes().to_vec()));
    }
    for name in [
        "account_received",
        "account_open",
        "account_match_maker",
        "account_match_taker",
        "account_filled",
        "account_canceled",
        "account_balance",
    ] {
        messages.push((LINK_USER, fixture(name).as_bytes().to_vec()));
    }
    let count = allocations(|| {
        for (link, bytes) in &mut messages {
            rig.venue
                .on_text(&rig.registry, *link, at_ms(1), bytes, &mut lane)
                .unwrap();
        }
    });
    assert_eq!(lane.keeper.counts().deltas, 200);
    assert!(lane.count >= 220, "{}", lane.count);
    assert_eq!(count, (0, 0));
}

#[test]
fn order_entry_touches_no_allocator() {
    let mut rig = rig::batching();
    let mut lane = Lane::new(&rig);
    let id = ClientOrderId::new(Epoch(9), LaneId(1), 77).unwrap();
    let order = NewOrder {
        instrument: InstrumentId(0),
        client_id: id,
        side: Side::Buy,
        kind: OrderKind::PostOnly,
        tif: Tif::Gtc,
        price: Price(65_000_100),
        qty: Qty(1_000_000),
    };
    let cancel = CancelOrder {
        instrument: InstrumentId(0),
        client_id: id,
        order_id: OrderId(5),
    };
    let orders: Vec<_> = (1..=20)
        .map(|sequence| NewOrder {
            client_id: ClientOrderId::new(Epoch(9), LaneId(1), sequence).unwrap(),
            ..order
        })
        .collect();
    let item = r#"{"orderId":"655a1c00f3a1c20007d1a003","success":true}"#;
    let items = [item; 19].join(",");
    let refused = r#"{"success":false,"failMsg":"Balance insufficient!"}"#;
    let answer = format!(r#"{{"code":"200000","data":[{items},{refused}]}}"#);
    let mut answers = [answer.clone().into_bytes(), answer.into_bytes()];
    let [first, second] = &mut answers;
    let Rig {
        venue, registry, ..
    } = &mut rig;
    // The first answer of that size takes its memory.
    batch(venue, registry, &orders, first, &mut lane);
    lane.count = 0;
    // The dead man's switch goes by REST, which is cold: before the count.
    venue.on_deadline(registry, at_ms(0), &mut lane);
    let count = allocations(|| {
        venue
            .new_order(registry, &order, at_ms(1), &mut lane)
            .unwrap();
        venue
            .cancel_order(registry, &cancel, at_ms(1), &mut lane)
            .unwrap();
        batch(venue, registry, &orders, second, &mut lane);
        black_box(venue.next_deadline());
    });
    assert_eq!((lane.count, count), (2 + 1 + 21, (0, 0)));
}

/// Orders that go together, and their answer.
fn batch(
    venue: &mut Kucoin,
    registry: &mut Registry,
    orders: &[NewOrder],
    answer: &mut [u8],
    lane: &mut Lane,
) {
    venue.new_orders(registry, orders, at_ms(1), lane).unwrap();
    let response = RestResponse {
        tag: lane.tag,
        status: 200,
        retry_after_s: None,
        usage: dp_venue_api::Usage::default(),
        body: answer,
    };
    venue
        .on_response(registry, LINK_BATCHES, at_ms(1), response, lane)
        .unwrap();
}

/// Refusals, amends, cancels and signs of life too.
#[test]
fn no_fixture_touches_the_allocator() {
    let links = [
        ("feed_", LINK_MD),
        ("entry_", LINK_ORDERS),
        ("account_", LINK_USER),
    ];
    let dir = env!("CARGO_MANIFEST_DIR");
    let found = allocating(dir, &links, rig::ready, |work| allocations(work));
    assert_eq!(found, [""; 0]);
}
