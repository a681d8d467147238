//! All ten venues at once: simulated venues say their books over TLS on loopback, one production lane follows them
//! all, and the rate is raised until something is lost or nothing more comes.
//!
//! ```text
//!   core 1: simulated venues ══ 10 × TLS ══▶ core 0: one lane: ten machines ─▶ 20 books ─▶ a strategy each
//!   a step: come up ─▶ settle ─▶ hold for a while ─▶ the markets stand still ─▶ book by book against the venue's own
//! ```
//! A rate is held when no book had a gap, a wrong checksum or a crossing, no link was made anew, and at the end every
//! book equals the one it was told of, soon after the markets stand still: a lane that falls behind is late then.
//! The simulator matches orders, prints JSON and seals records for every client on one core: it costs more a message
//! than the lane does, so its share of its core is told beside, and where it is near one the rate is the simulator's.

pub mod lane;

use super::Args;
use crate::hand::Signal;
use crate::host::{Hiccups, Seats};
use crate::summary::Summary;
use anyhow::{Context as _, bail};
use dp_transport::Clock;
use dp_types::VenueId;
use lane::{Counted, Play, Stage};
use std::time::Duration;

/// Every venue, and what is traded there.
pub const VENUES: [(VenueId, [&str; 2]); 10] = [
    (VenueId::BINANCE, USDT),
    (VenueId::BITFINEX, USDT),
    (VenueId::BYBIT, USDT),
    (VenueId::COINBASE, USD),
    (VenueId::DERIBIT, ["BTC-USDC", "ETH-USDC"]),
    (VenueId::HUOBI, USDT),
    (VenueId::KRAKEN, USD),
    (VenueId::KRAKEN_FUTURES, USD),
    (VenueId::KUCOIN, USDT),
    (VenueId::OKX, USDT),
];
const USDT: [&str; 2] = ["BTC-USDT", "ETH-USDT"];
const USD: [&str; 2] = ["BTC-USD", "ETH-USD"];

/// Events a second of other traders in each of the twenty markets: where the steps begin, and where they end.
const TICKS_MIN: u32 = 125;
const TICKS_MAX: u32 = 64_000;
/// A step that brings less than so many times the levels of the one before brings nothing: the simulator is at its
/// end. Levels, because venues that batch say no more messages when there is more to say.
const GROWTH: f64 = 1.1;
/// The last step is tried again at three quarters so often.
const TRIES: usize = 4;
/// Seconds of a step of the search, at most and at least.
const SEARCH_S: (f64, f64) = (1.0, 5.0);

/// What came of one rate.
struct Step {
    ticks_per_s: u32,
    seconds: f64,
    /// By venue.
    counted: Vec<Counted>,
    /// Reasons why the rate was not held.
    lost: Vec<String>,
    /// Until every book was equal after the markets stood still.
    settled: Option<Duration>,
    lane_share: f64,
    venue_share: f64,
    hiccups: Hiccups,
}

impl Step {
    fn messages(&self) -> f64 {
        self.counted.iter().map(|one| one.messages).sum::<u64>() as f64 / self.seconds
    }

    fn levels(&self) -> f64 {
        self.counted.iter().map(|one| one.levels).sum::<u64>() as f64 / self.seconds
    }

    const fn is_held(&self) -> bool {
        self.lost.is_empty()
    }

    /// A line for whoever waits.
    fn say(&self) {
        eprintln!(
            "ten venues, {} events/s a market: {:.0} messages/s, {:.0} levels/s, lane {:.0} %, simulator {:.0} %: {}",
            self.ticks_per_s,
            self.messages(),
            self.levels(),
            self.lane_share * 100.0,
            self.venue_share * 100.0,
            if self.is_held() {
                "held"
            } else {
                self.lost[0].as_str()
            }
        );
    }
}

/// Searches the highest rate and holds it. A rate that is not held is a finding, not an end.
///
/// Errors: the lane does not come up at the lowest rate.
pub fn run(args: &Args, seats: &Seats, clock: Clock, summary: &mut Summary) -> anyhow::Result<()> {
    let measure = || -> anyhow::Result<Step> {
        seats.sit(seats.client_core);
        search(args, seats, clock)
    };
    let outcome = std::thread::scope(|scope| scope.spawn(measure).join());
    let held = outcome.unwrap_or_else(|_| bail!("the lane's thread panicked"))?;
    tell(&held, summary);
    Ok(())
}

fn search(args: &Args, seats: &Seats, clock: Clock) -> anyhow::Result<Step> {
    let seconds = (args.seconds / 12.0).clamp(SEARCH_S.0, SEARCH_S.1);
    let (mut ticks, mut best) = (TICKS_MIN, None::<Step>);
    while ticks <= TICKS_MAX {
        let step = step(ticks, seconds, seats, clock)?;
        step.say();
        let before = best.as_ref().map_or(0.0, Step::levels);
        if !step.is_held() || step.levels() < before * GROWTH {
            break;
        }
        ticks *= 2;
        best = Some(step);
    }
    let mut ticks = best
        .context("not even the lowest rate was held")?
        .ticks_per_s;
    for _ in 0..TRIES {
        let step = step(ticks, args.seconds, seats, clock)?;
        step.say();
        if step.is_held() {
            return Ok(step);
        }
        ticks = ticks * 3 / 4;
    }
    bail!("no rate was held for {} s", args.seconds)
}

/// One rate for a while, on the calling thread.
fn step(ticks_per_s: u32, seconds: f64, seats: &Seats, clock: Clock) -> anyhow::Result<Step> {
    let mut hiccups = Hiccups::default();
    hiccups.look(&clock, 20_000_000);
    let memory = lane::memory()?;
    let play = Play {
        ticks_per_s,
        venue_core: seats.venue_core,
        has_keys: false,
        strategy: |_| Box::new(Signal::default()),
    };
    let mut stage = Stage::new(&memory, &VENUES, play, clock)?;
    let is_up = stage.come_up(Duration::from_secs(30));
    is_up.with_context(|| format!("at {ticks_per_s} events/s a market"))?;
    stage.turn_for(Duration::from_millis(300));
    let before = stage.look();
    stage.turn_for(Duration::from_secs_f64(seconds));
    let after = stage.look();
    stage.stand_still();
    let settled = stage.settle(Duration::from_secs(3))?;
    let counted = after.counted.iter().zip(&before.counted);
    let counted: Vec<Counted> = counted.map(|(after, before)| after.since(before)).collect();
    let last = stage.look();
    let mut lost: Vec<String> = counted
        .iter()
        .zip(&last.counted)
        .zip(&before.counted)
        .zip(VENUES)
        .filter_map(|(((_, last), before), (venue, _))| {
            let faults = last.since(before).faults;
            (faults > 0).then(|| format!("{venue}: {faults} gaps, checksums or crossings"))
        })
        .collect();
    let reconnects = last.reconnects - before.reconnects;
    if reconnects > 0 {
        lost.push(format!("{reconnects} links were made anew"));
    }
    if let Err(unequal) = &settled {
        lost.push(format!("not equal after 3 s: {unequal}"));
    }
    let elapsed = (after.at - before.at).as_secs_f64();
    Ok(Step {
        ticks_per_s,
        seconds: elapsed,
        counted,
        lost,
        settled: settled.ok(),
        lane_share: (after.lane_busy_s - before.lane_busy_s) / elapsed,
        venue_share: (after.venue_cpu_s - before.venue_cpu_s) / elapsed,
        hiccups,
    })
}

fn tell(held: &Step, summary: &mut Summary) {
    summary.hiccups.add(&held.hiccups);
    let mut fact = |what: &str, value| summary.fact(format!("ten venues: {what}"), value);
    fact(
        "events a second in each of 20 markets",
        f64::from(held.ticks_per_s),
    );
    fact("held for, s", held.seconds);
    fact("book messages a second", held.messages());
    fact("levels a second", held.levels());
    fact("losses of any kind", held.lost.len() as f64);
    let settled = held.settled.unwrap_or_default().as_secs_f64();
    fact(
        "every book equal after the markets stood still, ms",
        settled * 1e3,
    );
    fact("lane busy, share of its core", held.lane_share);
    fact("simulator, share of its core", held.venue_share);
    for ((venue, _), one) in VENUES.iter().zip(&held.counted) {
        let name = venue.name();
        fact(
            &format!("{name}, messages/s"),
            one.messages as f64 / held.seconds,
        );
        fact(
            &format!("{name}, levels/s"),
            one.levels as f64 / held.seconds,
        );
    }
    let limit = if held.venue_share > held.lane_share {
        "the simulator, which needs more of its core than the lane of the other"
    } else {
        "the lane"
    };
    let note = format!(
        "ten venues: two cores in all, so what limits the rate here is {limit}; venues that batch (Binance, Deribit, \
         OKX: 100 ms, Coinbase: 50, Bybit: 20) say more levels a message, not more messages, when more happens"
    );
    summary.notes.push(note);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_venues_are_followed_and_every_book_ends_equal() {
        let seats = Seats::find(0, 1);
        // A rate that an unoptimised build on a crowded machine holds.
        let step = step(20, 0.5, &seats, Clock::calibrate(5)).unwrap();
        assert_eq!(step.lost, Vec::<String>::new());
        for ((venue, _), counted) in VENUES.iter().zip(&step.counted) {
            assert!(counted.messages > 0 && counted.levels > 0, "{venue}");
        }
        assert!(step.lane_share > 0.0 && step.venue_share > 0.0 && step.settled.is_some());
        let mut summary = Summary::new("throughput", 1, seats, Hiccups::default());
        tell(&step, &mut summary);
        assert_eq!(summary.facts.len(), 8 + 2 * VENUES.len());
        assert!(summary.facts.iter().all(|fact| fact.what.len() <= 63));
    }
}
