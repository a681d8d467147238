//! A venue that stands still costs the orders of that while, never the link and never a cancel.

use dp_shm::Counter;
use dp_strategy::{Intents, Strategy, View};
use dp_types::{ClientOrderId, LiveOrder, OrderKind, OrderState, Price, Qty, Side, Tif};
use tests_hotpath::{Memory, Rig};

/// Orders wished for at each book.
const ORDERS: usize = 8;

/// Bids far below the touch at each book, and takes back one that the venue has.
#[derive(Default)]
struct Eager {
    /// What the venue has taken and nobody has asked back.
    resting: Vec<ClientOrderId>,
}

impl Strategy for Eager {
    fn name(&self) -> &'static str {
        "eager"
    }

    fn on_order(&mut self, _: &View<'_>, order: &LiveOrder, state: OrderState, _: &mut Intents) {
        if state == OrderState::Ack {
            self.resting.push(order.client_id);
        }
    }

    fn on_book(&mut self, view: &View<'_>, out: &mut Intents) {
        if let Some(id) = self.resting.pop() {
            out.cancel(id);
        }
        let (true, Some(best)) = (view.can_trade, view.book.bids().next()) else {
            return;
        };
        let price = Price(best.price.0 - view.instrument.tick.0 * 500);
        let qty = Qty(view.instrument.lot.0 * 1_000);
        for _ in 0..ORDERS {
            out.new_order(Side::Buy, OrderKind::PostOnly, Tif::Gtc, price, qty);
        }
    }
}

fn turn(rig: &mut Rig<'_>) {
    rig.move_book();
    rig.turn();
}

fn stands_still(mut rig: Rig<'_>) {
    let lost = rig.count(Counter::Reconnects);
    for _ in 0..60 {
        turn(&mut rig);
        rig.serve();
    }
    assert_eq!(rig.count(Counter::BacklogRefusals), 0, "it reads");
    // The venue hears nothing for a while: what is on its way fills up, then orders are refused.
    let mut turns = 0;
    while rig.count(Counter::BacklogRefusals) == 0 {
        turn(&mut rig);
        turns += 1;
        assert!(
            turns < 400,
            "{} orders sent",
            rig.count(Counter::OrdersSent)
        );
    }
    let (sent, cancels) = (
        rig.count(Counter::OrdersSent),
        rig.count(Counter::CancelsSent),
    );
    for _ in 0..50 {
        turn(&mut rig);
    }
    let refused = rig.count(Counter::BacklogRefusals);
    assert!(refused >= 50 * ORDERS as u64, "{refused} refused");
    assert_eq!(
        rig.count(Counter::OrdersSent),
        sent,
        "none beyond what fits"
    );
    let cancels = rig.count(Counter::CancelsSent) - cancels;
    assert!(cancels >= 50, "{cancels} cancels while orders were refused");
    // It reads on: everything that was taken is there, and trading with it.
    let acks = rig.count(Counter::Acks);
    for _ in 0..20 {
        rig.serve();
        turn(&mut rig);
    }
    assert!(rig.count(Counter::OrdersSent) > sent, "orders leave again");
    assert!(rig.count(Counter::Acks) > acks, "and are acknowledged");
    assert_eq!(
        rig.count(Counter::UnknownOrders),
        0,
        "none was lost on the way"
    );
    assert_eq!(rig.count(Counter::Reconnects), lost, "the link stood");
}

#[test]
fn a_venue_that_stands_still_costs_orders_and_not_the_link() {
    let memory = Memory::new("still");
    stands_still(Rig::new(&memory, Some(|| Box::<Eager>::default())));
}

#[test]
fn nor_where_orders_have_a_lane_of_their_own() {
    let memory = Memory::new("still-spread");
    stands_still(Rig::spread(&memory, Some(|| Box::<Eager>::default())));
}
