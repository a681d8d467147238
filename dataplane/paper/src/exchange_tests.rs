use super::*;
use dp_types::{Epoch, LaneId, Level, Text, VenueId};
use proptest::prelude::*;

/// How an order stands: state, done, reason.
type Stand = (OrderState, i64, RejectReason);
/// A fill: price, quantity, whether we rested.
type Part = (i64, i64, bool);

const ID: InstrumentId = InstrumentId(0);
const MS: u64 = 1_000_000;

/// A book, an exchange and a clock.
struct Rig {
    exchange: Exchange,
    book: Book,
    now: UnixNanos,
    next: u32,
}

fn setup(order_ns: u64, answer_ns: u64) -> Setup {
    Setup {
        feed: Delay::constant(0),
        order: Delay::constant(order_ns),
        answer: Delay::constant(answer_ns),
        queue: QueueModel::Proportional,
        fees: Fees {
            maker_ppm: -100,
            taker_ppm: 500,
        },
        seed: 1,
        ids_above: 0,
    }
}

impl Rig {
    fn new(setup: Setup, levels: &[(Side, i64, i64)]) -> Self {
        let mut exchange = Exchange::new(setup, 1);
        let bare = Instrument::bare(ID, VenueId::BINANCE, Text::EMPTY, 0, 0);
        exchange.set_instrument(&Instrument {
            is_live: true,
            ..bare
        });
        let mut rig = Self {
            exchange,
            book: Book::new(16),
            now: UnixNanos(0),
            next: 1,
        };
        for (side, price, qty) in levels {
            rig.level(*side, *price, *qty);
        }
        rig
    }

    fn level(&mut self, side: Side, price: i64, qty: i64) {
        let level = Level {
            price: Price(price),
            qty: Qty(qty),
            ..Level::default()
        };
        self.book.apply_level(side, &level);
        self.exchange.on_book(ID, &self.book, self.now);
    }

    fn trade(&mut self, taker: Side, price: i64, qty: i64) {
        self.exchange
            .on_trade(ID, Price(price), Qty(qty), taker, self.now);
    }

    fn after(&mut self, ns: u64) {
        self.now = self.now.after(ns);
        let book = &self.book;
        self.exchange.advance(self.now, |_| Some(book));
    }

    fn order(
        &mut self,
        side: Side,
        kind: OrderKind,
        tif: Tif,
        price: i64,
        qty: i64,
    ) -> ClientOrderId {
        let client_id = ClientOrderId::new(Epoch(1), LaneId(0), self.next).unwrap();
        self.next += 1;
        let order = NewOrder {
            instrument: ID,
            client_id,
            side,
            kind,
            tif,
            price: Price(price),
            qty: Qty(qty),
        };
        self.exchange.request(Request::New(order), self.now);
        client_id
    }

    fn limit(&mut self, side: Side, price: i64, qty: i64) -> ClientOrderId {
        self.order(side, OrderKind::Limit, Tif::Gtc, price, qty)
    }

    /// What has come back.
    fn told(&mut self) -> (Vec<Stand>, Vec<Part>) {
        let (mut states, mut fills) = (Vec::new(), Vec::new());
        while let Some(answer) = self.exchange.answer(self.now) {
            match answer {
                Answer::Order(it) => {
                    let done = it.cum.map_or(0, |cum| cum.mantissa);
                    states.push((it.state, done, it.reason));
                }
                Answer::Fill(it) => {
                    let is_maker = it.liquidity == Liquidity::Maker;
                    fills.push((it.price.mantissa, it.qty.mantissa, is_maker));
                }
                Answer::Ack(it) => states.push((OrderState::Unknown, -1, it.reason)),
            }
        }
        (states, fills)
    }
}

const BOOK: [(Side, i64, i64); 4] = [
    (Side::Buy, 99, 10),
    (Side::Buy, 100, 10),
    (Side::Sell, 101, 5),
    (Side::Sell, 102, 7),
];
const NONE: RejectReason = RejectReason::None;

#[test]
fn a_request_and_its_answer_take_their_time() {
    let mut rig = Rig::new(setup(3 * MS, 2 * MS), &BOOK);
    rig.limit(Side::Buy, 100, 1);
    rig.after(3 * MS - 1);
    assert_eq!(rig.exchange.open_orders(), 0);
    rig.after(1);
    assert_eq!(rig.exchange.open_orders(), 1);
    assert_eq!(rig.exchange.next_due(), Some(UnixNanos(5 * MS)));
    rig.after(2 * MS - 1);
    assert_eq!(rig.told(), (vec![], vec![]));
    rig.after(1);
    assert_eq!(rig.told().0, [(OrderState::Ack, 0, NONE)]);
}

/// A venue whose market data takes 2 ms: an order is there 1 ms after it left, its answer back 3 ms later.
#[test]
fn what_is_heard_late_is_met_late() {
    let mut setup = setup(MS, 3 * MS);
    setup.feed = Delay::constant(2 * MS);
    let mut rig = Rig::new(setup, &BOOK);
    rig.limit(Side::Buy, 100, 1);
    rig.after(3 * MS - 1);
    assert_eq!(rig.exchange.open_orders(), 0);
    rig.after(1);
    assert_eq!(rig.exchange.open_orders(), 1, "on the book heard at 3 ms");
    assert_eq!(rig.exchange.next_due(), Some(UnixNanos(4 * MS)));
    let listed: Vec<_> = rig
        .exchange
        .list(rig.now)
        .map(|order| order.state)
        .collect();
    assert_eq!(listed, [OrderState::Ack]);
}

#[test]
fn an_order_waits_for_what_was_there_before_it() {
    let mut rig = Rig::new(setup(0, 0), &BOOK);
    rig.limit(Side::Buy, 100, 4);
    rig.after(0);
    rig.trade(Side::Sell, 100, 10);
    assert_eq!(rig.told().1, [], "all of it went to those before us");
    rig.trade(Side::Sell, 100, 3);
    rig.trade(Side::Buy, 100, 9);
    rig.trade(Side::Sell, 101, 9);
    let (states, fills) = rig.told();
    assert_eq!(fills, [(100, 3, true)], "only what hit our price");
    assert_eq!(states, [(OrderState::PartiallyFilled, 3, NONE)]);
    rig.trade(Side::Sell, 99, 1);
    assert_eq!(rig.told().1, [(100, 1, true)], "traded through us");
    assert_eq!(rig.exchange.open_orders(), 0);
}

#[test]
fn one_trade_serves_two_of_our_orders_once() {
    let mut rig = Rig::new(setup(0, 0), &BOOK);
    rig.limit(Side::Buy, 100, 2);
    rig.limit(Side::Buy, 100, 5);
    rig.after(0);
    rig.trade(Side::Sell, 100, 14);
    assert_eq!(
        rig.told().1,
        [(100, 2, true), (100, 2, true)],
        "10 were before us"
    );
}

#[test]
fn a_market_that_quotes_through_us_has_filled_us() {
    let mut rig = Rig::new(setup(0, 0), &BOOK);
    rig.limit(Side::Buy, 100, 4);
    rig.after(0);
    rig.level(Side::Buy, 100, 0);
    assert_eq!(rig.told().1, []);
    rig.level(Side::Sell, 100, 3);
    assert_eq!(rig.told().1, [(100, 4, true)]);
}

#[test]
fn an_order_that_takes_pays_each_level_and_leaves_less_behind() {
    let mut rig = Rig::new(setup(0, 0), &BOOK);
    rig.limit(Side::Buy, 101, 3);
    rig.after(0);
    assert_eq!(rig.told().1, [(101, 3, false)]);
    rig.limit(Side::Buy, 102, 20);
    rig.after(0);
    let (states, fills) = rig.told();
    assert_eq!(
        fills,
        [(101, 2, false), (102, 7, false)],
        "3 are gone by our own hand"
    );
    assert_eq!(
        states.last(),
        Some(&(OrderState::PartiallyFilled, 9, NONE)),
        "the rest rests"
    );
    assert_eq!(rig.exchange.open_orders(), 1);
    // A level told anew is there again; ours rests at 102, so it is met.
    rig.level(Side::Sell, 101, 6);
    assert_eq!(rig.told().1, [(102, 11, true)]);
}

#[test]
fn immediate_orders_take_what_is_there_or_nothing() {
    let mut rig = Rig::new(setup(0, 0), &BOOK);
    rig.order(Side::Buy, OrderKind::Limit, Tif::Fok, 101, 6);
    rig.order(Side::Buy, OrderKind::Limit, Tif::Ioc, 101, 6);
    rig.order(Side::Sell, OrderKind::Market, Tif::Ioc, 0, 25);
    rig.after(0);
    let (states, fills) = rig.told();
    assert_eq!(fills, [(101, 5, false), (100, 10, false), (99, 10, false)]);
    let ends: Vec<_> = states
        .iter()
        .filter(|it| it.0 == OrderState::Cancelled)
        .collect();
    let want = [0, 5, 20].map(|done| (OrderState::Cancelled, done, NONE));
    assert_eq!(ends, want.each_ref());
}

#[test]
fn what_the_venue_would_refuse_is_refused() {
    let mut rig = Rig::new(setup(0, 0), &BOOK);
    rig.order(Side::Buy, OrderKind::PostOnly, Tif::Gtc, 101, 1);
    rig.limit(Side::Buy, 0, 1);
    rig.after(0);
    let reasons: Vec<_> = rig.told().0.iter().map(|it| (it.0, it.2)).collect();
    let want = [RejectReason::PostOnlyCross, RejectReason::Invalid];
    assert_eq!(reasons, want.map(|reason| (OrderState::Rejected, reason)));
    let nobody = CancelOrder {
        instrument: ID,
        client_id: ClientOrderId(9),
        order_id: OrderId(0),
    };
    rig.exchange.request(Request::Cancel(nobody), rig.now);
    rig.exchange.request(Request::Query(nobody), rig.now);
    rig.after(0);
    let unknown = RejectReason::UnknownOrder;
    let want = [
        (OrderState::Unknown, -1, unknown),
        (OrderState::Rejected, 0, unknown),
    ];
    assert_eq!(rig.told().0, want);
}

#[test]
fn an_amend_loses_its_place_unless_it_only_shrinks() {
    let amend = |rig: &mut Rig, id, price: Option<i64>, qty: Option<i64>| {
        let request = Request::Amend(AmendOrder {
            instrument: ID,
            client_id: id,
            order_id: OrderId(0),
            price: price.map(Price),
            qty: qty.map(Qty),
        });
        rig.exchange.request(request, rig.now);
        rig.after(0);
    };
    let mut rig = Rig::new(setup(0, 0), &BOOK);
    let id = rig.limit(Side::Buy, 100, 4);
    rig.after(0);
    rig.trade(Side::Sell, 100, 9);
    rig.level(Side::Buy, 100, 51);
    amend(&mut rig, id, None, Some(2));
    rig.told();
    rig.trade(Side::Sell, 100, 2);
    assert_eq!(rig.told().1, [(100, 1, true)], "one was still before us");
    amend(&mut rig, id, None, Some(5));
    rig.trade(Side::Sell, 100, 40);
    assert_eq!(rig.told().1, [], "behind 51 again");
    amend(&mut rig, id, Some(101), None);
    assert_eq!(rig.told().1, [(101, 4, false)]);
    assert_eq!(rig.exchange.open_orders(), 0);
}

#[test]
fn fees_are_rounded_to_our_harm() {
    let it = Instrument::bare(ID, VenueId::BINANCE, Text::EMPTY, 2, 5);
    let fee = |rate| fee(&it, Price(6_500_001), 1, rate);
    // 65000.01 x 0.00001 = 0.6500001; 500 ppm of it 0.00032500005.
    assert_eq!(
        fee(500),
        Decimal {
            mantissa: 325_000_050,
            exponent: -12
        }
    );
    assert_eq!(
        fee(-100),
        Decimal {
            mantissa: -65_000_010,
            exponent: -12
        }
    );
    assert_eq!(fee(0).mantissa, 0);
}

proptest! {
    /// Whatever happens: no order gets more than it asked for, what it got is what its reports say, and each ends once.
    #[test]
    fn no_order_gets_more_than_it_asked_for(
        steps in proptest::collection::vec((0u8..6, any::<bool>(), 90i64..110, 1i64..20, 0u64..3), 1..120),
        delay in 0u64..4
    ) {
        let mut rig = Rig::new(setup(delay, delay), &BOOK);
        let mut asked = std::collections::HashMap::new();
        let mut got = std::collections::HashMap::<ClientOrderId, i64>::new();
        let mut ended = std::collections::HashSet::new();
        for (what, is_buy, price, qty, later) in steps {
            rig.after(later);
            let side = if is_buy { Side::Buy } else { Side::Sell };
            match what {
                0 => { asked.insert(rig.limit(side, price, qty), qty); }
                1 => { asked.insert(rig.order(side, OrderKind::Limit, Tif::Ioc, price, qty), qty); }
                2 => { asked.insert(rig.order(side, OrderKind::PostOnly, Tif::Gtc, price, qty), qty); }
                3 => rig.level(side, if is_buy { price.min(100) } else { price.max(101) }, qty - 1),
                4 => rig.trade(side, price, qty),
                _ => rig.exchange.request(Request::CancelAll(ID), rig.now),
            }
        }
        rig.after(100);
        rig.exchange.request(Request::CancelAll(ID), rig.now);
        rig.after(100);
        rig.now = rig.now.after(100);
        while let Some(answer) = rig.exchange.answer(rig.now) {
            match answer {
                Answer::Fill(fill) => *got.entry(fill.client_id.unwrap()).or_default() += fill.qty.mantissa,
                Answer::Order(order) => {
                    let id = order.client_id.unwrap();
                    prop_assert!(!ended.contains(&id), "spoken of after its end");
                    let done = got.get(&id).copied().unwrap_or(0);
                    prop_assert_eq!(order.cum.unwrap().mantissa, done);
                    prop_assert!(done <= asked[&id]);
                    prop_assert_eq!(order.state == OrderState::Filled, done == asked[&id]);
                    if order.state.is_final() { ended.insert(id); }
                }
                Answer::Ack(_) => {}
            }
        }
        prop_assert_eq!(ended.len(), asked.len());
        prop_assert_eq!(rig.exchange.open_orders(), 0);
    }
}
