//! After warm-up, decode, apply and order entry touch no allocator: neither ours nor the JSON parser's.
#![allow(missing_docs)]

#[path = "../../../wire/tests/alloc_count/mod.rs"]
mod alloc_count;
mod rig;

use alloc_count::{Counting, allocations};
use dp_book::Keeper;
use dp_types::{
    AmendOrder, BookMsgKind, CancelOrder, ClientOrderId, Epoch, InstrumentId, LaneId, LinkId,
    NewOrder, OrderId, OrderKind, Price, Qty, Side, Tif, UnixNanos,
};
use dp_venue_api::{Event, FixConfig, Registry, RestRequest, RestResponse, RestTag, Sink, Venue};
use dp_venue_binance::rest::{Ask, RECORDED};
use dp_venue_binance::sync::BinanceSync;
use dp_venue_binance::{Binance, LINK_BATCHES, LINK_MD, LINK_ORDERS, LINK_REST};
use dp_venue_fix::FixEntry;
use dp_wire::fix::{Frame, frame};
use rig::{Keys, Rig, fixture};
use std::hint::black_box;
use tests_venues::rig::{allocating, at_ms, fix_bytes};

#[global_allocator]
static COUNTING: Counting = Counting;

/// A lane's sink: applies depth, counts the rest.
struct Lane {
    keeper: Keeper<BinanceSync>,
    instrument: dp_types::Instrument,
    count: usize,
    /// Of the latest request.
    tag: RestTag,
}

impl Lane {
    fn new(rig: &Rig) -> Self {
        Self::of(&rig.registry)
    }

    fn of(registry: &Registry) -> Self {
        Self {
            keeper: Keeper::new(BinanceSync),
            instrument: *registry.get(InstrumentId(0)).unwrap(),
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
    fn request(&mut self, _: LinkId, request: &RestRequest<'_>) {
        black_box(request.body);
        self.tag = request.tag;
    }
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

fn depth(kind: BookMsgKind, levels: usize, id: i64) -> Vec<u8> {
    let side = |base: i64, step: i64| {
        (0..levels as i64)
            .map(|at| {
                let (price, digit) = (base + step * at, at % 10);
                format!(r#"["{price}.{digit}0000000","0.{}0000000"]"#, 1 + at % 7)
            })
            .collect::<Vec<_>>()
            .join(",")
    };
    let (bids, asks) = (side(60_000, -1), side(60_001, 1));
    match kind {
        BookMsgKind::Snapshot => {
            format!(r#"{{"lastUpdateId":{id},"bids":[{bids}],"asks":[{asks}]}}"#)
        }
        BookMsgKind::Delta => format!(
            r#"{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":1760000000123,"s":"BTCUSDT","U":{id},"u":{id},"b":[{bids}],"a":[{asks}]}}}}"#
        ),
    }
    .into_bytes()
}

#[test]
fn the_counter_counts() {
    assert_eq!(
        allocations(|| drop(black_box(Vec::<u8>::with_capacity(10)))),
        (1, 10)
    );
}

/// A book over FIX, whole (W) or changed (X): so many levels a side, those of a change at other sizes each time.
fn fix_book(levels: i64, (first, last): (i64, i64), is_whole: bool) -> Vec<u8> {
    let mut text = if is_whole {
        format!(
            "35=W|34=2|262=1|55=BTCUSDT|25044={last}|268={}|",
            2 * levels
        )
    } else {
        format!("35=X|34=2|262=1|268={}|", 2 * levels)
    };
    for at in 0..levels {
        for (side, price) in [(0, 60_000 - at), (1, 60_001 + at)] {
            let begin = if is_whole { "" } else { "279=1|" };
            let size = 1 + (at + last) % 7;
            text += &format!("{begin}269={side}|270={price}.10000000|271=0.{size}0000000|");
            if !is_whole && at == 0 && side == 0 {
                text += &format!("55=BTCUSDT|25043={first}|25044={last}|");
            }
        }
    }
    fix_bytes(&text)
}

/// From the bytes of a message to the book: nothing is allocated, whole books of the depth we ask for included.
#[test]
fn levels_over_fix_touch_no_allocator() {
    let mut registry = Registry::new();
    let secrets = rig::secrets(Keys::Ed25519);
    let mut config = tests_venues::rig::config(&["BTCUSDT"], secrets, 1_000);
    config.fix = Some(FixConfig {
        entry: ("fix-oe.test".into(), 9_000),
        market: Some(("fix-md.test".into(), 9_000)),
        ..FixConfig::default()
    });
    let machine = Binance::new(config.clone(), &mut registry).unwrap();
    let mut rig = tests_venues::rig::Rig {
        venue: FixEntry::new(machine, config, &registry),
        registry,
        rest: LINK_REST,
    };
    let asked = rig.open(LINK_REST, 0).requests;
    let (_, read) = rig.response(0, asked[0].tag, 200, fixture("rest_exchange_info"));
    read.unwrap();
    rig.open(LINK_MD, 0);
    let mut lane = Lane::of(&rig.registry);
    let mut messages = vec![fix_book(1_000, (1, 1), true)];
    messages.extend((2..200).map(|id| fix_book(20, (id, id), false)));
    messages.push(fix_book(1_000, (200, 200), true));
    let mut read = 0;
    let cost = allocations(|| {
        for bytes in &messages {
            let Frame::Message(message, _) = frame(bytes) else {
                continue;
            };
            let heard = rig
                .venue
                .on_fix(&rig.registry, LINK_MD, at_ms(1), &message, &mut lane);
            read += usize::from(heard.is_ok());
        }
    });
    assert_eq!(cost, (0, 0));
    assert_eq!((read, lane.count), (200, 200));
    assert_eq!(lane.keeper.proof().last_id, 200);
    assert_eq!(lane.keeper.book().level_count(Side::Buy), 1_000);
}

#[test]
fn decode_and_apply_touch_no_allocator() {
    let mut rig = rig::ready(Keys::Ed25519);
    let mut lane = Lane::new(&rig);
    let mut body = depth(BookMsgKind::Snapshot, 1_000, 1);
    let tag: RestTag = Ask::Depth(InstrumentId(0), RECORDED).tag();
    let mut messages: Vec<(LinkId, Vec<u8>)> = Vec::new();
    for id in 2..200 {
        messages.push((LINK_MD, depth(BookMsgKind::Delta, 20, id)));
    }
    for name in ["feed_quote", "feed_trade", "feed_agg_trade", "feed_ticker"] {
        messages.push((LINK_MD, fixture(name).as_bytes().to_vec()));
    }
    for name in [
        "entry_new_ack",
        "entry_reject_funds",
        "entry_cancel_ack",
        "entry_amend_ack",
        "account_new",
        "account_fill_partial",
        "account_fill_last",
        "account_canceled",
        "account_balance",
    ] {
        messages.push((LINK_ORDERS, fixture(name).as_bytes().to_vec()));
    }
    let Rig {
        venue, registry, ..
    } = &mut rig;
    let count = allocations(|| {
        let response = RestResponse {
            tag,
            status: 200,
            retry_after_s: None,
            usage: dp_venue_api::Usage::default(),
            body: &mut body,
        };
        venue
            .on_response(registry, LINK_REST, at_ms(1), response, &mut lane)
            .unwrap();
        for (link, bytes) in &mut messages {
            venue
                .on_text(registry, *link, at_ms(1), bytes, &mut lane)
                .unwrap();
        }
    });
    assert_eq!(lane.keeper.counts().deltas, 198);
    assert!(lane.count >= 215, "{}", lane.count);
    assert_eq!(count, (0, 0));
}

/// Futures: user data by the general parser, orders, changes and cancels.
#[test]
fn futures_touch_no_allocator() {
    for keys in [Keys::Ed25519, Keys::Hmac] {
        let mut rig = rig::batching(keys);
        let instrument = *rig.registry.get(InstrumentId(0)).unwrap();
        let mut lane = Lane {
            keeper: Keeper::new(BinanceSync),
            instrument,
            count: 0,
            tag: RestTag(0),
        };
        let names = [
            "usdm_new_ack",
            "usdm_order_new",
            "usdm_trade_lite",
            "usdm_account_update",
            "usdm_order_fill",
            "usdm_cancel_ack",
            "usdm_order_cancelled",
            "usdm_reject_post_only",
        ];
        let mut messages: Vec<_> = names.map(|name| fixture(name).as_bytes().to_vec()).into();
        let id = ClientOrderId::new(Epoch(1), LaneId(0), 1).unwrap();
        let order = NewOrder {
            instrument: InstrumentId(0),
            client_id: id,
            side: Side::Buy,
            kind: OrderKind::PostOnly,
            tif: Tif::Gtc,
            price: Price(65_000_100),
            qty: Qty(1_000_000),
        };
        let orders = [2, 3, 4, 5, 6].map(|sequence| NewOrder {
            client_id: ClientOrderId::new(Epoch(1), LaneId(0), sequence).unwrap(),
            ..order
        });
        let item = r#"{"orderId":8886774001,"updateTime":1760000000004}"#;
        let refused = r#"{"code":-5022,"msg":"x"}"#;
        let mut answer = format!("[{item},{item},{refused},{item},{item}]").into_bytes();
        let amend = AmendOrder {
            instrument: InstrumentId(0),
            client_id: id,
            order_id: OrderId(5),
            price: Some(Price(64_000_100)),
            qty: None,
        };
        let cancel = CancelOrder {
            instrument: InstrumentId(0),
            client_id: id,
            order_id: OrderId(5),
        };
        let rig::UsdmRig {
            venue, registry, ..
        } = &mut rig;
        let count = allocations(|| {
            let (now, lane) = (at_ms(1), &mut lane);
            venue.new_order(registry, &order, now, lane).unwrap();
            venue.new_orders(registry, &orders, now, lane).unwrap();
            let response = RestResponse {
                tag: lane.tag,
                status: 200,
                retry_after_s: None,
                usage: dp_venue_api::Usage::default(),
                body: &mut answer,
            };
            let told = venue.on_response(registry, LINK_BATCHES, now, response, lane);
            told.unwrap();
            venue.amend_order(registry, &amend, now, lane).unwrap();
            venue.cancel_order(registry, &cancel, now, lane).unwrap();
            for bytes in &mut messages {
                venue
                    .on_text(registry, dp_venue_binance::LINK_USER, now, bytes, lane)
                    .unwrap();
            }
            black_box(venue.next_deadline());
        });
        assert!(lane.count >= 20, "{}", lane.count);
        assert_eq!(count, (0, 0));
    }
}

fn order_entry(keys: Keys) -> (u64, u64) {
    let mut rig = rig::ready(keys);
    let mut lane = Lane::new(&rig);
    let id = ClientOrderId::new(Epoch(9), LaneId(1), 77).unwrap();
    let order = NewOrder {
        instrument: InstrumentId(0),
        client_id: id,
        side: Side::Buy,
        kind: OrderKind::Limit,
        tif: Tif::Ioc,
        price: Price(650_000_100),
        qty: Qty(1_000_000),
    };
    let amend = AmendOrder {
        instrument: InstrumentId(0),
        client_id: id,
        order_id: OrderId(5),
        price: None,
        qty: Some(Qty(900_000)),
    };
    let cancel = CancelOrder {
        instrument: InstrumentId(0),
        client_id: id,
        order_id: OrderId(5),
    };
    let Rig {
        venue, registry, ..
    } = &mut rig;
    let count = allocations(|| {
        let (now, lane) = (at_ms(1), &mut lane);
        venue.new_order(registry, &order, now, lane).unwrap();
        venue.amend_order(registry, &amend, now, lane).unwrap();
        venue.cancel_order(registry, &cancel, now, lane).unwrap();
        venue
            .cancel_all(registry, InstrumentId(0), &[], now, lane)
            .unwrap();
        venue.on_deadline(registry, at_ms(20_001), lane);
        black_box(venue.next_deadline());
    });
    assert_eq!(lane.count, 4);
    count
}

#[test]
fn order_entry_touches_no_allocator() {
    assert_eq!(order_entry(Keys::Ed25519), (0, 0));
    assert_eq!(order_entry(Keys::Hmac), (0, 0));
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
    let found = allocating(
        dir,
        &links,
        || rig::ready(Keys::Ed25519),
        |work| allocations(work),
    );
    // What an order had filled is asked by REST: cold.
    assert_eq!(found, ["entry_query_partial"]);
}

/// The binary streams, of which each message is read in one pass.
#[test]
fn binary_messages_touch_no_allocator() {
    let mut rig = rig::ready(Keys::Ed25519);
    let mut lane = Lane::new(&rig);
    let mut messages = [
        include_bytes!("../../../../tests/fuzz/corpus/sbe/depth_diff").to_vec(),
        include_bytes!("../../../../tests/fuzz/corpus/sbe/depth_20").to_vec(),
        include_bytes!("../../../../tests/fuzz/corpus/sbe/trades").to_vec(),
        include_bytes!("../../../../tests/fuzz/corpus/sbe/quote").to_vec(),
    ];
    let count = allocations(|| {
        for bytes in &mut messages {
            rig.venue
                .on_binary(&rig.registry, LINK_MD, at_ms(1), bytes, &mut lane)
                .unwrap();
        }
    });
    assert_eq!((lane.count, count), (5, (0, 0)), "two of them trades");
}
