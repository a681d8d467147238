//! Pairs, and what is left of them, by hand: three venues of one coin, prices with one decimal, quantities with two.

use super::*;
use crate::rig::Rig;
use proptest::prelude::{prop_assert, prop_assert_eq, prop_assert_ne, proptest};

const MS: u64 = 1_000_000;
/// A thousandth of fees each way, a thousandth of edge.
const PARAMS: ArbitrageParams = ArbitrageParams {
    order_qty: Qty(50),
    position_max: Qty(100),
    edge_ppm: 1_000,
    fee_ppm: [1_000; LEGS_MAX],
    hedge_ppm: 2_000,
    pause_ns: 100 * MS,
};

/// Three venues at 1000.0 to 1000.1, ten coins a side.
fn quiet() -> (Rig, Arbitrage) {
    let mut rig = Rig::with_legs(3, 1);
    rig.now(1_000 * MS);
    for leg in 0..3 {
        rig.at(leg).set_levels((10_000, 1_000), (10_001, 1_000));
    }
    (rig, Arbitrage::new(PARAMS))
}

fn ioc(leg: u8, side: Side, price: i64, qty: i64) -> Wish {
    Wish {
        leg: Some(leg),
        side,
        kind: OrderKind::Limit,
        tif: Tif::Ioc,
        price: Price(price),
        qty: Qty(qty),
    }
}

fn turn(rig: &Rig, arbitrage: &mut Arbitrage) -> Vec<Intent> {
    rig.call(|view, out| arbitrage.on_timer(view, out))
}

#[test]
fn a_market_in_step_pays_nobody() {
    let (rig, mut arbitrage) = quiet();
    assert_eq!(turn(&rig, &mut arbitrage), []);
}

#[test]
fn the_dearest_bid_and_the_cheapest_ask_make_a_pair_when_they_pay_for_it() {
    let (mut rig, mut arbitrage) = quiet();
    // Fees and edge on 1000.1 and the bid: 1003.1 x 0.999 < 1000.1 x 1.002 < 1003.2 x 0.999.
    rig.at(1).set_levels((10_031, 30), (10_040, 30));
    assert_eq!(turn(&rig, &mut arbitrage), []);
    rig.at(2).set_levels((10_032, 30), (10_040, 30));
    let want = Intent::Pair(
        ioc(0, Side::Buy, 10_001, 30),
        ioc(2, Side::Sell, 10_032, 30),
    );
    assert_eq!(
        turn(&rig, &mut arbitrage),
        [want],
        "as much as the thinner side has"
    );
    rig.now(1_050 * MS);
    assert_eq!(turn(&rig, &mut arbitrage), [], "too soon");
    rig.now(1_100 * MS);
    rig.at(1).set_levels((10_050, 70), (10_060, 70));
    let want = Intent::Pair(
        ioc(0, Side::Buy, 10_001, 50),
        ioc(1, Side::Sell, 10_050, 50),
    );
    assert_eq!(
        turn(&rig, &mut arbitrage),
        [want],
        "the best of two, as much as an order may be"
    );
}

#[test]
fn a_venue_that_cannot_trade_or_is_full_takes_no_part() {
    let (mut rig, mut arbitrage) = quiet();
    rig.at(2).set_levels((10_050, 30), (10_060, 30));
    rig.at(0).can_trade = false;
    let want = Intent::Pair(
        ioc(1, Side::Buy, 10_001, 30),
        ioc(2, Side::Sell, 10_050, 30),
    );
    assert_eq!(turn(&rig, &mut arbitrage), [want]);
    rig.now(2_000 * MS);
    rig.at(1).position = 80;
    rig.at(2).position = -80;
    let want = Intent::Pair(
        ioc(1, Side::Buy, 10_001, 20),
        ioc(2, Side::Sell, 10_050, 20),
    );
    assert_eq!(turn(&rig, &mut arbitrage), [want], "room for 20");
    rig.at(2).can_trade = false;
    rig.now(3_000 * MS);
    assert_eq!(turn(&rig, &mut arbitrage), []);
}

#[test]
fn the_leg_that_got_more_is_hedged_where_it_costs_least_and_further_each_time() {
    let (mut rig, mut arbitrage) = quiet();
    rig.at(0).position = 30;
    rig.at(2).position = -10;
    rig.at(1).set_levels((10_004, 5), (10_005, 5));
    // 20 to sell: 2 in a thousand through the best bid of all, 1000.4.
    let want = Intent::New(ioc(1, Side::Sell, 9_984, 20));
    assert_eq!(turn(&rig, &mut arbitrage), [want]);
    rig.now(1_050 * MS);
    assert_eq!(
        turn(&rig, &mut arbitrage),
        [],
        "that one's answer may still come"
    );
    rig.now(1_100 * MS);
    rig.at(1).position = -5;
    let want = Intent::New(ioc(1, Side::Sell, 9_964, 15));
    assert_eq!(turn(&rig, &mut arbitrage), [want], "4 in a thousand");
    rig.at(1).position = -20;
    rig.now(1_200 * MS);
    assert_eq!(turn(&rig, &mut arbitrage), [], "hedged");
    assert_eq!(arbitrage.tries, 0);
}

#[test]
fn what_was_sold_too_much_is_bought_back() {
    let (mut rig, mut arbitrage) = quiet();
    rig.at(2).position = -30;
    let want = Intent::New(ioc(0, Side::Buy, 10_021, 30));
    assert_eq!(
        turn(&rig, &mut arbitrage),
        [want],
        "2 in a thousand through 1000.1"
    );
}

#[test]
fn nothing_is_asked_while_an_order_or_a_fill_is_on_its_way() {
    let (mut rig, mut arbitrage) = quiet();
    rig.at(0).position = 30;
    rig.rest(Side::Buy, 10_001);
    assert_eq!(turn(&rig, &mut arbitrage), []);
    rig.no_orders();
    rig.is_settled = false;
    assert_eq!(turn(&rig, &mut arbitrage), []);
    rig.is_settled = true;
    assert_eq!(turn(&rig, &mut arbitrage).len(), 1);
}

#[test]
fn what_no_venue_would_take_is_left_alone_and_does_not_hinder() {
    let (mut rig, mut arbitrage) = quiet();
    for leg in 0..3 {
        rig.at(leg).instrument.qty_min = Qty(10);
    }
    rig.at(0).position = 9;
    rig.at(2).set_levels((10_050, 30), (10_060, 30));
    let want = Intent::Pair(
        ioc(0, Side::Buy, 10_001, 30),
        ioc(2, Side::Sell, 10_050, 30),
    );
    assert_eq!(turn(&rig, &mut arbitrage), [want]);
}

#[test]
fn quantities_are_whole_lots_of_both_venues() {
    let (mut rig, mut arbitrage) = quiet();
    rig.at(0).instrument.lot = Qty(4);
    rig.at(2).instrument.lot = Qty(10);
    rig.at(1).can_trade = false;
    rig.at(2).set_levels((10_050, 37), (10_060, 37));
    let want = Intent::Pair(
        ioc(0, Side::Buy, 10_001, 20),
        ioc(2, Side::Sell, 10_050, 20),
    );
    assert_eq!(turn(&rig, &mut arbitrage), [want]);
}

proptest! {
    /// Whatever the books: a pair pays more than its fees, buys and sells on two venues, within room and depth.
    #[test]
    fn a_pair_always_pays(
        books in proptest::collection::vec((9_000i64..11_000, 1i64..50, 1i64..200, -120i64..120), 3)
    ) {
        let (mut rig, mut arbitrage) = quiet();
        for (leg, (bid, spread, qty, position)) in books.iter().enumerate() {
            rig.at(leg).set_levels((*bid, *qty), (bid + spread, *qty));
            rig.at(leg).position = *position;
        }
        for wish in turn(&rig, &mut arbitrage) {
            match wish {
                Intent::Pair(buy, sell) => {
                    let (at, to) = (usize::from(buy.leg.unwrap()), usize::from(sell.leg.unwrap()));
                    prop_assert_ne!(at, to);
                    prop_assert_eq!((buy.side, sell.side, buy.qty), (Side::Buy, Side::Sell, sell.qty));
                    prop_assert!(sell.price.0 * 999 > buy.price.0 * 1_001);
                    prop_assert!(buy.qty.0 <= 50 && buy.qty.0 <= books[at].2 && buy.qty.0 <= books[to].2);
                    prop_assert!(books[at].3 + buy.qty.0 <= 100 && books[to].3 - sell.qty.0 >= -100);
                }
                Intent::New(hedge) => {
                    let net: i64 = books.iter().map(|book| book.3).sum();
                    prop_assert_eq!(hedge.qty.0, net.abs());
                    prop_assert_eq!(hedge.side, if net > 0 { Side::Sell } else { Side::Buy });
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
