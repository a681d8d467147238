//! One row for each refusal, a naive oracle, and numbers at the end of their range.

use super::*;
use crate::BookState;
use dp_types::{
    ClientOrderId, Instrument, InstrumentFault, LaneId, Notional, OrderId, Text, Tif, VenueId,
};
use proptest::prelude::*;

const NOW: UnixNanos = UnixNanos(1_000_000_000_000);
const EPOCH: Epoch = Epoch(3);
const NODE: NodeLimits = NodeLimits {
    collar_bps: 100,
    orders_per_s_max: 10,
    book_age_ns_max: 5_000_000_000,
};

fn instrument() -> Instrument {
    Instrument {
        tick: Price(10),
        lot: Qty(5),
        qty_min: Qty(5),
        notional_min: Notional(1_000_000),
        ..Instrument::bare(
            InstrumentId(2),
            VenueId::OKX,
            Text::new("BTC-USDT").unwrap(),
            2,
            5,
        )
    }
}

fn gate() -> Gate {
    let mut gate = Gate::new(4, NODE);
    let limits = Limits {
        order_qty_max: Qty(100),
        position_max: Qty(300),
    };
    assert!(gate.set_limits(InstrumentId(2), Some(limits)));
    gate.set_lease(Lease {
        until: NOW.after(1),
        epoch: EPOCH,
    });
    gate
}

fn context(instrument: &Instrument) -> Context<'_> {
    Context {
        instrument,
        book: BookState {
            is_proven: true,
            updated: NOW,
            bid: Some(Price(99_990)),
            ask: Some(Price(100_010)),
        },
        position: Qty(0),
        working_buy: Qty(0),
        working_sell: Qty(0),
        own_bid: None,
        own_ask: None,
        is_reconciled: true,
    }
}

fn order() -> NewOrder {
    NewOrder {
        instrument: InstrumentId(2),
        client_id: ClientOrderId::new(EPOCH, LaneId(0), 1).unwrap(),
        side: Side::Buy,
        kind: OrderKind::Limit,
        tif: Tif::Gtc,
        price: Price(100_000),
        qty: Qty(50),
    }
}

/// Applies one change to a passing case and gives the refusal it must lead to.
fn refused(change: impl FnOnce(&mut Gate, &mut NewOrder, &mut Context<'_>)) -> Refusal {
    let instrument = instrument();
    let (mut gate, mut order, mut context) = (gate(), order(), context(&instrument));
    assert!(gate.clone().check_new(&order, &context, NOW).is_ok());
    change(&mut gate, &mut order, &mut context);
    gate.check_new(&order, &context, NOW).unwrap_err()
}

/// Both legs of a pair on one instrument, the second changed.
fn pair(change: impl FnOnce(&mut NewOrder)) -> (Gate, Result<(), (usize, Refusal)>) {
    let instrument = instrument();
    let (mut gate, one, context) = (gate(), order(), context(&instrument));
    let mut two = one;
    change(&mut two);
    let both = gate.check_pair((&one, &context), (&two, &context), NOW);
    (gate, both.map(drop))
}

#[test]
fn the_second_of_a_pair_is_checked_as_if_the_first_worked() {
    assert_eq!(pair(|_| {}).1, Ok(()));
    let (_, both) = pair(|two| two.side = Side::Sell);
    let met = Refusal::SelfTrade {
        price: 100_000,
        own: 100_000,
    };
    assert_eq!(both, Err((1, met)), "it would trade with the first");
    let instrument = instrument();
    let mut full = context(&instrument);
    full.working_buy = Qty(225);
    let (mut gate, one) = (gate(), order());
    let both = gate.check_pair((&one, &full), (&one, &full), NOW);
    let beyond = Refusal::Position {
        exposure: 325,
        limit: 300,
    };
    assert_eq!(
        both.map(drop),
        Err((1, beyond)),
        "one has room, both have not"
    );
    full.working_buy = Qty(260);
    let both = gate.check_pair((&one, &full), (&one, &full), NOW);
    assert_eq!(both.map(drop).map_err(|(which, _)| which), Err(0));
}

#[test]
fn a_pair_that_is_refused_uses_up_no_rate() {
    let (mut gate, both) = pair(|two| two.qty = Qty(1_000));
    assert!(matches!(both, Err((1, Refusal::OrderQty { .. }))));
    let instrument = instrument();
    let context = context(&instrument);
    let passes = (0..20).filter(|_| gate.check_new(&order(), &context, NOW).is_ok());
    assert_eq!(passes.count(), 10, "all of the second's");
}

#[test]
fn each_refusal_has_its_case() {
    let cases = [
        (refused(|g, _, _| g.set_killed(true)), Refusal::Killed),
        (
            refused(|g, _, _| {
                g.set_lease(Lease {
                    until: NOW,
                    epoch: EPOCH,
                });
            }),
            Refusal::LeaseLapsed {
                now_ns: NOW.0,
                until_ns: NOW.0,
            },
        ),
        (
            refused(|g, _, _| {
                g.set_lease(Lease {
                    until: NOW.after(1),
                    epoch: Epoch(4),
                });
            }),
            Refusal::StaleEpoch { epoch: 3, held: 4 },
        ),
        (
            refused(|_, _, c| c.is_reconciled = false),
            Refusal::Unreconciled,
        ),
        (
            refused(|g, _, _| {
                g.set_limits(InstrumentId(2), None);
            }),
            Refusal::NoLimits { instrument: 2 },
        ),
        (
            refused(|_, o, _| o.instrument = InstrumentId(400)),
            Refusal::NoLimits { instrument: 400 },
        ),
        (
            refused(|_, _, c| c.book.is_proven = false),
            Refusal::BookUnproven,
        ),
        (
            refused(|_, _, c| c.book.updated = UnixNanos(NOW.0 - 5_000_000_001)),
            Refusal::BookStale {
                age_ns: 5_000_000_001,
                limit_ns: 5_000_000_000,
            },
        ),
        (
            refused(|_, _, c| c.book.updated = NOW.after(1)),
            Refusal::BookStale {
                age_ns: u64::MAX,
                limit_ns: 5_000_000_000,
            },
        ),
        (refused(|_, _, c| c.book.ask = None), Refusal::NoReference),
        (
            refused(|_, _, c| c.book.bid = c.book.ask),
            Refusal::NoReference,
        ),
        (
            refused(|_, o, _| o.price = Price(100_005)),
            Refusal::Instrument(InstrumentFault::OffTick),
        ),
        (
            refused(|_, o, _| o.qty = Qty(7)),
            Refusal::Instrument(InstrumentFault::OffLot),
        ),
        (
            refused(|_, o, _| o.qty = Qty(-50)),
            Refusal::Instrument(InstrumentFault::NotPositive),
        ),
        (
            refused(|_, o, _| o.qty = Qty(105)),
            Refusal::OrderQty {
                qty: 105,
                limit: 100,
            },
        ),
        (
            refused(|_, o, _| o.price = Price(101_010)),
            Refusal::Collar {
                bps: 101,
                limit_bps: 100,
            },
        ),
        (
            refused(|_, _, c| (c.position, c.working_buy) = (Qty(200), Qty(51))),
            Refusal::Position {
                exposure: 301,
                limit: 300,
            },
        ),
        (
            refused(|_, o, c| {
                o.side = Side::Sell;
                (c.position, c.working_sell) = (Qty(-251), Qty(0));
            }),
            Refusal::Position {
                exposure: -301,
                limit: 300,
            },
        ),
        (
            refused(|_, _, c| c.own_ask = Some(Price(100_000))),
            Refusal::SelfTrade {
                price: 100_000,
                own: 100_000,
            },
        ),
        (
            refused(|_, o, c| {
                o.side = Side::Sell;
                c.own_bid = Some(Price(100_000));
            }),
            Refusal::SelfTrade {
                price: 100_000,
                own: 100_000,
            },
        ),
        (
            // A market order is refused by any order of ours on the other side.
            refused(|_, o, c| {
                o.kind = OrderKind::Market;
                c.own_ask = Some(Price(200_000));
            }),
            Refusal::SelfTrade {
                price: 100_010,
                own: 200_000,
            },
        ),
        (
            refused(|g, o, c| {
                for _ in 0..10 {
                    let _ = g.check_new(o, c, NOW).unwrap();
                }
            }),
            Refusal::Rate { limit: 10 },
        ),
        (
            refused(|g, o, _| g.set_halted(o.instrument, true)),
            Refusal::Halted,
        ),
        (
            refused(|g, _, _| g.exposures_mut().set_counted(true)),
            Refusal::NoRate {
                asset: dp_types::AssetId::NONE.0,
            },
        ),
        (
            refused(|g, _, c| limit_money(g, c.instrument, 0)),
            Refusal::Exposure {
                exposure: 50,
                limit: 1,
            },
        ),
        (
            refused(|g, _, c| limit_money(g, c.instrument, 1)),
            Refusal::Currency {
                asset: 1,
                exposure: 50,
                limit: 1,
            },
        ),
        (
            refused(|g, _, c| limit_money(g, c.instrument, 2)),
            Refusal::OrderValue {
                value: 50,
                limit: 1,
            },
        ),
    ];
    let mut codes = Vec::new();
    for (got, want) in cases {
        assert_eq!(got, want);
        assert_eq!(Refusal::name_of(got.code()), Some(got.name()));
        codes.push(got.code());
    }
    codes.dedup();
    let all: Vec<u8> = (1..=Refusal::NAMES.len() as u8).collect();
    assert_eq!(codes, all, "cases in the gate's order, none missing");
    assert_eq!(Refusal::name_of(0), None);
}

/// One increment is worth a hundredth, and no more than that is allowed: gross (0), in the base asset (1), of one order (2).
fn limit_money(gate: &mut Gate, instrument: &Instrument, which: u8) {
    let hundredth = Notional(10_000_000_000);
    let all = gate.exposures_mut();
    all.set_counted(true);
    let instrument = Instrument {
        base: dp_types::AssetId(1),
        ..*instrument
    };
    all.set_worth(&instrument, Some(Notional(hundredth.0 * 1_000_000)));
    match which {
        0 => all.set_gross_max(hundredth),
        2 => all.set_order_max(hundredth),
        _ => all.set_currency_max(dp_types::AssetId(1), hundredth),
    }
}

#[test]
fn a_pair_that_is_refused_leaves_no_exposure_behind() {
    let instrument = instrument();
    let (mut gate, one, context) = (gate(), order(), context(&instrument));
    limit_money(&mut gate, &instrument, 1);
    gate.exposures_mut()
        .set_currency_max(dp_types::AssetId(1), Notional(900_000_000_000));
    let pair = gate.check_pair((&one, &context), (&one, &context), NOW);
    assert_eq!(pair.map(drop).map_err(|(which, _)| which), Err(1));
    assert_eq!(gate.exposures().gross().0, Notional(0));
    assert!(gate.check_new(&one, &context, NOW).is_ok());
    assert_eq!(gate.exposures().gross().0, Notional(500_000_000_000));
}

#[test]
fn reducing_orders_pass_beyond_the_limit() {
    let instrument = instrument();
    let mut context = context(&instrument);
    context.position = Qty(1_000);
    let mut sell = order();
    sell.side = Side::Sell;
    assert!(gate().check_new(&sell, &context, NOW).is_ok());
}

#[test]
fn cancels_pass_a_killed_gate_without_lease() {
    let mut gate = Gate::new(1, NODE);
    gate.set_killed(true);
    let cancel = CancelOrder {
        instrument: InstrumentId(9),
        client_id: order().client_id,
        order_id: OrderId(0),
    };
    assert_eq!(gate.clear_cancel(cancel).into_inner(), cancel);
    assert_eq!(
        gate.clear_cancel_all(InstrumentId(9)).into_inner(),
        InstrumentId(9)
    );
}

#[test]
fn amend_counts_only_what_it_adds() {
    let instrument = instrument();
    let mut context = context(&instrument);
    (context.position, context.working_buy) = (Qty(200), Qty(50));
    let resting = Resting {
        side: Side::Buy,
        kind: OrderKind::PostOnly,
        price: Price(99_990),
        qty: Qty(50),
    };
    let amend = |price, qty| AmendOrder {
        instrument: InstrumentId(2),
        client_id: order().client_id,
        order_id: OrderId(0),
        price,
        qty,
    };
    let check = |amend| {
        gate()
            .check_amend(&amend, &resting, &context, NOW)
            .map(drop)
    };
    assert_eq!(check(amend(Some(Price(100_000)), None)), Ok(()));
    assert_eq!(check(amend(None, Some(Qty(100)))), Ok(()));
    assert_eq!(check(amend(None, Some(Qty(20)))), Ok(()));
    assert_eq!(
        check(amend(None, Some(Qty(105)))),
        Err(Refusal::OrderQty {
            qty: 105,
            limit: 100
        })
    );
    assert_eq!(
        check(amend(Some(Price(100_003)), None)),
        Err(Refusal::Instrument(InstrumentFault::OffTick))
    );
    context.position = Qty(201);
    let got = gate().check_amend(&amend(None, Some(Qty(100))), &resting, &context, NOW);
    assert_eq!(
        got,
        Err(Refusal::Position {
            exposure: 301,
            limit: 300
        })
    );
}

/// The same rules written the slow way round, for a limit or market order and a fresh rate.
fn oracle(gate: &Gate, order: &NewOrder, context: &Context<'_>, now: UnixNanos) -> bool {
    let wide = i128::from;
    let Some(limits) = gate.limits(order.instrument) else {
        return false;
    };
    let (Some(bid), Some(ask)) = (context.book.bid, context.book.ask) else {
        return false;
    };
    let is_market = order.kind == OrderKind::Market;
    let is_buy = order.side == Side::Buy;
    let price = match (is_market, is_buy) {
        (false, _) => order.price,
        (true, true) => ask,
        (true, false) => bid,
    };
    let rules = context
        .instrument
        .check((!is_market).then_some(order.price), order.qty);
    let worst = if is_buy {
        wide(context.position.0) + wide(context.working_buy.0) + wide(order.qty.0)
    } else {
        wide(context.working_sell.0) + wide(order.qty.0) - wide(context.position.0)
    };
    let mid2 = wide(bid.0) + wide(ask.0);
    let away2 = (2 * wide(price.0) - mid2).abs();
    let own = if is_buy {
        context.own_ask
    } else {
        context.own_bid
    };
    let hits_own =
        own.is_some_and(|own| is_market || if is_buy { price >= own } else { price <= own });
    !gate.is_killed()
        && now < gate.lease().until
        && order.client_id.epoch() == gate.lease().epoch
        && context.is_reconciled
        && context.instrument.id == order.instrument
        && context.book.is_proven
        && context.book.updated <= now
        && now.0 - context.book.updated.0 <= gate.node_limits().book_age_ns_max
        && bid.0 > 0
        && bid < ask
        && rules.is_ok()
        && order.qty <= limits.order_qty_max
        && away2 * 10_000 <= mid2 * wide(i64::from(gate.node_limits().collar_bps))
        && worst <= wide(limits.position_max.0)
        && !hits_own
}

/// Mostly ordinary numbers near the limits, now and then any `i64` at all.
fn number(low: i64, high: i64) -> impl Strategy<Value = i64> {
    prop_oneof![8 => low..high, 1 => any::<i64>(), 1 => Just(i64::MAX), 1 => Just(i64::MIN)]
}

prop_compose! {
    fn market()(
        price in number(99_000, 101_100), qty in number(1, 130), bid in number(99_000, 100_000),
        spread in 1i64..2_000, position in number(-320, 320), buy in number(0, 200), sell in number(0, 200),
        own_bid in proptest::option::of(number(99_000, 100_500)),
        own_ask in proptest::option::of(number(99_500, 101_000)),
        flags in any::<u16>(), order_limit in number(50, 150), position_limit in number(50, 400),
    ) -> (NewOrder, Gate, BookState, [i64; 3], [Option<Price>; 2], bool) {
        let flag = |bit: u32| (flags >> bit).trailing_zeros() >= 3; // one in eight
        let mut order = order();
        (order.price, order.qty) = (Price(price), Qty(qty));
        order.side = if flags & 1 == 0 { Side::Buy } else { Side::Sell };
        order.kind = if flag(1) { OrderKind::Market } else { OrderKind::Limit };
        let mut gate = gate();
        gate.set_killed(flag(4));
        let limits = Limits { order_qty_max: Qty(order_limit), position_max: Qty(position_limit) };
        gate.set_limits(InstrumentId(2), Some(limits));
        let book = BookState {
            is_proven: !flag(7),
            updated: NOW,
            bid: Some(Price(bid)),
            ask: Some(Price(bid.saturating_add(spread))),
        };
        let own = [own_bid.map(Price), own_ask.map(Price)];
        (order, gate, book, [position, buy.max(0), sell.max(0)], own, !flag(10))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]
    #[test]
    fn agrees_with_the_oracle((order, mut gate, book, quantities, own, is_reconciled) in market()) {
        let mut instrument = instrument();
        (instrument.tick, instrument.lot) = (Price(0), Qty(0));
        let [position, working_buy, working_sell] = quantities.map(Qty);
        let context = Context {
            instrument: &instrument, book, position, working_buy, working_sell,
            own_bid: own[0], own_ask: own[1], is_reconciled,
        };
        let want = oracle(&gate, &order, &context, NOW);
        let got = gate.check_new(&order, &context, NOW);
        prop_assert_eq!(got.is_ok(), want, "{:?}", got);
    }

    #[test]
    fn no_number_overflows(
        numbers: [i64; 10], node: (u32, u32, u64), is_buy: bool, is_market: bool, amend_qty: Option<i64>,
    ) {
        let instrument = Instrument { tick: Price(0), lot: Qty(0), qty_min: Qty(0), notional_min: Notional(0),
            ..instrument() };
        let [price, qty, bid, ask, position, buy, sell, own, order_max, position_max] = numbers;
        let mut gate = gate();
        gate.set_node_limits(NodeLimits {
            collar_bps: node.0, orders_per_s_max: node.1, book_age_ns_max: node.2,
        });
        let limits = Limits { order_qty_max: Qty(order_max), position_max: Qty(position_max) };
        gate.set_limits(InstrumentId(2), Some(limits));
        let mut order = order();
        (order.price, order.qty) = (Price(price), Qty(qty));
        order.side = if is_buy { Side::Buy } else { Side::Sell };
        order.kind = if is_market { OrderKind::Market } else { OrderKind::Limit };
        let context = Context {
            instrument: &instrument,
            book: BookState { is_proven: true, updated: NOW, bid: Some(Price(bid)), ask: Some(Price(ask)) },
            position: Qty(position), working_buy: Qty(buy), working_sell: Qty(sell),
            own_bid: Some(Price(own)), own_ask: Some(Price(own)), is_reconciled: true,
        };
        let _ = gate.check_new(&order, &context, NOW).map_err(Refusal::numbers);
        let resting = Resting { side: order.side, kind: order.kind, price: Price(own), qty: Qty(sell) };
        let amend = AmendOrder { instrument: order.instrument, client_id: order.client_id,
            order_id: OrderId(0), price: Some(Price(price)), qty: amend_qty.map(Qty) };
        let _ = gate.check_amend(&amend, &resting, &context, NOW);
    }
}
