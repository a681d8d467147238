//! P&L by hand: average cost and first in, first out, after each fill of a committed ledger. Money in whole quote units.

use dp_oms::{Fee, Ledger, Lots, Position};
use dp_types::Side::{Buy, Sell};
use dp_types::{
    BASE_FEE_PARTS, Instrument, InstrumentId, Notional, Payoff, Price, Qty, Side, StrategyId, Text,
    TradeId, VenueId,
};
use proptest::prelude::*;

const ONE: i128 = 1_000_000_000_000;

/// One fill, and what is held after it.
struct Row {
    fill: (Side, i64, i128),
    qty: i64,
    /// Cost of what is open, and profit of what was closed.
    average: (i128, i128),
    fifo: (i128, i128),
}

const fn row(fill: (Side, i64, i128), qty: i64, average: (i128, i128), fifo: (i128, i128)) -> Row {
    Row {
        fill,
        qty,
        average,
        fifo,
    }
}

/// Long, more, less, through zero, short, more, less, flat.
const ROUND: [Row; 8] = [
    row((Buy, 10, 100), 10, (1_000, 0), (1_000, 0)),
    row((Buy, 10, 110), 20, (2_100, 0), (2_100, 0)),
    // 5 x (120 - 105); 5 x (120 - 100).
    row((Sell, 5, 120), 15, (1_575, 75), (1_600, 100)),
    // 10 x (115 - 105); 5 x (115 - 100) + 5 x (115 - 110).
    row((Sell, 10, 115), 5, (525, 175), (550, 200)),
    // 5 x (90 - 105); 5 x (90 - 110); and 5 sold short at 90.
    row((Sell, 10, 90), -5, (-450, 100), (-450, 100)),
    row((Sell, 5, 80), -10, (-850, 100), (-850, 100)),
    // 4 x (85 - 85); 4 x (90 - 85).
    row((Buy, 4, 85), -6, (-510, 100), (-490, 120)),
    // 6 x (85 - 85); 1 x (90 - 85) + 5 x (80 - 85).
    row((Buy, 6, 85), 0, (0, 100), (0, 100)),
];

/// Parts of a lot, twice, and a reversal by one fill over two lots.
const PARTS: [Row; 5] = [
    row((Sell, 3, 50), -3, (-150, 0), (-150, 0)),
    row((Sell, 3, 40), -6, (-270, 0), (-270, 0)),
    // 2 x (45 - 42); 2 x (50 - 42).
    row((Buy, 2, 42), -4, (-180, 6), (-170, 16)),
    // 4 x (45 - 44); 1 x (50 - 44) + 3 x (40 - 44); and 4 bought at 44.
    row((Buy, 8, 44), 4, (176, 10), (176, 10)),
    row((Sell, 4, 44), 0, (0, 10), (0, 10)),
];

fn holds(name: &str, ledger: &[Row]) {
    let (mut position, mut lots) = (Position::default(), Lots::new(8));
    for (at, row) in ledger.iter().enumerate() {
        let (side, qty, price) = row.fill;
        let value = Notional(i128::from(qty) * price * ONE);
        position
            .book(side, Qty(qty), value, Fee::default())
            .unwrap();
        lots.book(side, qty.into(), value).unwrap();
        let line = format!("{name}, line {}", at + 1);
        assert_eq!(
            (position.qty, lots.qty()),
            (Qty(row.qty), i128::from(row.qty)),
            "{line}"
        );
        let money =
            |(cost, realised): (i128, i128)| (Notional(cost * ONE), Notional(realised * ONE));
        assert_eq!(
            (position.cost, position.realised),
            money(row.average),
            "{line}: average cost"
        );
        assert_eq!(
            (lots.cost(), lots.realised()),
            money(row.fifo),
            "{line}: first in, first out"
        );
    }
}

#[test]
fn both_ways_equal_the_ledger() {
    holds("round", &ROUND);
    holds("parts", &PARTS);
}

/// One fill whose fee is paid in money or in what was bought: side, quantity, price, the fee's worth, and what of the base
/// asset it is; what is held after it, cost and profit by average cost and first in, first out, and fees.
type Paid = (
    (Side, i64, i128, i128, i64),
    i64,
    (i128, i128),
    (i128, i128),
    i128,
);

const FEES: [Paid; 4] = [
    // A thousandth is the fee: 999 for 99,900.
    (
        (Buy, 1_000, 100, 100, 1),
        999,
        (99_900, 0),
        (99_900, 0),
        100,
    ),
    // 999 more for 109,890: 105 each.
    (
        (Buy, 1_000, 110, 110, 1),
        1_998,
        (209_790, 0),
        (209_790, 0),
        210,
    ),
    // 999 x (120 - 105); 999 x (120 - 100). This fee is paid in money.
    (
        (Sell, 999, 120, 12, 0),
        999,
        (104_895, 14_985),
        (109_890, 19_980),
        222,
    ),
    // 999 x (100 - 105); 999 x (100 - 110). Nothing is held, though 2 more were bought than sold.
    ((Sell, 999, 100, 10, 0), 0, (0, 9_990), (0, 9_990), 232),
];

#[test]
fn fees_of_the_base_asset_equal_the_ledger_and_leave_nothing_open() {
    let (mut position, mut lots) = (Position::default(), Lots::new(8));
    let money = |(cost, realised): (i128, i128)| (Notional(cost * ONE), Notional(realised * ONE));
    for ((side, qty, price, worth, base), held, average, fifo, fees) in FEES {
        let value = i128::from(qty) * price * ONE;
        let fee = Fee {
            value: Notional(worth * ONE),
            base: base * BASE_FEE_PARTS,
        };
        let before = position;
        position.book(side, Qty(qty), Notional(value), fee).unwrap();
        let net = |it: &Position| it.cost.0 - it.realised.0;
        let paid = Notional((net(&position) - net(&before)) * i128::from(side.sign()));
        let moved = i128::from(position.held().0 - before.held().0);
        lots.book(side, moved.abs(), paid).unwrap();
        let line = format!("{side:?} {qty} at {price}");
        assert_eq!(
            (position.held(), lots.qty()),
            (Qty(held), held.into()),
            "{line}"
        );
        assert_eq!((position.cost, position.realised), money(average), "{line}");
        assert_eq!((lots.cost(), lots.realised()), money(fifo), "{line}");
        assert_eq!(position.fees, Notional(fees * ONE), "{line}");
    }
    let it = Instrument::bare(InstrumentId(0), VenueId::BYBIT, Text::EMPTY, 0, 0);
    assert_eq!(position.unrealised(&it, Price(1_000)), Some(Notional(0)));
}

/// One fill of an inverse contract of one dollar, and its fee; what is held after it, and cost, profit (by average cost, then
/// first in, first out) and fees, in millionths of the coin. A long one's cost is below 0: coin short.
type Turned = (
    (Side, i64, i64, i128),
    i64,
    (i128, i128),
    (i128, i128),
    i128,
);

const INVERSE: [Turned; 7] = [
    // A coin, and one and a half: 120,000 for 2.5 of it, 48,000 on average, the harmonic one.
    (
        (Buy, 60_000, 60_000, 500),
        60_000,
        (-1_000_000, 0),
        (-1_000_000, 0),
        500,
    ),
    (
        (Buy, 60_000, 40_000, 750),
        120_000,
        (-2_500_000, 0),
        (-2_500_000, 0),
        1_250,
    ),
    // 30,000 x (1/48,000 - 1/50,000) = 0.625 - 0.6; of the first alone: 0.5 - 0.6.
    (
        (Sell, 30_000, 50_000, 300),
        90_000,
        (-1_875_000, 25_000),
        (-2_000_000, -100_000),
        1_550,
    ),
    // 90,000 closed: 1.875 - 1.2; 0.5 + 1.5 - 1.2; and 60,000 sold short for 0.8 of the coin.
    (
        (Sell, 150_000, 75_000, 1_000),
        -60_000,
        (800_000, 700_000),
        (800_000, 700_000),
        2_550,
    ),
    // Short 100,000 for 1.6, 62,500 on average; a rebate.
    (
        (Sell, 40_000, 50_000, -80),
        -100_000,
        (1_600_000, 700_000),
        (1_600_000, 700_000),
        2_470,
    ),
    // 30,000 x (1/60,000 - 1/62,500) = 0.5 - 0.48; of the first alone: 0.5 - 0.4.
    (
        (Buy, 30_000, 60_000, 250),
        -70_000,
        (1_120_000, 720_000),
        (1_200_000, 800_000),
        2_720,
    ),
    // 1.4 - 1.12; 1.4 - 0.4 - 0.8.
    (
        (Buy, 70_000, 50_000, 700),
        0,
        (0, 1_000_000),
        (0, 1_000_000),
        3_420,
    ),
];

fn dollars() -> Instrument {
    Instrument {
        payoff: Payoff::Inverse,
        ..Instrument::bare(InstrumentId(0), VenueId::DERIBIT, Text::EMPTY, 0, 0)
    }
}

#[test]
fn inverse_contracts_equal_the_ledger_in_the_coin_they_are_settled_in() {
    let it = dollars();
    let micro = |units: i128| Notional(units * ONE / 1_000_000);
    let (mut ledger, mut lots) = (Ledger::new(1), Lots::new(8));
    for ((side, qty, price, fee), held, average, fifo, fees) in INVERSE {
        let numbers = (Price(price), Qty(qty));
        let booked = ledger.book(&it, StrategyId(0), side, numbers, micro(fee));
        let after = booked.unwrap().total;
        let outlay = it.outlay(Price(price), Qty(qty)).unwrap();
        lots.book(side, qty.into(), outlay).unwrap();
        let line = format!("{side:?} {qty} at {price}");
        assert_eq!((after.qty, lots.qty()), (Qty(held), held.into()), "{line}");
        let money = |(cost, realised)| (micro(cost), micro(realised));
        assert_eq!((after.cost, after.realised), money(average), "{line}");
        assert_eq!((lots.cost(), lots.realised()), money(fifo), "{line}");
        assert_eq!(after.fees, micro(fees), "{line}");
        if held == 120_000 {
            // 2.5 - 120,000 / 50,000; and at its average nothing.
            assert_eq!(after.unrealised(&it, Price(50_000)), Some(micro(100_000)));
            assert_eq!(after.unrealised(&it, Price(48_000)), Some(Notional(0)));
            assert_eq!(after.unrealised(&it, Price(0)), None, "no price, no value");
            // A long one pays, in the coin.
            let paid = ledger.fund(it.id, TradeId(1), micro(-100), |_, _, _| {});
            assert_eq!(paid, Ok(true));
        }
    }
    let flat = ledger.total(it.id);
    assert_eq!((flat.funding, flat.cost), (micro(-100), Notional(0)));
    assert_eq!(flat.unrealised(&it, Price(0)), Some(Notional(0)));
}

/// A fraction in its lowest terms.
#[derive(Debug, Clone, Copy)]
struct Ratio(i128, i128);

impl Ratio {
    fn new(over: i128, under: i128) -> Self {
        let (mut a, mut b) = (over.abs(), under);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        Self(over / a.max(1), under / a.max(1))
    }

    fn plus(self, other: Self) -> Self {
        Self::new(self.0 * other.1 + other.0 * self.1, self.1 * other.1)
    }

    fn times(self, over: i128, under: i128) -> Self {
        Self::new(self.0 * over, self.1 * under)
    }

    /// How far a sum of money is from it, 10^-12, rounded up.
    fn off(self, money: Notional) -> i128 {
        (money.0 * self.1 - self.0 * ONE).abs() / self.1 + 1
    }
}

const PRICES: [i64; 9] = [1, 3, 7, 8, 10, 14, 25, 40, 56];

proptest! {
    /// In fractions nothing is rounded: a fill's value is by less than one unit, and both shares of one that closes.
    #[test]
    fn inverse_contracts_agree_with_fractions_within_what_rounding_makes(
        fills in proptest::collection::vec((any::<bool>(), 1i64..20, 0usize..9), 1..6), mark in 0usize..9
    ) {
        let it = dollars();
        let mut position = Position::default();
        let (mut held, mut cost, mut realised, mut paid) = (0i128, Ratio(0, 1), Ratio(0, 1), Ratio(0, 1));
        for (at, (is_buy, qty, price)) in fills.into_iter().enumerate() {
            let side = if is_buy { Buy } else { Sell };
            let outlay = it.outlay(Price(PRICES[price]), Qty(qty)).unwrap();
            position.book(side, Qty(qty), outlay, Fee::default()).unwrap();

            let added = i128::from(qty * side.sign());
            let coin = Ratio::new(-added, PRICES[price].into());
            paid = paid.plus(coin);
            if held * added >= 0 {
                cost = cost.plus(coin);
            } else {
                let closed = held.abs().min(added.abs());
                let out = cost.times(closed, held.abs()).plus(coin.times(closed, added.abs()));
                realised = realised.plus(out.times(-1, 1));
                cost = cost.plus(coin).plus(out.times(-1, 1));
            }
            held += added;
            let most = 4 * (at as i128 + 1);
            prop_assert!(realised.off(position.realised) <= most);
            prop_assert!(cost.off(position.cost) <= most);
            prop_assert!(held != 0 || position.cost == Notional(0));
            let open = position.unrealised(&it, Price(PRICES[mark])).unwrap();
            let made = Ratio::new(-held, PRICES[mark].into()).plus(paid.times(-1, 1));
            prop_assert!(made.off(Notional(position.realised.0 + open.0)) <= at as i128 + 3);
        }
    }
}

/// Three strategies in one perpetual, and what an hour's funding leaves each: before it, what they trade; the payment, in
/// millionths of a quote unit; each one's funding after it, and nobody's.
type Hour = (&'static [(u16, Side, i64)], i128, [i128; 4]);

const HOURS: [Hour; 7] = [
    // 10 of 10 long: all of it.
    (&[(0, Buy, 10)], -600, [-600, 0, 0, 0]),
    // 10 and 5 of 15: two thirds, one third.
    (&[(1, Buy, 5)], -900, [-1_200, -300, 0, 0]),
    // 10, 5 and -3 of 12: 10/12, 5/12 and -3/12 of -1,200.
    (&[(2, Sell, 3)], -1_200, [-2_200, -800, 300, 0]),
    // Received: the same parts of 600.
    (&[], 600, [-1_700, -550, 150, 0]),
    // 10, 5 and -15: the venue sees none of it, so what it pays is nobody's.
    (&[(2, Sell, 12)], 40, [-1_700, -550, 150, 40]),
    // 0, 5 and -15 of -10: the payment times 0, -1/2 and 3/2.
    (&[(0, Sell, 10)], 100, [-1_700, -600, 300, 40]),
    // All flat again: told late.
    (&[(1, Sell, 5), (2, Buy, 15)], -7, [-1_700, -600, 300, 33]),
];

#[test]
fn funding_equals_the_ledger_and_is_no_part_of_what_was_traded() {
    let it = Instrument::bare(InstrumentId(0), VenueId::BYBIT, Text::EMPTY, 0, 0);
    let micro = |units: i128| Notional(units * ONE / 1_000_000);
    let mut ledger = Ledger::new(1);
    for (hour, (fills, payment, after)) in HOURS.iter().enumerate() {
        for (strategy, side, qty) in *fills {
            let numbers = (Price(100), Qty(*qty));
            ledger
                .book(&it, StrategyId(*strategy), *side, numbers, Notional(0))
                .unwrap();
        }
        let id = TradeId(hour as u128 + 1);
        let pay = |ledger: &mut Ledger| ledger.fund(it.id, id, micro(*payment), |_, _, _| {});
        assert_eq!(pay(&mut ledger), Ok(true), "hour {hour}");
        assert_eq!(pay(&mut ledger), Ok(false), "hour {hour}, told again");
        let holders = [0, 1, 2, StrategyId::NOBODY.0].map(StrategyId);
        let funding = holders.map(|holder| ledger.part(it.id, holder).funding);
        assert_eq!(funding, after.map(micro), "hour {hour}");
        let total = ledger.total(it.id);
        assert_eq!(total.funding, micro(after.iter().sum()), "hour {hour}");
        assert_eq!(total.realised, Notional(0), "hour {hour}: all at one price");
    }
}
