//! Orders an earlier run left: what its heir makes of them.

use super::tests::*;
use super::*;
use dp_types::{OrderKind, Tif};

/// An order of five, as it was left.
const fn left(live: LiveOrder) -> Recovered {
    Recovered {
        live,
        venue: VENUE,
        strategy: StrategyId(0),
        kind: OrderKind::Limit,
        tif: Tif::Gtc,
        qty: Qty(5),
        filled: Qty(0),
        at: UnixNanos(1),
    }
}

#[test]
fn recovered_orders_without_an_answer_are_unknown() {
    let mut oms = oms();
    let id = place(&mut oms, Side::Buy, 100, 5);
    let new = oms.get(id).unwrap().live();
    let rests = LiveOrder {
        state: OrderState::Ack,
        ..new
    };
    let cancelling = LiveOrder {
        is_cancelling: true,
        ..rests
    };
    let amending = LiveOrder {
        is_amending: true,
        ..rests
    };
    for (live, want) in [
        (new, OrderState::Unknown),
        (cancelling, OrderState::Unknown),
        (amending, OrderState::Unknown),
        (rests, OrderState::Ack),
    ] {
        let mut heir = Oms::new(Epoch(2), LaneId(0), 1);
        heir.adopt(&left(live));
        assert_eq!(state(&heir, id), want, "{live:?}");
        assert_ne!(heir.next_id().unwrap(), id, "another epoch, another id");
    }
}

#[test]
fn an_order_whose_cancel_was_not_answered_is_unknown_to_the_heir() {
    let mut oms = oms();
    let id = place(&mut oms, Side::Buy, 100, 5);
    oms.on_sent(id, UnixNanos(1));
    oms.on_report(&report(id, OrderState::Ack, 0), &instrument(), NOW);
    oms.on_cancel_sent(id, UnixNanos(2));
    let mut heir = Oms::with_room(Epoch(2), LaneId(0), 1, Room { live: 1, ..SMALL });
    let mut recovered = left(oms.get(id).unwrap().live());
    assert!(heir.adopt(&recovered));
    assert!(!heir.adopt(&recovered), "known already");
    assert_eq!(state(&heir, id), OrderState::Unknown);
    recovered.live.client_id = ClientOrderId(id.0 + 1);
    assert!(!heir.adopt(&recovered));
    assert_eq!(heir.tally().not_adopted, 1, "no room is told, not silent");
}
