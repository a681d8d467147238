//! Positions by the venue's word beside ours by fills: through the engine, over real shared memory.

use crate::engine::{
    Desk, ID, Memory, SECOND, VENUE, fill, instrument, is_reconcile, report, whole,
};
use dp_journal::Entry;
use dp_risk::Trip;
use dp_types::{
    ClientOrderId, Instrument, OrderReport, OrderState, PositionReport, Price, Qty, StrategyId,
    VenueNanos,
};
use dp_venue_api::Event;

const ONE: i128 = 1_000_000_000_000;

fn told(qty: i64) -> PositionReport {
    PositionReport {
        instrument: ID,
        qty: whole(qty),
        entry: None,
        venue_ns: VenueNanos(0),
    }
}

/// A comparison in which the venue lists these orders and tells this position.
fn compare(desk: &mut Desk<'_>, listed: &[OrderReport], held: Option<i64>) {
    desk.pass(SECOND);
    desk.engine.on_reconcile_started(VENUE, desk.at());
    for report in listed {
        desk.hear(&Event::Order(*report));
    }
    if let Some(qty) = held {
        desk.hear(&Event::Position(told(qty)));
    }
    desk.engine.on_reconciled(VENUE, desk.at());
    desk.drain();
}

/// Has one order of one filled at 100; another stands, which the venue names.
fn fill_one(desk: &mut Desk<'_>) -> [OrderReport; 1] {
    let id = desk.first_order();
    desk.hear(&Event::Fill(fill(id, 1, Some(1))));
    desk.hear(&Event::Order(report(id, OrderState::Filled, 1)));
    desk.book(0);
    let id = desk.news()[1];
    desk.engine.on_new_sent(id, desk.at());
    desk.hear(&Event::Order(report(id, OrderState::Ack, 0)));
    [report(id, OrderState::Ack, 0)]
}

fn held(memory: &Memory) -> Qty {
    memory.region.position(ID).unwrap().read().unwrap().qty
}

fn is_halted(desk: &Desk<'_>) -> bool {
    desk.engine.is_halted(VENUE, None)
}

/// What the venue held went while the link was down. Its list no longer names it, and its machine says so.
#[test]
fn a_position_liquidated_while_we_were_away_is_found_at_the_reconnect() {
    for (tolerance, is_corrected) in [(0, false), (1, true)] {
        let memory = Memory::new();
        let mut desk = Desk::new(&memory.region, 1);
        desk.engine.set_tolerance(ID, Qty(tolerance));
        let stands = fill_one(&mut desk);
        desk.engine.await_positions(VENUE);
        compare(&mut desk, &stands, Some(1));
        assert!(desk.is_settled());
        desk.engine.on_orders_lost(VENUE, desk.at());
        desk.pass(60 * SECOND);
        desk.engine.on_logged_in(VENUE, desk.at());
        compare(&mut desk, &stands, Some(0));
        assert!(!desk.is_settled(), "a fill may be on its way");
        compare(&mut desk, &stands, Some(0));
        assert_eq!(is_halted(&desk), !is_corrected);
        assert_eq!(held(&memory), Qty(i64::from(!is_corrected)));
    }
}

/// Told 1 before the link was lost, not told since: that it is still 1 nobody knows.
#[test]
fn a_word_from_before_a_comparison_settles_nothing_in_it() {
    let memory = Memory::new();
    let mut desk = Desk::new(&memory.region, 1);
    let stands = fill_one(&mut desk);
    desk.engine.await_positions(VENUE);
    compare(&mut desk, &stands, Some(1));
    desk.engine.on_orders_lost(VENUE, desk.at());
    desk.pass(60 * SECOND);
    desk.engine.on_logged_in(VENUE, desk.at());
    let asked = desk.has(is_reconcile);
    for _ in 0..3 {
        compare(&mut desk, &stands, None);
        assert!(!desk.is_settled() && !is_halted(&desk), "not told");
    }
    desk.pass(60 * SECOND);
    assert!(desk.has(is_reconcile) > asked, "it is asked again");
    compare(&mut desk, &stands, Some(1));
    assert!(desk.is_settled());
}

/// The second look before a halt is a second word, not the first one again.
#[test]
fn one_word_is_not_two() {
    let memory = Memory::new();
    let mut desk = Desk::new(&memory.region, 1);
    let stands = fill_one(&mut desk);
    desk.engine.await_positions(VENUE);
    compare(&mut desk, &stands, Some(4));
    for _ in 0..3 {
        compare(&mut desk, &stands, None);
        assert!(!is_halted(&desk) && !desk.is_settled());
    }
    compare(&mut desk, &stands, Some(4));
    assert!(is_halted(&desk));
}

/// A new run holds what the journal says, and has been told nothing yet.
#[test]
fn a_run_that_was_told_nothing_yet_waits_where_positions_are_listed_and_not_elsewhere() {
    let spot = Instrument {
        is_spot: true,
        ..instrument()
    };
    let bare = Instrument {
        tick: Price(0),
        ..instrument()
    };
    for (it, is_listed, is_settled) in [
        (instrument(), true, false),
        (instrument(), false, true),
        (spot, true, true),
        (bare, true, true),
    ] {
        let memory = Memory::new();
        let mut desk = Desk::new(&memory.region, 1);
        desk.engine.set_instruments(VENUE, &[it]);
        if is_listed {
            desk.engine.await_positions(VENUE);
        }
        desk.settle(&[]);
        assert_eq!(desk.is_settled(), is_settled, "{it:?} {is_listed}");
        compare(&mut desk, &[], Some(0));
        assert!(desk.is_settled());
    }
}

/// While trading goes on, a list that a fill has overtaken is looked at the next time; at a login nothing is sent
/// before one was not.
#[test]
fn a_list_that_a_fill_has_overtaken_settles_no_login_and_stops_no_trading() {
    let memory = Memory::new();
    let mut desk = Desk::new(&memory.region, 1);
    let stands = fill_one(&mut desk);
    let id = stands[0].client_id.unwrap();
    desk.engine.await_positions(VENUE);
    let overtaken = |desk: &mut Desk<'_>, id: ClientOrderId, trade| {
        desk.pass(SECOND);
        desk.engine.on_reconcile_started(VENUE, desk.at());
        desk.hear(&Event::Position(told(1)));
        desk.hear(&Event::Fill(fill(id, trade, Some(1))));
        desk.hear(&Event::Order(report(id, OrderState::Filled, 1)));
        desk.engine.on_reconciled(VENUE, desk.at());
        desk.drain();
    };
    compare(&mut desk, &stands, Some(1));
    assert!(desk.is_settled());
    overtaken(&mut desk, id, 2);
    assert!(desk.is_settled() && !is_halted(&desk), "trading goes on");
    desk.book(0);
    let id = *desk.news().last().unwrap();
    desk.engine.on_new_sent(id, desk.at());
    desk.hear(&Event::Order(report(id, OrderState::Ack, 0)));
    desk.engine.on_logged_in(VENUE, desk.at());
    overtaken(&mut desk, id, 3);
    assert!(!desk.is_settled() && !is_halted(&desk), "one more look");
    compare(&mut desk, &[], Some(3));
    assert!(desk.is_settled());
}

#[test]
fn a_position_the_venue_holds_otherwise_stops_that_venue_until_somebody_takes_its_word() {
    let memory = Memory::new();
    let mut desk = Desk::new(&memory.region, 1);
    let stands = fill_one(&mut desk);
    compare(&mut desk, &stands, Some(1));
    assert!(!desk.engine.is_halted(VENUE, None), "the same");
    compare(&mut desk, &stands, Some(4));
    assert!(
        !desk.engine.is_halted(VENUE, None),
        "a fill may be on its way"
    );
    assert!(!desk.is_settled(), "and nothing is sent meanwhile");
    compare(&mut desk, &stands, Some(4));
    assert!(desk.engine.is_halted(VENUE, None));
    let numbers = |entry: &Entry| match entry {
        Entry::Halt(halt) => Some((halt.rule, halt.observed, halt.limit)),
        _ => None,
    };
    let journal = desk.journal();
    let halts: Vec<_> = journal.iter().filter_map(numbers).collect();
    assert_eq!(halts, [(Trip::FIRST + 5, 4, 1)]);
    desk.engine.resume(VENUE, None, "ann", desk.at().unix);
    let total = memory.region.position(ID).unwrap().read().unwrap();
    assert_eq!(total.qty, Qty(4));
    let recovered = dp_journal::recover(&[&memory.region]);
    assert_eq!(recovered.parts[&(ID, StrategyId::NOBODY)].qty, Qty(3));
    assert_eq!(recovered.positions[&ID].qty, Qty(4));
}

#[test]
fn a_difference_within_the_tolerance_is_corrected_and_one_overtaken_by_a_fill_is_not_one() {
    let memory = Memory::new();
    let mut desk = Desk::new(&memory.region, 1);
    desk.engine.set_tolerance(ID, Qty(2));
    // Said before the fill was heard: old.
    desk.hear(&Event::Position(told(0)));
    desk.pass(SECOND);
    let stands = fill_one(&mut desk);
    compare(&mut desk, &stands, None);
    compare(&mut desk, &stands, None);
    let total = |memory: &Memory| memory.region.position(ID).unwrap().read().unwrap();
    assert_eq!(total(&memory).qty, Qty(1));
    compare(&mut desk, &stands, Some(3));
    compare(&mut desk, &stands, Some(3));
    assert!(!desk.engine.is_halted(VENUE, None));
    assert_eq!(total(&memory).qty, Qty(3));
    let pnl = |memory: &Memory| total(memory).realised.0 + total(memory).unrealised.0;
    assert_eq!(pnl(&memory), ONE, "a correction makes no profit");
}

/// At a price of nothing the whole of it would be profit as soon as there is one.
#[test]
fn what_never_had_a_price_is_corrected_when_its_first_book_comes() {
    let memory = Memory::new();
    let mut desk = Desk::new(&memory.region, 1);
    desk.engine.set_tolerance(ID, Qty(5));
    desk.settle(&[]);
    compare(&mut desk, &[], Some(4));
    compare(&mut desk, &[], Some(4));
    desk.pass(SECOND);
    let line = || memory.region.position(ID).unwrap().read();
    assert_eq!(line(), None, "no price, no correction");
    assert!(!desk.engine.is_halted(VENUE, None));
    desk.book(0);
    desk.pass(SECOND);
    let total = line().unwrap();
    assert_eq!((total.qty, total.mark), (Qty(4), Price(101)));
    assert_eq!(total.realised.0 + total.unrealised.0, 0, "no profit either");
    // The same where somebody took the venue's word.
    let memory = Memory::new();
    let mut desk = Desk::new(&memory.region, 1);
    desk.settle(&[]);
    compare(&mut desk, &[], Some(4));
    compare(&mut desk, &[], Some(4));
    assert!(desk.engine.is_halted(VENUE, None));
    desk.engine.resume(VENUE, None, "ann", desk.at().unix);
    let line = || memory.region.position(ID).unwrap().read();
    assert_eq!(line(), None);
    desk.book(0);
    desk.pass(SECOND);
    let total = line().unwrap();
    assert_eq!((total.qty, total.unrealised.0), (Qty(4), 0));
}
