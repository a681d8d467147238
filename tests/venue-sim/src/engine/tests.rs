use super::naive::{Naive, NaiveOrder};
use super::*;
use proptest::prelude::*;

fn spec() -> Spec {
    Spec {
        base: "BTC".into(),
        quote: "USDT".into(),
        base_asset: 0,
        quote_asset: 1,
        price_decimals: 2,
        qty_decimals: 5,
        tick: 1,
        lot: 1,
        qty_min: 1,
        qty_max: 1_000_000_000,
        notional_min: 0,
        price_start: 100,
        is_contract: false,
    }
}

const FEES: Fees = Fees {
    maker_ppm: 200,
    taker_ppm: 1000,
    decimals: 12,
    in_quote: false,
};

fn engine() -> Engine {
    let mut ledger = Ledger::new(3, 2);
    for account in 1..=3 {
        ledger.deposit(account, 0, 1_000 * UNIT);
        ledger.deposit(account, 1, 1_000_000 * UNIT);
    }
    Engine::new(vec![spec()], ledger, FEES, 3, FirstIds::default())
}

fn ask(account: AccountId, side: Side, price: Option<i64>, qty: i64) -> NewOrder {
    NewOrder {
        account,
        inst: 0,
        side,
        price,
        size: Size::Base(qty),
        tif: if price.is_some() { Tif::Gtc } else { Tif::Ioc },
        post_only: PostOnly::No,
        client_id: Arc::from(""),
        type_name: "LIMIT",
        echo: Arc::from(""),
    }
}

fn fills(events: &[Event]) -> Vec<(u64, i64, i64, bool)> {
    events
        .iter()
        .filter_map(|event| match event {
            Event::Order(order, What::Fill(fill)) => {
                Some((order.id, fill.price, fill.qty, fill.is_maker))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn earlier_order_at_a_price_is_filled_first_at_its_price() {
    let mut engine = engine();
    let first = engine.place(1, ask(1, Side::Sell, Some(100), 5)).unwrap();
    let second = engine.place(2, ask(2, Side::Sell, Some(100), 5)).unwrap();
    let taker = engine.place(3, ask(3, Side::Buy, Some(105), 7)).unwrap();
    assert_eq!(
        fills(&engine.drain()),
        [
            (first, 100, 5, true),
            (taker, 100, 5, false),
            (second, 100, 2, true),
            (taker, 100, 2, false)
        ]
    );
    assert_eq!(engine.order(taker).unwrap().state, State::Filled);
    // The better price was given back: nothing stays locked for a filled order.
    assert_eq!(engine.ledger().balance(3, 1).locked, 0);
}

#[test]
fn post_only_is_refused_or_accepted_then_cancelled() {
    let mut engine = engine();
    engine.place(1, ask(1, Side::Sell, Some(100), 5)).unwrap();
    let mut crossing = ask(2, Side::Buy, Some(100), 5);
    crossing.post_only = PostOnly::Refuse;
    assert_eq!(engine.place(2, crossing.clone()), Err(Refusal::WouldTake));
    crossing.post_only = PostOnly::AcceptThenCancel;
    let id = engine.place(3, crossing).unwrap();
    assert_eq!(
        engine.order(id).unwrap().state,
        State::Canceled(Cause::PostOnly)
    );
    assert_eq!(engine.ledger().balance(2, 1).locked, 0);
}

#[test]
fn a_reduced_order_keeps_its_place_and_a_repriced_one_loses_it() {
    let mut engine = engine();
    let first = engine.place(1, ask(1, Side::Sell, Some(100), 5)).unwrap();
    let second = engine.place(2, ask(2, Side::Sell, Some(100), 5)).unwrap();
    engine.reduce(3, first, 3).unwrap();
    engine.drain();
    engine.place(4, ask(3, Side::Buy, Some(100), 1)).unwrap();
    assert_eq!(fills(&engine.drain())[0].0, first);
    engine.amend(5, first, 100, 9).unwrap();
    engine.drain();
    engine.place(6, ask(3, Side::Buy, Some(100), 1)).unwrap();
    assert_eq!(fills(&engine.drain())[0].0, second);
    assert_eq!(engine.reduce(7, first, 9), Err(Refusal::Amend));
    assert_eq!(
        engine.reduce(7, first, 1),
        Err(Refusal::Amend),
        "1 is already done"
    );
}

#[test]
fn quote_budget_buys_whole_lots_and_is_filled() {
    let mut engine = engine();
    engine
        .place(1, ask(1, Side::Sell, Some(100), 500_000))
        .unwrap();
    let mut buy = ask(2, Side::Buy, None, 0);
    buy.size = Size::Quote(UNIT); // 1 quote unit at 1.00 = 1 base = 100000 lots
    let id = engine.place(2, buy).unwrap();
    let order = engine.order(id).unwrap();
    assert_eq!((order.state, order.cum), (State::Filled, 100_000));
    let last = engine
        .drain()
        .into_iter()
        .rev()
        .find_map(|event| match event {
            Event::Order(order, What::Fill(_)) => Some(order.state),
            _ => None,
        });
    assert_eq!(last, Some(State::Filled));
}

#[test]
fn own_orders_never_trade_with_each_other() {
    let mut engine = engine();
    engine.place(1, ask(1, Side::Sell, Some(100), 5)).unwrap();
    let id = engine.place(2, ask(1, Side::Buy, Some(100), 5)).unwrap();
    assert_eq!(
        engine.order(id).unwrap().state,
        State::Canceled(Cause::SelfTrade)
    );
}

#[test]
fn duplicate_client_id_is_refused_while_open_only() {
    let mut engine = engine();
    let mut order = ask(1, Side::Buy, Some(90), 5);
    order.client_id = Arc::from("x");
    let id = engine.place(1, order.clone()).unwrap();
    assert_eq!(engine.place(2, order.clone()), Err(Refusal::Duplicate));
    engine.cancel(3, id, Cause::User).unwrap();
    assert!(engine.place(4, order).is_ok());
}

#[test]
fn a_venue_that_does_not_look_at_client_ids_takes_equal_ones() {
    let mut engine = engine();
    engine.free_client_ids();
    let mut order = ask(1, Side::Buy, Some(90), 5);
    order.client_id = Arc::from("x");
    engine.place(1, order.clone()).unwrap();
    let second = engine.place(2, order).unwrap();
    assert_eq!(engine.open_orders(1).count(), 2);
    assert_eq!(engine.by_client_id(1, "x").unwrap().id, second);
}

#[test]
fn too_poor_is_refused_and_nothing_changes() {
    let mut engine = engine();
    let before = engine.ledger().balance(1, 1);
    let rich = ask(1, Side::Buy, Some(1_000_000_000), 100_000);
    assert_eq!(engine.place(1, rich), Err(Refusal::Balance));
    assert_eq!(engine.ledger().balance(1, 1), before);
    assert!(engine.drain().is_empty());
}

#[derive(Debug, Clone, Copy)]
enum Op {
    Place(usize, bool, i64, i64, u8),
    Cancel(usize),
    Reduce(usize, i64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (1usize..4, any::<bool>(), 90i64..111, 1i64..50, 0u8..5)
            .prop_map(|(account, buy, price, qty, kind)| Op::Place(account, buy, price, qty, kind)),
        2 => (0usize..64).prop_map(Op::Cancel),
        1 => ((0usize..64), 1i64..50).prop_map(|(at, qty)| Op::Reduce(at, qty)),
    ]
}

proptest! {
    /// Same trades in the same order and the same book as the oracle; money is conserved, nothing is
    /// negative, the book never crosses, update ids rise by one, level events rebuild the book.
    #[test]
    fn engine_equals_oracle(ops in prop::collection::vec(op(), 1..120)) {
        let mut engine = engine();
        let mut naive = Naive::default();
        let deposits = [engine.ledger().total(0), engine.ledger().total(1)];
        let mut ids: Vec<u64> = Vec::new();
        let mut trades = Vec::new();
        let mut rebuilt = std::collections::BTreeMap::<(Side, i64), i64>::new();
        let mut resting = std::collections::BTreeMap::<u64, (Side, i64, i64)>::new();
        let mut last_update = engine.update_id(0);
        for (now, op) in ops.into_iter().enumerate() {
            let now = now as u64;
            match op {
                Op::Place(account, buy, price, qty, kind) => {
                    let side = if buy { Side::Buy } else { Side::Sell };
                    // One account a side: own orders never meet, which the oracle does not know.
                    let account = if buy { account } else { MARKET };
                    let mut order = ask(account, side, (kind != 4).then_some(price), qty);
                    order.tif = [Tif::Gtc, Tif::Ioc, Tif::Fok, Tif::Gtc, Tif::Ioc][usize::from(kind)];
                    if kind == 3 {
                        order.post_only = PostOnly::Refuse;
                    }
                    let result = engine.place(now, order.clone());
                    let id = match result {
                        Ok(id) => id,
                        Err(Refusal::WouldTake) => 0,
                        Err(other) => return Err(TestCaseError::fail(format!("{other}"))),
                    };
                    naive.place(
                        NaiveOrder { id, side, price: order.price, leaves: qty },
                        order.tif,
                        kind == 3,
                    );
                    ids.push(id);
                }
                Op::Cancel(at) => {
                    if let Some(&id) = ids.get(at) {
                        let _ = engine.cancel(now, id, Cause::User);
                        naive.cancel(id);
                    }
                }
                Op::Reduce(at, qty) => {
                    if let Some(&id) = ids.get(at)
                        && engine.reduce(now, id, qty).is_ok()
                    {
                        naive.reduce(id, engine.order(id).unwrap().leaves());
                    }
                }
            }
            for event in engine.drain() {
                match event {
                    Event::Level { side, price, qty, order, leaves, update_id, .. } => {
                        prop_assert_eq!(update_id, last_update + 1);
                        last_update = update_id;
                        rebuilt.insert((side, price), qty);
                        resting.insert(order, (side, price, leaves));
                        let queued = resting.values().filter(|at| (at.0, at.1) == (side, price));
                        prop_assert_eq!(qty, queued.map(|at| at.2).sum::<i64>());
                    }
                    Event::Trade(trade) => {
                        prop_assert_eq!(resting[&trade.maker_order].1, trade.price);
                        trades.push((trade.price, trade.qty, trade.taker_order));
                    }
                    Event::Order(..) => {}
                }
            }
            let best = |side| engine.book(0).best(side).map(|(price, _)| price);
            if let (Some(bid), Some(ask)) = (best(Side::Buy), best(Side::Sell)) {
                prop_assert!(bid < ask);
            }
            prop_assert_eq!([engine.ledger().total(0), engine.ledger().total(1)], deposits);
            for account in 1..=3 {
                let mut held = [0, 0];
                for order in engine.open_orders(account) {
                    held[usize::from(order.ask.side == Side::Buy)] += order.held;
                }
                for (asset, held) in held.into_iter().enumerate() {
                    let balance = engine.ledger().balance(account, asset);
                    prop_assert!(balance.free >= 0 && balance.locked >= 0);
                    prop_assert_eq!(balance.locked, held);
                }
            }
        }
        let expected: Vec<_> =
            naive.trades.iter().map(|&(_, taker, price, qty)| (price, qty, taker)).collect();
        prop_assert_eq!(trades, expected);
        for side in [Side::Buy, Side::Sell] {
            for price in 90..111 {
                let total = engine.book(0).total(side, price);
                prop_assert_eq!(total, naive.total(side, price));
                prop_assert_eq!(total, rebuilt.get(&(side, price)).copied().unwrap_or(0));
            }
        }
    }
}

#[test]
fn a_contract_delivers_nothing_and_settles_what_it_realises() {
    let mut spec = spec();
    spec.is_contract = true;
    let mut ledger = Ledger::new(2, 2);
    for account in 1..=2 {
        ledger.deposit(account, 1, 10 * UNIT);
    }
    let mut engine = Engine::new(vec![spec], ledger, FEES, 2, FirstIds::default());
    let quote = |engine: &Engine, account| engine.ledger().balance(account, 1);
    // 0.00100 at 1.00: a hundredth of the value of 0.1 is held, a tenth of 0.001.
    let bid = engine.place(1, ask(1, Side::Buy, Some(100), 100)).unwrap();
    assert_eq!(quote(&engine, 1).locked, UNIT / 10_000);
    engine.place(2, ask(2, Side::Sell, Some(100), 60)).unwrap();
    assert_eq!(quote(&engine, 1).locked, UNIT / 25_000);
    assert_eq!(
        (engine.position(1, 0).qty, engine.position(2, 0).qty),
        (60, -60)
    );
    engine.cancel(3, bid, Cause::User).unwrap();
    assert_eq!(quote(&engine, 1).locked, 0);
    // Both close twice as high: the long wins what the short loses.
    engine.place(4, ask(1, Side::Sell, Some(200), 60)).unwrap();
    engine.place(5, ask(2, Side::Buy, Some(200), 60)).unwrap();
    let won = 60 * UNIT / 100_000;
    let (long, short) = (engine.position(1, 0), engine.position(2, 0));
    assert_eq!((long.qty, long.realised), (0, won));
    assert_eq!((short.qty, short.realised), (0, -won));
    let fees = won * 200 / 1_000_000 + 2 * won * 200 / 1_000_000;
    assert_eq!(quote(&engine, 1).free, 10 * UNIT + won - fees);
    assert_eq!(engine.ledger().total(0), 0, "nothing was delivered");
    assert_eq!(engine.ledger().total(1), 20 * UNIT);
}
