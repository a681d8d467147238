//! From memory: distinct messages through machine, book and a strategy, as fast as one core goes.
//!
//! A message is a text as it stands after decryption, copied to where the machine parses it; the copy is in the
//! figure, TLS and sockets are not. Rings are emptied between blocks: that is the control plane's core, and in the
//! blocks' figures it is left out; in the rate over all of the time it is not.

use crate::client::lane;
use crate::hand::{Hand, Signal};
use crate::host::{Hiccups, Suffered};
use crate::scratch::Scratch;
use crate::stats::Samples;
use crate::venue::side::Sides;
use anyhow::ensure;
use dp_shm::Counter;
use dp_transport::{Clock, tsc};

/// Messages of one block.
const BLOCK: u64 = 512;

/// What the messages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Depth messages of 20 levels.
    Depth,
    /// Best quotes.
    Quote,
    /// Trades.
    Trade,
    /// All three, as a feed has them.
    Mixed,
}

impl Shape {
    /// All of them; the first bears the target.
    pub const ALL: [Self; 4] = [Self::Depth, Self::Quote, Self::Trade, Self::Mixed];

    /// For tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Depth => "depth, 20 levels",
            Self::Quote => "quote",
            Self::Trade => "trade",
            Self::Mixed => "mixed as recorded",
        }
    }
}

/// A feed's shares, of 10,000: Binance spot BTCUSDT, `depth@100ms`, `trade` and `bookTicker`, six minutes of
/// 2024-08-08, 41,248 messages (`captures/binance/spot-btcusdt-20240808`): 3,451, 9,757 and 28,040.
const DEPTHS: u64 = 837;
const TRADES: u64 = 2_365;

/// Which shape message `at` of the mixed feed has: fixed, without a period a branch predictor could learn.
fn drawn(at: u64) -> Shape {
    let mut z = at.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let ticket = (z ^ (z >> 31)) % 10_000;
    if ticket < DEPTHS {
        Shape::Depth
    } else if ticket < DEPTHS + TRADES {
        Shape::Trade
    } else {
        Shape::Quote
    }
}

/// What came of one shape.
pub struct Run {
    /// Which.
    pub shape: Shape,
    /// Nanoseconds of 1,000 messages, by blocks.
    pub blocks: Samples,
    /// Messages that count.
    pub messages: u64,
    /// How long all of it took, drains and preemptions included, s.
    pub seconds: f64,
}

/// One shape for `seconds` at least. Errors: a message that was refused or not applied.
pub fn run(shape: Shape, seconds: f64, clock: Clock, hiccups: &mut Hiccups) -> anyhow::Result<Run> {
    hiccups.look(&clock, 50_000_000);
    let scratch = Scratch::new(&lane::shape())?;
    let mut hand = Hand::new(&scratch.region, clock, || Box::new(Signal::default()))?;
    let sides = Sides::new();
    let events = [
        Counter::BookEvents,
        Counter::QuoteEvents,
        Counter::TradeEvents,
    ];
    let applied = |hand: &Hand<'_>| events.iter().map(|one| hand.count(*one)).sum::<u64>();
    let before = applied(&hand);
    let mut blocks = Samples::default();
    let mut said = 0;
    let (warm, mut begin) = (BLOCK * 40, tsc());
    let lasts = (seconds * clock.tsc_hz() as f64) as u64;
    while said < warm || tsc().since(begin) < lasts {
        let suffered = Suffered::own();
        let start = tsc();
        for at in said..said + BLOCK {
            let shape = if shape == Shape::Mixed {
                drawn(at)
            } else {
                shape
            };
            match shape {
                Shape::Quote => hand.load_with(|text| sides.quote(at, text)),
                Shape::Trade => hand.load_with(|text| sides.trade(at, text)),
                Shape::Depth | Shape::Mixed => hand.load_tick(),
            }
            hand.tick();
        }
        let cycles = tsc().since(start);
        said += BLOCK;
        hand.refresh();
        let is_clean = !Suffered::own().since(suffered).is_preempted();
        if said > warm {
            let thousand = clock.cycles_to_ns(cycles) * 1_000 / BLOCK;
            let thousand = u32::try_from(thousand).unwrap_or(u32::MAX);
            blocks.add_round(&[is_clean], [(thousand, 0)]);
        } else if said == warm {
            begin = tsc();
        }
    }
    let seconds = clock.cycles_to_ns(tsc().since(begin)) as f64 / 1e9;
    let applied = applied(&hand) - before;
    let absurd = hand.count(Counter::AbsurdPrices);
    ensure!(
        applied == said && hand.faults == 0 && hand.count(Counter::Gaps) == 0 && absurd == 0,
        "{}: {applied} of {said} messages applied, {} not understood, {absurd} absurd",
        shape.name(),
        hand.faults
    );
    hiccups.look(&clock, 50_000_000);
    Ok(Run {
        shape,
        blocks,
        messages: said - warm,
        seconds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mix_has_the_shares_of_the_recording() {
        let count = |shape| (0..100_000).filter(|at| drawn(*at) == shape).count();
        for (shape, share) in [
            (Shape::Depth, 8_370),
            (Shape::Trade, 23_650),
            (Shape::Quote, 67_980),
        ] {
            assert!(count(shape).abs_diff(share) < 600, "{}", count(shape));
        }
    }

    #[test]
    fn every_message_of_every_shape_is_applied() {
        for shape in Shape::ALL {
            let mut hiccups = Hiccups::default();
            let run = run(shape, 0.01, Clock::calibrate(5), &mut hiccups).unwrap();
            assert!(run.messages >= BLOCK && run.seconds >= 0.01);
            assert_eq!(run.blocks.values.len() as u64, run.messages / BLOCK);
        }
    }
}
