//! Arbitrage through the engine with its gate, one instrument at each of three venues: whatever venues and gate make of the
//! orders, what one leg got more than the other is hedged, within the bound, and what a pair made is on record.

use crate::engine::{Memory, SECOND, fill, instrument, report, setup, whole};
use dp_journal::{Entry, Reader};
use dp_lane::{Action, Engine, Wall};
use dp_risk::Limits;
use dp_shm::Region;
use dp_shm::layout::Shape;
use dp_strategy::{Arbitrage, ArbitrageParams};
use dp_types::{
    BookMsg, BookMsgKind, Epoch, FillReport, Instrument, InstrumentId, LaneId, NewOrder, Notional,
    Now, OrderReport, OrderState, Price, Qty, RawLevel, RejectReason, Side, StrategyId, Text, Tsc,
    UnixNanos, VenueId, VenueNanos,
};
use dp_venue_api::Event;

const ONE: i128 = 1_000_000_000_000;
const MS: u64 = 1_000_000;
const VENUES: [VenueId; 3] = [VenueId::OKX, VenueId::BINANCE, VenueId::BYBIT];
/// How far hedges may go: half the collar.
const PARAMS: ArbitrageParams = ArbitrageParams {
    order_qty: Qty(1),
    position_max: Qty(5),
    edge_ppm: 200,
    fee_ppm: [500; 4],
    hedge_ppm: 500,
    hedge_max_ppm: 5_000,
    hedge_after_ns: 3 * SECOND,
    pause_ns: 100 * MS,
};
/// Room in the journal for all that is refused: nobody drains it.
fn memory() -> Memory {
    let dir = tempfile::tempdir().unwrap();
    let shape = Shape::new(1, 4, 4_096, 256);
    let (region, _) = Region::open_or_create(&dir.path().join("shm"), &shape).unwrap();
    Memory { region, _dir: dir }
}

/// What an order that hedges may be from the best price at most.
const REACH: i64 = 100_010 * 5_000 / 1_000_000;

fn instruments() -> [Instrument; 3] {
    [0u32, 1, 2].map(|at| Instrument {
        id: InstrumentId(at),
        venue: VENUES[at as usize],
        symbol: Text::new("BTC-USDT").unwrap(),
        ..instrument()
    })
}

/// The engine, its clock, the books' best prices and the orders that left.
struct Trio<'r> {
    region: &'r Region,
    engine: Engine<'r>,
    ns: u64,
    book_id: i64,
    best: [(i64, i64); 3],
    trades: u128,
}

impl<'r> Trio<'r> {
    /// All venues at 100000 to 100010; so much is held at the first.
    fn new(region: &'r Region, held: i64, params: ArbitrageParams, collar_bps: u32) -> Self {
        let (epoch, ns) = (Epoch(1), 1_000 * SECOND);
        region.begin_run(epoch, SECOND, UnixNanos(ns));
        region.lease().hold_always(epoch);
        let writer = region.lane_writer(LaneId(0)).unwrap();
        let mut setup = setup(epoch, &instruments());
        setup.limits.collar_bps = collar_bps;
        let wall = Wall::new(region, writer, LaneId(0), epoch);
        let mut trio = Self {
            region,
            engine: Engine::new(wall, setup),
            ns,
            book_id: 0,
            best: [(100_000, 100_010); 3],
            trades: 0,
        };
        let mut recovered = dp_journal::Recovered::default();
        let state = dp_shm::PositionState {
            qty: Qty(held),
            cost: Notional(i128::from(held) * 100_000 * ONE),
            fills: 1,
            ..Default::default()
        };
        if held != 0 {
            let part = (InstrumentId(0), StrategyId(0));
            recovered.parts.insert(part, state);
        }
        trio.engine.recover(&recovered, trio.at());
        for it in instruments() {
            trio.engine.set_instruments(it.venue, &[it]);
            let limits = Limits {
                order_qty_max: Qty(10),
                position_max: Qty(10),
            };
            trio.engine.set_limits(it.id, Some(limits));
        }
        let ids = instruments().map(|it| it.id);
        let arbitrage = Box::new(Arbitrage::new(params));
        trio.engine.seat(StrategyId(0), &ids, arbitrage);
        trio.engine.read_words(trio.at());
        trio.books();
        for venue in VENUES {
            trio.comes_up(venue);
        }
        trio
    }

    fn at(&self) -> Now {
        Now {
            unix: UnixNanos(self.ns),
            tsc: Tsc(0),
        }
    }

    fn comes_up(&mut self, venue: VenueId) {
        let now = self.at();
        self.engine.on_logged_in(venue, now);
        self.engine.on_reconcile_started(venue, now);
        self.engine.on_reconciled(venue, now);
    }

    /// A tenth of a second, and a message of each book. Returns the orders that left.
    fn pass(&mut self) -> Vec<NewOrder> {
        self.ns += SECOND / 10;
        self.engine.read_words(self.at());
        self.engine.on_tick(self.at());
        self.books();
        self.news()
    }

    fn books(&mut self) {
        self.book_id += 1;
        for (at, (bid, ask)) in self.best.into_iter().enumerate() {
            let level = |price| RawLevel {
                price: whole(price),
                qty: whole(5),
            };
            let (bids, asks) = ([level(bid)], [level(ask)]);
            let book = BookMsg {
                instrument: InstrumentId(at as u32),
                kind: BookMsgKind::Snapshot,
                first_id: self.book_id,
                last_id: self.book_id,
                prev_id: -1,
                checksum: None,
                bids: &bids,
                asks: &asks,
                venue_ns: VenueNanos(0),
            };
            self.hear(&Event::Book(book));
        }
    }

    fn hear(&mut self, event: &Event<'_>) {
        self.engine.on_event(event, self.at(), Tsc(0));
    }

    /// Orders that left since last asked, each with the transport.
    fn news(&mut self) -> Vec<NewOrder> {
        let mut news = Vec::new();
        while let Some(action) = self.engine.next_action() {
            if let Action::New(order) = action {
                news.push(*order);
            }
        }
        let now = self.at();
        for order in &news {
            self.engine.on_new_sent(order.client_id, now);
        }
        news
    }

    fn refuse(&mut self, order: &NewOrder) {
        self.hear(&Event::Order(OrderReport {
            instrument: order.instrument,
            side: Some(order.side),
            reason: RejectReason::InsufficientFunds,
            cum: None,
            ..report(order.client_id, OrderState::Rejected, 0)
        }));
    }

    fn fill(&mut self, order: &NewOrder, price: i64) {
        self.trades += 1;
        self.hear(&Event::Fill(FillReport {
            instrument: order.instrument,
            side: order.side,
            price: whole(price),
            qty: whole(order.qty.0),
            ..fill(order.client_id, self.trades, Some(order.qty.0))
        }));
    }

    /// What is held of all three together.
    fn net(&self) -> i64 {
        let held = |it: Instrument| self.region.position(it.id).unwrap().read();
        let sum: i64 = instruments()
            .into_iter()
            .filter_map(held)
            .map(|it| it.qty.0)
            .sum();
        sum
    }
}

/// An order to sell one that stays within the bound, on one of these.
fn is_hedge(order: &NewOrder, venues: &[u32]) -> bool {
    let is_near = order.price >= Price(100_000 - REACH) && order.price <= Price(100_000);
    let is_there = venues.contains(&order.instrument.0);
    order.side == Side::Sell && order.qty == Qty(1) && is_near && is_there
}

#[test]
fn a_venue_that_always_refuses_is_passed_over_and_another_hedges() {
    let memory = memory();
    let mut trio = Trio::new(&memory.region, 1, PARAMS, 100);
    // The best to sell at, and it never has the funds.
    trio.best[0] = (100_009, 100_010);
    let mut asked = Vec::new();
    for _ in 0..10 {
        let mut news = trio.pass();
        while let Some(order) = news.pop() {
            asked.push(order.instrument.0);
            if order.instrument == InstrumentId(0) {
                trio.refuse(&order);
                news.extend(trio.news());
            } else {
                assert!(is_hedge(&order, &[1, 2]), "{order:?}");
                trio.fill(&order, 100_000);
            }
        }
    }
    assert_eq!((asked, trio.net()), (vec![0, 1], 0));
}

#[test]
fn all_refuse_for_half_a_minute_and_it_is_hedged_within_a_second_of_the_end() {
    let memory = memory();
    let mut trio = Trio::new(&memory.region, 1, PARAMS, 100);
    let (mut orders, mut quiet, mut quiet_max) = (0, 0, 0);
    for _ in 0..300 {
        let mut news = trio.pass();
        quiet = if news.is_empty() { quiet + 1 } else { 0 };
        quiet_max = quiet_max.max(quiet);
        while let Some(order) = news.pop() {
            assert!(is_hedge(&order, &[0, 1, 2]), "{order:?}");
            orders += 1;
            trio.refuse(&order);
            news.extend(trio.news());
        }
    }
    assert!(orders < 120 && quiet_max < 11, "{orders}, {quiet_max}");
    for _ in 0..11 {
        for order in trio.pass() {
            trio.fill(&order, 100_000);
        }
    }
    assert_eq!(trio.net(), 0);
    assert!(trio.pass().is_empty(), "and nothing more");
}

#[test]
fn prices_the_collar_refuses_come_nearer_until_one_leaves() {
    let memory = memory();
    let params = ArbitrageParams {
        hedge_ppm: 5_000,
        ..PARAMS
    };
    // A collar of a tenth of what the orders may reach.
    let mut trio = Trio::new(&memory.region, 1, params, 5);
    let mut left = Vec::new();
    for _ in 0..20 {
        left.extend(trio.pass());
    }
    let [order] = left[..] else {
        panic!("{left:?}");
    };
    assert!(order.price >= Price(100_005 - 50), "{order:?}");
    trio.fill(&order, 100_000);
    assert_eq!(trio.net(), 0);
}

/// Bought at the first venue; the second, where it was to be sold, is gone with the order.
fn half_a_pair(trio: &mut Trio<'_>) -> NewOrder {
    trio.best[1] = (100_500, 100_510);
    let news = trio.pass();
    let [bought, sold] = news[..] else {
        panic!("{news:?}");
    };
    assert_eq!((bought.side, sold.instrument), (Side::Buy, InstrumentId(1)));
    trio.fill(&bought, 100_010);
    let now = trio.at();
    trio.engine.on_orders_lost(VENUES[1], now);
    assert!(trio.news().is_empty());
    trio.best[1] = (100_000, 100_010);
    sold
}

#[test]
fn a_filled_leg_is_hedged_elsewhere_while_the_other_s_venue_is_away_and_too_much_is_flattened() {
    for is_filled in [false, true] {
        let memory = memory();
        let mut trio = Trio::new(&memory.region, 0, PARAMS, 100);
        let lost = half_a_pair(&mut trio);
        let gone = trio.ns;
        let mut hedges = Vec::new();
        for _ in 0..100 {
            for order in trio.pass() {
                assert!(is_hedge(&order, &[0, 2]), "{order:?}");
                hedges.push(trio.ns - gone);
                trio.fill(&order, 100_000);
            }
            assert!(trio.net().abs() <= 1);
        }
        assert!(
            matches!(hedges[..], [after] if (3 * SECOND..4 * SECOND).contains(&after)),
            "{hedges:?}"
        );
        assert_eq!(trio.net(), 0, "as far as is known");
        // Back: what became of the order is told.
        trio.comes_up(VENUES[1]);
        if is_filled {
            trio.fill(&lost, 100_500);
            assert_eq!(trio.net(), -1);
        } else {
            trio.hear(&Event::Order(OrderReport {
                instrument: lost.instrument,
                side: Some(lost.side),
                ..report(lost.client_id, OrderState::Expired, 0)
            }));
        }
        let mut flattened = 0;
        let mut news = trio.news();
        for _ in 0..20 {
            news.extend(trio.pass());
            for order in news.drain(..) {
                assert_eq!((order.side, order.qty), (Side::Buy, Qty(1)));
                flattened += 1;
                trio.fill(&order, 100_010);
            }
        }
        assert_eq!((flattened, trio.net()), (u32::from(is_filled), 0));
    }
}

#[test]
fn what_a_pair_made_is_journaled_and_in_the_strategy_s_line() {
    let memory = memory();
    let mut trio = Trio::new(&memory.region, 0, PARAMS, 100);
    trio.best[1] = (100_500, 100_510);
    let news = trio.pass();
    trio.best[1] = (100_000, 100_010);
    assert!(trio.pass().is_empty(), "while both are open");
    for (order, price) in news.iter().zip([100_010, 100_500]) {
        trio.fill(order, price);
    }
    for _ in 0..20 {
        assert!(trio.pass().is_empty());
    }
    let log = memory.region.lane(LaneId(0)).unwrap().journal;
    let told: Vec<_> = Reader::from_oldest(log)
        .filter_map(|item| match item {
            dp_journal::ReadItem::Record(record) => match record.entry {
                Entry::Pair(pair) => Some(pair.result),
                _ => None,
            },
            _ => None,
        })
        .collect();
    let [pair] = told[..] else {
        panic!("{told:?}");
    };
    assert_eq!(pair.base, ONE);
    assert_eq!(
        [pair.bought_at, pair.sold_at, pair.fees, pair.net].map(|it| it.0 / ONE),
        [100_010, 100_500, 0, 490]
    );
    assert_eq!((pair.hedges, pair.fees_unknown), (0, 0));
    let line = memory.region.strategy(StrategyId(0)).unwrap();
    let status = line.read().unwrap();
    assert_eq!((status.pairs, status.pairs_net), (1, Notional(490 * ONE)));
}
