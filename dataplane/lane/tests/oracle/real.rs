//! The engine, its shared memory, and two strategies that wish what they are told.

use crate::naive::{Asked, BOOK_AGE_NS, COLLAR_BPS, MOVE_NS, ORDERS_PER_S, Order, Row, Sum, USD};
use dp_journal::{Entry, ReadItem, Reader};
use dp_lane::{Action, Engine, Setup, Wall};
use dp_risk::{Limits, NodeLimits, WatchLimits};
use dp_shm::layout::Shape;
use dp_shm::{Region, RiskState};
use dp_strategy::{Inputs, Intent, Intents, Strategy, View};
use dp_types::{
    AssetId, BookMsg, BookMsgKind, ClientOrderId, Decimal, Epoch, FillReport, FundingReport,
    Instrument, InstrumentId, LaneId, Liquidity, NewOrder, Notional, Now, OrderId, OrderReport,
    OrderState, Payoff, Price, Qty, RawLevel, RejectReason, Side, StrategyId, Text, Tif, TradeId,
    TradeMsg, Tsc, UnixNanos, VenueId, VenueNanos,
};
use dp_venue_api::{Event, RequestAck};
use std::sync::{Arc, Mutex};

pub(crate) const USDT: AssetId = AssetId(1);
pub(crate) const BTC: AssetId = AssetId(2);
pub(crate) const ETH: AssetId = AssetId(3);
pub(crate) const BNB: AssetId = AssetId(4);
/// Nobody knows what it is worth until somebody says so.
pub(crate) const UNKNOWN: AssetId = AssetId(5);
pub(crate) const VENUES: [VenueId; 2] = [VenueId::OKX, VenueId::BYBIT];
const EPOCH: Epoch = Epoch(1);

/// A coin in another's hundredths, a contract of a thousandth, and another coin.
pub(crate) fn rules() -> [Instrument; 3] {
    let bare = |id: u32, venue, symbol, price_decimals, qty_decimals| {
        let symbol = Text::new(symbol).unwrap();
        Instrument::bare(
            InstrumentId(id),
            venue,
            symbol,
            price_decimals,
            qty_decimals,
        )
    };
    let spot = Instrument {
        is_live: true,
        base: BTC,
        quote: USDT,
        tick: Price(5),
        lot: Qty(1),
        qty_min: Qty(2),
        qty_max: Qty(120),
        notional_min: Notional(30_000_000_000_000),
        ..bare(0, VENUES[0], "BTC-USDT", 1, 2)
    };
    // Of a dollar each, settled in the coin.
    let contract = Instrument {
        quote: BTC,
        payoff: Payoff::Inverse,
        tick: Price(1),
        lot: Qty(10),
        qty_max: Qty(1_000),
        notional_min: Notional(0),
        ..Instrument {
            symbol: Text::new("BTCUSD").unwrap(),
            ..bare(1, VENUES[1], "BTCUSD", 0, 0)
        }
    };
    let contract = Instrument {
        is_live: true,
        base: BTC,
        ..contract
    };
    let other = Instrument {
        is_live: true,
        base: ETH,
        quote: USDT,
        tick: Price(1),
        lot: Qty(1),
        qty_max: Qty(500),
        ..bare(2, VENUES[0], "ETH-USDT", 2, 1)
    };
    [spot, contract, other]
}

#[derive(Debug, Clone)]
enum Told {
    Orders(Vec<Asked>),
    Amend(ClientOrderId, Option<i64>, Option<i64>),
}

/// Wishes what it is told at its next call.
struct Puppet(Arc<Mutex<Option<Told>>>);

impl Strategy for Puppet {
    fn name(&self) -> &'static str {
        "puppet"
    }

    fn inputs(&self) -> Inputs {
        Inputs::TRADES
    }

    fn on_trade(&mut self, _: &View<'_>, _: &TradeMsg, out: &mut Intents) {
        let wish = |asked: &Asked| dp_strategy::Wish {
            leg: Some(asked.it as u8),
            side: asked.side,
            kind: asked.kind,
            tif: Tif::Gtc,
            price: Price(asked.price),
            qty: Qty(asked.qty),
        };
        match self.0.lock().unwrap().take() {
            Some(Told::Orders(orders)) => match orders.as_slice() {
                [one] => out.on(one.it as u8).new_order(
                    one.side,
                    one.kind,
                    Tif::Gtc,
                    Price(one.price),
                    Qty(one.qty),
                ),
                [one, two] => out.push(Intent::Pair(wish(one), wish(two))),
                _ => {}
            },
            Some(Told::Amend(id, price, qty)) => out.amend(id, price.map(Price), qty.map(Qty)),
            None => {}
        }
    }
}

pub(crate) struct Memory {
    region: Region,
    _dir: tempfile::TempDir,
}

impl Memory {
    pub(crate) fn new() -> Self {
        // Memory, where there is some: a million of these are made.
        let memory = std::path::Path::new("/dev/shm");
        let dir = tempfile::tempdir_in(memory)
            .or_else(|_| tempfile::tempdir())
            .unwrap();
        let shape = Shape::new(1, 4, 256, 256);
        let (region, _) = Region::open_or_create(&dir.path().join("shm"), &shape).unwrap();
        Self { region, _dir: dir }
    }
}

pub(crate) struct Real<'r> {
    pub(crate) region: &'r Region,
    pub(crate) engine: Engine<'r>,
    pub(crate) now: u64,
    journal: Reader<'r>,
    pub(crate) books: Vec<(i64, i64)>,
    book_id: i64,
    told: [Arc<Mutex<Option<Told>>>; 2],
}

impl<'r> Real<'r> {
    pub(crate) fn new(memory: &'r Memory, rates: &[(AssetId, i128)]) -> Self {
        let region = &memory.region;
        let now = 1_000_000_000_000_000;
        region.begin_run(EPOCH, 1_000_000_000, UnixNanos(now));
        region.lease().hold_always(EPOCH);
        let recovered = dp_journal::recover(&[region]);
        let writer = region.lane_writer(LaneId(0)).unwrap();
        let wall = Wall::new(region, writer, LaneId(0), EPOCH);
        let setup = Setup {
            epoch: EPOCH,
            lane: LaneId(0),
            limits: NodeLimits {
                collar_bps: COLLAR_BPS,
                orders_per_s_max: ORDERS_PER_S,
                book_age_ns_max: BOOK_AGE_NS,
            },
            order_window_ns: 1_000_000_000,
            venues: VENUES.to_vec(),
            instruments: rules().to_vec(),
        };
        let mut engine = Engine::new(wall, setup);
        let at = Now {
            unix: UnixNanos(now),
            tsc: Tsc(0),
        };
        engine.recover(&recovered, at);
        for venue in VENUES {
            let of: Vec<Instrument> = rules().into_iter().filter(|it| it.venue == venue).collect();
            engine.set_instruments(venue, &of);
        }
        engine.set_currency(USD);
        for (asset, rate) in rates {
            engine.set_rate(*asset, *rate as u64);
        }
        engine.set_watch(WatchLimits {
            move_ns: MOVE_NS,
            ..WatchLimits::default()
        });
        let told: [Arc<Mutex<Option<Told>>>; 2] = Default::default();
        let all = [0, 1, 2].map(InstrumentId);
        for (id, told) in told.iter().enumerate() {
            engine.seat(StrategyId(id as u16), &all, Box::new(Puppet(told.clone())));
        }
        for (it, qty) in crate::QTYS.into_iter().enumerate() {
            let limits = Limits {
                order_qty_max: Qty(qty),
                position_max: Qty(3 * qty),
            };
            engine.set_limits(InstrumentId(it as u32), Some(limits));
        }
        let mut real = Self {
            region,
            engine,
            now,
            journal: Reader::from_oldest(region.lane(LaneId(0)).unwrap().journal),
            books: vec![(0, 0); 3],
            book_id: 10,
            told,
        };
        real.engine.read_words(at);
        for venue in VENUES {
            real.engine.on_logged_in(venue, at);
            real.engine.on_reconcile_started(venue, at);
            real.engine.on_reconciled(venue, at);
        }
        // What the start itself has to say is of no interest.
        real.rows();
        real
    }

    pub(crate) const fn at(&self) -> Now {
        Now {
            unix: UnixNanos(self.now),
            tsc: Tsc(0),
        }
    }

    /// Takes what it asks for; gives new orders and amends, which leave at once.
    fn drain(&mut self) -> (Vec<NewOrder>, usize) {
        let (mut orders, mut amends) = (Vec::new(), 0);
        let now = self.at();
        while let Some(action) = self.engine.next_action() {
            match action {
                Action::New(order) => {
                    self.engine.on_new_sent(order.client_id, now);
                    orders.push(*order);
                }
                Action::Amend(amend) => {
                    self.engine.on_amend_sent(amend.client_id, now);
                    amends += 1;
                }
                _ => {}
            }
        }
        (orders, amends)
    }

    fn hear(&mut self, event: &Event<'_>) -> (Vec<NewOrder>, usize) {
        self.engine.on_event(event, self.at(), Tsc(0));
        self.drain()
    }

    pub(crate) fn pass(&mut self, ns: u64) {
        self.now += ns;
        self.engine.read_words(self.at());
        self.engine.on_tick(self.at());
        self.drain();
    }

    pub(crate) fn book(&mut self, it: usize, bid: i64, ask: i64) {
        self.books[it] = (bid, ask);
        self.book_id += 1;
        let level = |price| RawLevel {
            price: price_of(it, price),
            qty: qty_of(it, 5),
        };
        let (bids, asks) = ([level(bid)], [level(ask)]);
        self.hear(&Event::Book(BookMsg {
            instrument: InstrumentId(it as u32),
            kind: BookMsgKind::Snapshot,
            first_id: self.book_id,
            last_id: self.book_id,
            prev_id: -1,
            checksum: None,
            bids: &bids,
            asks: &asks,
            venue_ns: VenueNanos(0),
        }));
    }

    /// A strategy is told, and called by somebody's trade.
    fn call(&mut self, strategy: usize, it: usize, told: Told) -> (Vec<NewOrder>, usize) {
        *self.told[strategy].lock().unwrap() = Some(told);
        let called = self.hear(&Event::Trade(TradeMsg {
            instrument: InstrumentId(it as u32),
            price: price_of(it, self.books[it].0),
            qty: qty_of(it, 1),
            taker: Side::Buy,
            trade_id: TradeId(0),
            venue_ns: VenueNanos(0),
        }));
        assert!(
            self.told[strategy].lock().unwrap().is_none(),
            "it was called"
        );
        called
    }

    pub(crate) fn wish(&mut self, strategy: usize, asked: &[Asked]) -> Vec<NewOrder> {
        self.call(strategy, asked[0].it, Told::Orders(asked.to_vec()))
            .0
    }

    pub(crate) fn amend(
        &mut self,
        strategy: usize,
        id: ClientOrderId,
        it: usize,
        price: Option<i64>,
        qty: Option<i64>,
    ) -> bool {
        self.call(strategy, it, Told::Amend(id, price, qty)).1 > 0
    }

    // ---- words of venues ----------------------------------------------------------------------

    fn report(&mut self, order: &Order, state: OrderState, reason: RejectReason) {
        let report = report(order, state, reason);
        self.hear(&Event::Order(report));
    }

    pub(crate) fn ack(&mut self, order: &Order) {
        self.report(order, OrderState::Ack, RejectReason::None);
    }

    pub(crate) fn refuse(&mut self, order: &Order, is_cross: bool) {
        let reason = if is_cross {
            RejectReason::PostOnlyCross
        } else {
            RejectReason::InsufficientFunds
        };
        self.report(order, OrderState::Rejected, reason);
    }

    pub(crate) fn gone(&mut self, order: &Order) {
        self.report(order, OrderState::Cancelled, RejectReason::None);
    }

    pub(crate) fn amended(&mut self, order: &Order, is_done: bool) {
        let ack = RequestAck {
            client_id: order.id,
            order_id: OrderId(0),
            reason: if is_done {
                RejectReason::None
            } else {
                RejectReason::Invalid
            },
            code: 0,
            venue_ns: VenueNanos(0),
        };
        self.hear(&Event::Ack(ack));
        if is_done {
            let state = match order.done {
                0 => OrderState::Ack,
                _ => OrderState::PartiallyFilled,
            };
            self.hear(&Event::Order(OrderReport {
                price: Some(price_of(order.it, order.asked.0)),
                qty: Some(qty_of(order.it, order.asked.1)),
                ..report(order, state, RejectReason::None)
            }));
        }
    }

    pub(crate) fn fill(&mut self, fill: &FillReport) {
        self.hear(&Event::Fill(*fill));
    }

    pub(crate) fn paid(&mut self, it: usize, id: u128, (amount, asset): (Decimal, AssetId)) {
        let report = FundingReport {
            instrument: InstrumentId(it as u32),
            id: TradeId(id),
            amount,
            asset,
            venue_ns: VenueNanos(self.now),
        };
        // A list tells it once more.
        self.hear(&Event::Funding(report));
        self.hear(&Event::Funding(report));
    }

    pub(crate) fn set_lease(&self, is_held: bool) {
        if is_held {
            self.region.lease().hold_always(EPOCH);
        } else {
            self.region.lease().drop_lease();
        }
    }

    // ---- what is seen of it -------------------------------------------------------------------

    /// What went to `risk_events` since the last look.
    pub(crate) fn rows(&mut self) -> Vec<Row> {
        let mut rows = Vec::new();
        for item in self.journal.by_ref() {
            let ReadItem::Record(record) = item else {
                panic!("{item:?}");
            };
            if let Entry::Risk(risk) = record.entry {
                let it = risk.instrument != dp_journal::entry::NO_INSTRUMENT;
                let it = it.then_some(risk.instrument.0 as usize);
                rows.push((risk.rule, it, risk.observed, risk.limit));
            }
        }
        let log = self.region.lane(LaneId(0)).unwrap().journal;
        log.set_drained(log.head());
        rows
    }

    pub(crate) fn part(&self, it: InstrumentId, strategy: usize) -> Sum {
        let id = match strategy {
            crate::naive::NOBODY => StrategyId::NOBODY,
            id => StrategyId(id as u16),
        };
        sum_of(&self.engine.ledger().part(it, id))
    }

    pub(crate) fn total(&self, it: InstrumentId) -> Sum {
        sum_of(&self.engine.ledger().total(it))
    }

    pub(crate) fn risk(&self) -> RiskState {
        self.region.risk(LaneId(0)).unwrap().read().unwrap()
    }
}

const fn sum_of(position: &dp_oms::Position) -> Sum {
    Sum {
        qty: position.qty.0,
        cost: position.cost.0,
        realised: position.realised.0,
        fees: position.fees.0,
        fills: position.fills,
        base_fees: position.base_fees,
        funding: position.funding.0,
    }
}

fn price_of(it: usize, price: i64) -> Decimal {
    rules()[it].price_decimal(Price(price))
}

fn qty_of(it: usize, qty: i64) -> Decimal {
    rules()[it].qty_decimal(Qty(qty))
}

fn report(order: &Order, state: OrderState, reason: RejectReason) -> OrderReport {
    OrderReport {
        instrument: InstrumentId(order.it as u32),
        client_id: Some(order.id),
        order_id: OrderId(u128::from(order.id.0)),
        side: Some(order.side),
        state,
        reason,
        price: None,
        qty: None,
        cum: Some(qty_of(order.it, order.done)),
        venue_ns: VenueNanos(1),
    }
}

/// One execution of an order.
pub(crate) fn report_of(
    order: &Order,
    trade: u128,
    (price, qty): (i64, i64),
    (fee, fee_asset): (Decimal, AssetId),
) -> FillReport {
    FillReport {
        instrument: InstrumentId(order.it as u32),
        client_id: Some(order.id),
        order_id: OrderId(u128::from(order.id.0)),
        trade_id: TradeId(trade),
        side: order.side,
        price: price_of(order.it, price),
        qty: qty_of(order.it, qty),
        cum: Some(qty_of(order.it, order.done + qty)),
        fee,
        fee_asset,
        liquidity: Liquidity::Maker,
        venue_ns: VenueNanos(1),
    }
}
