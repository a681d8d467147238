//! Inputs: synthetic messages in the exact wire forms, from a fixed seed, and recorded ones.
//!
//! The synthetic market stands still around one mid price and its levels come and go, so any number of
//! messages can be applied in a row without crossing the book.

use anyhow::Context as _;
use dp_types::{Decimal, RawLevel};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// Distinct messages in rotation.
pub const MESSAGES: usize = 1_024;
/// Levels a side of one synthetic message: 20 in all.
pub const LEVELS: usize = 10;
/// Furthest level from mid, ticks.
const REACH: u64 = 400;
/// Mid price in ticks of 0.01.
const MID: i64 = 6_500_000;
/// Messages read from one recording.
const RECORDED_MAX: usize = 20_000;

/// A small fixed-seed generator (xorshift64*): the same inputs in every run.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The generator of this seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// The next number below `bound`.
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}

/// The levels of one depth message: price 2 decimals, quantity 5; a quarter are deletions.
#[derive(Debug, Clone)]
pub struct Depth {
    /// Bids.
    pub bids: Vec<RawLevel>,
    /// Asks.
    pub asks: Vec<RawLevel>,
}

/// Synthetic depth messages. Near the touch more often than far away, as live.
pub fn depths() -> Vec<Depth> {
    let mut random = Random::new(7);
    let side = |random: &mut Random, sign: i64| {
        let level = |random: &mut Random| {
            let near = random.below(REACH) * random.below(REACH) / REACH;
            let qty = if random.below(4) == 0 {
                0
            } else {
                1 + random.below(900_000) as i64
            };
            RawLevel {
                price: Decimal {
                    mantissa: MID + sign * (1 + near as i64),
                    exponent: -2,
                },
                qty: Decimal {
                    mantissa: qty,
                    exponent: -5,
                },
            }
        };
        (0..LEVELS).map(|_| level(random)).collect()
    };
    let depth = |_| Depth {
        bids: side(&mut random, -1),
        asks: side(&mut random, 1),
    };
    (0..MESSAGES).map(depth).collect()
}

/// A level each tick on both sides, for the books to start from.
pub fn snapshot() -> Depth {
    let level = |ticks: i64| RawLevel {
        price: Decimal {
            mantissa: MID + ticks,
            exponent: -2,
        },
        qty: Decimal {
            mantissa: 100_000,
            exponent: -5,
        },
    };
    Depth {
        bids: (1..=REACH as i64).map(|ticks| level(-ticks)).collect(),
        asks: (1..=REACH as i64).map(level).collect(),
    }
}

/// Update id before the first synthetic message.
pub const FIRST_ID: i64 = 60_000_000_000;
/// Update ids one message covers.
pub const IDS_EACH: i64 = 40;

/// The `at`-th message as Binance spot's combined stream prints it.
pub fn binance_text(at: usize, depth: &Depth) -> Vec<u8> {
    let first = FIRST_ID + at as i64 * IDS_EACH + 1;
    let last = first + IDS_EACH - 1;
    let mut text = format!(
        r#"{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":17600000{at:05},"s":"BTCUSDT","U":{first},"u":{last},"b":["#
    );
    push_levels(&mut text, &depth.bids, "");
    text.push_str(r#"],"a":["#);
    push_levels(&mut text, &depth.asks, "");
    text.push_str("]}}");
    text.into_bytes()
}

/// The `at`-th message as OKX's `books` channel prints it.
pub fn okx_text(at: usize, depth: &Depth) -> Vec<u8> {
    let prev = FIRST_ID + at as i64 * IDS_EACH;
    let last = prev + IDS_EACH;
    let mut text = String::from(
        r#"{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":["#,
    );
    push_levels(&mut text, &depth.asks, r#","0","3""#);
    text.push_str(r#"],"bids":["#);
    push_levels(&mut text, &depth.bids, r#","0","3""#);
    let _ = write!(
        text,
        r#"],"ts":"17600000{at:05}","checksum":0,"prevSeqId":{prev},"seqId":{last}}}]}}"#
    );
    text.into_bytes()
}

fn push_levels(text: &mut String, levels: &[RawLevel], rest: &str) {
    for (at, level) in levels.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let _ = write!(text, r#"{comma}["{}","{}"{rest}]"#, level.price, level.qty);
    }
}

/// WebSocket texts a venue sent.
#[derive(Debug, Default)]
pub struct Recording {
    /// The texts.
    pub texts: Vec<Vec<u8>>,
    /// When each came, ns since 1970, where that was noted.
    pub stamps: Vec<Option<u64>>,
    /// Symbols they name.
    pub symbols: Vec<String>,
}

/// The texts of a recording, at most [`RECORDED_MAX`]. `None` when the file is not there.
///
/// Errors: it is there and cannot be read.
pub fn recording(path: &Path) -> anyhow::Result<Option<Recording>> {
    let Ok(file) = std::fs::File::open(path) else {
        return Ok(None);
    };
    let reader: Box<dyn Read> = if path.extension().is_some_and(|ext| ext == "gz") {
        Box::new(flate2::read::MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let (mut found, mut symbols) = (Recording::default(), std::collections::BTreeSet::new());
    for line in BufReader::new(reader).lines() {
        let line = line.with_context(|| format!("reading {}", path.display()))?;
        let record: serde_json::Value =
            serde_json::from_str(&line).with_context(|| format!("a line of {}", path.display()))?;
        let is_ours = record["dir"] == "in" && record["url"].is_null();
        let Some(text) = record["raw"].as_str().filter(|_| is_ours) else {
            continue;
        };
        if let Ok(message) = serde_json::from_str::<serde_json::Value>(text) {
            for symbol in [&message["data"]["s"], &message["arg"]["instId"]] {
                symbols.extend(symbol.as_str().map(str::to_owned));
            }
        }
        found.texts.push(text.as_bytes().to_vec());
        found.stamps.push(stamp(&record["ts"]));
        if found.texts.len() >= RECORDED_MAX {
            break;
        }
    }
    found.symbols = symbols.into_iter().collect();
    Ok(Some(found))
}

/// Seconds, milli-, micro- or nanoseconds since 1970, told apart by their size, as nanoseconds.
fn stamp(value: &serde_json::Value) -> Option<u64> {
    let number = value.as_f64().filter(|number| *number > 0.0)?;
    let scale = match number {
        n if n < 1e11 => 1e9,
        n if n < 1e14 => 1e6,
        n if n < 1e17 => 1e3,
        _ => 1.0,
    };
    Some((number * scale) as u64)
}

/// Texts and symbols of a recording; `None` when it is not there. Errors: as [`recording`].
pub fn recorded(path: &Path) -> anyhow::Result<Option<(Vec<Vec<u8>>, Vec<String>)>> {
    Ok(recording(path)?.map(|found| (found.texts, found.symbols)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn synthetic_messages_are_distinct_json_of_20_levels() {
        let depths = depths();
        let mut texts = std::collections::BTreeSet::new();
        for (at, depth) in depths.iter().enumerate() {
            for text in [binance_text(at, depth), okx_text(at, depth)] {
                let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
                let levels = |key: &str| {
                    let binance = json["data"][key].as_array();
                    let okx = json["data"][0][if key == "b" { "bids" } else { "asks" }].as_array();
                    binance.or(okx).map_or(0, Vec::len)
                };
                assert_eq!(levels("b") + levels("a"), 2 * LEVELS);
                assert!(texts.insert(text));
            }
        }
        assert_eq!(texts.len(), 2 * MESSAGES);
    }

    #[test]
    fn a_recording_that_is_not_there_is_told_from_a_broken_one() {
        assert!(
            recorded(Path::new("/nowhere/at/all.jsonl"))
                .unwrap()
                .is_none()
        );
        assert!(recorded(Path::new("/proc/self/cmdline")).is_err());
    }
}
