//! The fold: what a lane knows again after its process died.

use crate::{LANE, Place, arbitrary, journal};
use dp_journal::entry::*;
use dp_journal::*;
use dp_shm::PositionState;
use dp_types::*;
use proptest::prelude::*;

const NOW: UnixNanos = UnixNanos(1_700_000_000_000_000_000);

fn id(sequence: u32) -> ClientOrderId {
    ClientOrderId::new(Epoch(1), LANE, sequence).unwrap()
}

fn intent(sequence: u32) -> Entry {
    Entry::OrderIntent(OrderIntent {
        client_id: id(sequence),
        instrument: InstrumentId(1),
        venue: VenueId::BINANCE,
        strategy: StrategyId(2),
        side: Side::Buy,
        kind: OrderKind::PostOnly,
        tif: Tif::Gtc,
        price: Price(100),
        qty: Qty(10),
        level: Durability::Published,
    })
}

fn update(sequence: u32, state: OrderState, cum: i64) -> Entry {
    Entry::OrderUpdate(OrderUpdate {
        client_id: id(sequence),
        order_id: OrderId(77),
        instrument: InstrumentId(1),
        venue: VenueId::BINANCE,
        state,
        reason: RejectReason::None,
        code: 0,
        cum_qty: Qty(cum),
        price: Price(0),
        qty: Qty(0),
        venue_ns: VenueNanos(0),
    })
}

fn fill(trade: u128) -> Entry {
    Entry::Fill(Fill {
        client_id: Some(id(1)),
        order_id: OrderId(77),
        trade_id: TradeId(trade),
        instrument: InstrumentId(1),
        venue: VenueId::BINANCE,
        side: Side::Buy,
        price: Price(100),
        qty: Qty(4),
        fee: Decimal::ZERO,
        fee_asset: AssetId::NONE,
        liquidity: Liquidity::Maker,
        venue_ns: VenueNanos(0),
    })
}

fn position(qty: i64, fills: u64) -> Entry {
    position_of(StrategyId(2), qty, fills)
}

fn position_of(strategy: StrategyId, qty: i64, fills: u64) -> Entry {
    Entry::Position(Position {
        strategy,
        instrument: InstrumentId(1),
        venue: VenueId::BINANCE,
        qty: Qty(qty),
        cost: Notional(i128::from(qty) * 100),
        realised: Notional(-5),
        unrealised: Notional(0),
        fees: Notional(3),
        mark: Price(100),
        fills,
        base_fees: 0,
    })
}

#[test]
fn live_orders_come_back_and_ended_ones_do_not() {
    let place = Place::new();
    let region = place.open();
    let mut pen = journal(&region, 1);
    for entry in [
        intent(1),
        update(1, OrderState::Ack, 0),
        update(1, OrderState::PartiallyFilled, 4),
        intent(2),
        update(2, OrderState::Ack, 0),
        update(2, OrderState::Cancelled, 0),
        intent(3),
    ] {
        pen.publish(NOW, &entry).unwrap();
    }
    let cancel = CancelIntent {
        client_id: id(1),
        instrument: InstrumentId(1),
        venue: VenueId::BINANCE,
        order_id: OrderId(77),
    };
    pen.publish(NOW, &Entry::CancelIntent(cancel)).unwrap();

    let recovered = recover(&[&region]);
    let ids: Vec<u32> = recovered.orders.keys().map(|id| id.sequence()).collect();
    assert_eq!(ids, [1, 3]);
    let first = recovered.orders[&id(1)];
    assert_eq!(
        (first.state, first.order_id),
        (OrderState::PartiallyFilled, OrderId(77))
    );
    assert_eq!((first.live().leaves, first.is_cancelling), (Qty(6), true));
    assert_eq!(
        recovered.orders[&id(3)].state,
        OrderState::Pending,
        "maybe sent: ask, never resend"
    );
    assert_eq!(recovered.client_sequences[&Epoch(1)], 3);
    assert_eq!(
        (recovered.next_seq, recovered.torn, recovered.overrun),
        (8, 0, 0)
    );
}

#[test]
fn a_refused_cancel_leaves_the_order_live() {
    let mut recovered = Recovered::default();
    let refused = |state| match update(1, state, 0) {
        Entry::OrderUpdate(e) => Entry::OrderUpdate(OrderUpdate {
            reason: RejectReason::RateLimit,
            ..e
        }),
        other => other,
    };
    let cancel = CancelIntent {
        client_id: id(1),
        instrument: InstrumentId(1),
        venue: VenueId::BINANCE,
        order_id: OrderId(77),
    };
    let entries = [
        intent(1),
        Entry::CancelIntent(cancel),
        refused(OrderState::Ack),
    ];
    for (seq, entry) in (0..).zip(entries) {
        let record = Record {
            seq,
            epoch: Epoch(1),
            lane: LANE,
            at: NOW,
            entry,
        };
        recovered.apply(&ReadItem::Record(record));
    }
    assert!(!recovered.orders[&id(1)].is_cancelling);
}

/// What may have been changed at the venue is not as it was: until its answer stands in the journal.
#[test]
fn an_amend_under_way_is_remembered_until_it_shows_or_is_refused() {
    let amend = Entry::AmendIntent(AmendIntent {
        client_id: id(1),
        instrument: InstrumentId(1),
        venue: VenueId::BINANCE,
        order_id: OrderId(77),
        price: None,
        qty: Some(Qty(90)),
    });
    let of = |change: &dyn Fn(&mut OrderUpdate)| match update(1, OrderState::Ack, 0) {
        Entry::OrderUpdate(mut e) => {
            change(&mut e);
            Entry::OrderUpdate(e)
        }
        other => other,
    };
    let filled_some = of(&|e| e.cum_qty = Qty(1));
    let refused = of(&|e| e.reason = RejectReason::RateLimit);
    let done = of(&|e| e.qty = Qty(90));
    for (word, is_amending) in [(filled_some, true), (refused, false), (done, false)] {
        let mut recovered = Recovered::default();
        for (seq, entry) in (0..).zip([intent(1), amend, word]) {
            let record = Record {
                seq,
                epoch: Epoch(1),
                lane: LANE,
                at: NOW,
                entry,
            };
            recovered.apply(&ReadItem::Record(record));
        }
        let order = recovered.orders[&id(1)];
        assert_eq!(order.is_amending, is_amending, "{word:?}");
        assert_eq!(order.live().is_amending, is_amending);
    }
}

#[test]
fn positions_are_the_journal_s_last_word_or_the_line_s_where_the_ring_has_turned() {
    let place = Place::new();
    let region = place.open();
    let mut pen = journal(&region, 1);
    let line = region.position(InstrumentId(1)).unwrap();
    let write_line = |seq: u64, qty: i64| {
        let state = PositionState {
            qty: Qty(qty),
            cost: Notional(i128::from(qty) * 100),
            lane: LANE,
            journal_seq: seq,
            updated: NOW,
            ..PositionState::default()
        };
        line.write(&state);
    };
    let first = pen.publish_all(NOW, [&fill(1), &position(4, 1)]).unwrap();
    write_line(first + 2, 4);
    // Killed between the records and the line: the records win.
    pen.publish_all(NOW, [&fill(2), &position(8, 2)]).unwrap();
    let recovered = recover(&[&region]);
    assert_eq!(recovered.positions[&InstrumentId(1)].qty, Qty(8));
    assert_eq!(recovered.positions[&InstrumentId(1)].fills, 2);
    assert!(recovered.has_seen(VenueId::BINANCE, InstrumentId(1), TradeId(2)));

    // The ring turns over: the line is all that is left, and it is whole.
    write_line(pen.next_seq(), 8);
    let log = region.lane(LANE).unwrap().journal;
    for n in 0..300 {
        log.set_drained(pen.next_seq());
        let signal = Signal {
            strategy: StrategyId(0),
            instrument: InstrumentId(0),
            value: n,
        };
        pen.publish(NOW, &Entry::Signal(signal)).unwrap();
    }
    let recovered = recover(&[&region]);
    assert_eq!(recovered.positions[&InstrumentId(1)].qty, Qty(8));
}

#[test]
fn an_instrument_s_position_is_the_sum_over_its_strategies() {
    let place = Place::new();
    let region = place.open();
    let mut pen = journal(&region, 1);
    let it = InstrumentId(1);
    for entry in [
        position_of(StrategyId(0), 4, 1),
        position_of(StrategyId(1), -7, 2),
        position_of(StrategyId(0), 5, 2),
    ] {
        pen.publish(NOW, &entry).unwrap();
    }
    let recovered = recover(&[&region]);
    let sum = recovered.positions[&it];
    assert_eq!((sum.qty, sum.fills), (Qty(-2), 4));
    assert_eq!(sum.realised, Notional(-10));
    assert_eq!(recovered.parts[&(it, StrategyId(0))].qty, Qty(5));
    assert_eq!(recovered.parts.len(), 2);
    // A line newer than the records holds one more: whose, nobody can say.
    let newer = PositionState {
        qty: Qty(-1),
        journal_seq: pen.next_seq() + 1,
        ..sum
    };
    region.position(it).unwrap().write(&newer);
    let recovered = recover(&[&region]);
    assert_eq!(recovered.positions[&it].qty, Qty(-1));
    assert_eq!(recovered.parts[&(it, StrategyId::NOBODY)].qty, Qty(1));
    let parts = recovered.parts.values().map(|part| part.qty.0);
    assert_eq!(parts.sum::<i64>(), -1);
}

#[test]
fn halts_stand_until_they_are_resumed_and_the_equity_is_the_last() {
    let place = Place::new();
    let region = place.open();
    let mut pen = journal(&region, 1);
    let halt = |instrument, is_halted| {
        Entry::Halt(Halt {
            venue: VenueId::BINANCE,
            instrument,
            is_halted,
            rule: 66,
            observed: 60,
            limit: 50,
            who: Text::EMPTY,
        })
    };
    let equity = |now| {
        Entry::Equity(Equity {
            day: 1,
            at_midnight: Notional(-1),
            highest: Notional(9),
            now: Notional(now),
        })
    };
    let one = Some(InstrumentId(1));
    for entry in [
        halt(None, true),
        halt(one, true),
        equity(3),
        halt(None, false),
        equity(4),
    ] {
        pen.publish(NOW, &entry).unwrap();
    }
    let recovered = recover(&[&region]);
    let halts: Vec<_> = recovered.halts.keys().copied().collect();
    assert_eq!(halts, [(VenueId::BINANCE, one)]);
    assert_eq!(recovered.equity[&LANE].now, Notional(4));
}

/// Cum is the venue's word, filled is what was counted: an order is over when both agree.
#[test]
fn what_was_counted_is_told_apart_from_what_was_done() {
    let place = Place::new();
    let region = place.open();
    let mut pen = journal(&region, 1);
    for entry in [
        intent(1),
        update(1, OrderState::PartiallyFilled, 8),
        fill(1),
    ] {
        pen.publish(NOW, &entry).unwrap();
    }
    let order = recover(&[&region]).orders[&id(1)];
    assert_eq!((order.cum_qty, order.filled), (Qty(8), Qty(4)));
    pen.publish(NOW, &update(1, OrderState::Cancelled, 8))
        .unwrap();
    let order = recover(&[&region]).orders[&id(1)];
    assert_eq!(order.state, OrderState::Cancelled, "final, and not over");
    pen.publish(NOW, &fill(2)).unwrap();
    assert!(recover(&[&region]).orders.is_empty());
}

#[test]
fn checkpoints_keep_old_orders_within_the_ring() {
    let place = Place::new();
    let region = place.open();
    let mut pen = journal(&region, 1);
    let log = region.lane(LANE).unwrap().journal;
    pen.publish(NOW, &intent(1)).unwrap();
    pen.publish(NOW, &update(1, OrderState::Ack, 0)).unwrap();
    for n in 0..2_000 {
        log.set_drained(pen.next_seq());
        if pen.is_checkpoint_due() {
            let order = recover(&[&region]).orders[&id(1)];
            let checkpoint = Checkpoint {
                order: order.live(),
                venue: order.venue,
                strategy: order.strategy,
                kind: order.kind,
                tif: order.tif,
                qty: order.qty,
                filled: order.filled,
            };
            pen.publish(NOW, &Entry::Checkpoint(checkpoint)).unwrap();
            pen.checkpointed();
        }
        let signal = Signal {
            strategy: StrategyId(0),
            instrument: InstrumentId(0),
            value: n,
        };
        pen.publish(NOW, &Entry::Signal(signal)).unwrap();
    }
    let order = recover(&[&region]).orders[&id(1)];
    assert_eq!(
        (order.state, order.qty, order.strategy),
        (OrderState::Ack, Qty(10), StrategyId(2))
    );
}

proptest! {
    #[test]
    fn the_fold_takes_any_entries_in_any_order(
        entries in proptest::collection::vec(arbitrary::entry(), 0..200)
    ) {
        let mut recovered = Recovered::default();
        for (seq, entry) in (0..).zip(&entries) {
            let record = Record { seq, epoch: Epoch(1), lane: LANE, at: NOW, entry: *entry };
            recovered.apply(&ReadItem::Record(record));
        }
        prop_assert!(recovered.orders.values().all(|order| !order.state.is_final() || order.filled < order.cum_qty));
        prop_assert_eq!(recovered.next_seq, entries.len() as u64);
        let fills = entries.iter().filter(|entry| matches!(entry, Entry::Fill(_))).count();
        prop_assert_eq!(recovered.seen_trades.len(), fills);
    }
}
