//! Pairs, and what is left of them, by hand: three venues of one coin, prices with one decimal, quantities with two.

use super::*;
use crate::rig::{Rig, prices};
use dp_types::{
    AssetId, Decimal, InstrumentId, Liquidity, Notional, OrderId, PairResult, TradeId, VenueNanos,
};
use proptest::prelude::{prop_assert, prop_assert_eq, prop_assert_ne, proptest};

/// A thousandth of fees each way, a thousandth of edge.
const PARAMS: ArbitrageParams = ArbitrageParams {
    order_qty: Qty(50),
    position_max: Qty(100),
    edge_ppm: 1_000,
    fee_ppm: [1_000; LEGS_MAX],
    hedge_ppm: 2_000,
    hedge_max_ppm: 5_000,
    hedge_after_ns: 3_000 * MS,
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

/// What it wants when an order of a leg is over.
fn end(
    rig: &mut Rig,
    arbitrage: &mut Arbitrage,
    (leg, side): (u32, Side),
    state: OrderState,
) -> Vec<Intent> {
    let order = rig.rest_on(leg, side, 1, 1);
    rig.end_on(leg);
    let out = rig.call_on(leg as usize, |view, out| {
        arbitrage.on_order(view, &order, state, out);
    });
    (0..out.len()).filter_map(|at| out.get(at)).collect()
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
    rig.at(1).position = -5;
    assert_eq!(
        end(
            &mut rig,
            &mut arbitrage,
            (1, Side::Sell),
            OrderState::Expired
        ),
        [],
        "too soon to try again"
    );
    rig.now(1_100 * MS);
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

/// The leg of the only order among wishes.
fn leg_of(wishes: &[Intent]) -> Option<u8> {
    match wishes {
        [Intent::New(wish)] => wish.leg,
        _ => None,
    }
}

#[test]
fn a_venue_that_refuses_is_passed_over_for_the_next_and_asked_again_within_a_second() {
    let (mut rig, mut arbitrage) = quiet();
    rig.at(0).position = 30;
    rig.at(1).set_levels((10_004, 1_000), (10_005, 1_000));
    rig.at(2).set_levels((10_003, 1_000), (10_005, 1_000));
    let mut now = 1_000 * MS;
    let mut asked = vec![leg_of(&turn(&rig, &mut arbitrage)).unwrap()];
    // All refuse for thirty seconds.
    let mut since = [now; 3];
    while now < 31_000 * MS {
        let last = u32::from(*asked.last().unwrap());
        since[last as usize] = now;
        let mut next = end(
            &mut rig,
            &mut arbitrage,
            (last, Side::Sell),
            OrderState::Rejected,
        );
        while next.is_empty() {
            now += 10 * MS;
            rig.now(now);
            next = turn(&rig, &mut arbitrage);
            for leg in since {
                assert!(now - leg <= 1_100 * MS, "a venue is not asked any more");
            }
        }
        assert_eq!(prices(&next)[0].1, best_less_2_in_1000(&next));
        asked.push(leg_of(&next).unwrap());
    }
    assert_eq!(
        asked[..4],
        [1, 2, 0, 1],
        "where it costs least, then the next"
    );
    assert!(asked.len() < 120, "{} orders in 30 s", asked.len());
}

/// What an order to sell asks for that goes no further than the first try may.
fn best_less_2_in_1000(wishes: &[Intent]) -> i64 {
    match leg_of(wishes) {
        Some(0) => 9_980,
        Some(1) => 9_984,
        _ => 9_983,
    }
}

#[test]
fn tries_go_further_to_the_bound_and_no_further() {
    let (mut rig, mut arbitrage) = quiet();
    rig.at(2).position = -30;
    let mut asked = Vec::new();
    for round in 0..6 {
        rig.now((1_000 + round * 200) * MS);
        asked.extend(prices(&turn(&rig, &mut arbitrage)));
        end(
            &mut rig,
            &mut arbitrage,
            (0, Side::Buy),
            OrderState::Expired,
        );
    }
    let want = [10_021, 10_041, 10_051, 10_051, 10_051, 10_051];
    assert_eq!(
        asked,
        want.map(|price| (Side::Buy, price)),
        "5 in a thousand"
    );
}

#[test]
fn what_the_gate_does_not_let_out_is_asked_nearer_to_the_market() {
    let (mut rig, mut arbitrage) = quiet();
    rig.at(2).position = -30;
    // Whatever is more than a thousandth from 1000.1 does not leave.
    let (mut asked, mut ms) = (Vec::new(), 1_000);
    while asked.last().is_none_or(|(_, price)| *price > 10_011) {
        rig.now(ms * MS);
        asked.extend(prices(&turn(&rig, &mut arbitrage)));
        ms += 10;
        assert!(ms < 2_000, "{asked:?}");
    }
    let want = [10_021, 10_011].map(|price| (Side::Buy, price));
    assert_eq!(asked, want);
}

#[test]
fn an_order_in_doubt_is_not_waited_for_beyond_its_time_and_what_is_too_much_is_flattened() {
    let (mut rig, mut arbitrage) = quiet();
    // Bought on the first; what became of the order to sell on the second, nobody knows.
    rig.at(0).position = 50;
    rig.rest_on(1, Side::Sell, 10_050, 50);
    rig.at(1).can_trade = false;
    for ms in [1_000, 2_000, 3_999] {
        rig.now(ms * MS);
        assert_eq!(turn(&rig, &mut arbitrage), [], "at {ms}");
    }
    rig.now(4_000 * MS);
    let hedge = turn(&rig, &mut arbitrage);
    assert_eq!(hedge, [Intent::New(ioc(0, Side::Sell, 9_980, 50))]);
    // Its own fate is open too: if both are filled 50 are too much, and no third may leave.
    rig.rest_on(0, Side::Sell, 9_980, 50);
    for ms in [4_100, 7_200, 60_000] {
        rig.now(ms * MS);
        assert_eq!(turn(&rig, &mut arbitrage), [], "at {ms}");
    }
    rig.end_on(0);
    rig.at(0).position = 0;
    // Flat as far as is known: nothing begins, whatever it would pay.
    rig.at(2).set_levels((10_090, 30), (10_100, 30));
    assert_eq!(turn(&rig, &mut arbitrage), []);
    // The venue is back, and the order was filled.
    rig.now(61_000 * MS);
    rig.end_on(1);
    rig.at(1).position = -50;
    rig.at(1).can_trade = true;
    let flat = turn(&rig, &mut arbitrage);
    assert_eq!(flat, [Intent::New(ioc(0, Side::Buy, 10_021, 50))]);
}

#[test]
fn what_a_venue_counts_and_has_not_told_the_fills_of_counts() {
    let (mut rig, mut arbitrage) = quiet();
    rig.at(0).position = 50;
    rig.at(1).coming = -20;
    rig.is_settled = false;
    assert_eq!(turn(&rig, &mut arbitrage), [], "it may be told at once");
    rig.now(4_000 * MS);
    let hedge = turn(&rig, &mut arbitrage);
    assert_eq!(hedge, [Intent::New(ioc(0, Side::Sell, 9_980, 30))]);
}

/// A fill of an order of ours.
fn filled(leg: u32, side: Side, (price, qty): (&str, &str), fee: (&str, AssetId)) -> FillReport {
    let decimal = |text: &str| Decimal::parse(text.as_bytes()).unwrap();
    FillReport {
        instrument: InstrumentId(leg),
        client_id: None,
        order_id: OrderId(1),
        trade_id: TradeId(1),
        side,
        price: decimal(price),
        qty: decimal(qty),
        cum: None,
        fee: decimal(fee.0),
        fee_asset: fee.1,
        liquidity: Liquidity::Taker,
        venue_ns: VenueNanos(0),
    }
}

#[test]
fn what_a_pair_made_is_told_once_when_both_legs_and_the_hedge_are_done() {
    const USDT: AssetId = AssetId(1);
    const BTC: AssetId = AssetId(2);
    const BNB: AssetId = AssetId(3);
    let (mut rig, mut arbitrage) = quiet();
    for leg in 0..3 {
        let it = &mut rig.at(leg).instrument;
        (it.base, it.quote) = (BTC, USDT);
    }
    rig.at(2).set_levels((10_050, 50), (10_060, 50));
    assert!(matches!(turn(&rig, &mut arbitrage)[..], [Intent::Pair(..)]));
    rig.rest_on(2, Side::Sell, 10_050, 50);
    // 0.5 bought, 0.3 sold; the other 0.2 go where they can.
    let mut fill = |rig: &mut Rig, leg: usize, position: i64, report: FillReport| {
        rig.at(leg).position = position;
        let out = rig.call_on(leg, |view, out| arbitrage.on_fill(view, &report, out));
        out.told_pair().copied()
    };
    let bought = filled(0, Side::Buy, ("1000.1", "0.5"), ("0.25", USDT));
    assert_eq!(fill(&mut rig, 0, 50, bought), None);
    rig.end_on(2);
    let sold = filled(2, Side::Sell, ("1005", "0.3"), ("0.0001", BTC));
    assert_eq!(fill(&mut rig, 2, -30, sold), None);
    let hedge = filled(1, Side::Sell, ("999.75", "0.2"), ("0.001", BNB));
    let told = fill(&mut rig, 1, -20, hedge);
    let notional = |text: &str| Notional::of(Decimal::parse(text.as_bytes()).unwrap()).unwrap();
    let want = PairResult {
        base: notional("0.5").0,
        bought_at: notional("1000.1"),
        // 301.5 + 199.95
        sold_at: notional("1002.9"),
        // 0.25, and 0.0001 at 1005
        fees: notional("0.3505"),
        fees_unknown: 1,
        net: notional("1.0495"),
        hedges: 1,
    };
    assert_eq!(told, Some(want));
    rig.now(2_000 * MS);
    rig.at(2).set_levels((10_000, 50), (10_001, 50));
    let out = rig.call_on(0, |view, out| arbitrage.on_timer(view, out));
    assert_eq!(out.told_pair(), None, "once");
}

#[test]
fn of_a_pair_that_came_to_nothing_nothing_is_told() {
    let (mut rig, mut arbitrage) = quiet();
    rig.at(2).set_levels((10_050, 50), (10_060, 50));
    assert_eq!(turn(&rig, &mut arbitrage).len(), 1);
    rig.now(2_000 * MS);
    let out = rig.call_on(0, |view, out| arbitrage.on_timer(view, out));
    assert_eq!(out.told_pair(), None);
    assert!(matches!(out.get(0), Some(Intent::Pair(..))), "it goes on");
}

#[test]
fn a_first_reach_beyond_the_last_is_refused() {
    let it = dp_types::Instrument::bare(
        InstrumentId(0),
        dp_types::VenueId::OKX,
        dp_types::Text::EMPTY,
        1,
        3,
    );
    let text_of = |name: &str| match name {
        "order_qty" | "position_max" => Some("1".to_owned()),
        "hedge_ppm" => Some("6000".to_owned()),
        _ => None,
    };
    let values = Values::read(Arbitrage::KIND.params, &it, text_of).unwrap();
    let fault = (Arbitrage::KIND.make)(&values).err().unwrap();
    assert!(fault.to_string().contains("hedge_max_ppm"), "{fault}");
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
