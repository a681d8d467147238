//! `replay`: recorded messages through machine and engine, at their own speed, a multiple, or a fixed rate.
//!
//! ```text
//!   recording ─▶ timetable (its own stamps / speed, or 1 / rate) ─▶ machine ─▶ events
//! ```
//! Latency of a message is from when it was due to when its events were taken: one that waits behind a slow
//! one has waited in its figure. Speed 0 is as fast as it goes: then it is the cost alone. What is decoded
//! depends on the recording; its tickers and control answers are ours to pass over, and are counted.

use crate::data;
use crate::host::{Hiccups, Seats, Suffered};
use crate::stats::{Samples, WINDOW_NS};
use crate::summary::Summary;
use anyhow::{Context as _, bail, ensure};
use dp_transport::{Clock, tsc};
use dp_types::{LinkId, Now};
use dp_venue_api::{Event, Registry, RestRequest, Sink, Venue as _, VenueConfig};
use dp_venue_binance::{Binance, LINK_MD};
use dp_venue_okx::{LINK_PUBLIC, Okx};
use std::hint::black_box;
use std::path::PathBuf;

/// What `replay` is asked.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The recording: JSON lines, `.gz` or not.
    pub file: PathBuf,
    /// Whose messages they are.
    #[arg(long, value_enum, default_value_t = Whose::Binance)]
    pub venue: Whose,
    /// Messages a second; else their own stamps count.
    #[arg(long, conflicts_with = "speed")]
    pub rate: Option<u64>,
    /// Their own speed times this; 0 = as fast as it goes.
    #[arg(long, default_value_t = 0.0)]
    pub speed: f64,
    /// Stop after so many seconds.
    #[arg(long, default_value_t = 60.0)]
    pub seconds: f64,
    /// Core to run on.
    #[arg(long, default_value_t = 0)]
    pub core: usize,
}

/// A venue whose recordings can be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Whose {
    /// Binance spot.
    Binance,
    /// OKX.
    Okx,
}

#[derive(Default)]
struct Tap {
    events: u64,
}

impl Sink for Tap {
    #[inline]
    fn event(&mut self, event: &Event<'_>) {
        let is_ours = matches!(event, Event::Book(_) | Event::Trade(_) | Event::Quote(_));
        self.events += u64::from(is_ours);
        black_box(event);
    }

    fn send_text(&mut self, _link: LinkId, text: &[u8]) {
        black_box(text);
    }

    fn request(&mut self, _link: LinkId, request: &RestRequest<'_>) {
        black_box(request);
    }

    fn reconnect(&mut self, _link: LinkId, why: &'static str) {
        black_box(why);
    }
}

/// A machine that hears one text.
type Hear = Box<dyn FnMut(&mut [u8], &mut Tap) -> bool>;

fn machine(whose: Whose, symbols: Vec<String>) -> anyhow::Result<Hear> {
    let mut registry = Registry::new();
    let config = VenueConfig {
        symbols,
        ..VenueConfig::default()
    };
    Ok(match whose {
        Whose::Binance => {
            let mut venue = Binance::new(config, &mut registry)?;
            Box::new(move |text, tap| {
                venue
                    .on_text(&registry, LINK_MD, Now::default(), text, tap)
                    .is_ok()
            })
        }
        Whose::Okx => {
            let mut venue = Okx::new(config, &mut registry)?;
            Box::new(move |text, tap| {
                venue
                    .on_text(&registry, LINK_PUBLIC, Now::default(), text, tap)
                    .is_ok()
            })
        }
    })
}

/// When each message is due, ns from the start.
fn timetable(args: &Args, stamps: &[Option<u64>]) -> anyhow::Result<Vec<u64>> {
    if let Some(rate) = args.rate {
        ensure!(rate > 0, "--rate must be above 0");
        let due = |at: u64| (u128::from(at) * 1_000_000_000 / u128::from(rate)) as u64;
        return Ok((0..stamps.len() as u64).map(due).collect());
    }
    if args.speed <= 0.0 {
        return Ok(vec![0; stamps.len()]);
    }
    let first = stamps.iter().flatten().min().copied();
    let first = first.context("the recording has no time stamps: use --rate")?;
    // A message without a stamp is due with the one before it; clocks that step back do not.
    let mut latest = first;
    let due = |stamp: &Option<u64>| {
        latest = latest.max(stamp.unwrap_or(latest));
        ((latest - first) as f64 / args.speed) as u64
    };
    Ok(stamps.iter().map(due).collect())
}

/// Runs it. Errors: the recording cannot be read, or nothing in it is of use.
pub fn run(args: &Args) -> anyhow::Result<Summary> {
    let recording = data::recording(&args.file)?
        .with_context(|| format!("{} is not there", args.file.display()))?;
    let clock = Clock::calibrate(100);
    let seats = Seats::find(args.core, args.core);
    let replay = || {
        seats.sit(args.core);
        replay(args, recording, &seats, clock)
    };
    let outcome = std::thread::scope(|scope| scope.spawn(replay).join());
    outcome.unwrap_or_else(|_| bail!("the replaying thread panicked"))
}

fn replay(
    args: &Args,
    recording: data::Recording,
    seats: &Seats,
    clock: Clock,
) -> anyhow::Result<Summary> {
    let data::Recording {
        texts,
        stamps,
        symbols,
    } = recording;
    let due = timetable(args, &stamps)?;
    let mut hear = machine(args.venue, symbols)?;
    let mut hiccups = Hiccups::default();
    hiccups.look(&clock, 50_000_000);
    let (mut tap, mut faults) = (Tap::default(), 0u64);
    let is_paced = due.last().is_some_and(|last| *last > 0);
    let cycles = |ns: u64| (u128::from(ns) * u128::from(clock.tsc_hz()) / 1_000_000_000) as u64;
    let limit = cycles((args.seconds * 1e9) as u64);
    let mut text = Vec::with_capacity(1 << 20);
    let (mut values, mut dirty) = (Vec::with_capacity(texts.len()), vec![false]);
    let mut seen = Suffered::own();
    let (start, mut heard) = (tsc().0, 0usize);
    for (bytes, due) in texts.iter().zip(&due) {
        let at = start + cycles(*due);
        text.clear();
        text.extend_from_slice(bytes);
        while tsc().0 < at {
            core::hint::spin_loop();
        }
        let begin = if is_paced { at } else { tsc().0 };
        faults += u64::from(!hear(&mut text, &mut tap));
        let end = tsc().0;
        let ns = clock.cycles_to_ns(end - begin);
        let window = (clock.cycles_to_ns(end - start) / WINDOW_NS) as usize;
        if window >= dirty.len() {
            let here = Suffered::own();
            let is_dirty = here.since(seen).switches > 0;
            if let Some(last) = dirty.last_mut() {
                *last = is_dirty;
            }
            dirty.resize(window + 1, is_dirty);
            seen = here;
        }
        values.push((u32::try_from(ns).unwrap_or(u32::MAX).max(1), window as u32));
        heard += 1;
        if end - start > limit {
            break;
        }
    }
    let took = clock.cycles_to_ns(tsc().0 - start);
    ensure!(
        tap.events > 0,
        "nothing in the recording is of use: is it of this venue?"
    );
    let mut samples = Samples::default();
    let clean: Vec<bool> = dirty.iter().map(|dirty| !dirty).collect();
    samples.add_round(&clean, values);
    let mut summary = Summary::new("replay", clock.tsc_hz(), seats.clone(), hiccups);
    let group = match (args.rate, args.speed) {
        (Some(rate), _) => format!("replay at {rate}/s"),
        (None, speed) if speed > 0.0 => format!("replay at {speed} x its own speed"),
        _ => "replay as fast as it goes".to_owned(),
    };
    summary.add(&group, &[("message to events".to_owned(), samples)]);
    summary.fact("messages heard", heard as f64);
    summary.fact("of the recording's", texts.len() as f64);
    summary.fact("events (book, trade, quote)", tap.events as f64);
    summary.fact("messages not understood", faults as f64);
    summary.fact("messages a second", heard as f64 * 1e9 / took.max(1) as f64);
    Ok(summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(rate: Option<u64>, speed: f64) -> Args {
        Args {
            file: PathBuf::new(),
            venue: Whose::Binance,
            rate,
            speed,
            seconds: 1.0,
            core: 0,
        }
    }

    #[test]
    fn a_timetable_follows_rate_or_stamps() {
        let stamps = [Some(1_000), None, Some(5_000), Some(4_000), Some(9_000)];
        let due = timetable(&args(Some(1_000_000), 0.0), &stamps).unwrap();
        assert_eq!(due, [0, 1_000, 2_000, 3_000, 4_000]);
        let due = timetable(&args(None, 2.0), &stamps).unwrap();
        assert_eq!(due, [0, 0, 2_000, 2_000, 4_000]);
        assert_eq!(timetable(&args(None, 0.0), &stamps).unwrap(), [0; 5]);
        assert!(timetable(&args(None, 1.0), &[None]).is_err());
    }

    #[test]
    fn a_recording_is_replayed_at_its_rate() {
        let folder = std::env::temp_dir().join(format!("spinlane-replay-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("feed.jsonl");
        let depths = data::depths();
        let lines = depths.iter().take(200).enumerate().map(|(at, depth)| {
            let raw = String::from_utf8(data::binance_text(at, depth)).unwrap();
            let stamp = 1_760_000_000.0 + at as f64 / 1_000.0;
            serde_json::json!({"dir": "in", "ts": stamp, "raw": raw}).to_string() + "\n"
        });
        std::fs::write(&file, lines.collect::<String>()).unwrap();
        let run_at = |rate, speed| {
            let args = Args {
                file: file.clone(),
                ..args(rate, speed)
            };
            let summary = run(&args).unwrap();
            let fact = |what: &str| {
                let found = summary
                    .facts
                    .iter()
                    .find(|fact| fact.what.starts_with(what));
                found.unwrap().value
            };
            assert_eq!((fact("messages heard"), fact("events")), (200.0, 200.0));
            fact("messages a second")
        };
        // 200 messages at 2,000/s cannot be through in less than a tenth of a second.
        assert!(run_at(Some(2_000), 0.0) < 2_100.0);
        assert!(run_at(None, 1.0) < 1_100.0);
        assert!(run_at(None, 0.0) > 0.0);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
