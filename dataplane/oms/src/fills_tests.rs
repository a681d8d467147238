//! Fills: counted once, whatever order things come in.

use super::tests::*;
use super::*;
use dp_types::{OrderKind, Tif};

#[test]
fn a_fill_told_three_times_counts_once() {
    let mut oms = oms();
    let id = place(&mut oms, Side::Buy, 100, 5);
    oms.on_sent(id, UnixNanos(2));
    oms.on_fill(&told(&oms, id, 1, 2), &instrument());
    // Told again by a query that names the venue's id only.
    let again = FillReport {
        client_id: None,
        ..fill(id, 1, 2)
    };
    assert_eq!(oms.on_fill(&again, &instrument()), FillOutcome::Duplicate);
    assert_eq!(
        oms.on_fill(&told(&oms, id, 1, 2), &instrument()),
        FillOutcome::Duplicate
    );
    assert_eq!(
        (oms.get(id).unwrap().filled, oms.tally().duplicate_fills),
        (Qty(2), 2)
    );
}

#[test]
fn a_fill_that_crossed_the_cancel_is_true() {
    let mut oms = oms();
    let id = place(&mut oms, Side::Buy, 100, 5);
    oms.on_sent(id, UnixNanos(2));
    oms.on_report(&report(id, OrderState::Cancelled, 0), &instrument(), NOW);
    let FillOutcome::Counted { order, .. } = oms.on_fill(&told(&oms, id, 1, 2), &instrument())
    else {
        panic!("not counted")
    };
    assert_eq!((order.state, order.filled), (OrderState::Cancelled, Qty(2)));
    assert_eq!(oms.tally().late_fills, 1);
}

#[test]
fn a_fill_of_nothing_or_less_is_refused() {
    let mut oms = oms();
    let id = place(&mut oms, Side::Buy, 100, 5);
    for qty in [0, -3] {
        let outcome = oms.on_fill(&fill(id, 1, qty), &instrument());
        assert_eq!(outcome, FillOutcome::BadNumber);
    }
    assert_eq!(oms.get(id).unwrap().cum, Qty(0));
}

#[test]
fn a_final_order_is_held_until_its_fills_are_counted() {
    let mut oms = oms();
    let id = place(&mut oms, Side::Buy, 100, 5);
    oms.on_sent(id, NOW);
    oms.on_report(&report(id, OrderState::Filled, 5), &instrument(), NOW);
    assert_eq!(state(&oms, id), OrderState::Filled);
    assert_eq!((oms.all_live().count(), oms.held_count()), (0, 1));
    assert_eq!(
        oms.exposure(InstrumentId(0)).buy,
        Qty(5),
        "not in the position yet"
    );
    assert_eq!(oms.exposure(InstrumentId(0)).own_bid, None, "nothing rests");
    let outcome = oms.on_fill(&fill(id, 1, 3), &instrument());
    assert!(matches!(outcome, FillOutcome::Counted { .. }));
    assert_eq!(oms.exposure(InstrumentId(0)).buy, Qty(2));
    assert_eq!(
        oms.on_fill(&fill(id, 2, 3), &instrument()),
        FillOutcome::Beyond
    );
    oms.on_fill(&fill(id, 3, 2), &instrument());
    assert_eq!(
        (oms.held_count(), oms.exposure(InstrumentId(0)).buy),
        (0, Qty(0))
    );
    // A late word that more was done takes it back.
    oms.on_report(&report(id, OrderState::Filled, 6), &instrument(), NOW);
    assert_eq!(
        (oms.held_count(), oms.exposure(InstrumentId(0)).buy),
        (1, Qty(1))
    );
}

#[test]
fn an_heir_counts_what_was_not_counted_and_nothing_twice() {
    let mut oms = oms();
    let id = place(&mut oms, Side::Buy, 100, 10);
    oms.on_sent(id, NOW);
    oms.on_report(
        &report(id, OrderState::PartiallyFilled, 5),
        &instrument(),
        NOW,
    );
    let recovered = |filled| Recovered {
        live: oms.get(id).unwrap().live(),
        venue: VENUE,
        strategy: StrategyId(0),
        kind: OrderKind::Limit,
        tif: Tif::Gtc,
        qty: Qty(10),
        filled: Qty(filled),
        at: NOW,
    };
    // Its fill was counted long ago and is remembered no more.
    let mut heir = Oms::new(Epoch(2), LaneId(0), 1);
    heir.adopt(&recovered(5));
    assert_eq!(
        heir.on_fill(&fill(id, 1, 5), &instrument()),
        FillOutcome::Beyond
    );
    assert_eq!(heir.get(id).unwrap().filled, Qty(5));
    // The process died between the word and the fill.
    let mut heir = Oms::new(Epoch(2), LaneId(0), 1);
    heir.adopt(&recovered(0));
    let outcome = heir.on_fill(&fill(id, 1, 5), &instrument());
    assert!(matches!(outcome, FillOutcome::Counted { .. }));
    assert_eq!(state(&heir, id), OrderState::PartiallyFilled);
}

/// A list of trades names no client order id, and an order whose answer was lost has no venue id yet.
#[test]
fn a_fill_that_may_be_of_an_order_without_an_answer_is_not_foreign() {
    let mut oms = oms();
    let id = place(&mut oms, Side::Buy, 100, 5);
    oms.on_sent(id, UnixNanos(2));
    let nameless = FillReport {
        client_id: None,
        ..fill(id, 1, 5)
    };
    assert_eq!(oms.on_fill(&nameless, &instrument()), FillOutcome::Beyond);
    oms.on_report(&report(id, OrderState::Filled, 5), &instrument(), NOW);
    let counted = oms.on_fill(&nameless, &instrument());
    assert!(
        matches!(counted, FillOutcome::Counted { .. }),
        "{counted:?}"
    );
    let other = FillReport {
        order_id: OrderId(8),
        trade_id: TradeId(99),
        ..nameless
    };
    assert_eq!(oms.on_fill(&other, &instrument()), FillOutcome::Foreign);
    assert_eq!(oms.tally().foreign, 1);
}

#[test]
fn a_fill_counted_once_is_known_when_its_order_is_forgotten() {
    let room = Room {
        live: 2,
        finals: 1,
        fills: 16,
    };
    let mut oms = Oms::with_room(Epoch(1), LaneId(0), 1, room);
    let first = place(&mut oms, Side::Buy, 100, 5);
    oms.on_sent(first, UnixNanos(2));
    let told = told(&oms, first, 1, 5);
    oms.on_fill(&told, &instrument());
    for _ in 0..3 {
        let id = place(&mut oms, Side::Buy, 100, 5);
        oms.on_sent(id, UnixNanos(2));
        oms.on_report(&report(id, OrderState::Cancelled, 0), &instrument(), NOW);
    }
    assert!(oms.get(first).is_none(), "forgotten");
    assert_eq!(oms.on_fill(&told, &instrument()), FillOutcome::Duplicate);
}
