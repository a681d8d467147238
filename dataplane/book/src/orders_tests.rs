use super::*;
use dp_types::{Decimal, InstrumentId, OrderAct, OrderId, Price, Qty, Side, Text, VenueId};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A counted book that is fetched, as Coinbase's.
struct Counted;

impl OrdersRule for Counted {
    fn bootstrap(&self) -> Bootstrap {
        Bootstrap::Rest
    }
    fn is_counted(&self) -> bool {
        true
    }
}

/// A pushed book with a checksum and a depth, as Kraken's.
struct Summed;

impl OrdersRule for Summed {
    fn bootstrap(&self) -> Bootstrap {
        Bootstrap::Pushed
    }
    fn levels_max(&self, _: &L3Msg<'_>) -> Option<usize> {
        Some(2)
    }
    fn checksum(&self, book: &L3Book) -> Option<u32> {
        Some(
            book.orders(Side::Buy)
                .map(|(_, level)| level.qty.0 as u32)
                .sum(),
        )
    }
}

fn instrument() -> Instrument {
    Instrument::bare(InstrumentId(0), VenueId::COINBASE, Text::EMPTY, 0, 0)
}

fn order(act: OrderAct, id: u128, price: i64, qty: i64) -> RawOrder {
    let whole = |mantissa| Decimal {
        mantissa,
        exponent: 0,
    };
    RawOrder {
        act,
        id: OrderId(id),
        side: Side::Buy,
        price: whole(price),
        qty: whole(qty),
    }
}

fn rests(id: u128, price: i64, qty: i64) -> RawOrder {
    order(OrderAct::Rests, id, price, qty)
}

fn msg(kind: BookMsgKind, last_id: i64, orders: &[RawOrder]) -> L3Msg<'_> {
    L3Msg {
        instrument: InstrumentId(0),
        kind,
        last_id,
        has_hole: false,
        has_more: false,
        checksum: None,
        orders,
        venue_ns: VenueNanos(0),
    }
}

use BookMsgKind::{Delta, Snapshot};

fn told<R: OrdersRule>(keeper: &mut OrdersKeeper<R>, msg: &L3Msg<'_>) -> Outcome {
    keeper.on_msg(msg, &instrument(), UnixNanos(1))
}

#[test]
fn a_snapshot_comes_in_pieces_and_is_not_read_before_the_last() {
    let mut keeper = OrdersKeeper::new(Counted, 10);
    assert_eq!(
        told(&mut keeper, &msg(Delta, 8, &[])),
        Outcome::NeedSnapshot
    );
    let late = [order(OrderAct::Trades, 1, 10, 3)];
    assert_eq!(told(&mut keeper, &msg(Delta, 9, &late)), Outcome::Buffered);
    let orders = [rests(1, 10, 5)];
    let first = L3Msg {
        has_more: true,
        ..msg(Snapshot, 8, &orders)
    };
    let first = told(&mut keeper, &first);
    assert_eq!(
        (first, keeper.proof().state),
        (Outcome::Buffered, State::Waiting)
    );
    assert_eq!(
        told(&mut keeper, &msg(Delta, 8, &[rests(2, 9, 1)])),
        Outcome::Applied
    );
    assert_eq!(
        (keeper.proof().state, keeper.proof().last_id),
        (State::Synced, 9)
    );
    assert_eq!(keeper.book().best(Side::Buy), Some((Price(10), Qty(2))));
    assert_eq!(keeper.book().len(), 2);
}

#[test]
fn the_rest_of_a_snapshot_that_was_too_old_is_not_held() {
    let mut keeper = OrdersKeeper::new(Counted, 10);
    let late = [order(OrderAct::Trades, 1, 10, 3)];
    told(&mut keeper, &msg(Delta, 9, &late));
    let orders = [rests(1, 10, 5)];
    let old = L3Msg {
        has_more: true,
        ..msg(Snapshot, 7, &orders)
    };
    assert_eq!(told(&mut keeper, &old), Outcome::NeedSnapshot);
    let rest = [rests(2, 10, 5)];
    assert_eq!(told(&mut keeper, &msg(Delta, 7, &rest)), Outcome::Ignored);
    assert_eq!(
        told(&mut keeper, &msg(Snapshot, 8, &orders)),
        Outcome::Applied
    );
    assert_eq!(keeper.book().best(Side::Buy), Some((Price(10), Qty(2))));
    assert_eq!((keeper.book().len(), keeper.proof().last_id), (1, 9));
}

#[test]
fn a_snapshot_that_breaks_off_is_asked_for_again() {
    let mut keeper = OrdersKeeper::new(Counted, 10);
    let first = [rests(1, 10, 5)];
    let first = L3Msg {
        has_more: true,
        ..msg(Snapshot, 8, &first)
    };
    told(&mut keeper, &first);
    assert_eq!(
        told(&mut keeper, &msg(Delta, 9, &[])),
        Outcome::NeedSnapshot
    );
    assert_eq!(keeper.proof().state, State::Waiting);
}

#[test]
fn too_many_orders_are_told() {
    let mut keeper = OrdersKeeper::new(Counted, 1);
    let two = [rests(1, 10, 5), rests(2, 10, 5)];
    assert_eq!(told(&mut keeper, &msg(Snapshot, 1, &two)), Outcome::TooMany);
    assert!(Outcome::TooMany.needs_snapshot() && keeper.proof().state == State::Waiting);
}

#[test]
fn depth_checksum_and_holes_of_a_pushed_book() {
    let mut keeper = OrdersKeeper::new(Summed, 10);
    let three = [rests(1, 10, 5), rests(2, 9, 4), rests(3, 8, 3)];
    let snapshot = |sum| L3Msg {
        checksum: Some(sum),
        ..msg(Snapshot, -1, &three)
    };
    assert_eq!(told(&mut keeper, &snapshot(9)), Outcome::Applied);
    assert_eq!(
        keeper.book().len(),
        2,
        "the third price is out of the depth"
    );
    let bad = Outcome::BadChecksum { venue: 8, ours: 9 };
    assert_eq!(told(&mut keeper, &snapshot(8)), bad);
    assert_eq!(told(&mut keeper, &msg(Delta, -1, &[])), Outcome::Ignored);
    assert_eq!(told(&mut keeper, &snapshot(9)), Outcome::Applied);
    let hole = L3Msg {
        has_hole: true,
        ..msg(Delta, 7, &[])
    };
    assert!(matches!(told(&mut keeper, &hole), Outcome::Gap(_)));
    assert_eq!(keeper.proof().state, State::Waiting);
}

/// The same, written to be obviously right: id → (price, quantity).
fn naive(book: &mut BTreeMap<u128, (i64, i64)>, one: &RawOrder) {
    let (id, price, qty) = (one.id.0, one.price.mantissa, one.qty.mantissa);
    let was = book.get(&id).copied();
    let now = match (one.act, was) {
        (OrderAct::Rests, _) | (OrderAct::Becomes, Some(_)) => (price, qty),
        (OrderAct::Trades, Some((price, held))) => (price, held - qty),
        _ => return,
    };
    if now.1 > 0 {
        book.insert(id, now);
    } else {
        book.remove(&id);
    }
}

fn acts() -> impl Strategy<Value = Vec<RawOrder>> {
    let one = (0u8..3, 1u128..9, 1i64..6, 0i64..5).prop_map(|(act, id, price, qty)| {
        let act = [OrderAct::Rests, OrderAct::Becomes, OrderAct::Trades][usize::from(act)];
        order(act, id, price, qty)
    });
    proptest::collection::vec(one, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Law: from wherever it joins and wherever the snapshot is of, the book is the venue's; a repeat changes nothing;
    /// a message left out is a hole, told once.
    #[test]
    fn it_ends_as_the_venues(
        all in acts(), join in 0usize..20, behind in 0usize..20, again in 0usize..60, lost in 0usize..120,
    ) {
        let join = join.min(all.len() - 1);
        let mut keeper = OrdersKeeper::new(Counted, 64);
        let mut whole = BTreeMap::new();
        all[..join].iter().for_each(|one| naive(&mut whole, one));
        // The snapshot is of a while later than the first message heard, and no later than all of them.
        let of = (join + behind).min(all.len());
        let (mut at_snapshot, mut is_told) = (whole.clone(), false);
        all[join..of].iter().for_each(|one| naive(&mut at_snapshot, one));
        let mut gaps = 0;
        for (at, one) in all.iter().enumerate().skip(join) {
            naive(&mut whole, one);
            let delta = [*one];
            if at != lost || at < of {
                let delta = msg(Delta, at as i64 + 1, &delta);
                gaps += u32::from(matches!(told(&mut keeper, &delta), Outcome::Gap(_)));
                if at == again {
                    told(&mut keeper, &delta);
                }
            }
            if at + 1 >= of && !is_told {
                is_told = true;
                let orders: Vec<_> = at_snapshot.iter().map(|(id, (price, qty))| rests(*id, *price, *qty)).collect();
                told(&mut keeper, &msg(Snapshot, of as i64, &orders));
            }
        }
        let is_lost = lost >= of && lost + 1 < all.len();
        prop_assert_eq!(gaps, u32::from(is_lost));
        prop_assert_eq!(keeper.proof().state == State::Synced, !is_lost);
        let ours: BTreeMap<_, _> = keeper.book().orders(Side::Buy).map(|(id, level)| (id.0, (level.price.0, level.qty.0))).collect();
        if !is_lost && lost < of || lost >= all.len() {
            prop_assert_eq!(ours, whole);
        }
    }
}
