//! The engine alone: venues, strategy and time are fakes, shared memory is real. What it would send is read
//! off its actions; nothing leaves.

use dp_book::FeedPlan;
use dp_journal::{Entry, Reader};
use dp_lane::{Action, Engine, Setup, Wall};
use dp_risk::{Limits, NodeLimits};
use dp_shm::layout::Shape;
use dp_shm::{Counter, InstrumentLimits, Lock, Region};
use dp_strategy::{Intents, Strategy, View};
use dp_types::{
    AssetId, BookMsg, BookMsgKind, ClientOrderId, Decimal, Epoch, FillReport, Instrument,
    InstrumentId, LaneId, Liquidity, Now, OrderId, OrderKind, OrderReport, OrderState, Price, Qty,
    RawLevel, RejectReason, Side, StrategyId, Text, Tif, TradeId, TradeMsg, Tsc, UnixNanos,
    VenueId, VenueNanos,
};
use dp_venue_api::Event;

pub(crate) const VENUE: VenueId = VenueId::OKX;
pub(crate) const ID: InstrumentId = InstrumentId(0);
pub(crate) const SECOND: u64 = 1_000_000_000;
const WINDOW_NS: u64 = SECOND;

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

pub(crate) fn instrument() -> Instrument {
    Instrument {
        is_live: true,
        tick: Price(1),
        lot: Qty(1),
        base: AssetId(0),
        quote: AssetId(1),
        ..Instrument::bare(ID, VENUE, Text::new("BTC-USDT").unwrap(), 0, 0)
    }
}

pub(crate) struct Memory {
    pub(crate) region: Region,
    pub(crate) _dir: tempfile::TempDir,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self::of_lanes(1)
    }

    pub(crate) fn of_lanes(lanes: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let shape = Shape::new(lanes, 4, 256, 256);
        let (region, _) = Region::open_or_create(&dir.path().join("shm"), &shape).unwrap();
        Self { region, _dir: dir }
    }
}

/// An engine, its clock and what it asked for.
pub(crate) struct Desk<'r> {
    region: &'r Region,
    pub(crate) engine: Engine<'r>,
    now: u64,
    book_id: i64,
    pub(crate) actions: Vec<Action>,
}

/// The first lane's engine as most tests have it, of these instruments and their venues.
pub(crate) fn setup(epoch: Epoch, instruments: &[Instrument]) -> Setup {
    let mut venues: Vec<VenueId> = instruments.iter().map(|it| it.venue).collect();
    venues.dedup();
    Setup {
        epoch,
        lane: LaneId(0),
        limits: NodeLimits {
            collar_bps: 1_000,
            orders_per_s_max: 1_000,
            book_age_ns_max: SECOND / 2,
        },
        order_window_ns: WINDOW_NS,
        venues,
        instruments: instruments.to_vec(),
    }
}

impl<'r> Desk<'r> {
    /// An engine of this epoch that took over what the region tells.
    pub(crate) fn new(region: &'r Region, epoch: u16) -> Self {
        Self::with_feeds(region, epoch, FeedPlan::ONE)
    }

    /// As [`Desk::new`], with so many feeds.
    pub(crate) fn with_feeds(region: &'r Region, epoch: u16, plan: FeedPlan) -> Self {
        let epoch = Epoch(epoch);
        let now = u64::from(epoch.0) * 1_000 * SECOND;
        region.begin_run(epoch, SECOND, UnixNanos(now));
        region.lease().hold_always(epoch);
        let recovered = dp_journal::recover(&[region]);
        let writer = region.lane_writer(LaneId(0)).unwrap();
        let wall = Wall::new(region, writer, LaneId(0), epoch);
        let setup = setup(epoch, &[instrument()]);
        let mut engine = Engine::new(wall, setup);
        let at = Now {
            unix: UnixNanos(now),
            tsc: Tsc(0),
        };
        engine.recover(&recovered, at);
        engine.set_feeds(VENUE, plan);
        engine.set_instruments(VENUE, &[instrument()]);
        let limits = Limits {
            order_qty_max: Qty(10),
            position_max: Qty(10),
        };
        engine.set_limits(ID, Some(limits));
        engine.seat(StrategyId(0), &[ID], Box::new(Buyer));
        Self {
            region,
            engine,
            now,
            book_id: 10,
            actions: Vec::new(),
        }
    }

    pub(crate) fn at(&self) -> Now {
        Now {
            unix: UnixNanos(self.now),
            tsc: Tsc(0),
        }
    }

    pub(crate) fn pass(&mut self, ns: u64) {
        self.now += ns;
        let now = self.at();
        self.engine.read_words(now);
        self.engine.on_tick(now);
        self.drain();
    }

    pub(crate) fn drain(&mut self) {
        while let Some(action) = self.engine.next_action() {
            self.actions.push(action);
        }
    }

    pub(crate) fn hear(&mut self, event: &Event<'_>) {
        self.engine.on_event(event, self.at(), Tsc(0));
        self.drain();
    }

    /// A whole book, sent by the venue at `venue_ns`; 0 = it does not say.
    pub(crate) fn book(&mut self, venue_ns: u64) {
        self.book_at(venue_ns, (100, 102));
    }

    /// As [`Desk::book`], with these best prices.
    pub(crate) fn book_at(&mut self, venue_ns: u64, (bid, ask): (i64, i64)) {
        self.book_id += 1;
        let level = |price| RawLevel {
            price: whole(price),
            qty: whole(5),
        };
        let (bids, asks) = ([level(bid)], [level(ask)]);
        self.hear(&Event::Book(BookMsg {
            instrument: ID,
            kind: BookMsgKind::Snapshot,
            first_id: self.book_id,
            last_id: self.book_id,
            prev_id: -1,
            checksum: None,
            bids: &bids,
            asks: &asks,
            venue_ns: VenueNanos(venue_ns),
        }));
    }

    /// Logged in and compared, with the orders the venue lists.
    pub(crate) fn settle(&mut self, listed: &[OrderReport]) {
        let now = self.at();
        self.engine.read_words(now);
        self.engine.on_logged_in(VENUE, now);
        self.compare(listed);
    }

    pub(crate) fn compare(&mut self, listed: &[OrderReport]) {
        self.engine.on_reconcile_started(VENUE, self.at());
        for report in listed {
            self.hear(&Event::Order(*report));
        }
        let now = self.at();
        self.engine.on_reconciled(VENUE, now);
        self.drain();
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.engine.venue(VENUE).unwrap().is_reconciled
    }

    /// New orders asked for so far.
    pub(crate) fn news(&self) -> Vec<ClientOrderId> {
        let id = |action: &Action| match action {
            Action::New(order) => Some(order.client_id),
            _ => None,
        };
        self.actions.iter().filter_map(id).collect()
    }

    /// The first order, acknowledged by the transport.
    pub(crate) fn first_order(&mut self) -> ClientOrderId {
        self.settle(&[]);
        self.book(0);
        let id = self.news()[0];
        self.engine.on_new_sent(id, self.at());
        id
    }

    pub(crate) fn has(&self, is_it: impl Fn(&Action) -> bool) -> usize {
        self.actions.iter().filter(|action| is_it(action)).count()
    }

    pub(crate) fn count(&self, counter: Counter) -> u64 {
        self.engine.wall.counters.get(counter)
    }

    pub(crate) fn journal(&self) -> Vec<Entry> {
        let log = self.region.lane(LaneId(0)).unwrap().journal;
        let records = Reader::from_oldest(log).filter_map(|item| match item {
            dp_journal::ReadItem::Record(record) => Some(record.entry),
            _ => None,
        });
        records.collect()
    }
}

pub(crate) const fn whole(value: i64) -> Decimal {
    Decimal {
        mantissa: value,
        exponent: 0,
    }
}

pub(crate) fn report(id: ClientOrderId, state: OrderState, cum: i64) -> OrderReport {
    OrderReport {
        instrument: ID,
        client_id: Some(id),
        order_id: OrderId(77),
        side: Some(Side::Buy),
        state,
        reason: RejectReason::None,
        price: None,
        qty: None,
        cum: Some(whole(cum)),
        venue_ns: VenueNanos(1),
    }
}

fn absent(id: ClientOrderId) -> OrderReport {
    OrderReport {
        order_id: OrderId(0),
        reason: RejectReason::UnknownOrder,
        cum: None,
        ..report(id, OrderState::Rejected, 0)
    }
}

pub(crate) fn fill(id: ClientOrderId, trade: u128, cum: Option<i64>) -> FillReport {
    FillReport {
        instrument: ID,
        client_id: Some(id),
        order_id: OrderId(77),
        trade_id: TradeId(trade),
        side: Side::Buy,
        price: whole(100),
        qty: whole(1),
        cum: cum.map(whole),
        fee: Decimal::ZERO,
        fee_asset: AssetId(1),
        liquidity: Liquidity::Maker,
        venue_ns: VenueNanos(1),
    }
}

const fn is_query(action: &Action) -> bool {
    matches!(action, Action::Query(_))
}

pub(crate) const fn is_cancel(action: &Action) -> bool {
    matches!(action, Action::Cancel(_) | Action::CancelAll(_))
}

pub(crate) const fn is_reconcile(action: &Action) -> bool {
    matches!(action, Action::Reconcile(_))
}

#[test]
fn trading_waits_for_the_comparison() {
    let memory = Memory::new();
    let mut desk = Desk::new(&memory.region, 1);
    desk.book(0);
    assert_eq!(desk.news(), []);
    desk.settle(&[]);
    desk.book(0);
    assert_eq!(desk.news().len(), 1);
    let journal = desk.journal();
    let intents = journal
        .iter()
        .filter(|entry| matches!(entry, Entry::OrderIntent(_)));
    assert_eq!(intents.count(), 1);
}

/// The process dies between the journal and the socket: the heir asks for as long as the order could still
/// arrive, and sends nothing meanwhile.
#[test]
fn an_intent_that_may_have_left_is_asked_about_and_never_sent_again() {
    let Memory { region, _dir } = Memory::new();
    let (path, shape) = (region.path().to_owned(), *region.shape());
    let lost = {
        let mut desk = Desk::new(&region, 1);
        desk.settle(&[]);
        desk.book(0);
        desk.news()[0]
    };
    drop(region);
    let (region, _) = Region::open_or_create(&path, &shape).unwrap();
    let mut heir = Desk::new(&region, 2);
    assert_eq!(
        heir.engine.oms().get(lost).unwrap().state,
        OrderState::Unknown
    );
    heir.settle(&[]);
    assert!(!heir.is_settled());
    assert_eq!(heir.has(is_query), 1);
    heir.book(0);
    assert_eq!(heir.news(), [], "nothing before every order has a fate");
    for _ in 0..3 {
        heir.hear(&Event::Order(absent(lost)));
        heir.pass(SECOND);
    }
    assert!(heir.is_settled());
    heir.book(0);
    assert_eq!(heir.news().len(), 1);
    assert_ne!(heir.news()[0], lost);
}

#[test]
fn the_switch_is_looked_at_again_before_each_send() {
    let memory = Memory::new();
    let mut desk = Desk::new(&memory.region, 1);
    desk.settle(&[]);
    assert!(desk.engine.may_send(desk.at().unix));
    memory.region.kill().kill("test", "now", UnixNanos(1));
    assert!(
        !desk.engine.may_send(desk.at().unix),
        "without a turn in between"
    );
    memory.region.kill().arm("test", "again", UnixNanos(2));
    memory.region.lease().drop_lease();
    assert!(!desk.engine.may_send(desk.at().unix));
}

#[test]
fn a_kill_asks_the_venue_what_is_open() {
    let memory = Memory::new();
    let mut desk = Desk::new(&memory.region, 1);
    desk.first_order();
    memory.region.kill().kill("test", "now", UnixNanos(1));
    let before = desk.has(is_reconcile);
    desk.pass(SECOND);
    assert_eq!(desk.has(is_cancel), 1);
    assert_eq!(desk.has(is_reconcile), before + 1);
}

#[test]
fn a_stranger_is_cancelled_until_the_venue_lists_it_no_more() {
    let memory = Memory::new();
    let mut desk = Desk::new(&memory.region, 2);
    let stranger = ClientOrderId::new(Epoch(1), LaneId(0), 7).unwrap();
    desk.settle(&[report(stranger, OrderState::Ack, 0)]);
    assert!(!desk.is_settled());
    assert_eq!(desk.has(is_cancel), 1);
    for _ in 0..2 {
        desk.pass(2 * SECOND);
    }
    assert!(
        desk.has(is_cancel) > 1,
        "the first cancel may have been lost"
    );
    assert!(desk.has(is_reconcile) > 1);
    desk.book(0);
    assert_eq!(desk.news(), []);
    desk.compare(&[]);
    assert!(desk.is_settled());
    desk.book(0);
    assert_eq!(desk.news().len(), 1);
}

#[test]
fn an_order_over_by_one_word_and_listed_by_another_must_go() {
    let memory = Memory::new();
    let mut desk = Desk::new(&memory.region, 1);
    let id = desk.first_order();
    desk.hear(&Event::Order(report(id, OrderState::Cancelled, 0)));
    assert!(desk.engine.is_flat());
    desk.compare(&[report(id, OrderState::Ack, 0)]);
    assert!(!desk.engine.is_flat());
    assert_eq!(desk.has(is_cancel), 1);
    desk.compare(&[]);
    assert!(desk.engine.is_flat());
}

#[test]
fn fills_the_venue_counts_are_asked_for_until_they_are_counted() {
    let memory = Memory::new();
    let mut desk = Desk::new(&memory.region, 1);
    let id = desk.first_order();
    desk.hear(&Event::Order(report(id, OrderState::Filled, 1)));
    assert!(!desk.engine.is_flat(), "its fill is not known");
    let before = desk.has(is_query);
    for _ in 0..3 {
        desk.pass(SECOND);
    }
    assert!(desk.has(is_query) >= before + 3, "asked again and again");
    desk.hear(&Event::Fill(fill(id, 5, None)));
    assert!(desk.engine.is_flat());
    let before = desk.has(is_query);
    desk.pass(2 * SECOND);
    assert_eq!(desk.has(is_query), before);
    desk.hear(&Event::Fill(fill(id, 5, None)));
    assert_eq!(
        (
            desk.count(Counter::Fills),
            desk.count(Counter::DuplicateFills)
        ),
        (1, 1)
    );
}

#[test]
fn a_fill_of_nobody_we_know_is_counted_and_moves_nothing() {
    let memory = Memory::new();
    let mut desk = Desk::new(&memory.region, 1);
    desk.settle(&[]);
    let nobody = ClientOrderId::new(Epoch(3), LaneId(0), 7).unwrap();
    desk.hear(&Event::Fill(fill(nobody, 5, Some(1))));
    assert_eq!(
        (
            desk.count(Counter::Fills),
            desk.count(Counter::ForeignFills)
        ),
        (0, 1)
    );
}

#[test]
fn a_price_out_of_this_world_reaches_no_strategy() {
    struct Taker;
    impl Strategy for Taker {
        fn name(&self) -> &'static str {
            "taker"
        }
        fn on_trade(&mut self, _: &View<'_>, trade: &TradeMsg, out: &mut Intents) {
            let price = Price(trade.price.mantissa);
            out.new_order(Side::Buy, OrderKind::PostOnly, Tif::Gtc, price, Qty(1));
        }
    }
    let memory = Memory::new();
    let mut desk = Desk::new(&memory.region, 1);
    desk.engine.seat(StrategyId(1), &[ID], Box::new(Taker));
    desk.settle(&[]);
    let trade = |desk: &mut Desk<'_>, price| {
        desk.hear(&Event::Trade(TradeMsg {
            instrument: ID,
            trade_id: TradeId(1),
            taker: Side::Buy,
            price: whole(price),
            qty: whole(1),
            venue_ns: VenueNanos(0),
        }));
    };
    desk.book(0);
    let before = desk.news().len();
    for price in [1, 49, 204, i64::MAX] {
        trade(&mut desk, price);
    }
    assert_eq!(desk.news().len(), before);
    assert_eq!(desk.count(Counter::AbsurdPrices), 4);
    trade(&mut desk, 99);
    assert_eq!(desk.news().len(), before + 1);
}

/// Messages that piled up while the process stood still: each arrives now and speaks of then.
#[test]
fn a_book_that_was_long_on_its_way_is_not_traded_on() {
    let memory = Memory::new();
    let mut desk = Desk::new(&memory.region, 1);
    desk.settle(&[]);
    let skew = 7 * SECOND; // the venue's clock is behind ours
    desk.book(desk.now - skew - 1_000_000);
    assert_eq!(desk.news().len(), 1, "a millisecond, whatever the clocks");
    let id = desk.news()[0];
    desk.engine.on_new_sent(id, desk.at());
    desk.hear(&Event::Order(report(id, OrderState::Cancelled, 0)));
    let paused_at = desk.now;
    desk.pass(3 * SECOND);
    for old in 0..5 {
        desk.book(paused_at - skew + old * 100_000_000);
        assert_eq!(desk.news().len(), 1, "three seconds late");
    }
    assert_eq!(desk.count(Counter::LateBooks), 5);
    desk.book(desk.now - skew);
    assert_eq!(desk.news().len(), 2, "caught up");
}

#[test]
fn a_private_message_that_cannot_be_read_means_comparing_before_trading() {
    let memory = Memory::new();
    let mut desk = Desk::new(&memory.region, 1);
    desk.settle(&[]);
    desk.engine.on_private_fault(VENUE);
    desk.book(0);
    assert_eq!(desk.news(), []);
    let before = desk.has(is_reconcile);
    desk.pass(SECOND);
    assert_eq!(desk.has(is_reconcile), before + 1);
    desk.book(0);
    assert_eq!(desk.news(), [], "it was only asked for");
    desk.pass(SECOND);
    assert_eq!(desk.has(is_reconcile), before + 2, "nobody began: again");
    desk.compare(&[]);
    desk.book(0);
    assert_eq!(desk.news().len(), 1);
}

#[test]
fn a_comparison_that_began_before_the_doubt_settles_nothing() {
    let memory = Memory::new();
    let mut desk = Desk::new(&memory.region, 1);
    desk.settle(&[]);
    desk.engine.on_reconcile_started(VENUE, desk.at());
    desk.engine.on_private_fault(VENUE);
    desk.engine.on_reconciled(VENUE, desk.at());
    desk.pass(SECOND);
    assert!(!desk.is_settled());
    desk.compare(&[]);
    assert!(desk.is_settled());
}

#[test]
fn a_new_login_is_not_settled_by_the_comparison_of_the_one_before() {
    let memory = Memory::new();
    let mut desk = Desk::new(&memory.region, 1);
    desk.settle(&[]);
    desk.engine.on_orders_lost(VENUE, desk.at());
    desk.engine.on_logged_in(VENUE, desk.at());
    // The gateway has not begun yet when the timers run.
    desk.pass(SECOND);
    assert!(!desk.is_settled());
    desk.book(0);
    assert_eq!(desk.news(), []);
    desk.compare(&[]);
    assert!(desk.is_settled());
}

/// The order of a strategy that stops must go, and a cancel that was refused is asked for again.
#[test]
fn a_stopped_strategy_leaves_nothing_behind() {
    let memory = Memory::new();
    let mut desk = Desk::new(&memory.region, 1);
    let id = desk.first_order();
    desk.hear(&Event::Order(report(id, OrderState::Ack, 0)));
    desk.pass(SECOND);
    assert_eq!(desk.has(is_cancel), 0, "wanted");
    desk.engine.set_running(StrategyId(0), false);
    for tries in 1..4 {
        desk.pass(SECOND);
        assert_eq!(desk.has(is_cancel), tries, "each refused for rate");
    }
    desk.engine.on_cancel_sent(id, desk.at());
    desk.pass(SECOND);
    assert_eq!(desk.has(is_cancel), 3, "it is on its way");
    let journal = desk.journal();
    let intents = journal
        .iter()
        .filter(|entry| matches!(entry, Entry::CancelIntent(_)));
    assert_eq!(intents.count(), 3);
}

#[test]
fn an_order_whose_strategy_is_gone_is_cancelled_once_it_is_known_to_be() {
    let Memory { region, _dir } = Memory::new();
    let (path, shape) = (region.path().to_owned(), *region.shape());
    let id = {
        let mut desk = Desk::new(&region, 1);
        let id = desk.first_order();
        desk.hear(&Event::Order(report(id, OrderState::Ack, 0)));
        id
    };
    drop(region);
    let (region, _) = Region::open_or_create(&path, &shape).unwrap();
    let mut heir = Desk::new(&region, 2);
    heir.engine.set_running(StrategyId(0), false);
    heir.pass(SECOND);
    assert_eq!(heir.has(is_cancel), 0, "not compared yet");
    heir.settle(&[report(id, OrderState::Ack, 0)]);
    heir.pass(SECOND);
    assert_eq!(heir.has(is_cancel), 1);
}

#[test]
fn clearing_a_venue_is_for_what_is_live_and_not_for_what_comes() {
    let memory = Memory::new();
    let mut desk = Desk::new(&memory.region, 1);
    let id = desk.first_order();
    desk.hear(&Event::Order(report(id, OrderState::Ack, 0)));
    desk.engine.clear_venue(VENUE);
    desk.pass(SECOND);
    desk.pass(SECOND);
    assert_eq!(desk.has(is_cancel), 2, "until it is sent");
    desk.engine.on_cancel_sent(id, desk.at());
    desk.hear(&Event::Order(report(id, OrderState::Cancelled, 0)));
    desk.book(0);
    let next = desk.news()[1];
    desk.engine.on_new_sent(next, desk.at());
    desk.hear(&Event::Order(report(next, OrderState::Ack, 0)));
    desk.pass(SECOND);
    assert_eq!(desk.has(is_cancel), 2, "the strategy goes on");
}

#[test]
fn a_link_that_is_up_and_answers_nothing_is_opened_anew() {
    let memory = Memory::new();
    let mut desk = Desk::new(&memory.region, 1);
    let id = desk.first_order();
    desk.hear(&Event::Order(report(id, OrderState::Ack, 0)));
    desk.engine.on_cancel_sent(id, desk.at());
    desk.pass(SECOND);
    let is_reopen = |action: &Action| matches!(action, Action::Reopen(_));
    assert_eq!(desk.has(is_reopen), 0);
    desk.pass(5 * SECOND);
    assert_eq!(
        desk.has(is_reopen),
        1,
        "a resting order cannot be cancelled"
    );
}

#[test]
fn limits_put_in_force_while_trading_hold_from_the_next_look() {
    let memory = Memory::new();
    let mut desk = Desk::new(&memory.region, 1);
    desk.settle(&[]);
    let guard = memory.region.lock(Lock::Control).unwrap();
    let node = dp_shm::NodeLimits {
        collar_bps: 1_000,
        orders_per_s_max: 1_000,
        book_age_ms_max: 500,
        ..dp_shm::NodeLimits::default()
    };
    let publish = |order_qty_max, position_max| {
        let one = InstrumentLimits {
            order_qty_max: Qty(order_qty_max),
            position_max: Qty(position_max),
        };
        memory.region.config().publish(&guard, &node, &[one])
    };
    publish(0, 0);
    desk.pass(SECOND);
    desk.book(0);
    assert_eq!(desk.news(), [], "nothing is allowed");
    let refusals = desk.count(Counter::RiskRefusals);
    let of_rule = |rule| {
        let lanes = memory.region.lanes();
        lanes.map(|lane| lane.violations.get(rule)).sum::<u64>()
    };
    assert!(refusals > 0);
    assert_eq!(
        (0..=u8::MAX).map(of_rule).sum::<u64>(),
        refusals,
        "each by its rule"
    );
    let version = publish(5, 5);
    desk.pass(SECOND);
    desk.book(0);
    assert_eq!(desk.news().len(), 1);
    let is_it = |entry: &Entry| matches!(entry, Entry::Limits(limits) if limits.version == version);
    assert!(
        desk.journal().iter().any(is_it),
        "what is in force is on record"
    );
}

/// Nobody drains: before the journal's reserve is touched, quoting ends.
#[test]
fn a_journal_without_room_ends_quoting_before_it_loses_a_fact() {
    let memory = Memory::new();
    let mut desk = Desk::new(&memory.region, 1);
    desk.settle(&[]);
    for turn in 0..400u64 {
        let before = desk.news().len();
        desk.book(0);
        if desk.news().len() > before {
            let id = desk.news()[before];
            desk.engine.on_new_sent(id, desk.at());
            desk.hear(&Event::Order(report(id, OrderState::Cancelled, 0)));
        }
        desk.now += 10_000_000 + turn;
    }
    let asked = desk.news().len();
    assert!(
        (50..100).contains(&asked),
        "{asked} orders in a ring of 256 records"
    );
    assert_eq!(desk.count(Counter::JournalRefusals), 0);
    let log = memory.region.lane(LaneId(0)).unwrap().journal;
    log.set_drained(log.head());
    desk.book(0);
    assert_eq!(desk.news().len(), asked + 1, "room again");
}
