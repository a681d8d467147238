//! The engine whole: a book message to both orders of an arbitrage over three venues, and a fill to the position, its
//! journal records and its strategy.

use super::book::instrument;
use crate::meter::Meter;
use crate::scratch::Scratch;
use anyhow::Context;
use dp_lane::{Action, Engine, Fact, Outcome, Setup, Wall};
use dp_shm::Region;
use dp_shm::layout::Shape;
use dp_strategy::{Arbitrage, ArbitrageParams, Intents, Strategy, View};
use dp_types::{
    AssetId, BookMsg, BookMsgKind, Decimal, Epoch, FillReport, Instrument, InstrumentId, LaneId,
    Liquidity, NewOrder, Now, OrderId, OrderKind, OrderReport, OrderState, Price, Qty, RawLevel,
    RejectReason, Side, StrategyId, Tif, TradeId, Tsc, UnixNanos, VenueId, VenueNanos,
};
use dp_venue_api::Event;

/// Venues whose snapshots follow each other without more.
pub(super) const VENUES: [VenueId; 3] = [VenueId::OKX, VenueId::BYBIT, VenueId::DERIBIT];
pub(super) const MID: i64 = 6_500_000;
/// A venue is dear by so much when a pair pays.
const DEAR: i64 = 2_000;
const MILLI: u64 = 1_000_000;

/// Buys at its venue's best bid whenever nothing of its is live.
struct Buyer;

impl Strategy for Buyer {
    fn name(&self) -> &'static str {
        "buyer"
    }

    fn on_book(&mut self, view: &View<'_>, out: &mut Intents) {
        if view.can_trade && view.live.is_empty() {
            out.new_order(Side::Buy, OrderKind::PostOnly, Tif::Gtc, Price(MID), Qty(2));
        }
    }

    fn on_fill(&mut self, view: &View<'_>, fill: &FillReport, _out: &mut Intents) {
        std::hint::black_box((view.position, fill.trade_id));
    }
}

/// An engine, its venues and its database.
pub(super) struct Rig<'r> {
    pub(super) engine: Engine<'r>,
    pub(super) region: &'r Region,
    at_ns: u64,
    book_id: i64,
    trades: u128,
    /// Asked for and not answered.
    pub(super) orders: Vec<NewOrder>,
    /// Instruments whose orders are all to be cancelled.
    pub(super) cancelled: Vec<InstrumentId>,
    dear: usize,
    done: u64,
}

impl<'r> Rig<'r> {
    pub(super) fn new(region: &'r Region) -> anyhow::Result<Self> {
        let epoch = Epoch(1);
        let at_ns = 1_760_000_000_000 * MILLI;
        region.begin_run(epoch, 1_000_000_000, UnixNanos(at_ns));
        region.lease().hold_always(epoch);
        let wall = Wall::new(region, region.lane_writer(LaneId(0))?, LaneId(0), epoch);
        let instruments: Vec<Instrument> = (0..)
            .zip(VENUES)
            .map(|(id, venue)| Instrument {
                id: InstrumentId(id),
                venue,
                is_live: true,
                tick: Price(1),
                lot: Qty(1),
                qty_min: Qty(1),
                base: AssetId(0),
                quote: AssetId(1),
                ..instrument()
            })
            .collect();
        let setup = Setup {
            epoch,
            lane: LaneId(0),
            limits: dp_risk::NodeLimits {
                collar_bps: 1_000,
                orders_per_s_max: u32::MAX,
                book_age_ns_max: 3_600_000 * MILLI,
            },
            order_window_ns: 1_000 * MILLI,
            venues: VENUES.to_vec(),
            instruments: instruments.clone(),
        };
        let mut engine = Engine::new(wall, setup);
        for venue in VENUES {
            engine.set_instruments(venue, &instruments);
        }
        let limits = dp_risk::Limits {
            order_qty_max: Qty(1_000),
            position_max: Qty(i64::MAX / 4),
        };
        for instrument in &instruments {
            engine.set_limits(instrument.id, Some(limits));
        }
        let mut rig = Self {
            engine,
            region,
            at_ns,
            book_id: 10,
            trades: 0,
            orders: Vec::new(),
            cancelled: Vec::with_capacity(VENUES.len()),
            dear: 0,
            done: 0,
        };
        for venue in VENUES {
            for fact in [Fact::LoggedIn, Fact::ReconcileStarted, Fact::Reconciled] {
                let now = rig.now();
                rig.engine.on_fact(venue, fact, now);
            }
        }
        rig.obey();
        Ok(rig)
    }

    pub(super) const fn now(&self) -> Now {
        Now {
            unix: UnixNanos(self.at_ns),
            tsc: Tsc(self.at_ns),
        }
    }

    /// A venue's whole book around a price.
    #[inline]
    pub(super) fn book(&mut self, venue: usize, mid: i64) {
        let level = |price| RawLevel {
            price: Decimal {
                mantissa: price,
                exponent: -2,
            },
            qty: Decimal {
                mantissa: 50_000,
                exponent: -5,
            },
        };
        let (bids, asks) = ([level(mid - 10)], [level(mid + 10)]);
        let msg = BookMsg {
            instrument: InstrumentId(venue as u32),
            kind: BookMsgKind::Snapshot,
            first_id: self.book_id,
            last_id: self.book_id,
            prev_id: -1,
            checksum: None,
            bids: &bids,
            asks: &asks,
            venue_ns: VenueNanos(0),
        };
        let now = self.now();
        self.engine.on_event(&Event::Book(msg), now, now.tsc);
    }

    /// Takes what the engine wants; answers nothing.
    #[inline]
    pub(super) fn obey(&mut self) {
        while let Some(action) = self.engine.next_action() {
            match action {
                Action::New(order) => {
                    self.done += 1;
                    self.orders.push(*order);
                }
                Action::CancelAll(instrument) => self.cancelled.push(*instrument),
                _ => {}
            }
        }
    }

    /// Untimed: time passes, the database has everything, and every order is sent and taken.
    pub(super) fn pass(&mut self) {
        self.at_ns += MILLI;
        self.book_id += 1;
        let now = self.now();
        self.engine.read_words(now);
        self.engine.on_tick(now);
        for lane in self.region.lanes() {
            lane.journal.set_drained(lane.journal.head());
        }
        self.obey();
    }

    pub(super) fn sent(&mut self) {
        for at in 0..self.orders.len() {
            let (id, now) = (self.orders[at].client_id, self.now());
            self.engine.on_outcome(Outcome::NewSent(id), now);
        }
    }

    /// An order's next two lots, or all that is left.
    fn fill(&mut self, order: &NewOrder) {
        self.trades += 1;
        let number = |mantissa, exponent| Decimal { mantissa, exponent };
        let report = FillReport {
            instrument: order.instrument,
            client_id: Some(order.client_id),
            order_id: OrderId(u128::from(order.client_id.0)),
            trade_id: TradeId(self.trades),
            side: order.side,
            price: number(order.price.0, -2),
            qty: number(order.qty.0, -5),
            cum: Some(number(order.qty.0, -5)),
            fee: number(1, -3),
            fee_asset: AssetId(1),
            liquidity: Liquidity::Taker,
            venue_ns: VenueNanos(1),
        };
        let now = self.now();
        self.engine.on_event(&Event::Fill(report), now, now.tsc);
    }

    /// Untimed: every order asked for is filled whole.
    fn fill_all(&mut self) {
        self.sent();
        for order in std::mem::take(&mut self.orders) {
            self.fill(&order);
            self.report(&order, OrderState::Filled);
        }
    }

    /// What the venue says of an order.
    pub(super) fn report(&mut self, order: &NewOrder, state: OrderState) {
        let report = OrderReport {
            instrument: order.instrument,
            client_id: Some(order.client_id),
            order_id: OrderId(u128::from(order.client_id.0)),
            side: None,
            state,
            reason: RejectReason::None,
            price: None,
            qty: None,
            cum: None,
            venue_ns: VenueNanos(1),
        };
        let now = self.now();
        self.engine.on_event(&Event::Order(report), now, now.tsc);
    }
}

pub fn run(meter: &mut Meter) -> anyhow::Result<()> {
    meter.begin("engine");
    arbitrage(meter).context("arbitrage")?;
    fills(meter).context("fills")
}

/// One venue after the other becomes dear: its book's message, to two orders handed out.
fn arbitrage(meter: &mut Meter) -> anyhow::Result<()> {
    let scratch = Scratch::new(&Shape::new(1, 4, 1 << 14, 1 << 10))?;
    let mut rig = Rig::new(&scratch.region)?;
    let params = ArbitrageParams {
        order_qty: Qty(10),
        position_max: Qty(i64::MAX / 8),
        edge_ppm: 0,
        fee_ppm: [0; 4],
        hedge_ppm: 1_000,
        hedge_max_ppm: 5_000,
        hedge_after_ns: 3_000_000_000,
        pause_ns: 0,
    };
    let legs = [InstrumentId(0), InstrumentId(1), InstrumentId(2)];
    rig.engine
        .seat(StrategyId(0), &legs, Box::new(Arbitrage::new(params)));
    let calm = |rig: &mut Rig<'_>, at: usize| {
        rig.fill_all();
        rig.pass();
        let dear = rig.dear;
        rig.book(dear, MID);
        rig.obey();
        rig.fill_all();
        rig.pass();
        for venue in 0..VENUES.len() {
            rig.book(venue, MID);
            rig.obey();
        }
        rig.pass();
        rig.dear = at % VENUES.len();
        rig.done = 0;
    };
    let mut pairs = 0u64;
    let mut asked = 0u64;
    meter.each_on("book message to a pair of orders", &mut rig, calm, |rig| {
        let dear = rig.dear;
        rig.book(dear, MID + DEAR);
        rig.obey();
        asked += 1;
        pairs += u64::from(rig.done == 2);
    });
    anyhow::ensure!(pairs == asked, "{pairs} of {asked} messages led to a pair");
    Ok(())
}

/// A fill: counted, booked, journaled with the position, told to the strategy.
fn fills(meter: &mut Meter) -> anyhow::Result<()> {
    let scratch = Scratch::new(&Shape::new(1, 4, 1 << 14, 1 << 10))?;
    let mut rig = Rig::new(&scratch.region)?;
    rig.engine
        .seat(StrategyId(0), &[InstrumentId(0)], Box::new(Buyer));
    let ready = |rig: &mut Rig<'_>, _: usize| {
        rig.fill_all();
        rig.pass();
        rig.book(0, MID + 20);
        rig.obey();
        rig.sent();
    };
    let (mut filled, mut asked) = (0u64, 0u64);
    meter.each_on("fill to position and strategy", &mut rig, ready, |rig| {
        let before = rig.trades;
        if let Some(order) = rig.orders.pop() {
            rig.fill(&order);
        }
        rig.obey();
        asked += 1;
        filled += u64::from(rig.trades > before);
    });
    let counted = rig.engine.wall.counters.get(dp_shm::Counter::Fills);
    anyhow::ensure!(
        filled == asked && counted >= asked,
        "{filled} of {asked} fills, {counted} counted"
    );
    Ok(())
}
