//! Engine, feeds and gateways at the two ends of real rings, turned by hand: what happens when a ring is full,
//! when the other end does not turn, and at the last look before an order leaves.

use dp_journal::{Entry, ReadItem, Reader};
use dp_lane::roles::{EngineLane, EngineParts, Errand, Peer, Remote, RemoteSetup, Rings, Told};
use dp_lane::{Action, Desk, Engine, Fact, Outcome, Setup, Wall};
use dp_risk::{Limits, NodeLimits};
use dp_shm::layout::Shape;
use dp_shm::spsc::{Receiver, Sender};
use dp_shm::{Counter, Region};
use dp_strategy::{Intents, Strategy, View};
use dp_transport::{Clock, Idle};
use dp_types::{
    AssetId, BookMsg, BookMsgKind, ClientOrderId, Decimal, Epoch, Instrument, InstrumentId, LaneId,
    Now, OrderId, OrderKind, OrderReport, OrderState, Price, Qty, RawLevel, RejectReason, Side,
    StrategyId, Text, Tif, Tsc, UnixNanos, VenueId, VenueNanos,
};
use dp_venue_api::{Event, Registry};

const VENUE: VenueId = VenueId::OKX;
const EPOCH: Epoch = Epoch(1);
const ENGINE: LaneId = LaneId(0);
const REMOTE: LaneId = LaneId(1);
const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_000 * SECOND;
const BOOK_AGE_NS: u64 = SECOND / 2;

/// Buys one at 100 whenever it may and has nothing live.
struct Buyer;

impl Strategy for Buyer {
    fn name(&self) -> &'static str {
        "buyer"
    }

    fn on_book(&mut self, view: &View<'_>, out: &mut Intents) {
        if view.can_trade && view.live.is_empty() {
            out.new_order(Side::Buy, OrderKind::PostOnly, Tif::Gtc, Price(100), Qty(1));
        }
    }
}

fn registry() -> (Registry, InstrumentId) {
    let mut registry = Registry::new();
    let id = registry.register(VENUE, "BTC-USDT", 0, 0).unwrap();
    registry.update(Instrument {
        is_live: true,
        tick: Price(1),
        lot: Qty(1),
        base: AssetId(0),
        quote: AssetId(1),
        ..Instrument::bare(id, VENUE, Text::new("BTC-USDT").unwrap(), 0, 0)
    });
    (registry, id)
}

struct Memory {
    region: Region,
    _dir: tempfile::TempDir,
}

impl Memory {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let shape = Shape::new(2, 4, 1 << 10, 1 << 10);
        let (region, _) = Region::open_or_create(&dir.path().join("shm"), &shape).unwrap();
        region.begin_run(EPOCH, SECOND, UnixNanos(START));
        region.lease().hold_always(EPOCH);
        Self { region, _dir: dir }
    }

    fn wall(&self, lane: LaneId) -> Wall<'_> {
        let writer = self.region.lane_writer(lane).unwrap();
        Wall::new(&self.region, writer, lane, EPOCH)
    }

    fn count(&self, lane: LaneId, counter: Counter) -> u64 {
        self.region.lane(lane).unwrap().counters.get(counter)
    }

    fn remote(&self, rings: (Sender<Told>, Receiver<Errand>)) -> Remote<'_> {
        Remote::new(RemoteSetup {
            wall: self.wall(REMOTE),
            epoch: EPOCH,
            rings,
            engine: self.region.lane(ENGINE).unwrap().beat,
            tells: vec![VENUE],
            on_known: Box::new(|_, _| Vec::new()),
        })
    }
}

/// The engine's lane and a remote desk at the other end.
struct Pair<'r> {
    memory: &'r Memory,
    lane: EngineLane<'r>,
    remote: Remote<'r>,
    id: InstrumentId,
    now: u64,
    book_id: i64,
}

impl<'r> Pair<'r> {
    fn new(memory: &'r Memory) -> Self {
        let rings = Rings::on_nodes(None, None).unwrap();
        let (registry, id) = registry();
        let engine = Engine::new(
            memory.wall(ENGINE),
            Setup {
                epoch: EPOCH,
                lane: ENGINE,
                limits: NodeLimits {
                    collar_bps: 1_000,
                    orders_per_s_max: 1_000_000,
                    book_age_ns_max: BOOK_AGE_NS,
                },
                order_window_ns: SECOND,
                venues: vec![VENUE],
                instruments: registry.instruments().to_vec(),
            },
        );
        let lane = EngineLane::new(EngineParts {
            id: ENGINE,
            clock: Clock::calibrate(1),
            registry: registry.clone(),
            engine,
            peers: vec![Peer {
                rings: rings.engine,
                feeds: vec![VENUE],
                gateways: vec![VENUE],
            }],
            idle: Idle::Yield,
            on_instruments: Box::new(move |_, engine, _| {
                let limits = Limits {
                    order_qty_max: Qty(10),
                    position_max: Qty(10),
                };
                engine.set_limits(id, Some(limits));
                engine.seat(StrategyId(0), &[id], Box::new(Buyer));
            }),
        });
        let mut pair = Self {
            memory,
            lane,
            remote: memory.remote(rings.remote),
            id,
            now: START,
            book_id: 10,
        };
        pair.remote.instruments_known(&registry, VENUE);
        for fact in [Fact::LoggedIn, Fact::ReconcileStarted, Fact::Reconciled] {
            pair.remote.fact(VENUE, fact, at(START));
        }
        pair.turn();
        assert!(matches!(
            pair.remote.next_action(),
            Some(Action::Reconcile(VENUE))
        ));
        pair
    }

    fn turn(&mut self) {
        self.lane.turn(at(self.now));
        // The journal's reader keeps up.
        let log = self.memory.region.lane(ENGINE).unwrap().journal;
        log.set_drained(log.head());
    }

    /// A whole book comes in; the engine does not turn.
    fn hear_book(&mut self) {
        self.book_id += 1;
        hear_book(&mut self.remote, self.id, self.book_id, at(self.now));
    }

    fn book(&mut self) {
        self.hear_book();
        self.turn();
    }

    /// The venue takes an order off its book: the next may come.
    fn over(&mut self, id: ClientOrderId) {
        let now = at(self.now);
        self.remote.outcome(Outcome::NewSent(id), now);
        let report = OrderReport {
            instrument: self.id,
            client_id: Some(id),
            order_id: OrderId(77),
            side: Some(Side::Buy),
            state: OrderState::Cancelled,
            reason: RejectReason::None,
            price: None,
            qty: None,
            cum: Some(Decimal::ZERO),
            venue_ns: VenueNanos(1),
        };
        assert!(self.remote.event(0, &Event::Order(report), now, Tsc(0)));
        self.turn();
    }

    /// The one order that lives.
    fn live(&self) -> Option<ClientOrderId> {
        let order = self.lane.engine().oms().live(self.id).next();
        order.map(|order| order.client_id)
    }

    fn count(&self, counter: Counter) -> u64 {
        self.memory.count(ENGINE, counter) + self.memory.count(REMOTE, counter)
    }
}

fn hear_book(remote: &mut Remote<'_>, id: InstrumentId, book_id: i64, now: Now) {
    let (bids, asks) = ([level(100), level(99)], [level(102)]);
    let msg = BookMsg {
        instrument: id,
        kind: BookMsgKind::Snapshot,
        first_id: book_id,
        last_id: book_id,
        prev_id: -1,
        checksum: None,
        bids: &bids,
        asks: &asks,
        venue_ns: VenueNanos(0),
    };
    assert!(remote.event(0, &Event::Book(msg), now, Tsc(0)));
}

const fn at(unix: u64) -> Now {
    Now {
        unix: UnixNanos(unix),
        tsc: Tsc(0),
    }
}

const fn whole(value: i64) -> Decimal {
    Decimal {
        mantissa: value,
        exponent: 0,
    }
}

const fn level(price: i64) -> RawLevel {
    RawLevel {
        price: whole(price),
        qty: whole(5),
    }
}

#[test]
fn an_order_goes_through_with_its_clearance_and_its_intent_first() {
    let memory = Memory::new();
    let mut pair = Pair::new(&memory);
    pair.hear_book();
    assert!(pair.remote.next_action().is_none());
    pair.turn();
    let log = memory.region.lane(ENGINE).unwrap().journal;
    let intents = Reader::from_oldest(log).filter(|item| {
        let ReadItem::Record(record) = item else {
            return false;
        };
        matches!(record.entry, Entry::OrderIntent(_))
    });
    assert_eq!(intents.count(), 1, "before it is out of the ring");
    let Some(Action::New(order)) = pair.remote.next_action() else {
        panic!("no order");
    };
    assert_eq!((order.price, order.qty), (Price(100), Qty(1)));
    assert_eq!(Some(order.client_id), pair.live());
    assert!(pair.remote.may_send(UnixNanos(pair.now)));
}

#[test]
fn the_last_look_is_where_the_order_leaves() {
    let memory = Memory::new();
    let mut pair = Pair::new(&memory);
    pair.book();
    assert!(matches!(pair.remote.next_action(), Some(Action::New(_))));
    let now = UnixNanos(pair.now);
    assert!(pair.remote.may_send(now));
    assert!(pair.remote.may_send(now.after(BOOK_AGE_NS)));
    assert!(
        !pair.remote.may_send(now.after(BOOK_AGE_NS + 1)),
        "it lay in the ring too long"
    );
    memory.region.kill().kill("test", "now", now);
    assert!(!pair.remote.may_send(now), "killed while it lay there");
    memory.region.kill().arm("test", "again", now);
    memory.region.lease().drop_lease();
    assert!(!pair.remote.may_send(now));
}

/// A gateway that does not take: new orders stop at half a ring, and the cancel of the last still finds room.
#[test]
fn a_ring_half_full_refuses_new_orders_and_takes_cancels() {
    let memory = Memory::new();
    let mut pair = Pair::new(&memory);
    let mut sent = 0u64;
    while pair.count(Counter::RingRefusals) == 0 {
        pair.book();
        let Some(id) = pair.live() else { break };
        sent += 1;
        assert!(sent < 20_000, "nothing was refused");
        pair.over(id);
    }
    assert_eq!(pair.count(Counter::RingRefusals), 1);
    assert!(pair.live().is_none(), "a refused order is over");
    let before = sent;
    // Room again: orders again, and the last one rests.
    for _ in 0..10 {
        assert!(matches!(pair.remote.next_action(), Some(Action::New(_))));
    }
    pair.now += SECOND;
    pair.book();
    let resting = pair.live().expect("there is room again");
    pair.remote.outcome(Outcome::NewSent(resting), at(pair.now));
    memory
        .region
        .kill()
        .kill("test", "now", UnixNanos(pair.now));
    pair.now += SECOND;
    pair.turn();
    let mut rest = std::iter::from_fn(|| pair.remote.next_action()).collect::<Vec<_>>();
    let asks = rest.split_off(
        rest.iter()
            .rposition(|it| matches!(it, Action::New(_)))
            .unwrap(),
    );
    assert!(
        asks.iter().any(|it| matches!(it, Action::CancelAll(_))),
        "{asks:?}"
    );
    assert_eq!(
        rest.len() as u64 + 1,
        before - 10 + 1,
        "in order, none twice"
    );
    let mut live = Vec::new();
    pair.remote.live(pair.id, &mut live);
    assert_eq!(
        live.iter().map(|it| it.client_id).collect::<Vec<_>>(),
        [resting]
    );
}

/// An engine that does not take: depth stops at half a ring, and what comes after the hole is told lost first.
#[test]
fn depth_that_finds_no_room_loses_its_book_and_says_so() {
    let memory = Memory::new();
    let mut pair = Pair::new(&memory);
    pair.book();
    assert!(pair.live().is_some());
    while pair.count(Counter::RingLosses) == 0 {
        pair.hear_book();
    }
    pair.hear_book();
    assert_eq!(pair.count(Counter::RingLosses), 2, "each one is counted");
    let books = pair.count(Counter::BookEvents);
    // Private news still have room.
    pair.remote.fact(VENUE, Fact::OrdersLost, at(pair.now));
    while pair.lane.turn(at(pair.now)) > 0 {}
    assert!(pair.count(Counter::BookEvents) > books + 1_000);
    assert!(!pair.lane.engine().venue(VENUE).unwrap().is_logged_in);
    let proof = |pair: &Pair<'_>| {
        let line = pair.memory.region.book(pair.id).unwrap();
        line.read().unwrap().state
    };
    // The next one brings the news that there is a hole, and is whole itself.
    pair.remote.begin(at(pair.now));
    pair.turn();
    assert_eq!(
        proof(&pair),
        dp_shm::BookState::Empty,
        "lost, before anything after it"
    );
    pair.book();
    assert_eq!(proof(&pair), dp_shm::BookState::Synced);
    assert_eq!(pair.count(Counter::RingLosses), 2);
}

#[test]
fn a_gateway_stands_still_with_its_engine() {
    let memory = Memory::new();
    let mut pair = Pair::new(&memory);
    assert!(pair.remote.begin(at(pair.now + SECOND)));
    assert!(
        !pair.remote.begin(at(pair.now + 3 * SECOND)),
        "it does not turn"
    );
    pair.now += 3 * SECOND;
    pair.turn();
    assert!(pair.remote.begin(at(pair.now)));
}

/// Reports have the other half of the ring; a turn that could lose one does not begin.
#[test]
fn nothing_is_read_while_reports_could_be_lost() {
    let memory = Memory::new();
    let mut pair = Pair::new(&memory);
    let now = at(pair.now);
    let mut told = 0;
    while pair.remote.begin(now) {
        pair.remote.fact(VENUE, Fact::PrivateFault, now);
        told += 1;
        assert!(told < 20_000);
    }
    assert!(told > 8_000, "{told}");
    assert_eq!(pair.count(Counter::RingLosses), 0);
    while pair.lane.turn(now) > 0 {}
    assert!(pair.remote.begin(now));
}

#[test]
fn the_last_word_of_the_engine_ends_the_others() {
    let memory = Memory::new();
    let mut pair = Pair::new(&memory);
    pair.book();
    assert!(!pair.remote.is_over());
    drop(pair.lane);
    assert!(pair.remote.is_over());
    assert!(
        matches!(pair.remote.next_action(), Some(Action::New(_))),
        "what it had asked stays"
    );
}
