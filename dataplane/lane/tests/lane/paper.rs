//! The paper desk alone: the market is told by hand, and what the engine makes of the answers is read off it.

use crate::engine::{ID, Memory, VENUE, instrument, setup, whole};
use dp_lane::{Action, Desk as _, Engine, Fact, Paper, Wall};
use dp_paper::{Delay, Fees, QueueModel};
use dp_risk::Limits;
use dp_strategy::{Intents, Strategy, View};
use dp_types::{
    BookMsg, BookMsgKind, ClientOrderId, Epoch, FillReport, LaneId, Liquidity, Now, OrderId,
    OrderKind, OrderState, Price, Qty, RawLevel, Side, StrategyId, Tif, TradeId, TradeMsg, Tsc,
    UnixNanos, VenueNanos,
};
use dp_venue_api::{Event, Registry};

const MS: u64 = 1_000_000;

/// Keeps one bid of 3 at 100.
struct Bidder;

impl Strategy for Bidder {
    fn name(&self) -> &'static str {
        "bidder"
    }

    fn on_book(&mut self, view: &View<'_>, out: &mut Intents) {
        if view.can_trade && view.live.is_empty() {
            out.new_order(Side::Buy, OrderKind::PostOnly, Tif::Gtc, Price(100), Qty(3));
        }
    }
}

struct Rig<'r> {
    desk: Paper<'r>,
    now: u64,
    book: i64,
}

impl<'r> Rig<'r> {
    /// Requests and answers take 2 ms each; nothing is known yet.
    fn new(memory: &'r Memory) -> Self {
        let (region, epoch, now) = (&memory.region, Epoch(1), 1_000_000 * MS);
        region.begin_run(epoch, 1_000_000_000, UnixNanos(now));
        region.lease().hold_always(epoch);
        let writer = region.lane_writer(LaneId(0)).unwrap();
        let setup = setup(epoch, &[instrument()]);
        let engine = Engine::new(Wall::new(region, writer, LaneId(0), epoch), setup);
        let exchange = dp_paper::Setup {
            feed: Delay::constant(0),
            order: Delay::constant(2 * MS),
            answer: Delay::constant(2 * MS),
            queue: QueueModel::Behind,
            fees: Fees::default(),
            seed: 1,
            ids_above: 7,
        };
        let known = |_: &Registry, engine: &mut Engine<'r>, _| {
            let limits = Limits {
                order_qty_max: Qty(10),
                position_max: Qty(10),
            };
            engine.set_limits(ID, Some(limits));
            engine.seat(StrategyId(0), &[ID], Box::new(Bidder));
        };
        let desk = Paper::new(LaneId(0), engine, Box::new(known), vec![(VENUE, exchange)]);
        Self {
            desk,
            now,
            book: 10,
        }
    }

    fn at(&self) -> Now {
        Now {
            unix: UnixNanos(self.now),
            tsc: Tsc(0),
        }
    }

    /// A turn `ms` later.
    fn pass(&mut self, ms: u64) {
        self.now += ms * MS;
        let now = self.at();
        self.desk.begin(now);
        self.desk.on_deadline(now);
        while self.desk.next_action().is_some() {}
    }

    fn know(&mut self) {
        let mut registry = Registry::new();
        let bare = instrument();
        let symbol = bare.symbol.as_str();
        let id = registry.register(VENUE, symbol, 0, 0).unwrap();
        registry.update(dp_types::Instrument { id, ..bare });
        self.pass(0);
        self.desk.instruments_known(&registry, VENUE);
        self.pass(1);
    }

    /// A whole book: 5 at 100, 5 at 102.
    fn book(&mut self) {
        self.depth(BookMsgKind::Snapshot);
        while self.desk.next_action().is_some() {}
    }

    fn depth(&mut self, kind: BookMsgKind) {
        self.book += 1;
        let level = |price| RawLevel {
            price: whole(price),
            qty: whole(5),
        };
        let (bids, asks) = ([level(100)], [level(102)]);
        let event = Event::Book(BookMsg {
            instrument: ID,
            kind,
            first_id: self.book,
            last_id: self.book,
            prev_id: -1,
            checksum: None,
            bids: &bids,
            asks: &asks,
            venue_ns: VenueNanos(0),
        });
        assert!(self.desk.event(0, &event, self.at(), Tsc(0)));
    }

    /// Somebody sold at 100.
    fn sold(&mut self, feed: u8, qty: i64) {
        let event = Event::Trade(TradeMsg {
            instrument: ID,
            trade_id: TradeId(1),
            price: whole(100),
            qty: whole(qty),
            taker: Side::Sell,
            venue_ns: VenueNanos(0),
        });
        self.desk.event(feed, &event, self.at(), Tsc(0));
    }

    fn states(&self) -> Vec<OrderState> {
        let orders = self.desk.engine().oms().all_held();
        orders.map(|order| order.state).collect()
    }

    fn filled(&self) -> Vec<i64> {
        let orders = self.desk.engine().oms().all_held();
        orders.map(|order| order.filled.0).collect()
    }
}

#[test]
fn the_engine_hears_login_ack_and_fills_as_of_a_venue() {
    let memory = Memory::new();
    let mut rig = Rig::new(&memory);
    rig.know();
    assert!(rig.desk.engine().venue(VENUE).unwrap().is_reconciled);
    rig.book();
    assert_eq!(
        (rig.states(), rig.desk.resting()),
        (vec![OrderState::Pending], 0)
    );
    rig.pass(2);
    assert_eq!(
        (rig.states(), rig.desk.resting()),
        (vec![OrderState::Pending], 1)
    );
    rig.pass(2);
    assert_eq!(rig.states(), [OrderState::Ack]);
    // 5 are before us; a copy of the trade by another feed is no other trade.
    rig.sold(0, 6);
    rig.sold(1, 6);
    rig.pass(2);
    assert_eq!(
        (rig.states(), rig.filled()),
        (vec![OrderState::PartiallyFilled], vec![1])
    );
    // What rests is what the venue lists: a comparison finds nothing amiss.
    rig.desk.engine_mut().on_private_fault(VENUE);
    rig.pass(1_100);
    assert!(rig.desk.engine().venue(VENUE).unwrap().is_reconciled);
    assert_eq!(rig.states(), [OrderState::PartiallyFilled]);
}

#[test]
fn a_killed_node_sends_nothing_on_paper_either_and_clears_what_rests() {
    let memory = Memory::new();
    let mut rig = Rig::new(&memory);
    rig.know();
    rig.book();
    rig.pass(4);
    assert_eq!(rig.desk.resting(), 1);
    memory.region.kill().kill("t", "test", UnixNanos(rig.now));
    rig.pass(1);
    rig.pass(4);
    assert_eq!((rig.desk.resting(), rig.desk.open_orders()), (0, 0));
    rig.book();
    rig.pass(4);
    assert_eq!((rig.desk.resting(), rig.desk.open_orders()), (0, 0));
}

#[test]
fn a_book_that_lost_its_place_takes_no_order() {
    let memory = Memory::new();
    let mut rig = Rig::new(&memory);
    rig.know();
    rig.book();
    let now = rig.at();
    rig.desk.fact(VENUE, Fact::FeedLost(0), now);
    rig.pass(4);
    // Refused there, and the engine knows it.
    assert_eq!((rig.desk.resting(), rig.desk.open_orders()), (0, 0));
}

/// A session of the venue that speaks of orders speaks of somebody else's.
#[test]
fn what_the_venue_says_of_orders_is_not_ours() {
    let memory = Memory::new();
    let mut rig = Rig::new(&memory);
    rig.know();
    rig.book();
    rig.pass(4);
    let id = rig.desk.engine().oms().all_held().next().unwrap().client_id;
    let fill = FillReport {
        instrument: ID,
        client_id: Some(ClientOrderId(id.0)),
        order_id: OrderId(1),
        trade_id: TradeId(99),
        side: Side::Buy,
        price: whole(100),
        qty: whole(3),
        cum: None,
        fee: whole(0),
        fee_asset: instrument().quote,
        liquidity: Liquidity::Maker,
        venue_ns: VenueNanos(0),
    };
    let now = rig.at();
    rig.desk.event(0, &Event::Fill(fill), now, Tsc(0));
    rig.desk.fact(VENUE, Fact::OrdersLost, now);
    assert_eq!(
        (rig.states(), rig.filled()),
        (vec![OrderState::Ack], vec![0])
    );
}

#[test]
fn what_only_the_feed_can_do_is_handed_on() {
    let memory = Memory::new();
    let mut rig = Rig::new(&memory);
    rig.know();
    // A change of a book nobody has told yet.
    rig.depth(BookMsgKind::Delta);
    assert!(matches!(
        rig.desk.next_action(),
        Some(Action::Snapshot(ID, 0))
    ));
    assert!(rig.desk.next_action().is_none());
}
