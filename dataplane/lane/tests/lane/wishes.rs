//! What strategies may wish of orders that are under way, and what of it they hear.

use crate::engine::{Desk, ID, Memory, SECOND, is_cancel, report};
use crate::risk::losing;
use dp_lane::{Action, Outcome};
use dp_shm::{Counter, InstrumentLimits, Lock};
use dp_strategy::{Intents, Strategy, View};
use dp_types::{
    ClientOrderId, LiveOrder, OrderKind, OrderState, Price, Qty, RejectReason, Side, StrategyId,
    Text, Tif,
};
use dp_venue_api::Event;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

const fn is_amend(action: &Action) -> bool {
    matches!(action, Action::Amend(_))
}

/// Two at 100, asked to be ten and, in the same call or the next, to be one; then eight more.
struct Amender {
    calls: u32,
    is_hasty: bool,
}

impl Strategy for Amender {
    fn name(&self) -> &'static str {
        "amender"
    }

    fn on_book(&mut self, view: &View<'_>, out: &mut Intents) {
        self.calls += 1;
        let first = view.live.first().map(|it| it.client_id);
        match (self.calls, first) {
            (1, _) => out.new_order(Side::Buy, OrderKind::Limit, Tif::Gtc, Price(100), Qty(2)),
            (2, Some(id)) => {
                out.amend(id, None, Some(Qty(10)));
                if self.is_hasty {
                    out.amend(id, None, Some(Qty(1)));
                }
            }
            (3, Some(id)) => out.amend(id, None, Some(Qty(1))),
            (4, _) => out.new_order(Side::Buy, OrderKind::Limit, Tif::Gtc, Price(99), Qty(8)),
            (5, Some(id)) => out.amend(id, None, Some(Qty(3))),
            _ => {}
        }
    }
}

/// With two that rest.
fn amending(memory: &Memory, is_hasty: bool) -> (Desk<'_>, ClientOrderId) {
    let mut desk = Desk::new(&memory.region, 1);
    desk.engine.set_running(StrategyId(0), false);
    let amender = Box::new(Amender { calls: 0, is_hasty });
    desk.engine.seat(StrategyId(7), &[ID], amender);
    desk.settle(&[]);
    desk.book(0);
    let id = desk.news()[0];
    desk.engine.on_new_sent(id, desk.at());
    desk.hear(&Event::Order(report(id, OrderState::Ack, 0)));
    (desk, id)
}

/// Of ten that are allowed eighteen could have been filled.
#[test]
fn a_second_amend_waits_for_the_first_and_the_larger_counts() {
    for is_hasty in [false, true] {
        let memory = Memory::new();
        let (mut desk, id) = amending(&memory, is_hasty);
        desk.book(0);
        desk.engine.on_amend_sent(id, desk.at());
        desk.book(0);
        desk.book(0);
        let seen = (desk.has(is_amend), desk.news().len());
        assert_eq!(seen, (1, 1), "amends and orders sent, {is_hasty}");
        // Answered: the next may go.
        let done = dp_types::OrderReport {
            qty: Some(crate::engine::whole(10)),
            ..report(id, OrderState::Ack, 0)
        };
        desk.hear(&Event::Order(done));
        desk.book(0);
        assert_eq!(desk.has(is_amend), 2, "{is_hasty}");
    }
}

#[test]
fn one_that_is_paused_amends_nothing() {
    let memory = Memory::new();
    let (mut desk, _) = amending(&memory, false);
    desk.engine.set_paused(true);
    desk.book(0);
    assert_eq!(desk.has(is_amend), 0);
}

/// A limit taken away or lowered holds for what rests already.
#[test]
fn what_a_lowered_limit_leaves_no_room_for_is_cancelled() {
    let ten = InstrumentLimits {
        order_qty_max: Qty(10),
        position_max: Qty(10),
    };
    let lowered = |order: i64, position: i64| InstrumentLimits {
        order_qty_max: Qty(order),
        position_max: Qty(position),
    };
    for (limits, is_gone) in [
        (ten, false),
        (lowered(1, 1), false),
        (lowered(10, 0), true),
        (InstrumentLimits::default(), true),
    ] {
        let memory = Memory::new();
        let mut desk = losing(&memory.region, 1, 1_000);
        let id = desk.first_order();
        desk.hear(&Event::Order(report(id, OrderState::Ack, 0)));
        let before = desk.has(is_cancel);
        let node = dp_shm::NodeLimits {
            collar_bps: 1_000,
            orders_per_s_max: 1_000,
            book_age_ms_max: 500,
            who: Text::lossy("ann"),
            ..dp_shm::NodeLimits::default()
        };
        let guard = memory.region.lock(Lock::Control).unwrap();
        memory.region.config().publish(&guard, &node, &[limits]);
        drop(guard);
        desk.pass(SECOND);
        desk.pass(SECOND);
        assert_eq!(desk.has(is_cancel) > before, is_gone, "{limits:?}");
        // It is asked for again while it stands.
        let once = desk.has(is_cancel);
        desk.engine
            .on_outcome(Outcome::CancelRefused(id), desk.at());
        desk.pass(SECOND);
        assert_eq!(desk.has(is_cancel) > once, is_gone, "{limits:?}");
    }
}

/// What it hears of its orders.
struct Ears(Arc<AtomicI64>, bool);

impl Strategy for Ears {
    fn name(&self) -> &'static str {
        "ears"
    }

    fn on_book(&mut self, view: &View<'_>, out: &mut Intents) {
        if view.can_trade && !self.1 {
            self.1 = true;
            out.new_order(Side::Buy, OrderKind::PostOnly, Tif::Gtc, Price(100), Qty(1));
        }
    }

    fn on_order(&mut self, _: &View<'_>, _: &LiveOrder, _: OrderState, _: &mut Intents) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_strategy_hears_of_what_never_left_and_of_what_was_refused() {
    let memory = Memory::new();
    let mut desk = Desk::new(&memory.region, 1);
    desk.engine.set_running(StrategyId(0), false);
    let heard = Arc::new(AtomicI64::new(0));
    let ears = Box::new(Ears(Arc::clone(&heard), false));
    desk.engine.seat(StrategyId(7), &[ID], ears);
    desk.settle(&[]);
    desk.book(0);
    let id = desk.news()[0];
    desk.engine
        .on_new_refused(id, RejectReason::RateLimit, desk.at());
    let state = desk.engine.oms().get(id).unwrap().state;
    assert_eq!(state, OrderState::Rejected);
    desk.pass(SECOND);
    assert_eq!(heard.load(Ordering::Relaxed), 1, "told with the next tick");
    assert_eq!(desk.count(Counter::RateRefusals), 1);
    desk.pass(SECOND);
    assert_eq!(heard.load(Ordering::Relaxed), 1, "once");
}
