//! The order table: lives worked by hand, then laws.

use super::*;
use dp_types::{AssetId, Decimal, Liquidity, OrderKind, Text, Tif};
use proptest::prelude::*;

pub(super) const VENUE: VenueId = VenueId::OKX;
pub(super) const NOW: UnixNanos = UnixNanos(1_000);

pub(super) fn instrument() -> Instrument {
    Instrument::bare(InstrumentId(0), VENUE, Text::EMPTY, 0, 0)
}

pub(super) fn oms() -> Oms {
    Oms::new(Epoch(1), LaneId(0), 1)
}

pub(super) fn place(oms: &mut Oms, side: Side, price: i64, qty: i64) -> ClientOrderId {
    let client_id = oms.next_id().unwrap();
    let order = NewOrder {
        instrument: InstrumentId(0),
        client_id,
        side,
        kind: OrderKind::PostOnly,
        tif: Tif::Gtc,
        price: Price(price),
        qty: Qty(qty),
    };
    oms.admit(&order, VENUE, StrategyId(0), UnixNanos(1))
        .unwrap();
    client_id
}

pub(super) fn whole(value: i64) -> Decimal {
    Decimal {
        mantissa: value,
        exponent: 0,
    }
}

pub(super) fn report(id: ClientOrderId, state: OrderState, cum: i64) -> OrderReport {
    OrderReport {
        instrument: InstrumentId(0),
        client_id: Some(id),
        order_id: OrderId(7),
        side: None,
        state,
        reason: RejectReason::None,
        price: None,
        qty: None,
        cum: Some(whole(cum)),
        venue_ns: VenueNanos(0),
    }
}

pub(super) fn fill(id: ClientOrderId, trade: u128, qty: i64) -> FillReport {
    FillReport {
        instrument: InstrumentId(0),
        client_id: Some(id),
        order_id: OrderId(7),
        trade_id: TradeId(trade),
        side: Side::Buy,
        price: Decimal {
            mantissa: 100,
            exponent: 0,
        },
        qty: Decimal {
            mantissa: qty,
            exponent: 0,
        },
        cum: None,
        fee: Decimal::ZERO,
        fee_asset: AssetId::NONE,
        liquidity: Liquidity::Maker,
        venue_ns: VenueNanos(0),
    }
}

/// A fill as a stream tells it: with what is done of the order after it.
pub(super) fn told(oms: &Oms, id: ClientOrderId, trade: u128, qty: i64) -> FillReport {
    let filled = oms.get(id).unwrap().filled.0;
    FillReport {
        cum: Some(whole(filled + qty)),
        ..fill(id, trade, qty)
    }
}

pub(super) fn state(oms: &Oms, id: ClientOrderId) -> OrderState {
    oms.get(id).unwrap().state
}

#[test]
fn a_repeated_cancel_does_not_keep_a_lost_order_from_becoming_unknown() {
    let mut oms = oms();
    let id = place(&mut oms, Side::Buy, 100, 5);
    oms.on_sent(id, UnixNanos(1));
    let mut lost = 0;
    for at in 1..=20 {
        let now = UnixNanos(1 + at * ANSWER_NS_MAX / 10);
        oms.on_cancel_sent(id, now);
        oms.on_timeout(now, &mut |_| lost += 1);
        if lost > 0 {
            break;
        }
    }
    assert_eq!((lost, state(&oms, id)), (1, OrderState::Unknown));
}

#[test]
fn a_plain_life() {
    let mut oms = oms();
    let id = place(&mut oms, Side::Buy, 100, 5);
    assert_eq!(
        oms.on_sent(id, UnixNanos(2)).unwrap().order.state,
        OrderState::Pending
    );
    let change = oms
        .on_report(&report(id, OrderState::Ack, 0), &instrument(), NOW)
        .unwrap();
    assert_eq!(
        (change.from, change.order.state),
        (OrderState::Pending, OrderState::Ack)
    );
    assert_eq!(oms.exposure(InstrumentId(0)).buy, Qty(5));
    let FillOutcome::Counted { qty, change, .. } =
        oms.on_fill(&told(&oms, id, 1, 2), &instrument())
    else {
        panic!("not counted")
    };
    assert_eq!(
        (qty, change.unwrap().order.state),
        (Qty(2), OrderState::PartiallyFilled)
    );
    assert_eq!(oms.exposure(InstrumentId(0)).buy, Qty(3));
    oms.on_fill(&told(&oms, id, 2, 3), &instrument());
    assert_eq!((state(&oms, id), oms.held_count()), (OrderState::Filled, 0));
    assert_eq!(oms.exposure(InstrumentId(0)), Exposure::default());
}

#[test]
fn the_stream_may_come_before_the_reply() {
    let mut oms = oms();
    let id = place(&mut oms, Side::Buy, 100, 5);
    oms.on_sent(id, UnixNanos(2));
    oms.on_fill(&told(&oms, id, 1, 5), &instrument());
    assert_eq!(
        oms.on_report(&report(id, OrderState::Ack, 0), &instrument(), NOW),
        None
    );
    assert_eq!(
        (state(&oms, id), oms.tally().illegal),
        (OrderState::Filled, 0)
    );
}

#[test]
fn no_answer_is_unknown_and_still_counts_as_working() {
    let mut oms = oms();
    let id = place(&mut oms, Side::Sell, 100, 5);
    oms.on_sent(id, UnixNanos(0));
    let mut changes = Vec::new();
    oms.on_timeout(UnixNanos(ANSWER_NS_MAX + 1), &mut |change| {
        changes.push(change);
    });
    assert_eq!(changes.len(), 1);
    assert_eq!(state(&oms, id), OrderState::Unknown);
    assert_eq!(oms.exposure(InstrumentId(0)).sell, Qty(5));
    assert_eq!(oms.unknown(VENUE).len(), 1);
    oms.on_report(&report(id, OrderState::Rejected, 0), &instrument(), NOW);
    assert_eq!(
        (state(&oms, id), oms.held_count()),
        (OrderState::Rejected, 0)
    );
}

#[test]
fn a_cancel_the_venue_does_not_know_is_asked_about() {
    let mut oms = oms();
    let id = place(&mut oms, Side::Buy, 100, 5);
    oms.on_sent(id, UnixNanos(1));
    oms.on_report(&report(id, OrderState::Ack, 0), &instrument(), NOW);
    oms.on_cancel_sent(id, UnixNanos(2));
    let ask = oms.on_answer(id, OrderId(0), RejectReason::UnknownOrder);
    assert_eq!(ask.map(|order| order.client_id), Some(id));
    assert_eq!(state(&oms, id), OrderState::Ack, "never guessed");
}

#[test]
fn reconciliation_asks_about_what_was_not_named() {
    let mut oms = oms();
    let ids: Vec<_> = (0..3)
        .map(|at| place(&mut oms, Side::Buy, 100 + at, 5))
        .collect();
    for id in &ids {
        oms.on_sent(*id, UnixNanos(1));
    }
    oms.begin_reconcile(VENUE);
    let young = place(&mut oms, Side::Buy, 99, 5);
    oms.on_sent(young, UnixNanos(2));
    oms.on_report(&report(ids[1], OrderState::Ack, 0), &instrument(), NOW);
    let asked: Vec<_> = oms
        .end_reconcile(VENUE)
        .iter()
        .map(|order| order.client_id)
        .collect();
    assert_eq!(asked, [ids[0], ids[2]], "not the one sent meanwhile");
}

#[test]
fn what_ends_while_orders_are_compared_is_not_of_the_past() {
    let mut oms = oms();
    let [before, during, young] = [100, 101, 102].map(|price| {
        let id = place(&mut oms, Side::Buy, price, 5);
        oms.on_sent(id, UnixNanos(1));
        id
    });
    let end = |oms: &mut Oms, id| {
        oms.on_report(&report(id, OrderState::Cancelled, 0), &instrument(), NOW);
    };
    end(&mut oms, before);
    oms.begin_reconcile(VENUE);
    end(&mut oms, during);
    let is_past = |oms: &Oms, id| oms.get(id).unwrap().is_past();
    assert_eq!(
        [before, during, young].map(|id| is_past(&oms, id)),
        [true, false, false]
    );
    oms.begin_reconcile(VENUE);
    assert_eq!(
        [before, during, young].map(|id| is_past(&oms, id)),
        [true, true, false]
    );
}

#[test]
fn a_full_table_refuses() {
    let mut oms = oms();
    for _ in 0..LIVE_ORDERS_MAX {
        place(&mut oms, Side::Buy, 1, 1);
    }
    let client_id = oms.next_id().unwrap();
    let order = NewOrder {
        instrument: InstrumentId(0),
        client_id,
        side: Side::Buy,
        kind: OrderKind::Limit,
        tif: Tif::Gtc,
        price: Price(1),
        qty: Qty(1),
    };
    assert_eq!(
        oms.admit(&order, VENUE, StrategyId(0), UnixNanos(1)),
        Err(OmsFault::Full)
    );
}

proptest! {
    /// Whatever comes in whatever order: fills add up, cum never falls, live counts agree.
    #[test]
    fn evidence_in_any_order_keeps_the_books(
        steps in proptest::collection::vec((0u8..8, 0usize..4, 0u128..6, 1i64..4), 0..120)
    ) {
        let mut oms = oms();
        let ids: Vec<_> = (0..4).map(|at| place(&mut oms, Side::Buy, 100 + at, 5)).collect();
        let mut counted = std::collections::BTreeSet::new();
        let mut sums = [0i64; 4];
        for (kind, at, trade, qty) in steps {
            let id = ids[at];
            let before = oms.get(id).copied().unwrap();
            match kind {
                0 => drop(oms.on_sent(id, UnixNanos(1))),
                1..=4 => {
                    let to = [OrderState::Ack, OrderState::Cancelled, OrderState::Rejected, OrderState::Expired];
                    oms.on_report(&report(id, to[usize::from(kind) - 1], before.cum.0), &instrument(), NOW);
                }
                5 => oms.on_cancel_sent(id, UnixNanos(2)),
                _ => {
                    let is_new = counted.insert((at, trade));
                    let fill = if is_new { told(&oms, id, trade, qty) } else { fill(id, trade, qty) };
                    let outcome = oms.on_fill(&fill, &instrument());
                    prop_assert_eq!(matches!(outcome, FillOutcome::Counted { .. }), is_new);
                    sums[at] += if is_new { qty } else { 0 };
                }
            }
            let after = oms.get(id).copied().unwrap();
            prop_assert!(after.cum >= before.cum);
            prop_assert_eq!(after.filled, Qty(sums[at]));
            let live = ids.iter().filter(|id| !oms.get(**id).unwrap().state.is_final()).count();
            prop_assert_eq!(oms.held_count(), live);
            prop_assert_eq!(oms.all_live().count(), live);
            let working: i64 = oms.all_live().map(|order| order.leaves().0).sum();
            prop_assert_eq!(oms.exposure(InstrumentId(0)).buy, Qty(working));
        }
    }
}

/// The same rules the slow way round: one list of orders in the order they were made, everything else
/// worked out anew at each question.
#[derive(Default)]
struct Naive {
    orders: Vec<Order>,
    finished: Vec<ClientOrderId>,
    fills: Vec<(InstrumentId, u128, ClientOrderId)>,
}

impl Naive {
    fn by_id(&mut self, id: ClientOrderId) -> Option<&mut Order> {
        self.orders.iter_mut().find(|order| order.client_id == id)
    }

    fn moves(&mut self, id: ClientOrderId, to: OrderState) {
        let order = self.by_id(id).unwrap();
        if judge(order.state, to) != Verdict::Moves {
            return;
        }
        order.state = to;
        if to.is_final() {
            (order.is_cancelling, order.is_amending) = (false, false);
        }
        self.finish(id);
    }

    /// What is final and paid for is put away; what turns out not to be paid for is taken back.
    fn finish(&mut self, id: ClientOrderId) {
        let order = *self.by_id(id).unwrap();
        if !order.state.is_final() {
            return;
        }
        let is_away = self.finished.contains(&id);
        if order.filled < order.cum {
            if self.held() < SMALL.live {
                self.finished.retain(|held| *held != id);
            }
            return;
        }
        if !is_away {
            self.finished.push(id);
        }
        if self.finished.len() > SMALL.finals {
            let oldest = self.finished.remove(0);
            self.orders.retain(|order| order.client_id != oldest);
        }
    }

    fn held(&self) -> usize {
        self.orders.len() - self.finished.len()
    }

    fn report(&mut self, id: ClientOrderId, state: OrderState, cum: i64) {
        let order = self.by_id(id).unwrap();
        order.order_id = OrderId(7);
        order.is_seen = true;
        order.cum = order.cum.max(Qty(cum));
        self.finish(id);
        let order = self.by_id(id).unwrap();
        let to = match (state, order.cum.0 > 0) {
            (OrderState::Ack, true) => OrderState::PartiallyFilled,
            (OrderState::Rejected, true) => OrderState::Cancelled,
            _ => state,
        };
        self.moves(id, to);
    }

    fn fill(&mut self, id: ClientOrderId, trade: u128, qty: i64, cum: Option<i64>) -> bool {
        let order = self.by_id(id).unwrap();
        order.cum = order.cum.max(Qty(cum.unwrap_or(0)));
        self.finish(id);
        let order = *self.by_id(id).unwrap();
        let key = (order.instrument, trade, id);
        if self.fills.contains(&key) || order.filled.0 + qty > order.cum.0 {
            return false;
        }
        self.fills.push(key);
        let order = self.by_id(id).unwrap();
        (order.order_id, order.is_seen) = (OrderId(7), true);
        order.filled.0 += qty;
        let is_done = order.cum >= order.qty;
        self.moves(
            id,
            if is_done {
                OrderState::Filled
            } else {
                OrderState::PartiallyFilled
            },
        );
        self.finish(id);
        true
    }

    fn give_up(&mut self, is_lost: impl Fn(&Order) -> bool) {
        let is_open = |order: &Order| {
            matches!(order.state, OrderState::New | OrderState::Pending)
                || order.is_cancelling
                || order.is_amending
        };
        for order in self
            .orders
            .iter_mut()
            .filter(|order| is_open(order) && is_lost(order))
        {
            (order.is_cancelling, order.is_amending) = (false, false);
            order.state = OrderState::Unknown;
        }
    }

    fn live(&self, instrument: u32) -> impl Iterator<Item = &Order> {
        let of = move |order: &&Order| order.instrument.0 == instrument && !order.state.is_final();
        self.orders.iter().filter(of)
    }

    fn exposure(&self, instrument: u32) -> Exposure {
        let side = |side| {
            self.live(instrument)
                .filter(move |order| order.side == side)
        };
        let sum = |of: Side| {
            let held = self.orders.iter().filter(|order| {
                let is_held = !self.finished.contains(&order.client_id);
                order.instrument.0 == instrument && order.side == of && is_held
            });
            let most = |order: &Order| {
                if order.state.is_final() {
                    order.cum.0
                } else {
                    order.qty.0
                }
            };
            Qty(held
                .map(|order| (most(order) - order.filled.0).max(0))
                .sum())
        };
        Exposure {
            buy: sum(Side::Buy),
            sell: sum(Side::Sell),
            own_bid: side(Side::Buy).map(|order| order.price).max(),
            own_ask: side(Side::Sell).map(|order| order.price).min(),
        }
    }
}

pub(super) const SMALL: Room = Room {
    live: 5,
    finals: 3,
    fills: 1_000,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn agrees_with_the_oracle(
        steps in proptest::collection::vec((0u8..14, any::<u16>(), 0u128..8, 1i64..6), 1..150)
    ) {
        let instruments = [0, 1].map(|id| Instrument { id: InstrumentId(id), ..instrument() });
        let mut oms = Oms::with_room(Epoch(1), LaneId(0), 2, SMALL);
        let mut naive = Naive::default();
        let mut made = 0u32;
        for (at, (kind, pick, trade, qty)) in steps.into_iter().enumerate() {
            let now = UnixNanos(at as u64 * 1_000_000_000);
            let known: Vec<ClientOrderId> = naive.orders.iter().map(|order| order.client_id).collect();
            let picked = known.get(usize::from(pick) % known.len().max(1)).copied();
            let of = |id| oms_instrument(&naive, id, &instruments);
            match (kind, picked) {
                (0..=2, _) => {
                    let client_id = oms.next_id().unwrap();
                    let order = NewOrder {
                        instrument: InstrumentId(u32::from(pick % 2)), client_id,
                        side: if pick & 2 == 0 { Side::Buy } else { Side::Sell },
                        kind: OrderKind::PostOnly, tif: Tif::Gtc, price: Price(i64::from(pick) + 1), qty: Qty(qty),
                    };
                    let is_room = naive.held() < SMALL.live;
                    let got = oms.admit(&order, VENUE, StrategyId(0), now);
                    prop_assert_eq!(got.is_ok(), is_room);
                    if let Ok(order) = got {
                        naive.orders.push(order);
                        made += 1;
                    }
                }
                (3, Some(id)) => {
                    oms.on_sent(id, now);
                    let order = naive.by_id(id).unwrap();
                    (order.sent_at, order.placed_at) = (now, now);
                    naive.moves(id, OrderState::Pending);
                }
                (4, Some(id)) => {
                    oms.on_cancel_sent(id, now);
                    let order = naive.by_id(id).unwrap();
                    if !order.state.is_final() {
                        let is_new = matches!(order.state, OrderState::New | OrderState::Pending);
                        if !is_new && !order.is_cancelling && !order.is_amending {
                            order.sent_at = now;
                        }
                        order.is_cancelling = true;
                    }
                }
                (5..=9, Some(id)) => {
                    let state = [OrderState::Ack, OrderState::Cancelled, OrderState::Rejected,
                        OrderState::Expired, OrderState::Ack][usize::from(kind) - 5];
                    let cum = if pick % 3 == 0 { trade as i64 } else { 0 };
                    let report = OrderReport { instrument: of(id).id, ..report(id, state, cum) };
                    oms.on_report(&report, &of(id), NOW);
                    naive.report(id, state, cum);
                }
                (10 | 11, Some(id)) => {
                    let cum = (pick % 3 > 0).then(|| oms.get(id).unwrap().filled.0 + qty);
                    let fill = FillReport { instrument: of(id).id, cum: cum.map(whole), ..fill(id, trade, qty) };
                    let is_counted = matches!(oms.on_fill(&fill, &of(id)), FillOutcome::Counted { .. });
                    prop_assert_eq!(is_counted, naive.fill(id, trade, qty, cum));
                }
                (12, _) => {
                    oms.on_timeout(now, &mut |change| assert_eq!(change.order.state, OrderState::Unknown));
                    naive.give_up(|order| now.since(order.sent_at) > ANSWER_NS_MAX);
                }
                (13, _) if pick % 4 == 0 => {
                    oms.on_link_lost(VENUE, &mut |change| assert_eq!(change.order.state, OrderState::Unknown));
                    naive.give_up(|_| true);
                }
                _ => {}
            }
            for sequence in 1..=made {
                let id = ClientOrderId::new(Epoch(1), LaneId(0), sequence).unwrap();
                prop_assert_eq!(oms.get(id), naive.orders.iter().find(|order| order.client_id == id));
            }
            for instrument in [0, 1] {
                prop_assert_eq!(oms.exposure(InstrumentId(instrument)), naive.exposure(instrument));
                let live: Vec<&Order> = oms.live(InstrumentId(instrument)).collect();
                prop_assert_eq!(live, naive.live(instrument).collect::<Vec<_>>());
            }
            prop_assert_eq!(oms.all_held().count(), oms.held_count());
            prop_assert_eq!(oms.held_count(), naive.held());
        }
    }
}

fn oms_instrument(naive: &Naive, id: ClientOrderId, instruments: &[Instrument; 2]) -> Instrument {
    let order = naive
        .orders
        .iter()
        .find(|order| order.client_id == id)
        .unwrap();
    instruments[order.instrument.0 as usize]
}

#[test]
fn the_same_order_id_of_another_instrument_is_not_ours() {
    // Binance counts order ids per symbol.
    let mut oms = Oms::new(Epoch(1), LaneId(0), 2);
    let id = place(&mut oms, Side::Buy, 100, 5);
    oms.on_sent(id, UnixNanos(1));
    oms.on_report(&report(id, OrderState::Ack, 0), &instrument(), NOW);
    let elsewhere = FillReport {
        instrument: InstrumentId(1),
        client_id: None,
        ..fill(id, 1, 5)
    };
    assert_eq!(oms.on_fill(&elsewhere, &instrument()), FillOutcome::Foreign);
    let theirs = OrderReport {
        instrument: InstrumentId(1),
        client_id: None,
        ..report(id, OrderState::Cancelled, 0)
    };
    assert_eq!(oms.on_report(&theirs, &instrument(), NOW), None);
    assert_eq!((state(&oms, id), oms.tally().foreign), (OrderState::Ack, 2));
    let ours = FillReport {
        instrument: InstrumentId(0),
        cum: Some(whole(5)),
        ..elsewhere
    };
    assert!(matches!(
        oms.on_fill(&ours, &instrument()),
        FillOutcome::Counted { .. }
    ));
}

#[test]
fn a_refused_order_the_venue_says_is_open_is_counted() {
    let mut oms = oms();
    let id = place(&mut oms, Side::Buy, 100, 5);
    oms.on_not_sent(id, RejectReason::RateLimit);
    assert_eq!(
        oms.on_report(&report(id, OrderState::Ack, 0), &instrument(), NOW),
        None
    );
    assert_eq!(
        (state(&oms, id), oms.tally().illegal),
        (OrderState::Rejected, 1)
    );
}

#[test]
fn an_order_of_an_instrument_we_do_not_have_is_refused() {
    let mut oms = oms();
    let order = NewOrder {
        instrument: InstrumentId(1),
        client_id: oms.next_id().unwrap(),
        side: Side::Buy,
        kind: OrderKind::Limit,
        tif: Tif::Gtc,
        price: Price(1),
        qty: Qty(1),
    };
    assert_eq!(
        oms.admit(&order, VENUE, StrategyId(0), UnixNanos(1)),
        Err(OmsFault::NoInstrument)
    );
}

#[test]
fn an_amend_in_flight_counts_the_worse_of_both() {
    let mut oms = oms();
    let id = place(&mut oms, Side::Buy, 100, 5);
    oms.on_sent(id, UnixNanos(1));
    oms.on_report(&report(id, OrderState::Ack, 0), &instrument(), NOW);
    let amend = |price, qty| AmendOrder {
        instrument: InstrumentId(0),
        client_id: id,
        order_id: OrderId(7),
        price: Some(Price(price)),
        qty: Some(Qty(qty)),
    };
    let seen = |oms: &mut Oms| {
        let Exposure { buy, own_bid, .. } = oms.exposure(InstrumentId(0));
        (buy.0, own_bid.unwrap().0)
    };
    oms.on_amend_asked(&amend(101, 9));
    oms.on_amend_sent(id, UnixNanos(2));
    assert_eq!(seen(&mut oms), (9, 101), "more, before it is done");
    oms.on_report(&report(id, OrderState::Ack, 0), &instrument(), NOW);
    assert_eq!(seen(&mut oms), (9, 101), "old news changes nothing");
    oms.on_answer(id, OrderId(7), RejectReason::Invalid);
    assert_eq!(seen(&mut oms), (5, 100), "refused");
    oms.on_amend_asked(&amend(99, 2));
    assert_eq!(seen(&mut oms), (5, 100), "less, only once it is done");
    let done = OrderReport {
        price: Some(whole(99)),
        qty: Some(whole(2)),
        ..report(id, OrderState::Ack, 0)
    };
    oms.on_report(&done, &instrument(), NOW);
    assert_eq!(seen(&mut oms), (2, 99));
}

fn absent(id: ClientOrderId) -> OrderReport {
    OrderReport {
        order_id: OrderId(0),
        reason: RejectReason::UnknownOrder,
        cum: None,
        ..report(id, OrderState::Rejected, 0)
    }
}

#[test]
fn no_such_order_proves_nothing_while_it_may_still_arrive() {
    let mut oms = oms();
    oms.set_absent_after(1_000);
    let id = place(&mut oms, Side::Buy, 100, 5);
    oms.on_sent(id, UnixNanos(5_000));
    for at in [5_001, 5_500, 5_999] {
        oms.on_report(&absent(id), &instrument(), UnixNanos(at));
        assert_eq!(state(&oms, id), OrderState::Unknown, "still asked about");
        assert_eq!(oms.exposure(InstrumentId(0)).buy, Qty(5));
    }
    oms.on_report(&absent(id), &instrument(), UnixNanos(6_000));
    assert_eq!(state(&oms, id), OrderState::Unknown, "said once");
    oms.on_report(&absent(id), &instrument(), UnixNanos(6_001));
    assert_eq!(state(&oms, id), OrderState::Rejected);
    assert_eq!(oms.held_count(), 0);
}

#[test]
fn an_order_held_for_dead_lives_when_its_venue_names_it() {
    let mut oms = oms();
    oms.set_absent_after(0);
    let id = place(&mut oms, Side::Buy, 100, 5);
    oms.on_sent(id, NOW);
    for _ in 0..2 {
        oms.on_report(&absent(id), &instrument(), NOW);
    }
    assert_eq!(state(&oms, id), OrderState::Rejected);
    let change = oms.on_report(&report(id, OrderState::Ack, 0), &instrument(), NOW);
    assert_eq!(change.unwrap().order.state, OrderState::Ack);
    assert_eq!(oms.exposure(InstrumentId(0)).buy, Qty(5));
    assert_eq!((oms.tally().revived, oms.held_count()), (1, 1));
    // Over by the venue's own word: what is alive after that is old news.
    oms.on_report(&report(id, OrderState::Cancelled, 0), &instrument(), NOW);
    oms.on_report(&report(id, OrderState::Ack, 0), &instrument(), NOW);
    assert_eq!(
        (state(&oms, id), oms.held_count()),
        (OrderState::Cancelled, 0)
    );
}

#[test]
fn so_does_one_whose_fills_are_still_to_come() {
    let mut oms = oms();
    oms.set_absent_after(0);
    let id = place(&mut oms, Side::Buy, 100, 5);
    oms.on_sent(id, NOW);
    // The venue counts two done; neither fill was told.
    oms.on_report(&report(id, OrderState::Ack, 2), &instrument(), NOW);
    for _ in 0..2 {
        oms.on_report(&absent(id), &instrument(), NOW);
    }
    assert_eq!(state(&oms, id), OrderState::Cancelled);
    oms.on_report(&report(id, OrderState::Ack, 2), &instrument(), NOW);
    assert_eq!(state(&oms, id), OrderState::PartiallyFilled);
    assert_eq!(oms.exposure(InstrumentId(0)).buy, Qty(5));
}

#[test]
fn an_order_the_venue_had_and_has_no_more_is_cancelled() {
    let mut oms = oms();
    oms.set_absent_after(0);
    let id = place(&mut oms, Side::Buy, 100, 5);
    oms.on_sent(id, NOW);
    oms.on_report(&report(id, OrderState::Ack, 2), &instrument(), NOW);
    oms.on_fill(&told(&oms, id, 1, 2), &instrument());
    for _ in 0..2 {
        oms.on_report(&absent(id), &instrument(), NOW);
    }
    assert_eq!(state(&oms, id), OrderState::Cancelled);
}

#[test]
fn a_refusal_of_what_is_left_of_an_order_ends_it() {
    let mut oms = oms();
    let id = place(&mut oms, Side::Buy, 100, 5);
    oms.on_sent(id, NOW);
    oms.on_report(&report(id, OrderState::Ack, 0), &instrument(), NOW);
    oms.on_fill(&told(&oms, id, 1, 2), &instrument());
    let refused = OrderReport {
        reason: RejectReason::PostOnlyCross,
        ..report(id, OrderState::Rejected, 2)
    };
    oms.on_report(&refused, &instrument(), NOW);
    assert_eq!(
        (state(&oms, id), oms.held_count(), oms.tally().illegal),
        (OrderState::Cancelled, 0, 0)
    );
}
