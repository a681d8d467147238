//! What a feed says beside depth: best quotes and trades, as texts with holes for the numbers.

use super::walk::digits;
use std::fmt::Write as _;

/// Different texts of each kind, holes left out.
const TEXTS: u64 = 1_024;

/// One text and where its numbers go.
#[derive(Debug)]
struct Text {
    bytes: Vec<u8>,
    /// An id of 11 digits.
    id_at: usize,
}

/// Quotes and trades.
#[derive(Debug)]
pub struct Sides {
    quotes: Vec<Text>,
    trades: Vec<Text>,
}

impl Sides {
    /// The same in every run.
    pub fn new() -> Self {
        let text = |text: String| {
            let id_at = text.find("00000000000").unwrap_or(0);
            let bytes = text.into_bytes();
            Text { bytes, id_at }
        };
        Self {
            quotes: (0..TEXTS).map(|at| text(quote(at))).collect(),
            trades: (0..TEXTS).map(|at| text(trade(at))).collect(),
        }
    }

    /// Quote `number`, its id filled in, into `out`. Cost: a copy of about 150 bytes.
    pub fn quote(&self, number: u64, out: &mut Vec<u8>) {
        fill(&self.quotes, number, out);
    }

    /// Trade `number`, likewise.
    pub fn trade(&self, number: u64, out: &mut Vec<u8>) {
        fill(&self.trades, number, out);
    }
}

fn fill(texts: &[Text], number: u64, out: &mut Vec<u8>) {
    let text = &texts[(number % TEXTS) as usize];
    let start = out.len();
    out.extend_from_slice(&text.bytes);
    digits(&mut out[start..], text.id_at, 11, 10_000_000_000 + number);
}

/// Numbers that differ from text to text: (cents of the price, lots of 0.00001).
fn numbers(at: u64) -> (u64, u64) {
    let mixed = at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    (6_499_000 + mixed % 2_000, 1 + mixed / 2_000 % 900_000)
}

fn quote(at: u64) -> String {
    let (cents, lots) = numbers(at);
    let mut text = String::from(
        r#"{"stream":"btcusdt@bookTicker","data":{"u":00000000000,"s":"BTCUSDT","b":""#,
    );
    let size = |lots: u64| format!("{}.{:05}000", lots / 100_000, lots % 100_000);
    let price = |cents: u64| format!("{}.{:02}000000", cents / 100, cents % 100);
    let _ = write!(
        text,
        r#"{}","B":"{}","a":"{}","A":"{}"}}}}"#,
        price(cents),
        size(lots),
        price(cents + 1),
        size(lots + at % 7_919)
    );
    text
}

fn trade(at: u64) -> String {
    let (cents, lots) = numbers(at + TEXTS);
    let is_maker = at.is_multiple_of(3);
    format!(
        r#"{{"stream":"btcusdt@trade","data":{{"e":"trade","E":1760000000000,"s":"BTCUSDT","t":00000000000,"p":"{}.{:02}000000","q":"{}.{:05}000","T":1760000000000,"m":{is_maker},"M":true}}}}"#,
        cents / 100,
        cents % 100,
        lots / 100_000,
        lots % 100_000
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_json_and_all_different() {
        let sides = Sides::new();
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..TEXTS {
            let (mut quote, mut trade) = (Vec::new(), Vec::new());
            sides.quote(number, &mut quote);
            sides.trade(number, &mut trade);
            let quote: serde_json::Value = serde_json::from_slice(&quote).unwrap();
            let trade: serde_json::Value = serde_json::from_slice(&trade).unwrap();
            assert_eq!(quote["data"]["u"].as_u64(), Some(10_000_000_000 + number));
            assert_eq!(trade["data"]["t"].as_u64(), Some(10_000_000_000 + number));
            let price = trade["data"]["p"].as_str().unwrap().to_owned();
            seen.insert(price + quote["data"]["B"].as_str().unwrap());
        }
        assert!(seen.len() as u64 > TEXTS * 99 / 100, "{}", seen.len());
    }
}
