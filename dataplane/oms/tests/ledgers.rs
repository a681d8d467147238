//! P&L by hand: average cost and first in, first out, after each fill of a committed ledger. Money in whole quote units.

use dp_oms::{Fee, Ledger, Lots, Position};
use dp_types::Side::{Buy, Sell};
use dp_types::{
    Instrument, InstrumentId, Notional, Price, Qty, Side, StrategyId, Text, TradeId, VenueId,
};

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
        lots.book(side, Qty(qty), value).unwrap();
        let line = format!("{name}, line {}", at + 1);
        assert_eq!(
            (position.qty, lots.qty()),
            (Qty(row.qty), Qty(row.qty)),
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
