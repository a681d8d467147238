//! Market data over FIX: single orders in, levels out, proved by the instrument's numbers.
#![allow(missing_docs)]

mod rig;

use dp_book::{Book, Keeper, Outcome, State};
use dp_types::{BookMsg, Decimal, InstrumentId, LinkId, RawLevel, Side, UnixNanos};
use dp_venue_api::{Event, Fault, LinkKind, LinkRole, Registry, RestRequest, Sink, Venue as _};
use dp_venue_coinbase::sync::CoinbaseSync;
use dp_venue_coinbase::{LINK_PUBLIC, LINK_REST, LINK_USER};
use dp_wire::fix::{Frame, frame};
use proptest::prelude::*;
use rig::{FixRig as Rig, fixture};
use std::collections::BTreeMap;
use tests_venues::rig::{Said, at_ms, fix_bytes};

fn learn(rig: &mut Rig) -> Said {
    let asked = rig.open(LINK_REST, 0).requests;
    let (said, read) = rig.response(0, asked[0].tag, 200, fixture("rest_products"));
    read.unwrap();
    said
}

/// Rules known, logged on, asked for.
fn ready() -> Rig {
    let mut rig = rig::over_fix();
    learn(&mut rig);
    rig.open(LINK_PUBLIC, 0);
    rig
}

/// The book as the lane keeps it of what is told, and the trades.
struct Lane {
    keeper: Keeper<CoinbaseSync>,
    outcomes: Vec<Outcome>,
    trades: Vec<String>,
    reconnects: usize,
    registry: Registry,
}

impl Lane {
    fn new(registry: &Registry) -> Self {
        let instrument = registry.instruments()[0];
        Self {
            keeper: Keeper::with_book(CoinbaseSync::new(&instrument), Book::new(64)),
            outcomes: Vec::new(),
            trades: Vec::new(),
            reconnects: 0,
            registry: registry.clone(),
        }
    }

    fn levels(&self, side: Side) -> Vec<(i64, i64)> {
        let levels = self.keeper.book().side(side);
        levels.map(|level| (level.price.0, level.qty.0)).collect()
    }
}

impl Sink for Lane {
    fn event(&mut self, event: &Event<'_>) {
        let instrument = self.registry.instruments()[0];
        match event {
            Event::Book(book) => {
                let book: &BookMsg<'_> = book;
                let outcome = self.keeper.on_msg(book, &instrument, UnixNanos(1));
                self.outcomes.push(outcome);
            }
            Event::Trade(trade) => {
                let told = format!("{} {} @ {}", trade.taker.name(), trade.qty, trade.price);
                self.trades.push(told);
            }
            other => panic!("{other:?}"),
        }
    }
    fn send_text(&mut self, _: LinkId, _: &[u8]) {}
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, _: &'static str) {
        self.reconnects += 1;
    }
}

fn hear(rig: &mut Rig, lane: &mut Lane, text: &str) -> Result<(), Fault> {
    let bytes = fix_bytes(text);
    let Frame::Message(message, _) = frame(&bytes) else {
        panic!("{text}");
    };
    let Rig {
        venue, registry, ..
    } = rig;
    venue.on_fix(registry, LINK_PUBLIC, at_ms(1), &message, lane)
}

fn id(order: u32) -> String {
    format!("d50ec984-77a8-460a-b958-{order:012x}")
}

/// `(order, side, price, quantity)` as a piece of a whole book.
fn whole(seq: u64, is_last: bool, orders: &[(u32, u8, u32, u32)]) -> String {
    let end = if is_last { "Y" } else { "N" };
    let mut text = format!(
        "35=W|262=1|83={seq}|893={end}|55=BTC-USD|268={}|1682=full_trading|",
        orders.len()
    );
    for (order, side, price, qty) in orders {
        text += &format!("269={side}|278={}|270={price}|271={qty}|", id(*order));
    }
    text
}

/// An event of an order: what (279), of which kind (269).
fn event(seq: u64, (action, kind): (u8, u8), order: u32, (price, qty): (u32, u32)) -> String {
    let taker = if kind == 2 { "5797=2|" } else { "" };
    format!(
        "35=X|262=1|268=1|279={action}|269={kind}|278={}|83={seq}|55=BTC-USD|270={price}|271={qty}|60=20260505-10:00:00.000001|{taker}",
        id(order)
    )
}

#[test]
fn its_link_takes_the_place_of_the_machines_own() {
    let rig = rig::over_fix();
    let of_market = |role| move |link: &&dp_venue_api::LinkSpec| link.id == role;
    let links = rig.venue.links();
    let market: Vec<_> = links.iter().filter(of_market(LINK_PUBLIC)).collect();
    assert_eq!(market.len(), 1);
    assert_eq!(
        (market[0].kind, &*market[0].host),
        (LinkKind::Fix, "fix-md.test")
    );
    assert_eq!(rig.venue.link_role(LINK_PUBLIC), LinkRole::Market);
    let stream = links.iter().find(|link| link.id == LINK_USER).unwrap();
    assert_eq!(
        stream.kind,
        LinkKind::WebSocket,
        "the private stream is as ever"
    );
    let spec = rig.venue.fix_spec(LINK_PUBLIC).unwrap();
    assert_eq!((&*spec.sender, &*spec.target), ("fakekey", "Coinbase"));
    assert!(
        spec.resets && !spec.resends,
        "a message that is missing ends it"
    );
}

#[test]
fn it_asks_once_it_is_up_and_knows_the_rules() {
    const ASK: &str = "35=V|262=1|263=1|146=1|55=BTC-USD|";
    let asked = |said: &Said| -> Vec<String> {
        let all = said.sent.iter().filter(|(link, _)| *link == LINK_PUBLIC);
        all.map(|(_, text)| text.clone()).collect()
    };
    let mut rig = rig::over_fix();
    assert!(
        asked(&rig.open(LINK_PUBLIC, 0)).is_empty(),
        "increments are not known"
    );
    assert_eq!(asked(&learn(&mut rig)), [ASK]);
    let mut rig = rig::over_fix();
    assert!(asked(&learn(&mut rig)).is_empty(), "not logged on");
    assert_eq!(asked(&rig.open(LINK_PUBLIC, 0)), [ASK]);
    rig.close(LINK_PUBLIC, 1);
    let again = asked(&rig.open(LINK_PUBLIC, 2));
    assert_eq!(
        again,
        [ASK.replace("262=1", "262=2")],
        "another connection, asked anew"
    );
}

/// Venue page: a whole book in pieces, events that came meanwhile, then what follows.
#[test]
fn orders_become_levels() {
    let mut rig = ready();
    let mut lane = Lane::new(&rig.registry);
    let (px, size) = unit(&rig);
    let at = |price: u32, qty: u32| (i64::from(price) * px, i64::from(qty) * size);
    let (bid, ask) = (at(65_000, 3), at(65_010, 4));
    hear(&mut rig, &mut lane, &event(99, (0, 0), 9, (64_000, 9))).unwrap();
    hear(&mut rig, &mut lane, &event(101, (0, 1), 3, (65_010, 3))).unwrap();
    hear(
        &mut rig,
        &mut lane,
        &whole(100, false, &[(1, 0, 65_000, 1), (2, 0, 65_000, 2)]),
    )
    .unwrap();
    assert!(lane.outcomes.is_empty(), "half a book is none");
    hear(&mut rig, &mut lane, &whole(100, true, &[(4, 1, 65_010, 1)])).unwrap();
    assert_eq!(lane.outcomes, [Outcome::Applied]);
    assert_eq!(
        (lane.levels(Side::Buy), lane.levels(Side::Sell)),
        (vec![bid], vec![ask])
    );
    // A seller takes one of two, and the order behind it is changed to another price.
    hear(&mut rig, &mut lane, &event(102, (0, 2), 1, (65_000, 1))).unwrap();
    hear(&mut rig, &mut lane, &event(103, (2, 0), 1, (65_000, 0))).unwrap();
    hear(&mut rig, &mut lane, &event(104, (1, 0), 2, (64_999, 2))).unwrap();
    assert_eq!(lane.trades, ["sell 1 @ 65000"]);
    assert_eq!(lane.levels(Side::Buy), [at(64_999, 2)]);
    // One on its way and a word on the instrument's state have numbers, and rest nowhere.
    let way = "35=X|262=1|268=1|279=0|269=0|83=105|55=BTC-USD|270=65005|271=1|40=2|11=x|";
    hear(&mut rig, &mut lane, way).unwrap();
    hear(
        &mut rig,
        &mut lane,
        "35=f|262=1|83=106|55=BTC-USD|1682=full_trading|",
    )
    .unwrap();
    hear(&mut rig, &mut lane, &event(107, (0, 1), 5, (65_020, 1))).unwrap();
    // What was told before changes nothing.
    hear(&mut rig, &mut lane, &event(107, (0, 1), 5, (65_020, 1))).unwrap();
    assert_eq!(lane.levels(Side::Sell), [ask, at(65_020, 1)]);
    assert!(
        lane.outcomes
            .iter()
            .all(|outcome| *outcome == Outcome::Applied)
    );
    assert_eq!(lane.keeper.proof().last_id, 107);
}

/// Increments of a whole dollar and a whole coin.
fn unit(rig: &Rig) -> (i64, i64) {
    let instrument = rig.registry.instruments()[0];
    let one = Decimal {
        mantissa: 1,
        exponent: 0,
    };
    let level = RawLevel {
        price: one,
        qty: one,
    };
    let level = instrument.level(&level).unwrap();
    (level.price.0, level.qty.0)
}

#[test]
fn a_hole_is_found_and_the_book_asked_for_anew() {
    let mut rig = ready();
    let mut lane = Lane::new(&rig.registry);
    hear(&mut rig, &mut lane, &whole(100, true, &[(1, 0, 65_000, 1)])).unwrap();
    hear(&mut rig, &mut lane, &event(102, (0, 0), 2, (65_000, 1))).unwrap();
    assert!(
        matches!(lane.outcomes[1], Outcome::Gap(_)),
        "{:?}",
        lane.outcomes
    );
    assert_eq!(lane.keeper.proof().state, State::Waiting);
    let mut said = Said::default();
    let book = InstrumentId(0);
    rig.venue
        .request_snapshot(&rig.registry, book, at_ms(500), &mut said);
    assert!(said.sent.is_empty(), "a second apart");
    let said = rig.deadline(1_000);
    let texts: Vec<&str> = said.sent.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "35=V|262=1|263=2|146=1|55=BTC-USD|",
            "35=V|262=2|263=1|146=1|55=BTC-USD|"
        ]
    );
    assert!(rig.deadline(3_000).sent.is_empty(), "once");
    // What is still said of the old request waits for the whole book.
    hear(&mut rig, &mut lane, &event(103, (0, 0), 3, (64_000, 1))).unwrap();
    hear(
        &mut rig,
        &mut lane,
        &whole(103, true, &[(1, 0, 65_000, 1), (3, 0, 64_000, 1)]),
    )
    .unwrap();
    hear(&mut rig, &mut lane, &event(104, (2, 0), 3, (64_000, 1))).unwrap();
    assert_eq!(lane.keeper.proof().state, State::Synced);
    assert_eq!(lane.levels(Side::Buy).len(), 1);
}

#[test]
fn what_cannot_be_read_costs_the_connection() {
    let good = event(101, (0, 0), 2, (65_000, 1));
    for (from, to) in [
        ("270=65000", "270=x"),
        ("83=101", "83="),
        ("278=d50", "278=?50"),
    ] {
        let mut rig = ready();
        let mut lane = Lane::new(&rig.registry);
        hear(&mut rig, &mut lane, &whole(100, true, &[(1, 0, 64_000, 1)])).unwrap();
        let bad = good.replace(from, to);
        assert!(hear(&mut rig, &mut lane, &bad).is_err(), "{bad}");
        assert_eq!(lane.reconnects, 1, "{bad}");
    }
    let mut rig = ready();
    let (said, read) = rig.fix(LINK_PUBLIC, 1, "35=Y|262=1|281=0|58=unknown symbol|");
    assert!(matches!(read, Err(Fault::Venue { code: 0, .. })) && said.reconnects.is_empty());
    let (said, _) = rig.fix(LINK_PUBLIC, 1, &good.replace("BTC-USD", "DOGE-USD"));
    assert_eq!(said.events, ["Ignored of an instrument we do not follow"]);
}

/// An order of the naive book: side, price, quantity.
type Naive = BTreeMap<u32, (u8, u32, u32)>;

proptest! {
    /// The levels told of any events are the sums of the orders.
    #[test]
    fn levels_are_the_sums_of_orders(
        events in prop::collection::vec((0u32..12, 0u8..4, 0u32..4, 1u32..5), 1..60),
    ) {
        let mut rig = ready();
        let mut lane = Lane::new(&rig.registry);
        hear(&mut rig, &mut lane, &whole(0, true, &[])).unwrap();
        let mut orders = Naive::new();
        for (seq, (order, what, step, qty)) in (1..).zip(events) {
            // Each order keeps to its side, and the sides apart.
            let side = (order % 2) as u8;
            let price = if side == 0 { 100 + step } else { 200 + step };
            let known = orders.get(&order).copied();
            let text = match (what, known) {
                (0, _) | (_, None) => {
                    orders.insert(order, (side, price, qty));
                    event(seq, (0, side), order, (price, qty))
                }
                (1, Some(_)) => {
                    orders.insert(order, (side, price, qty));
                    event(seq, (1, side), order, (price, qty))
                }
                (2, Some((_, price, left))) => {
                    orders.remove(&order);
                    event(seq, (2, side), order, (price, left))
                }
                (_, Some((_, price, left))) => {
                    let taken = qty.min(left);
                    if taken == left {
                        orders.remove(&order);
                    } else {
                        orders.insert(order, (side, price, left - taken));
                    }
                    let text = event(seq, (0, 2), order, (price, taken));
                    // The side of the taker is the other one.
                    if side == 1 { text.replace("5797=2", "5797=1") } else { text }
                }
            };
            hear(&mut rig, &mut lane, &text).unwrap();
            let (px, size) = unit(&rig);
            for (wanted, side) in [(0, Side::Buy), (1, Side::Sell)] {
                let mut sums: BTreeMap<i64, i64> = BTreeMap::new();
                for (of, price, qty) in orders.values().filter(|(of, ..)| *of == wanted) {
                    prop_assert_eq!(*of, wanted);
                    *sums.entry(i64::from(*price) * px).or_default() += i64::from(*qty) * size;
                }
                sums.retain(|_, qty| *qty > 0);
                let mut told = lane.levels(side);
                told.sort_unstable();
                prop_assert_eq!(told, sums.into_iter().collect::<Vec<_>>());
            }
        }
        prop_assert_eq!(lane.keeper.proof().state, State::Synced);
    }

    /// Whatever fields come, it lives.
    #[test]
    fn any_message_is_taken_or_refused(
        kind in prop::sample::select(vec!["W", "X", "f", "Y", "B", "8"]),
        fields in prop::collection::vec((
            prop::sample::select(vec![55u32, 83, 268, 269, 270, 271, 278, 279, 893, 5797]),
            prop::sample::select(vec!["0", "1", "2", "N", "Y", "BTC-USD", "65000", "-1", "99999999999999999999", ""]),
        ), 0..24),
    ) {
        let mut rig = ready();
        let mut text = format!("35={kind}|");
        for (tag, value) in fields {
            text += &format!("{tag}={value}|");
        }
        let _ = rig.fix(LINK_PUBLIC, 1, &text);
        let mut lane = Lane::new(&rig.registry);
        let followed = hear(&mut rig, &mut lane, &whole(100, true, &[(1, 0, 65_000, 1)]));
        prop_assert!(followed.is_ok() || lane.reconnects > 0, "{text}");
    }
}
