//! A made-up market where no recording is: a walk of the price, levels that come and go near it, trades, as Binance
//! prints them, from a fixed seed.

use dp_capture::{Direction, Record, Writer};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// Of the generator.
pub const SEED: u64 = 7;
const BEGIN_NS: u64 = 1_760_000_000_000_000_000;
const BETWEEN_NS: u64 = 100_000_000;
/// Ticks of 0.01.
const MID: i64 = 6_500_000;
/// Levels a side at the beginning, a tick apart.
const DEPTH: i64 = 1_000;
/// Changes a side of one message.
const CHANGES: u64 = 12;

/// xorshift64*: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> i64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound).cast_signed()
    }
}

/// One side by how far a level is behind the touch: the sign makes both sides alike.
struct Side {
    sign: i64,
    levels: BTreeMap<i64, i64>,
}

/// Writes so many messages as a capture. Errors: the file cannot be written.
pub fn write(path: &Path, messages: u32) -> anyhow::Result<()> {
    let mut random = Random(SEED);
    let mut mid = MID;
    let mut sides = [-1, 1].map(|sign| Side {
        sign,
        levels: (1..=DEPTH)
            .map(|away| (MID + sign * away, 1_000_000))
            .collect(),
    });
    let mut out = Writer::create(path)?;
    let [bids, asks] = [0, 1].map(|at: usize| {
        printed(
            &sides[at]
                .levels
                .iter()
                .map(|(p, q)| (*p, *q))
                .collect::<Vec<_>>(),
        )
    });
    let snapshot = format!(r#"{{"lastUpdateId":1,"bids":{bids},"asks":{asks}}}"#);
    out.write(&Record {
        url: Some("/api/v3/depth?symbol=BTCUSDT&limit=1000".to_owned()),
        ..Record::message(BEGIN_NS, Direction::In, "http", snapshot.into_bytes())
    })?;
    for at in 1..=u64::from(messages) {
        let ns = BEGIN_NS + at * BETWEEN_NS;
        mid += random.below(21) - 10;
        let [bids, asks] = sides
            .each_mut()
            .map(|side| printed(&side.step(mid, &mut random)));
        let ms = ns / 1_000_000;
        let last = at * 40 + 1;
        let first = last - 39;
        let text = format!(
            r#"{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":{ms},"s":"BTCUSDT","U":{first},"u":{last},"b":{bids},"a":{asks}}}}}"#
        );
        out.write(&Record::message(
            ns,
            Direction::In,
            "ws1",
            text.into_bytes(),
        ))?;
        let (is_sold, qty) = (random.below(2) == 0, 1 + random.below(1_000_000));
        let price = mid + if is_sold { -1 } else { 1 };
        let (price, qty) = (decimal(price, 2), decimal(qty, 8));
        let text = format!(
            r#"{{"stream":"btcusdt@trade","data":{{"e":"trade","E":{ms},"s":"BTCUSDT","t":{at},"p":"{price}","q":"{qty}","T":{ms},"m":{is_sold},"M":true}}}}"#
        );
        out.write(&Record::message(
            ns + 1_000,
            Direction::In,
            "ws1",
            text.into_bytes(),
        ))?;
    }
    Ok(out.finish()?)
}

impl Side {
    /// What changes as mid is now here: what it has run over goes, others come, go and change.
    fn step(&mut self, mid: i64, random: &mut Random) -> Vec<(i64, i64)> {
        let sign = self.sign;
        let over = self
            .levels
            .keys()
            .filter(|price| sign * (*price - mid) <= 0);
        let mut changes: Vec<(i64, i64)> = over.map(|price| (*price, 0)).collect();
        for _ in 0..CHANGES {
            let near = random.below(400) * random.below(400) / 400;
            let is_gone = random.below(4) == 0 && near > 0;
            let qty = if is_gone {
                0
            } else {
                1 + random.below(900_000_000)
            };
            changes.push((mid + sign * (1 + near), qty));
        }
        for (price, qty) in &changes {
            if *qty == 0 {
                self.levels.remove(price);
            } else {
                self.levels.insert(*price, *qty);
            }
        }
        changes
    }
}

fn printed(levels: &[(i64, i64)]) -> String {
    let mut text = String::from("[");
    for (at, (price, qty)) in levels.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let (price, qty) = (decimal(*price, 2), decimal(*qty, 8));
        let _ = write!(text, r#"{comma}["{price}","{qty}"]"#);
    }
    text.push(']');
    text
}

/// Eight decimals, as Binance prints every number.
fn decimal(number: i64, decimals: u32) -> String {
    let scaled = number * 10_i64.pow(8 - decimals);
    format!("{}.{:08}", scaled / 100_000_000, scaled % 100_000_000)
}
