//! A book as it is shown: lines of prices or of single orders, what changes between two of them, and the sum.
//!
//! ```text
//!  P0 … P4   [PRICE,COUNT,AMOUNT]      gone: [PRICE,0,±1]       prices of five to one digits
//!  R0        [ORDER_ID,PRICE,AMOUNT]   gone: [ORDER_ID,0,±1]    of one price the oldest order first
//! ```

use super::reply::{js, step_at};
use crate::engine::{Engine, Order, Side, Spec};
use crate::fault::Depth;
use std::collections::BTreeMap;

/// Cadence of books: frames came in bundles some 50 ms apart when they were recorded.
const BOOK_NS: u64 = 50_000_000;
/// Cadence of books with `freq` F1.
const SLOW_BOOK_NS: u64 = 2_000_000_000;
/// Lines a side of the checksum.
const CHECKSUM_LINES: usize = 25;
/// Bids first, as everywhere here.
const BOTH: [Side; 2] = [Side::Buy, Side::Sell];

/// What a book's lines are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    /// Prices of so many significant digits.
    Digits(u32),
    /// Single orders.
    Orders,
}

/// How a book is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    precision: Precision,
    is_slow: bool,
    len: usize,
}

impl Shape {
    /// Five digits at full speed.
    pub const fn usual(len: usize) -> Self {
        Self {
            precision: Precision::Digits(5),
            is_slow: false,
            len,
        }
    }

    /// Prices, or single orders.
    pub const fn depth(self) -> Depth {
        match self.precision {
            Precision::Digits(_) => Depth::Levels,
            Precision::Orders => Depth::Orders,
        }
    }

    /// Lines a side.
    pub const fn len(self) -> usize {
        self.len
    }

    /// From the venue's words. Errors: the name of the one that is none.
    pub fn of(prec: &str, freq: &str, len: &str) -> Result<Self, &'static str> {
        let precision = match prec {
            "P0" => Precision::Digits(5),
            "P1" => Precision::Digits(4),
            "P2" => Precision::Digits(3),
            "P3" => Precision::Digits(2),
            "P4" => Precision::Digits(1),
            "R0" => Precision::Orders,
            _ => return Err("prec"),
        };
        let is_slow = match freq {
            "F0" => false,
            "F1" => true,
            _ => return Err("freq"),
        };
        let len = match len {
            "1" => 1,
            "25" => 25,
            "100" => 100,
            "250" => 250,
            _ => return Err("len"),
        };
        Ok(Self {
            precision,
            is_slow,
            len,
        })
    }

    /// How often it is told.
    pub fn period(self) -> u64 {
        if self.is_slow { SLOW_BOOK_NS } else { BOOK_NS }
    }
}

/// One line of a book: a price with its orders' number and amount, or one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// The order's id; 0 of a price.
    order: u64,
    price: i64,
    count: usize,
    qty: i64,
}

impl Line {
    fn key(&self) -> (u64, i64) {
        match self.order {
            0 => (0, self.price),
            order => (order, 0),
        }
    }

    /// Price and amount as they are printed.
    fn tokens(&self, spec: &Spec, side: Side) -> (String, String) {
        let qty = match side {
            Side::Buy => i128::from(self.qty),
            Side::Sell => -i128::from(self.qty),
        };
        (
            js(i128::from(self.price), spec.price_decimals),
            js(qty, spec.qty_decimals),
        )
    }

    /// As an array.
    pub fn row(&self, spec: &Spec, side: Side) -> String {
        let (price, amount) = self.tokens(spec, side);
        match self.order {
            0 => format!("[{price},{},{amount}]", self.count),
            order => format!("[{order},{price},{amount}]"),
        }
    }

    /// The array that deletes it.
    fn gone(&self, spec: &Spec, side: Side) -> String {
        let gone = if side == Side::Buy { 1 } else { -1 };
        match self.order {
            0 => format!("[{},0,{gone}]", self.tokens(spec, side).0),
            order => format!("[{order},0,{gone}]"),
        }
    }
}

/// Rows of both sides, bids first.
pub fn rows(spec: &Spec, sides: &[Vec<Line>; 2]) -> String {
    let both = BOTH.into_iter().zip(sides);
    let rows = both.flat_map(|(side, lines)| lines.iter().map(move |line| line.row(spec, side)));
    format!("[{}]", rows.collect::<Vec<String>>().join(","))
}

/// A book's lines in a shape, best first.
pub fn lines(engine: &Engine, inst: usize, shape: Shape) -> [Vec<Line>; 2] {
    BOTH.map(|side| {
        let mut lines: Vec<Line> = Vec::new();
        for (price, level) in engine.book(inst).levels(side) {
            let Precision::Digits(digits) = shape.precision else {
                let mut orders: Vec<u64> = level.queue.iter().copied().collect();
                orders.sort_unstable();
                lines.extend(orders.into_iter().map(|order| Line {
                    order,
                    price,
                    count: 1,
                    qty: engine.order(order).map_or(0, Order::leaves),
                }));
                if lines.len() >= shape.len {
                    break;
                }
                continue;
            };
            // Away from the other side: nobody is promised a better price than there is.
            let step = step_at(price, digits);
            let shown = match side {
                Side::Buy => price - price % step,
                Side::Sell => (price + step - 1) / step * step,
            };
            if let Some(line) = lines.last_mut().filter(|line| line.price == shown) {
                line.count += level.queue.len();
                line.qty += level.total;
                continue;
            }
            if lines.len() >= shape.len {
                break;
            }
            lines.push(Line {
                order: 0,
                price: shown,
                count: level.queue.len(),
                qty: level.total,
            });
        }
        lines.truncate(shape.len);
        lines
    })
}

/// The frames that make one book of another: what has gone, then what is new or has changed.
pub fn changes(spec: &Spec, old: &[Vec<Line>; 2], new: &[Vec<Line>; 2]) -> Vec<String> {
    let mut gone = Vec::new();
    let mut left = Vec::new();
    for ((side, old), new) in BOTH.into_iter().zip(old).zip(new) {
        let known: BTreeMap<_, _> = old.iter().map(|line| (line.key(), line)).collect();
        let fresh: BTreeMap<_, _> = new.iter().map(|line| (line.key(), line)).collect();
        let is_gone = |line: &&Line| !fresh.contains_key(&line.key());
        let is_new = |line: &&Line| known.get(&line.key()).copied() != Some(*line);
        gone.extend(old.iter().filter(is_gone).map(|line| line.gone(spec, side)));
        left.extend(new.iter().filter(is_new).map(|line| line.row(spec, side)));
    }
    gone.append(&mut left);
    gone
}

/// CRC-32 of the 25 best lines, bid and ask in turn, as printed, asks negative, read as a signed number.
pub fn checksum(spec: &Spec, sides: &[Vec<Line>; 2]) -> i32 {
    let mut parts = Vec::new();
    for at in 0..CHECKSUM_LINES {
        for (side, lines) in BOTH.into_iter().zip(sides) {
            let Some(line) = lines.get(at) else {
                continue;
            };
            let (price, amount) = line.tokens(spec, side);
            parts.push(match line.order {
                0 => format!("{price}:{amount}"),
                order => format!("{order}:{amount}"),
            });
        }
    }
    checksum_of(&parts.join(":"))
}

fn checksum_of(text: &str) -> i32 {
    crc32fast::hash(text.as_bytes()) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The venue page's vectors, and the one of the venue's own library.
    #[test]
    fn checksum_vectors() {
        for (text, sum) in [
            (
                "65000:1.5:65001:-0.8:64999:0.2:65002:-2:64998:3.25",
                -228_054_655,
            ),
            (
                "190000000001:1.5:190000000002:-0.8:190000000003:0.2",
                1_595_431_981,
            ),
            (
                "5.6e-7:60712.4250231:5.7e-7:-1500:5.5e-7:1047414.30449527",
                428_902_169,
            ),
        ] {
            assert_eq!(checksum_of(text), sum);
        }
    }

    #[test]
    fn shapes_by_their_words() {
        assert!(Shape::of("P0", "F0", "25").is_ok() && Shape::of("R0", "F1", "250").is_ok());
        assert_eq!(Shape::of("P5", "F0", "25"), Err("prec"));
        assert_eq!(Shape::of("P0", "F2", "25"), Err("freq"));
        assert_eq!(Shape::of("P0", "F0", "26"), Err("len"));
    }
}
