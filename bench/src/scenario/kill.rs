//! The kill switch: from the word in shared memory to the last cancel.
//!
//! ```text
//!   engine      word ─▶ every cancel handed to its gateway, 10 to 1,000 orders live at three venues
//!   ten venues  word ─▶ the last cancel's bytes given to the kernel ─▶ the venue's word that nothing is live
//!               beside it, in the same run, the same with one order at each venue: one round trip
//! ```
//! Over sockets the venues are simulated and on the other core: what a cancel costs there, and what the venue's limits
//! allow, is in it. What is cancelled is what rests: whether one request does it all is the venue's to offer.

use super::engine::{MID, Rig, VENUES as NEAR};
use crate::host::Seats;
use crate::meter::Meter;
use crate::scratch::Scratch;
use crate::throughput::venues::VENUES;
use crate::throughput::venues::lane::{self, Play, Stage};
use anyhow::{bail, ensure};
use dp_shm::layout::Shape;
use dp_strategy::{Intents, Strategy, View};
use dp_transport::{Clock, tsc};
use dp_types::{Decimal, OrderKind, OrderState, Price, Qty, Side, StrategyId, Tif, Tsc, VenueId};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Live orders before the word, in the engine alone.
const LIVE: [(usize, &str); 3] = [
    (9, "9 live, every cancel handed out"),
    (99, "99 live, every cancel handed out"),
    (999, "999 live, every cancel handed out"),
];
/// Over sockets: orders that rest in a venue's two markets.
const RESTING: usize = 12;
/// Kraken lets about sixty points be used before it counts down, and takes eight for an order that is cancelled young.
const RESTING_KRAKEN: usize = 2;
/// Kills over sockets, at most, of each kind, and how long they may take.
const ROUNDS: usize = 20;
const ROUNDS_FOR: Duration = Duration::from_secs(30);
/// How long a venue may take to come up, to take the orders, to cancel them.
const PATIENCE: Duration = Duration::from_mins(1);
/// Ticks a second of other traders: what wakes the strategies.
const TICKS_PER_S: u32 = 20;

/// How many orders each venue is to hold now.
static WANTED: AtomicUsize = AtomicUsize::new(0);

pub fn run(meter: &mut Meter) -> anyhow::Result<()> {
    meter.begin("kill");
    for (live, name) in LIVE {
        in_engine(meter, live, name)?;
    }
    // A lane has a core of its own, and so has the machine it trades with.
    std::thread::scope(|scope| scope.spawn(|| over_sockets(meter)).join())
        .unwrap_or_else(|_| bail!("the lane's thread panicked"))
}

/// So many orders at prices of their own, and no more.
struct Ladder(usize);

impl Strategy for Ladder {
    fn name(&self) -> &'static str {
        "ladder"
    }

    fn on_book(&mut self, view: &View<'_>, out: &mut Intents) {
        while view.can_trade && self.0 > 0 && out.len() < dp_strategy::INTENTS_MAX {
            self.0 -= 1;
            let price = Price(MID - 100 - self.0 as i64);
            out.new_order(Side::Buy, OrderKind::PostOnly, Tif::Gtc, price, Qty(2));
        }
    }
}

/// The engine's part: one kill of a fresh engine after the other.
fn in_engine(meter: &mut Meter, live: usize, name: &str) -> anyhow::Result<()> {
    let rounds = meter.samples().clamp(10, 200);
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let scratch = Scratch::new(&Shape::new(1, 4, 1 << 14, 1 << 10))?;
        let mut rig = Rig::new(&scratch.region)?;
        let share = live / NEAR.len();
        for (at, instrument) in (0u16..).zip(rig.engine.instruments().to_vec()) {
            let ladder = Box::new(Ladder(share));
            rig.engine.seat(StrategyId(at), &[instrument.id], ladder);
        }
        // A book message lets a strategy speak once.
        for _ in 0..=share / dp_strategy::INTENTS_MAX {
            rig.pass();
            for venue in 0..NEAR.len() {
                rig.book(venue, MID);
                rig.obey();
            }
        }
        rig.sent();
        for order in std::mem::take(&mut rig.orders) {
            rig.report(&order, OrderState::Ack);
        }
        rig.pass();
        let resting = rig.engine.oms().all_live().count();
        ensure!(resting == live, "{resting} of {live} orders rest");
        rig.cancelled.clear();
        let now = rig.now();
        let begin = tsc();
        rig.region.kill().kill("bench", "kill", now.unix);
        rig.engine.read_words(now);
        rig.obey();
        times.push(tsc().since(begin));
        let asked = rig.cancelled.len();
        ensure!(asked == NEAR.len(), "{asked} instruments were cancelled");
    }
    meter.taken(name, &times);
    Ok(())
}

/// Half of what a venue is to hold, far below the market; the odd one goes to the first market.
struct Rester(VenueId);

impl Strategy for Rester {
    fn name(&self) -> &'static str {
        "rester"
    }

    fn on_book(&mut self, view: &View<'_>, out: &mut Intents) {
        let is_first = view.instrument.id.0.is_multiple_of(2);
        let wanted = most(self.0, WANTED.load(Ordering::Relaxed));
        let wanted = usize::midpoint(wanted, usize::from(is_first));
        let Some(bid) = view.book.best_bid() else {
            return;
        };
        if !view.can_trade || view.live.len() >= wanted {
            return;
        }
        let tick = view.instrument.tick.0.max(1);
        let price = Price(bid.price.0 / 20 * 19 / tick * tick);
        let qty = view.instrument.qty(Decimal {
            mantissa: 2,
            exponent: -2,
        });
        if let Ok(qty) = qty {
            out.new_order(Side::Buy, OrderKind::PostOnly, Tif::Gtc, price, qty);
        }
    }
}

/// What one kill took, cycles: until the last cancel was written, and until each venue had said that nothing is live.
struct Killed {
    written: u64,
    confirmed: [u64; VENUES.len()],
}

fn over_sockets(meter: &mut Meter) -> anyhow::Result<()> {
    let seats = Seats::find(0, 1);
    seats.sit(seats.client_core);
    let memory = lane::memory()?;
    let play = Play {
        ticks_per_s: TICKS_PER_S,
        venue_core: seats.venue_core,
        has_keys: true,
        strategy: |venue| Box::new(Rester(venue)),
    };
    WANTED.store(0, Ordering::Relaxed);
    let mut stage = Stage::new(&memory, &VENUES, play, Clock::calibrate(100))?;
    stage.come_up(PATIENCE)?;
    let rounds = (meter.samples() / 100).clamp(1, ROUNDS);
    let mut found = [(1, Vec::new()), (RESTING, Vec::new())];
    let begin = Instant::now();
    for round in 0..rounds {
        for (wanted, kills) in &mut found {
            kills.push(kill(&mut stage, *wanted)?);
        }
        if round > 0 && begin.elapsed() > ROUNDS_FOR {
            break;
        }
    }
    for (wanted, kills) in &found {
        let orders = orders(*wanted);
        let last = |one: &Killed| one.confirmed.iter().copied().max().unwrap_or(0);
        let written: Vec<u64> = kills.iter().map(|one| one.written).collect();
        let confirmed: Vec<u64> = kills.iter().map(last).collect();
        meter.taken(&format!("{orders} at 10 venues, last bytes"), &written);
        meter.taken(&format!("{orders} at 10 venues, all confirmed"), &confirmed);
    }
    for (at, (venue, _)) in VENUES.iter().enumerate() {
        for (wanted, kills) in &found {
            let times: Vec<u64> = kills.iter().map(|one| one.confirmed[at]).collect();
            let count = most(*venue, *wanted);
            meter.taken(&format!("{venue}: {count} confirmed"), &times);
        }
        meter.is_peer_of(&format!("{venue}: 1 confirmed"));
    }
    let note = "kill: the word is written and the lane's thread reads it in its next turn; \"confirmed\" is one round \
                trip over loopback TLS and the simulated venue's work. Kraken rests fewer: its own counter takes 8 \
                points for each order cancelled within 5 s, of 60 to 180, and gives back 1 to 3.75 a second";
    meter.notes.push(note.to_owned());
    Ok(())
}

fn most(venue: VenueId, wanted: usize) -> usize {
    match venue {
        VenueId::KRAKEN => wanted.min(RESTING_KRAKEN),
        _ => wanted,
    }
}

/// Orders that rest in all, where each venue is to hold so many.
fn orders(wanted: usize) -> usize {
    VENUES.iter().map(|(venue, _)| most(*venue, wanted)).sum()
}

/// Orders that a venue has taken, and those of which more is to come.
fn resting(stage: &Stage<'_>, venue: VenueId) -> (usize, usize) {
    let live = stage.engine().oms().all_live();
    let here = live.filter(|order| order.venue == venue);
    here.fold((0, 0), |(taken, all), order| {
        let is_taken = order.state == OrderState::Ack;
        (taken + usize::from(is_taken), all + 1)
    })
}

/// Arms, lets orders rest, and kills.
fn kill(stage: &mut Stage<'_>, wanted: usize) -> anyhow::Result<Killed> {
    let region = stage.region();
    region.kill().arm("bench", "the next round", stage.now());
    WANTED.store(wanted, Ordering::Relaxed);
    let begin = Instant::now();
    loop {
        stage.turn_for(Duration::from_millis(20));
        let missing = VENUES.iter().filter(|(venue, _)| {
            let count = most(*venue, wanted);
            resting(stage, *venue) != (count, count)
        });
        let missing: Vec<&str> = missing.map(|(venue, _)| venue.name()).collect();
        if missing.is_empty() {
            break;
        }
        ensure!(
            begin.elapsed() < PATIENCE,
            "no {wanted} orders rest at {}",
            missing.join(", ")
        );
    }
    stage.turn_for(Duration::from_millis(50));
    // Whatever lives on has been asked to end.
    let are_asked = |stage: &Stage<'_>| {
        let mut live = stage.engine().oms().all_live();
        live.all(|order| order.is_cancelling)
    };
    let mut killed = Killed {
        written: 0,
        confirmed: [0; VENUES.len()],
    };
    let begin = Instant::now();
    let start = tsc();
    region.kill().kill("bench", "kill", stage.now());
    while killed.confirmed.contains(&0) {
        stage.turn();
        let spent = |now: Tsc| now.since(start).max(1);
        if killed.written == 0 && are_asked(stage) {
            killed.written = spent(tsc());
        }
        for (at, (venue, _)) in VENUES.iter().enumerate() {
            if killed.confirmed[at] == 0 && resting(stage, *venue).1 == 0 {
                killed.confirmed[at] = spent(tsc());
            }
        }
        ensure!(
            begin.elapsed() < PATIENCE,
            "orders live on {} s after the kill",
            PATIENCE.as_secs()
        );
    }
    ensure!(
        killed.written > 0,
        "fewer cancels were sent than orders rested"
    );
    Ok(killed)
}
