//! Watches, halts, positions by strategy and by the venue's word: through the engine, over real shared memory.

use crate::engine::{Desk, ID, Memory, SECOND, VENUE, fill, is_cancel, report};
use dp_journal::Entry;
use dp_risk::{Refusal, Trip, WatchLimits};
use dp_shm::{Counter, InstrumentLimits, Lock, PartLine, Region, RiskState};
use dp_strategy::{Intents, Strategy, View};
use dp_types::{
    AssetId, LaneId, Notional, OrderKind, OrderState, Price, Qty, RejectReason, Side, StrategyId,
    Text, Tif,
};
use dp_venue_api::Event;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

pub(crate) const ONE: i128 = 1_000_000_000_000;
/// What the instrument is quoted in.
pub(crate) const QUOTE: AssetId = AssetId(1);

fn rules(desk: &Desk<'_>) -> Vec<u8> {
    let rule = |entry: Entry| match entry {
        Entry::Risk(risk) => Some(risk.rule),
        _ => None,
    };
    desk.journal().into_iter().filter_map(rule).collect()
}

fn code(at: usize) -> u8 {
    Trip::FIRST + at as u8
}

pub(crate) fn standing(region: &Region) -> RiskState {
    region.risk(LaneId(0)).unwrap().read().unwrap()
}

/// A desk that counts money in the quote asset and may lose this much a day.
pub(crate) fn losing(region: &Region, epoch: u16, day_loss_max: i128) -> Desk<'_> {
    let mut desk = Desk::new(region, epoch);
    desk.engine.set_currency(QUOTE);
    desk.engine.set_watch(WatchLimits {
        day_loss_max: Notional(day_loss_max * ONE),
        ..WatchLimits::default()
    });
    // Not settled yet: nothing is sent, and what the instrument is worth is known from here on.
    desk.book(0);
    desk.pass(SECOND);
    desk
}

/// Has one order of one filled at 100; another stands.
pub(crate) fn fill_one(desk: &mut Desk<'_>) {
    let id = desk.first_order();
    desk.hear(&Event::Fill(fill(id, 1, Some(1))));
    desk.hear(&Event::Order(report(id, OrderState::Filled, 1)));
    desk.book(0);
    let id = desk.news()[1];
    desk.engine.on_new_sent(id, desk.at());
    desk.hear(&Event::Order(report(id, OrderState::Ack, 0)));
}

#[test]
fn a_loss_beyond_the_day_s_kills_and_cancels_within_the_event_that_shows_it() {
    let memory = Memory::new();
    let mut desk = losing(&memory.region, 1, 5);
    desk.pass(SECOND);
    fill_one(&mut desk);
    desk.pass(SECOND);
    assert!(!memory.region.kill().is_killed(), "a mid of 101 is a gain");
    // A second fill at 100 while the mid stands at 97: six lost.
    desk.book_at(0, (96, 98));
    let cancels = desk.has(is_cancel);
    let second = desk.news()[1];
    desk.hear(&Event::Fill(fill(second, 2, Some(1))));
    assert!(memory.region.kill().is_killed());
    let change = memory.region.kill().last_change().unwrap();
    assert_eq!(change.who.as_str(), "risk");
    assert!(change.why.as_str().contains("lost 6"), "{}", change.why);
    assert_eq!(rules(&desk), [code(0)]);
    assert_eq!(desk.count(Counter::RiskTrips), 1);
    let of_rule = |rule| {
        let lanes = memory.region.lanes();
        lanes.map(|lane| lane.violations.get(rule)).sum::<u64>()
    };
    assert_eq!((of_rule(code(0)), of_rule(code(1))), (1, 0));
    assert_eq!(
        desk.has(is_cancel),
        cancels,
        "the order is filled: nothing is left to cancel"
    );
    let state = standing(&memory.region);
    assert_eq!(
        (state.at_midnight, state.day_loss_max),
        (Notional(0), Notional(5 * ONE))
    );
    desk.pass(SECOND);
    assert_eq!(standing(&memory.region).equity, Notional(-6 * ONE));
    // Armed without more room it trips again; with more it goes on.
    memory.region.kill().arm("ann", "looked", desk.at().unix);
    desk.pass(SECOND);
    assert!(memory.region.kill().is_killed());
    desk.engine.set_watch(WatchLimits {
        day_loss_max: Notional(50 * ONE),
        ..WatchLimits::default()
    });
    memory.region.kill().arm("ann", "raised", desk.at().unix);
    desk.pass(SECOND);
    assert!(!memory.region.kill().is_killed());
}

#[test]
fn what_works_is_cancelled_in_the_event_of_the_loss() {
    let memory = Memory::new();
    let mut desk = losing(&memory.region, 1, 2);
    fill_one(&mut desk);
    desk.book_at(0, (96, 98));
    let before = desk.has(is_cancel);
    desk.pass(SECOND / 5);
    assert!(memory.region.kill().is_killed(), "three lost of two");
    assert_eq!(desk.has(is_cancel), before + 1);
}

/// Put in force while trading: one currency's exposure, and what it was before is on record.
#[test]
fn a_currency_is_limited_while_trading() {
    let memory = Memory::new();
    let mut desk = losing(&memory.region, 1, 1_000);
    let mut node = dp_shm::NodeLimits {
        collar_bps: 1_000,
        orders_per_s_max: 1_000,
        book_age_ms_max: 500,
        ..dp_shm::NodeLimits::default()
    };
    let ten = InstrumentLimits {
        order_qty_max: Qty(10),
        position_max: Qty(10),
    };
    let guard = memory.region.lock(Lock::Control).unwrap();
    let mut put = |max: i128, who: &str| {
        assert!(node.limit_currency(AssetId(0), Notional(max * ONE)));
        node.who = Text::lossy(who);
        memory.region.config().publish(&guard, &node, &[ten])
    };
    put(100, "configuration");
    desk.pass(SECOND);
    desk.settle(&[]);
    desk.book(0);
    assert_eq!(desk.news(), [], "one is worth 101");
    assert!(
        rules(&desk).contains(
            &Refusal::NAMES
                .iter()
                .position(|it| *it == "currency_exposure")
                .map_or(0, |at| at as u8 + 1)
        )
    );
    let version = put(102, "ann");
    desk.pass(SECOND);
    desk.book(0);
    assert_eq!(desk.news().len(), 1);
    let record = |entry: &Entry| match entry {
        Entry::NodeLimit(limit) if limit.name() == "currency_exposure_max" => Some(*limit),
        _ => None,
    };
    let records: Vec<_> = desk.journal().iter().filter_map(record).collect();
    let said = |at: usize| {
        (
            records[at].before / ONE,
            records[at].now / ONE,
            records[at].who,
        )
    };
    assert_eq!(
        records.len(),
        2,
        "a limit that stays as it was is not told again"
    );
    assert_eq!(said(0), (0, 100, Text::lossy("configuration")));
    assert_eq!(said(1), (100, 102, Text::lossy("ann")));
    assert_eq!(
        (records[1].version, records[1].asset),
        (version, AssetId(0))
    );
}

#[test]
fn a_restart_forgets_neither_losses_nor_halts() {
    let Memory { region, _dir } = Memory::new();
    {
        let mut desk = losing(&region, 1, 1_000);
        desk.pass(SECOND);
        fill_one(&mut desk);
        desk.pass(11 * SECOND);
        desk.engine.set_watch(WatchLimits {
            move_bps_max: 1,
            move_ns: 8 * SECOND,
            day_loss_max: Notional(1_000 * ONE),
            ..WatchLimits::default()
        });
        desk.book_at(0, (100, 104));
        desk.book_at(0, (100, 102));
        assert!(desk.engine.is_halted(VENUE, Some(ID)));
    }
    let (path, shape) = (region.path().to_owned(), *region.shape());
    drop(region);
    let (region, _) = Region::open_or_create(&path, &shape).unwrap();
    let mut heir = losing(&region, 2, 1_000);
    assert!(heir.engine.is_halted(VENUE, Some(ID)));
    heir.pass(SECOND);
    let state = standing(&region);
    assert_eq!(state.halts[0].map(|halt| halt.rule), Some(code(3)));
    assert_eq!(state.highest, Notional(ONE), "one at 100, the mid at 101");
    heir.engine.resume(VENUE, Some(ID), "ann", heir.at().unix);
    assert!(!heir.engine.is_halted(VENUE, Some(ID)));
    let who = |entry: &Entry| matches!(entry, Entry::Halt(halt) if halt.who.as_str() == "ann");
    assert_eq!(heir.journal().iter().filter(|entry| who(entry)).count(), 1);
}

#[test]
fn a_market_that_runs_away_halts_its_instrument_and_pulls_its_quotes() {
    let memory = Memory::new();
    let mut desk = Desk::new(&memory.region, 1);
    desk.engine.set_watch(WatchLimits {
        move_bps_max: 100,
        move_ns: 8 * SECOND,
        ..WatchLimits::default()
    });
    let id = desk.first_order();
    desk.hear(&Event::Order(report(id, OrderState::Ack, 0)));
    let before = desk.has(is_cancel);
    desk.book_at(0, (104, 106));
    assert_eq!(
        desk.has(is_cancel),
        before + 1,
        "within the book's own event"
    );
    assert_eq!(rules(&desk), [code(3)]);
    desk.hear(&Event::Order(report(id, OrderState::Cancelled, 0)));
    let asked = desk.news().len();
    desk.pass(100 * SECOND);
    desk.book_at(0, (104, 106));
    assert_eq!(desk.news().len(), asked, "time heals nothing");
    desk.engine.resume(VENUE, Some(ID), "ann", desk.at().unix);
    desk.book_at(0, (104, 106));
    assert_eq!(desk.news().len(), asked + 1);
}

#[test]
fn a_venue_that_refuses_most_orders_is_halted_and_would_have_crossed_is_no_refusal() {
    let memory = Memory::new();
    let mut desk = Desk::new(&memory.region, 1);
    desk.engine.set_watch(WatchLimits {
        reject_pct_max: 50,
        ..WatchLimits::default()
    });
    desk.settle(&[]);
    let refuse = |desk: &mut Desk<'_>, reason| {
        desk.pass(SECOND);
        desk.book(0);
        let id = *desk.news().last().unwrap();
        desk.engine.on_new_sent(id, desk.at());
        let refused = dp_types::OrderReport {
            reason,
            ..report(id, OrderState::Rejected, 0)
        };
        desk.hear(&Event::Order(refused));
        // Nobody drains here: the ring must not fill.
        let log = memory.region.lane(LaneId(0)).unwrap().journal;
        log.set_drained(log.head());
    };
    for _ in 0..70 {
        refuse(&mut desk, RejectReason::PostOnlyCross);
    }
    assert!(!desk.engine.is_halted(VENUE, None));
    for turn in 0..64 {
        assert!(!desk.engine.is_halted(VENUE, None), "after {turn}");
        refuse(&mut desk, RejectReason::InsufficientFunds);
    }
    assert!(desk.engine.is_halted(VENUE, None));
    let asked = desk.news().len();
    desk.book(0);
    assert_eq!(desk.news().len(), asked);
    desk.engine.resume(VENUE, None, "ann", desk.at().unix);
    desk.book(0);
    assert_eq!(desk.news().len(), asked + 1);
}

/// Buys one at 100 twice over.
struct Twice;

impl Strategy for Twice {
    fn name(&self) -> &'static str {
        "twice"
    }

    fn on_book(&mut self, view: &View<'_>, out: &mut Intents) {
        if view.can_trade && view.live.is_empty() {
            for _ in 0..2 {
                out.new_order(Side::Buy, OrderKind::PostOnly, Tif::Gtc, Price(100), Qty(1));
            }
        }
    }
}

#[test]
fn a_fill_beyond_the_limit_cancels_what_would_add() {
    let memory = Memory::new();
    let mut desk = Desk::new(&memory.region, 1);
    desk.engine.seat(StrategyId(1), &[ID], Box::new(Twice));
    let first = desk.first_order();
    let news = desk.news();
    assert_eq!(news.len(), 3);
    for id in &news {
        desk.engine.on_new_sent(*id, desk.at());
        desk.hear(&Event::Order(report(*id, OrderState::Ack, 0)));
    }
    // The limit falls below what works.
    let limits = dp_risk::Limits {
        order_qty_max: Qty(10),
        position_max: Qty(0),
    };
    desk.engine.set_limits(ID, Some(limits));
    let before = desk.has(is_cancel);
    desk.hear(&Event::Fill(fill(first, 1, Some(1))));
    assert_eq!(rules(&desk), [code(4)]);
    assert_eq!(desk.has(is_cancel), before + 2, "the two that would add");
    assert_eq!(desk.count(Counter::RiskTrips), 1);
}

#[test]
fn orders_beyond_the_exposure_are_refused_until_rates_and_limits_allow_them() {
    let memory = Memory::new();
    let mut desk = Desk::new(&memory.region, 1);
    desk.settle(&[]);
    desk.engine.set_exposure_max(Notional(101 * ONE));
    desk.book(0);
    desk.pass(SECOND / 10);
    desk.book(0);
    assert_eq!(
        desk.news(),
        [],
        "nobody knows what the quote asset is worth"
    );
    desk.engine.set_currency(QUOTE);
    desk.pass(SECOND);
    desk.book(0);
    assert_eq!(desk.news().len(), 1, "one at a mid of 101");
    let id = desk.news()[0];
    desk.engine.on_new_sent(id, desk.at());
    desk.hear(&Event::Fill(fill(id, 1, Some(1))));
    desk.hear(&Event::Order(report(id, OrderState::Filled, 1)));
    desk.pass(SECOND);
    desk.book(0);
    assert_eq!(desk.news().len(), 1, "a second one is beyond it");
    let gross = standing(&memory.region).gross;
    assert_eq!(gross, Notional(101 * ONE));
    assert!(rules(&desk).contains(&17), "{:?}", rules(&desk));
}

/// Buys one at 100 once, and tells what it is shown to hold.
struct Watcher(Arc<AtomicI64>);

impl Strategy for Watcher {
    fn name(&self) -> &'static str {
        "watcher"
    }

    fn on_book(&mut self, view: &View<'_>, _: &mut Intents) {
        self.0.store(view.position.0, Ordering::Relaxed);
    }
}

#[test]
fn a_strategy_sees_its_own_position_and_the_instrument_has_the_sum() {
    let memory = Memory::new();
    let mut desk = Desk::new(&memory.region, 1);
    let seen = Arc::new(AtomicI64::new(-9));
    let watcher = Box::new(Watcher(Arc::clone(&seen)));
    desk.engine.seat(StrategyId(1), &[ID], watcher);
    fill_one(&mut desk);
    assert_eq!(
        seen.load(Ordering::Relaxed),
        0,
        "another one's position is not its own"
    );
    let total = memory.region.position(ID).unwrap().read().unwrap();
    assert_eq!(total.qty, Qty(1));
    let held = memory.region.lane(LaneId(0)).unwrap().held;
    let parts: Vec<_> = held.iter().filter_map(PartLine::read).collect();
    let parts = parts.iter().map(|part| (part.strategy, part.state.qty));
    assert_eq!(parts.collect::<Vec<_>>(), [(StrategyId(0), Qty(1))]);
    let of = |entry: &Entry| matches!(entry, Entry::Position(it) if it.strategy == StrategyId(0));
    assert!(desk.journal().iter().any(of));
    let recovered = dp_journal::recover(&[&memory.region]);
    assert_eq!(recovered.parts[&(ID, StrategyId(0))].qty, Qty(1));
}
