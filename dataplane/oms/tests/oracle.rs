//! The OMS against a second one written for clarity: lists walked from end to end, nothing kept that can be summed.
//!
//! Random orders, answers, reports and fills, in any order, true or not; after each the two must agree on every order,
//! on exposure, on what should not have happened, and on position and profit. A thousand sequences here; a million with
//! `SPINLANE_ORACLE=1000000 cargo test --release -p dp-oms --test oracle`.

use dp_oms::{Exposure, FillOutcome, Oms, Position, Room, Tally};
use dp_types::{
    AmendOrder, AssetId, ClientOrderId, Decimal, Epoch, FillReport, Instrument, InstrumentId,
    LaneId, Liquidity, NewOrder, Notional, OrderId, OrderKind, OrderReport, OrderState, Price, Qty,
    RejectReason, Side, StrategyId, Text, Tif, TradeId, UnixNanos, VenueId, VenueNanos,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

const VENUE: VenueId = VenueId::OKX;
const IT: InstrumentId = InstrumentId(0);
const ANSWER_NS: u64 = dp_oms::ANSWER_NS_MAX;
const ABSENT_NS: u64 = 6_000_000_000;
/// For more than a sequence has: nothing is forgotten, as the other forgets nothing.
const ROOM: Room = Room {
    live: 128,
    finals: 128,
    fills: 256,
};
const ONE: i128 = 1_000_000_000_000;

/// One order, as one would write it down.
#[derive(Debug, Clone)]
struct Plain {
    id: ClientOrderId,
    venue_id: u128,
    side: Side,
    state: OrderState,
    price: i64,
    qty: i64,
    asked: (i64, i64),
    cum: i64,
    fills: Vec<(u128, i64, i64)>,
    is_cancelling: bool,
    is_amending: bool,
    asked_at: u64,
    placed_at: u64,
    absences: u32,
    is_inferred: bool,
}

impl Plain {
    fn filled(&self) -> i64 {
        self.fills.iter().map(|(_, qty, _)| qty).sum()
    }

    fn is_final(&self) -> bool {
        use OrderState::{Cancelled, Expired, Filled, Rejected};
        [Filled, Cancelled, Rejected, Expired].contains(&self.state)
    }

    fn is_waiting(&self) -> bool {
        let is_new = [OrderState::New, OrderState::Pending].contains(&self.state);
        is_new || self.is_cancelling || self.is_amending
    }

    /// The most the position may still move by.
    fn worst(&self) -> i64 {
        let most = if self.is_final() {
            self.cum
        } else {
            self.qty.max(self.asked.1)
        };
        (most - self.filled()).max(0)
    }
}

/// Whether evidence of a state moves an order, does nothing, or cannot be.
fn means(from: OrderState, to: OrderState) -> Option<bool> {
    use OrderState::{
        Ack, Cancelled, Expired, Filled, New, PartiallyFilled, Pending, Rejected, Unknown,
    };
    let is_final = [Filled, Cancelled, Rejected, Expired].contains(&from);
    let is_late = [Pending, Unknown].contains(&to);
    let lives = [Ack, PartiallyFilled].contains(&to);
    match from {
        _ if to == New => None,
        New | Pending => Some(to != Pending || from == New),
        Unknown => Some(!is_late),
        Ack => Some(![Pending, Ack].contains(&to)),
        PartiallyFilled if to == Rejected => None,
        PartiallyFilled => Some(![Pending, Ack, PartiallyFilled].contains(&to)),
        _ if !is_final => unreachable!(),
        // Ends: the same again, and old news, are nothing; a crossed fill is true.
        _ if from == to || is_late => Some(false),
        Cancelled | Expired if to == Filled => Some(true),
        Cancelled | Expired if lives || [Cancelled, Expired].contains(&to) => Some(false),
        Filled if lives => Some(false),
        _ => None,
    }
}

#[derive(Debug, Default)]
struct Naive {
    orders: Vec<Plain>,
    tally: Tally,
}

impl Naive {
    fn step(&mut self, at: usize, to: OrderState) {
        let order = &mut self.orders[at];
        match means(order.state, to) {
            None => self.tally.illegal += 1,
            Some(false) => {}
            Some(true) => {
                order.state = to;
                if order.is_final() {
                    (order.is_cancelling, order.is_amending) = (false, false);
                }
            }
        }
    }

    fn find(&self, id: Option<ClientOrderId>, venue_id: u128) -> Option<usize> {
        match id {
            Some(id) => self.orders.iter().position(|order| order.id == id),
            None if venue_id == 0 => None,
            None => self
                .orders
                .iter()
                .position(|order| order.venue_id == venue_id),
        }
    }

    fn report(&mut self, it: &OrderReport, now: u64) {
        let Some(at) = self.find(it.client_id, it.order_id.0) else {
            self.tally.foreign += 1;
            return;
        };
        if (it.state, it.reason) == (OrderState::Rejected, RejectReason::UnknownOrder) {
            self.absent(at, now);
            return;
        }
        let order = &mut self.orders[at];
        order.absences = 0;
        if it.order_id.0 != 0 {
            order.venue_id = it.order_id.0;
        }
        let before = (order.price, order.qty);
        let told = |number: Option<Decimal>| number.map(|it| it.mantissa).filter(|it| *it > 0);
        order.price = told(it.price).unwrap_or(order.price);
        order.qty = told(it.qty).unwrap_or(order.qty);
        order.cum = order.cum.max(it.cum.map_or(0, |cum| cum.mantissa));
        if before != (order.price, order.qty) {
            order.is_amending = false;
            order.asked = (order.price, order.qty);
        }
        let is_alive = [
            OrderState::Ack,
            OrderState::PartiallyFilled,
            OrderState::Pending,
        ];
        let has_cum = order.cum > 0;
        if order.is_final() && order.is_inferred && is_alive.contains(&it.state) {
            (order.state, order.is_inferred) = (OrderState::Unknown, false);
            self.tally.revived += 1;
        }
        let to = match it.state {
            OrderState::Ack if has_cum => OrderState::PartiallyFilled,
            OrderState::Rejected if has_cum => OrderState::Cancelled,
            to => to,
        };
        self.step(at, to);
    }

    fn absent(&mut self, at: usize, now: u64) {
        let order = &mut self.orders[at];
        if order.is_final() {
            return;
        }
        if now.saturating_sub(order.placed_at) >= ABSENT_NS {
            order.absences += 1;
        }
        if order.absences < 2 {
            self.step(at, OrderState::Unknown);
            return;
        }
        order.is_inferred = true;
        let had_it = order.venue_id != 0 || order.cum > 0;
        self.step(
            at,
            if had_it {
                OrderState::Cancelled
            } else {
                OrderState::Rejected
            },
        );
    }

    fn fill(&mut self, it: &FillReport) {
        let Some(at) = self.find(it.client_id, it.order_id.0) else {
            // Told without our id: of whichever order it was counted for.
            let mut counted = self.orders.iter().flat_map(|order| &order.fills);
            if it.client_id.is_none() && counted.any(|(trade, ..)| *trade == it.trade_id.0) {
                self.tally.duplicate_fills += 1;
                return;
            }
            let is_nameless = |order: &Plain| order.venue_id == 0 && !order.is_final();
            let may_be_ours = it.client_id.is_none() && self.orders.iter().any(is_nameless);
            self.tally.foreign += u64::from(!may_be_ours);
            return;
        };
        let order = &mut self.orders[at];
        order.cum = order.cum.max(it.cum.map_or(0, |cum| cum.mantissa));
        let qty = it.qty.mantissa;
        if order
            .fills
            .iter()
            .any(|(trade, ..)| *trade == it.trade_id.0)
        {
            self.tally.duplicate_fills += 1;
            return;
        }
        if order.filled() + qty > order.cum {
            self.tally.beyond += 1;
            return;
        }
        order.fills.push((it.trade_id.0, qty, it.price.mantissa));
        if it.order_id.0 != 0 {
            order.venue_id = it.order_id.0;
        }
        let is_late = order.is_final() && order.state != OrderState::Filled;
        self.tally.late_fills += u64::from(is_late);
        self.tally.overfills += u64::from(order.filled() > order.qty);
        let is_done = order.cum >= order.qty;
        self.step(
            at,
            if is_done {
                OrderState::Filled
            } else {
                OrderState::PartiallyFilled
            },
        );
    }

    fn answer(&mut self, at: usize, venue_id: u128, reason: RejectReason) {
        let order = &mut self.orders[at];
        if venue_id != 0 {
            order.venue_id = venue_id;
        }
        let had_both = order.is_cancelling && order.is_amending;
        order.is_amending = false;
        if reason == RejectReason::None {
            return;
        }
        order.is_cancelling = false;
        let is_open = [RejectReason::UnknownOrder, RejectReason::UnknownOutcome].contains(&reason);
        if !is_open && !had_both {
            order.asked = (order.price, order.qty);
        }
    }

    fn give_up(&mut self, is_lost: impl Fn(&Plain) -> bool) {
        for at in 0..self.orders.len() {
            let order = &mut self.orders[at];
            if !order.is_final() && order.is_waiting() && is_lost(order) {
                (order.is_cancelling, order.is_amending) = (false, false);
                self.step(at, OrderState::Unknown);
            }
        }
    }

    fn exposure(&self) -> Exposure {
        let of = |side| self.orders.iter().filter(move |order| order.side == side);
        let live = |side| of(side).filter(|order| !order.is_final());
        let worst = |side| Qty(of(side).map(Plain::worst).sum());
        Exposure {
            buy: worst(Side::Buy),
            sell: worst(Side::Sell),
            own_bid: live(Side::Buy)
                .map(|it| Price(it.price.max(it.asked.0)))
                .max(),
            own_ask: live(Side::Sell)
                .map(|it| Price(it.price.min(it.asked.0)))
                .min(),
        }
    }

    /// Net quantity, and cash paid less received, in 10^-12.
    fn held(&self) -> (i64, i128) {
        let all = self.orders.iter().flat_map(|order| {
            let sign = order.side.sign();
            order
                .fills
                .iter()
                .map(move |(_, qty, price)| (sign * qty, i128::from(sign * qty * price)))
        });
        all.fold((0, 0), |(held, paid), (qty, value)| {
            (held + qty, paid + value * ONE)
        })
    }
}

/// One thing that happens; `order` names one of those there are, or nobody.
#[derive(Debug, Clone)]
enum Event {
    Place {
        is_buy: bool,
        price: i64,
        qty: i64,
    },
    Sent(usize),
    NotSent(usize),
    CancelSent(usize),
    CancelNotSent(usize),
    Amend {
        order: usize,
        price: Option<i64>,
        qty: Option<i64>,
        is_sent: bool,
    },
    Answer {
        order: usize,
        has_id: bool,
        reason: u8,
    },
    Report {
        order: usize,
        state: u8,
        is_absent: bool,
        by_id: bool,
        has_id: bool,
        price: Option<i64>,
        qty: Option<i64>,
        cum: Option<i64>,
    },
    Fill {
        order: usize,
        trade: u128,
        qty: i64,
        price: i64,
        more: Option<i64>,
        by_id: bool,
        has_id: bool,
    },
    LinkLost,
    Later(u64),
}

fn event() -> impl Strategy<Value = Event> {
    use Event::{
        Amend, Answer, CancelNotSent, CancelSent, Fill, Later, LinkLost, NotSent, Place, Report,
        Sent,
    };
    let order = || 0usize..7;
    let some = || proptest::option::of(1i64..20);
    prop_oneof![
        4 => (any::<bool>(), 90i64..110, 1i64..20).prop_map(|(is_buy, price, qty)| Place { is_buy, price, qty }),
        4 => order().prop_map(Sent),
        1 => order().prop_map(NotSent),
        2 => order().prop_map(CancelSent),
        1 => order().prop_map(CancelNotSent),
        2 => (order(), proptest::option::of(90i64..110), some(), any::<bool>())
            .prop_map(|(order, price, qty, is_sent)| Amend { order, price, qty, is_sent }),
        3 => (order(), any::<bool>(), 0u8..5).prop_map(|(order, has_id, reason)| Answer { order, has_id, reason }),
        8 => (order(), 0u8..8, proptest::bool::weighted(0.1), any::<bool>(), any::<bool>(),
            proptest::option::weighted(0.2, 90i64..110), proptest::option::weighted(0.2, 1i64..20), proptest::option::of(0i64..20))
            .prop_map(|(order, state, is_absent, by_id, has_id, price, qty, cum)|
                Report { order, state, is_absent, by_id, has_id, price, qty, cum }),
        8 => (order(), 1u128..30, 1i64..10, 90i64..110, proptest::option::weighted(0.8, -2i64..3), any::<bool>(), any::<bool>())
            .prop_map(|(order, trade, qty, price, more, by_id, has_id)|
                Fill { order, trade, qty, price, more, by_id, has_id }),
        1 => Just(LinkLost),
        2 => (0u64..4_000_000_000).prop_map(Later),
    ]
}

const fn whole(value: i64) -> Decimal {
    Decimal {
        mantissa: value,
        exponent: 0,
    }
}

const REASONS: [RejectReason; 5] = [
    RejectReason::None,
    RejectReason::UnknownOrder,
    RejectReason::UnknownOutcome,
    RejectReason::RateLimit,
    RejectReason::Other,
];

/// Both of them, fed alike.
struct Pair {
    oms: Oms,
    naive: Naive,
    position: Position,
    instrument: Instrument,
    now: u64,
}

impl Pair {
    fn new() -> Self {
        Self {
            oms: Oms::with_room(Epoch(1), LaneId(0), 1, ROOM),
            naive: Naive::default(),
            position: Position::default(),
            instrument: Instrument::bare(IT, VENUE, Text::EMPTY, 0, 0),
            now: 1_000_000_000_000,
        }
    }

    /// One of the orders, by number; a number beyond them is nobody's id.
    fn id(&self, order: usize) -> (Option<usize>, ClientOrderId) {
        match self.naive.orders.get(order) {
            Some(plain) => (Some(order), plain.id),
            None => (
                None,
                ClientOrderId::new(Epoch(9), LaneId(0), order as u32 + 1).unwrap(),
            ),
        }
    }

    fn happen(&mut self, event: &Event) {
        let now = UnixNanos(self.now);
        match *event {
            Event::Place { is_buy, price, qty } => self.place(is_buy, price, qty),
            Event::Sent(order) => {
                let (at, id) = self.id(order);
                self.oms.on_sent(id, now);
                if let Some(at) = at {
                    let plain = &mut self.naive.orders[at];
                    (plain.asked_at, plain.placed_at) = (self.now, self.now);
                    self.naive.step(at, OrderState::Pending);
                }
            }
            Event::NotSent(order) => {
                let (at, id) = self.id(order);
                self.oms.on_not_sent(id, RejectReason::Other);
                if let Some(at) = at {
                    self.naive.step(at, OrderState::Rejected);
                }
            }
            Event::CancelSent(order) => {
                let (at, id) = self.id(order);
                self.oms.on_cancel_sent(id, now);
                if let Some(plain) = at.map(|at| &mut self.naive.orders[at])
                    && !plain.is_final()
                {
                    if !plain.is_waiting() {
                        plain.asked_at = self.now;
                    }
                    plain.is_cancelling = true;
                }
            }
            Event::CancelNotSent(order) => {
                let (at, id) = self.id(order);
                self.oms.on_cancel_not_sent(id);
                if let Some(at) = at {
                    self.naive.orders[at].is_cancelling = false;
                }
            }
            Event::Amend {
                order,
                price,
                qty,
                is_sent,
            } => self.amend(order, price, qty, is_sent),
            Event::Answer {
                order,
                has_id,
                reason,
            } => {
                let (at, id) = self.id(order);
                let (venue_id, reason) = (venue_id(order, has_id), REASONS[usize::from(reason)]);
                self.oms.on_answer(id, OrderId(venue_id), reason);
                if let Some(at) = at {
                    self.naive.answer(at, venue_id, reason);
                }
            }
            Event::Report {
                order,
                state,
                is_absent,
                by_id,
                has_id,
                price,
                qty,
                cum,
            } => {
                let (_, id) = self.id(order);
                let (state, reason) = if is_absent {
                    (OrderState::Rejected, RejectReason::UnknownOrder)
                } else {
                    // Never `New`: no evidence shows that.
                    (OrderState::ALL[1 + usize::from(state)], RejectReason::None)
                };
                let report = OrderReport {
                    instrument: IT,
                    client_id: by_id.then_some(id),
                    order_id: OrderId(venue_id(order, has_id || !by_id)),
                    side: None,
                    state,
                    reason,
                    price: price.map(whole),
                    qty: qty.map(whole),
                    cum: cum.map(whole),
                    venue_ns: VenueNanos(0),
                };
                self.oms.on_report(&report, &self.instrument, now);
                self.naive.report(&report, self.now);
            }
            Event::Fill {
                order,
                trade,
                qty,
                price,
                more,
                by_id,
                has_id,
            } => {
                let (at, id) = self.id(order);
                let filled = at.map_or(0, |at| self.naive.orders[at].filled());
                let report = FillReport {
                    instrument: IT,
                    client_id: by_id.then_some(id),
                    order_id: OrderId(venue_id(order, has_id || !by_id)),
                    trade_id: TradeId(trade),
                    side: Side::Buy,
                    price: whole(price),
                    qty: whole(qty),
                    cum: more.map(|more| whole((filled + qty + more).max(0))),
                    fee: Decimal::ZERO,
                    fee_asset: AssetId::NONE,
                    liquidity: Liquidity::Maker,
                    venue_ns: VenueNanos(0),
                };
                self.naive.fill(&report);
                if let FillOutcome::Counted {
                    order, qty, price, ..
                } = self.oms.on_fill(&report, &self.instrument)
                {
                    let value = self.instrument.notional(price, qty).unwrap();
                    self.position
                        .book(order.side, qty, value, Notional(0).into())
                        .unwrap();
                }
            }
            Event::LinkLost => {
                self.oms.on_link_lost(VENUE, &mut |_| {});
                self.naive.give_up(|_| true);
            }
            Event::Later(ns) => {
                self.now += ns;
                self.oms.on_timeout(UnixNanos(self.now), &mut |_| {});
                let now = self.now;
                self.naive.give_up(|order| now - order.asked_at > ANSWER_NS);
            }
        }
    }

    fn place(&mut self, is_buy: bool, price: i64, qty: i64) {
        if self.naive.orders.len() == 6 {
            return;
        }
        let id = self.oms.next_id().unwrap();
        let side = if is_buy { Side::Buy } else { Side::Sell };
        let order = NewOrder {
            instrument: IT,
            client_id: id,
            side,
            kind: OrderKind::Limit,
            tif: Tif::Gtc,
            price: Price(price),
            qty: Qty(qty),
        };
        self.oms
            .admit(&order, VENUE, StrategyId(0), UnixNanos(self.now))
            .unwrap();
        self.naive.orders.push(Plain {
            id,
            venue_id: 0,
            side,
            state: OrderState::New,
            price,
            qty,
            asked: (price, qty),
            cum: 0,
            fills: Vec::new(),
            is_cancelling: false,
            is_amending: false,
            asked_at: self.now,
            placed_at: self.now,
            absences: 0,
            is_inferred: false,
        });
    }

    fn amend(&mut self, order: usize, price: Option<i64>, qty: Option<i64>, is_sent: bool) {
        let (at, id) = self.id(order);
        let amend = AmendOrder {
            instrument: IT,
            client_id: id,
            order_id: OrderId(0),
            price: price.map(Price),
            qty: qty.map(Qty),
        };
        self.oms.on_amend_asked(&amend);
        if is_sent {
            self.oms.on_amend_sent(id, UnixNanos(self.now));
        } else {
            self.oms.on_amend_not_sent(id, RejectReason::RateLimit);
        }
        let Some(plain) = at
            .map(|at| &mut self.naive.orders[at])
            .filter(|it| !it.is_final())
        else {
            return;
        };
        plain.asked = (price.unwrap_or(plain.price), qty.unwrap_or(plain.qty));
        if is_sent {
            if !plain.is_waiting() {
                plain.asked_at = self.now;
            }
            plain.is_amending = true;
        } else if !plain.is_amending {
            plain.asked = (plain.price, plain.qty);
        }
    }

    fn agree(&mut self) -> Result<(), TestCaseError> {
        for plain in &self.naive.orders {
            let order = self.oms.get(plain.id).unwrap();
            prop_assert_eq!(order.state, plain.state, "{:?}", plain);
            prop_assert_eq!(
                (order.price.0, order.qty.0, order.cum.0),
                (plain.price, plain.qty, plain.cum)
            );
            prop_assert_eq!(
                (order.filled.0, order.order_id.0),
                (plain.filled(), plain.venue_id)
            );
            let flags = (order.is_cancelling, order.is_amending, order.is_inferred);
            prop_assert_eq!(
                flags,
                (plain.is_cancelling, plain.is_amending, plain.is_inferred),
                "{:?}",
                plain
            );
            prop_assert_eq!(order.leaves_worst().0, plain.worst(), "{:?}", plain);
        }
        prop_assert_eq!(self.oms.exposure(IT), self.naive.exposure());
        prop_assert_eq!(self.oms.tally(), self.naive.tally);
        let live = self.naive.orders.iter().filter(|order| !order.is_final());
        prop_assert_eq!(self.oms.all_live().count(), live.count());
        let (held, paid) = self.naive.held();
        prop_assert_eq!(self.position.qty, Qty(held));
        prop_assert_eq!(self.position.cost.0 - self.position.realised.0, paid);
        Ok(())
    }
}

/// The venue's id of an order: its place and one; nobody's for a place beyond them.
const fn venue_id(order: usize, is_told: bool) -> u128 {
    if is_told { order as u128 + 1 } else { 0 }
}

#[test]
fn agrees_with_one_written_for_clarity() {
    let told = std::env::var("SPINLANE_ORACLE").ok();
    let cases = told.and_then(|told| told.parse().ok()).unwrap_or(1_000);
    let mut runner = TestRunner::new(Config {
        cases,
        ..Config::default()
    });
    let events = proptest::collection::vec(event(), 1..80);
    let result = runner.run(&events, |events| {
        let mut pair = Pair::new();
        for event in &events {
            pair.happen(event);
            pair.agree()?;
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    println!("{cases} sequences");
}
