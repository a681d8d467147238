//! What the bench venue says: a market that walks, as frames with holes for the numbers.
//!
//! ```text
//!   S0 ─▶ S1 ─▶ … ─▶ S512        512 steps forward, then the same steps undone: 1,024 different messages,
//!   S0 ◀─ S1 ◀─ … ◀─ S512        after which the book is where it began, so they can go round for ever
//! ```
//! Every message changes 10 bids and 10 asks (or as many as asked), near the touch more often than far, a quarter of them
//! deletions; the touch moves by a tick in half of the steps. Its first bid is the best bid after it, whose
//! quantity bears the message's number: whoever answers with that quantity has applied the message to a
//! book and read its touch.

use crate::data::Random;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Steps before the walk turns back.
const STEPS: usize = 512;
/// Different messages.
pub const MESSAGES: u64 = 2 * STEPS as u64;
/// Level changes a side, where not said otherwise.
const LEVELS: usize = 10;
/// Levels a side of the snapshot, and the furthest a change is from the touch, ticks of 0.01.
const REACH: i64 = 400;
/// The first best bid, ticks: 65,000.00.
const START: i64 = 6_500_000;
/// Update id before the first message. 11 digits, and stays so for 10⁹ messages.
const FIRST_ID: u64 = 60_000_000_000;
/// Update ids one message covers.
const IDS_EACH: u64 = 40;
/// Numbers there are before they start over.
pub const NUMBERS: u64 = 1_000_000;
/// Lots of 0.00001 that stand for number 0: ten to twenty bitcoin, always two digits before the point.
pub const NUMBER_LOTS: u64 = 1_000_000;

/// One side's changes: (ticks, lots); 0 lots = the level is gone.
type Changes = Vec<(i64, i64)>;
type Side = BTreeMap<i64, i64>;

/// Bytes of a frame's head: every text is between 126 and 65,535 bytes long.
const HEAD_BYTES: usize = 4;

/// One message: a WebSocket frame, and the places of its holes in the text.
#[derive(Debug, Clone)]
struct Frame {
    bytes: Vec<u8>,
    event_at: usize,
    first_at: usize,
    last_at: usize,
    qty_at: usize,
}

/// The walk.
#[derive(Debug)]
pub struct Walk {
    frames: Vec<Frame>,
    steps: Vec<[Changes; 2]>,
}

impl Default for Walk {
    fn default() -> Self {
        Self::new()
    }
}

impl Walk {
    /// The same walk in every run, of 10 changes a side.
    pub fn new() -> Self {
        Self::of(LEVELS)
    }

    /// The same with `levels` changes a side, at least 2: where the touch was and where it is.
    pub fn of(levels: usize) -> Self {
        let mut random = Random::new(41);
        let (mut bids, mut asks) = start();
        let mut best = START;
        let (mut steps, mut undone) = (Vec::new(), Vec::new());
        for _ in 0..STEPS {
            let next = best + [-1, 0, 0, 1][random.below(4) as usize];
            let (bid, bid_back) = step_side(&mut random, &mut bids, best, next, -1, levels);
            let (ask, ask_back) = step_side(&mut random, &mut asks, best + 1, next + 1, 1, levels);
            steps.push([bid, ask]);
            undone.push([bid_back, ask_back]);
            best = next;
        }
        undone.reverse();
        steps.extend(undone);
        let frames = steps.iter().map(frame).collect();
        Self { frames, steps }
    }

    /// The frame of message `number`, its holes filled, into `out`. Cost: a copy of about 750 bytes.
    pub fn write(&self, number: u64, unix_ms: u64, out: &mut Vec<u8>) {
        let frame = &self.frames[(number % MESSAGES) as usize];
        out.extend_from_slice(&frame.bytes[..HEAD_BYTES]);
        self.write_text(number, unix_ms, out);
    }

    /// The same without the frame's head.
    pub fn write_text(&self, number: u64, unix_ms: u64, out: &mut Vec<u8>) {
        let frame = &self.frames[(number % MESSAGES) as usize];
        let start = out.len();
        out.extend_from_slice(&frame.bytes[HEAD_BYTES..]);
        let bytes = &mut out[start..];
        digits(bytes, frame.event_at, 13, unix_ms);
        digits(bytes, frame.first_at, 11, first_id(number));
        digits(bytes, frame.last_at, 11, first_id(number + 1) - 1);
        let lots = NUMBER_LOTS + number % NUMBERS;
        digits(bytes, frame.qty_at, 2, lots / 100_000);
        digits(bytes, frame.qty_at + 3, 5, lots % 100_000);
    }

    /// The book before message `number`, as the venue's snapshot. Its quantities bear no number.
    pub fn snapshot(&self, number: u64) -> String {
        let (mut bids, mut asks) = start();
        for [bid, ask] in &self.steps[..(number % MESSAGES) as usize] {
            apply(&mut bids, bid);
            apply(&mut asks, ask);
        }
        let mut text = format!(
            r#"{{"lastUpdateId":{},"bids":["#,
            first_id(number).wrapping_sub(1)
        );
        push_levels(&mut text, bids.iter().rev().map(|(at, lots)| (*at, *lots)));
        text.push_str(r#"],"asks":["#);
        push_levels(&mut text, asks.iter().map(|(at, lots)| (*at, *lots)));
        text.push_str("]}");
        text
    }
}

/// The number an order of `lots` answers; `None` when it answers none.
pub fn number_of(lots: u64) -> Option<u64> {
    let number = lots.checked_sub(NUMBER_LOTS)?;
    (number < NUMBERS).then_some(number)
}

const fn first_id(number: u64) -> u64 {
    FIRST_ID + number * IDS_EACH
}

fn start() -> (Side, Side) {
    let bids = (0..REACH).map(|away| (START - away, 100_000)).collect();
    let asks = (0..REACH).map(|away| (START + 1 + away, 100_000)).collect();
    (bids, asks)
}

fn apply(side: &mut Side, changes: &[(i64, i64)]) {
    for (ticks, lots) in changes {
        match lots {
            0 => side.remove(ticks),
            _ => side.insert(*ticks, *lots),
        };
    }
}

/// One step of a side whose touch goes from `best` to `next`; `away` points from the touch into the book.
/// Returns the changes and what undoes them. The touch before and after are among both.
fn step_side(
    random: &mut Random,
    side: &mut Side,
    best: i64,
    next: i64,
    away: i64,
    levels: usize,
) -> (Changes, Changes) {
    let lots = |random: &mut Random| 1 + random.below(90_000) as i64;
    let mut changes: Vec<(i64, i64)> = vec![(next, lots(random))];
    if best != next {
        let is_crossed = (best - next) * away < 0;
        let left = if is_crossed { 0 } else { lots(random) };
        changes.push((best, left));
    }
    while changes.len() < levels {
        let reach = REACH as u64 - 1;
        let near = 1 + (random.below(reach) * random.below(reach) / reach) as i64;
        let ticks = next + away * near;
        let is_gone = random.below(4) == 0;
        let lots = if is_gone { 0 } else { lots(random) };
        if changes.iter().all(|(taken, _)| *taken != ticks) {
            changes.push((ticks, lots));
        }
    }
    let old = |ticks: i64| (ticks, side.get(&ticks).copied().unwrap_or(0));
    // The best of the book before comes first when the step is undone.
    let mut back: Vec<(i64, i64)> = changes.iter().map(|(ticks, _)| old(*ticks)).collect();
    back.sort_unstable_by_key(|(ticks, _)| *ticks != best);
    apply(side, &changes);
    (changes, back)
}

fn frame([bids, asks]: &[Changes; 2]) -> Frame {
    let mut text = String::from(
        r#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":0000000000000,"s":"BTCUSDT","U":00000000000,"u":00000000000,"b":["#,
    );
    let hole = |text: &str, name: &str| text.find(name).expect("just written") + name.len();
    let holes = [r#""E":"#, r#""U":"#, r#""u":"#].map(|name| hole(&text, name));
    let qty = text.len() + r#"["65000.00000000",""#.len();
    push_levels(&mut text, bids.iter().copied());
    text.push_str(r#"],"a":["#);
    push_levels(&mut text, asks.iter().copied());
    text.push_str("]}}");
    // The first bid's quantity is a number's: two digits before the point, whatever the step had.
    let end = qty + text[qty..].find('"').expect("a closing quote");
    text.replace_range(qty..end, "00.00000000");
    let mut bytes = vec![0x81, 126];
    bytes.extend((text.len() as u16).to_be_bytes());
    bytes.extend(text.as_bytes());
    let [event_at, first_at, last_at] = holes;
    Frame {
        bytes,
        event_at,
        first_at,
        last_at,
        qty_at: qty,
    }
}

fn push_levels(text: &mut String, levels: impl Iterator<Item = (i64, i64)>) {
    for (at, (ticks, lots)) in levels.enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let (whole, cents) = (ticks / 100, ticks % 100);
        let (coins, rest) = (lots / 100_000, lots % 100_000);
        let _ = write!(
            text,
            r#"{comma}["{whole}.{cents:02}000000","{coins}.{rest:05}000"]"#
        );
    }
}

/// Writes `value` in exactly `count` digits.
pub fn digits(bytes: &mut [u8], at: usize, count: usize, mut value: u64) {
    for slot in bytes[at..at + count].iter_mut().rev() {
        *slot = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn levels(json: &serde_json::Value, key: &str) -> Vec<(i64, i64)> {
        let number = |text: &serde_json::Value| -> i64 {
            let text = text.as_str().unwrap().replace('.', "");
            text.parse::<i64>().unwrap()
        };
        let level = |pair: &serde_json::Value| (number(&pair[0]) / 1_000_000, number(&pair[1]));
        json[key].as_array().unwrap().iter().map(level).collect()
    }

    #[test]
    fn every_number_ends_up_at_the_touch_and_the_book_never_crosses() {
        let walk = Walk::new();
        let snapshot: serde_json::Value = serde_json::from_str(&walk.snapshot(0)).unwrap();
        let mut bids: Side = levels(&snapshot, "bids").into_iter().collect();
        let mut asks: Side = levels(&snapshot, "asks").into_iter().collect();
        let mut last = snapshot["lastUpdateId"].as_u64().unwrap();
        for number in 0..2 * MESSAGES + 7 {
            let mut bytes = Vec::new();
            walk.write(number, 1_760_000_000_000 + number, &mut bytes);
            assert!((700..900).contains(&bytes.len()), "{}", bytes.len());
            let json: serde_json::Value = serde_json::from_slice(&bytes[4..]).unwrap();
            let data = &json["data"];
            assert_eq!(data["U"].as_u64().unwrap(), last + 1, "no hole");
            last = data["u"].as_u64().unwrap();
            for (key, side) in [("b", &mut bids), ("a", &mut asks)] {
                let changes = levels(data, key);
                assert_eq!(changes.len(), LEVELS);
                let distinct: BTreeSet<i64> = changes.iter().map(|(at, _)| *at).collect();
                assert_eq!(distinct.len(), LEVELS, "each level once");
                for (ticks, qty) in changes {
                    match qty {
                        0 => side.remove(&ticks),
                        _ => side.insert(ticks, qty),
                    };
                }
            }
            let (bid, qty) = bids.last_key_value().unwrap();
            assert!(bid < asks.first_key_value().unwrap().0, "crossed");
            assert_eq!(number_of(*qty as u64 / 1_000), Some(number % NUMBERS));
            assert!(bids.len() > 100 && asks.len() > 100, "a book stays");
        }
        let distinct: BTreeSet<_> = walk.steps.iter().collect();
        assert_eq!(distinct.len() as u64, MESSAGES, "all are different");
    }

    #[test]
    fn a_snapshot_half_way_continues_the_stream() {
        let walk = Walk::new();
        let mut bids = start().0;
        for number in 0..700 {
            apply(&mut bids, &walk.steps[number][0]);
        }
        let json: serde_json::Value = serde_json::from_str(&walk.snapshot(700)).unwrap();
        let best = levels(&json, "bids")[0];
        assert_eq!(Some(best.0), bids.last_key_value().map(|(ticks, _)| *ticks));
        assert_eq!(json["lastUpdateId"].as_u64(), Some(first_id(700) - 1));
    }

    #[test]
    fn numbers_come_back_and_others_do_not() {
        assert_eq!(number_of(NUMBER_LOTS + 5), Some(5));
        assert_eq!(number_of(NUMBER_LOTS - 1), None);
        assert_eq!(number_of(NUMBER_LOTS + NUMBERS), None);
    }
}
