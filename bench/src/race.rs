//! Clients in turn against the bench venue, round after round, each in a process of its own.
//!
//! ```text
//!   round 1: hiccups · A at every rate | hiccups · B at every rate | …
//!   round 2:          B …             |           C …             | …  A     (the order rotates)
//! ```
//! What hits the machine for a while hits all of them; ratios are formed inside rounds ([`crate::stats`]).

use crate::host::{Hiccups, Seats};
use crate::road::{Road, Roads};
use crate::stats::{self, Samples};
use crate::venue::{Load, Session, Venue};
use crate::watched::Page;
use anyhow::{Context as _, bail};
use dp_shm::{Counter, HistSnapshot, Region, Stage};
use dp_transport::Clock;
use dp_types::LaneId;
use hdrhistogram::Histogram;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use std::cell::OnceCell;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

/// How long the client's core is looked at before each client, ns.
const HICCUP_LOOK_NS: u64 = 30_000_000;

/// How long both sides stand aside before each rate.
const ASIDE: Duration = Duration::from_millis(100);

/// One who races.
#[derive(Debug, Clone)]
pub struct Entrant {
    /// For tables and ratios.
    pub name: String,
    /// What is started.
    pub program: PathBuf,
    /// With what, before the common arguments (`--connect`, `--ca`, `--shm`, `--every`).
    pub args: Vec<String>,
    /// It has a lane's shared memory: stages are read, rings emptied.
    pub is_lane: bool,
    /// How it comes to the venue.
    pub road: Road,
}

impl Entrant {
    /// A client of a build of this program, over loopback.
    pub fn built_in(name: &str, program: &Path, kind: &str) -> Self {
        Self {
            name: name.to_owned(),
            program: program.to_owned(),
            args: vec!["client".to_owned(), kind.to_owned()],
            is_lane: kind.starts_with("spinlane"),
            road: Road::Loopback,
        }
    }

    /// The same another way.
    pub fn over(self, road: Road) -> Self {
        Self { road, ..self }
    }
}

/// One client at one rate, over all rounds.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Who.
    pub name: String,
    /// How fast.
    pub load: Load,
    /// Latencies.
    pub samples: Samples,
    /// Ticks that were to be answered.
    pub asked: u64,
    /// Those that were.
    pub answered: u64,
    /// Orders that answer no tick.
    pub strays: u64,
    /// How late the venue wrote, ns.
    pub late: Histogram<u64>,
    /// The venue's load, worst round.
    pub venue_load: f64,
    /// Preemptions of client and venue.
    pub preemptions: (u64, u64),
    /// Gaps on the client's core, looked for right before.
    pub hiccups: Hiccups,
    /// Why it left before it was heard out, by rounds.
    pub ends: Vec<String>,
    /// It is a lane of ours.
    pub is_lane: bool,
    /// What its process was not allowed.
    pub doubts: Vec<&'static str>,
    /// A lane's own stage times, cycles.
    pub stages: Vec<(Stage, HistSnapshot)>,
    /// From a received frame's descriptor to that of the order's frame, cycles; only of lanes over frames.
    pub spans: HistSnapshot,
    /// A lane's own counters, over the ticks that count and those before.
    pub counters: Vec<(Counter, u64)>,
}

impl Measured {
    /// Nothing measured yet.
    pub fn new(name: &str, load: Load) -> Self {
        Self {
            name: name.to_owned(),
            load,
            samples: Samples::default(),
            asked: 0,
            answered: 0,
            strays: 0,
            late: stats::histogram(),
            venue_load: 0.0,
            preemptions: (0, 0),
            hiccups: Hiccups::default(),
            ends: Vec::new(),
            is_lane: false,
            doubts: Vec::new(),
            stages: Vec::new(),
            spans: HistSnapshot::default(),
            counters: Vec::new(),
        }
    }

    /// The growth of a counter.
    pub fn count(&self, counter: Counter) -> u64 {
        let found = self.counters.iter().find(|(at, _)| *at == counter);
        found.map_or(0, |(_, count)| *count)
    }
}

/// What a race is run with.
pub struct Race<'a> {
    /// Who.
    pub entrants: &'a [Entrant],
    /// How fast, one after the other.
    pub loads: &'a [Load],
    /// How often.
    pub rounds: usize,
    /// Where.
    pub seats: &'a Seats,
    /// By which clock.
    pub clock: Clock,
    /// A client that leaves before it was heard out ends the race; else it ends its part of the round, and
    /// that is told.
    pub is_strict: bool,
    /// Told before each client of each round.
    pub on_step: &'a mut dyn FnMut(usize, &str),
}

/// Files of one race, taken away however it ends.
struct Files {
    ca: PathBuf,
    shm: PathBuf,
}

impl Files {
    fn new(ca: &str) -> anyhow::Result<Self> {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("spinlane-bench-{}-{number}", std::process::id());
        let files = Self {
            ca: std::env::temp_dir().join(format!("{name}.pem")),
            shm: PathBuf::from("/dev/shm").join(format!("{name}.shm")),
        };
        std::fs::write(&files.ca, ca).with_context(|| format!("{}", files.ca.display()))?;
        Ok(files)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.ca);
        let _ = std::fs::remove_file(&self.shm);
        let _ = std::fs::remove_file(Page::path(&self.shm));
    }
}

/// A client's process, ended with this value.
struct Process(Child);

impl Process {
    /// Ends it and returns what it wrote to stderr.
    fn last_words(&mut self) -> String {
        let _ = self.0.kill();
        let mut text = String::new();
        if let Some(mut pipe) = self.0.stderr.take() {
            let _ = pipe.read_to_string(&mut text);
        }
        format!("the client said: {}", text.trim())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Race<'_> {
    /// Runs all rounds. One [`Measured`] for each entrant and load, entrants in their order.
    ///
    /// Errors: a client that cannot be started, does not come up, or leaves.
    pub fn run(mut self) -> anyhow::Result<Vec<Measured>> {
        let venue = Venue::new(self.clock)?;
        let needed: Vec<Road> = self.entrants.iter().map(|one| one.road).collect();
        let roads = Roads::build(&needed)?;
        let files = Files::new(&venue.ca)?;
        let mut all: Vec<Measured> = self
            .entrants
            .iter()
            .flat_map(|one| {
                self.loads.iter().map(|load| Measured {
                    is_lane: one.is_lane,
                    ..Measured::new(&one.name, *load)
                })
            })
            .collect();
        let count = self.entrants.len();
        for round in 0..self.rounds {
            for step in 0..count {
                let at = (round + step) % count;
                let entrant = &self.entrants[at];
                (self.on_step)(round, &entrant.name);
                let rows = &mut all[at * self.loads.len()..][..self.loads.len()];
                let outcome = self
                    .heat(entrant, &venue, &roads, &files, rows)
                    .with_context(|| format!("{}, round {}", entrant.name, round + 1));
                match outcome {
                    Err(error) if self.is_strict || round == 0 && is_unheard(rows) => {
                        return Err(error);
                    }
                    Err(error) => miss(rows, round, &error),
                    Ok(()) => {}
                }
            }
        }
        Ok(all)
    }

    /// One client of one round.
    fn heat(
        &mut self,
        entrant: &Entrant,
        venue: &Venue,
        roads: &Roads,
        files: &Files,
        rows: &mut [Measured],
    ) -> anyhow::Result<()> {
        let mut hiccups = Hiccups::default();
        let core = self.seats.client_core;
        hiccups.look_at(self.seats, core, &self.clock, HICCUP_LOOK_NS);
        for row in &mut *rows {
            row.hiccups.add(&hiccups);
        }
        for file in [&files.shm, &Page::path(&files.shm)] {
            let _ = std::fs::remove_file(file);
        }
        let (seats, clock, loads) = (self.seats, self.clock, self.loads);
        let serve = || -> anyhow::Result<()> {
            seats.sit(seats.venue_core);
            // Before the client: it must not find nobody there.
            let net = roads.net(entrant.road, clock)?;
            let every = loads.first().map_or(1, |load| load.every);
            let mut child = start(entrant, seats, roads, files, every)?;
            let pid = child.0.id();
            let session = venue.session(net, Some(pid));
            let outcome = serve(entrant, session, pid, &files.shm, every, rows);
            // What it says when the venue leaves is no news; what it said before may be.
            outcome.with_context(|| child.last_words())
        };
        let outcome = std::thread::scope(|scope| scope.spawn(serve).join());
        outcome.unwrap_or_else(|_| bail!("the venue's thread panicked"))
    }
}

/// Whether nothing at all was measured.
fn is_unheard(rows: &[Measured]) -> bool {
    rows.iter().all(|row| row.samples.values.is_empty())
}

/// The rates a client did not live to see in this round: rounds must stay the same for all clients.
fn miss(rows: &mut [Measured], round: usize, error: &anyhow::Error) {
    let missed = |row: &&mut Measured| {
        let last = row.samples.windows.last();
        last.is_none_or(|last| (last.round as usize) < round)
    };
    for row in rows.iter_mut().filter(missed) {
        row.samples.add_round(&[false], []);
        row.ends.push(format!("{error:#}"));
    }
}

/// The client's process.
fn start(
    entrant: &Entrant,
    seats: &Seats,
    roads: &Roads,
    files: &Files,
    every: u64,
) -> anyhow::Result<Process> {
    let child = seats
        .client(&entrant.program)
        .args(&entrant.args)
        .args(roads.client_args(entrant.road)?)
        .args(["--connect", &roads.address(entrant.road)?.to_string()])
        .arg("--ca")
        .arg(&files.ca)
        .arg("--shm")
        .arg(&files.shm)
        .args(["--every", &every.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {}", entrant.program.display()))?;
    Ok(Process(child))
}

/// The venue's side of one client of one round.
fn serve(
    entrant: &Entrant,
    session: Session<'_>,
    pid: u32,
    shm: &Path,
    every: u64,
    rows: &mut [Measured],
) -> anyhow::Result<()> {
    let region = OnceCell::new();
    let mut session = session;
    let is_up = session.come_up(every, |session| {
        if entrant.is_lane {
            let attached = Region::attach(shm).context("the lane's shared memory")?;
            session.drain(region.get_or_init(|| attached))?;
        }
        Ok(())
    });
    is_up.with_context(|| region.get().map_or(String::new(), counted))?;
    let has_frames = entrant.is_lane && matches!(entrant.road, Road::Bypass { .. });
    if entrant.is_lane {
        doubt(pid, rows);
    }
    let page = has_frames.then(|| Page::attach(shm)).transpose()?;
    for row in rows {
        stand_aside(pid)?;
        let before = region.get().map(look);
        let spans = page.as_ref().map(Page::spans);
        let outcome = session.run(&row.load);
        let counted = || region.get().map_or(String::new(), counted);
        let outcome = outcome.with_context(counted)?;
        row.samples.add_round(&outcome.clean, outcome.values);
        row.asked += outcome.asked;
        row.answered += outcome.answered;
        row.strays += outcome.strays;
        row.late.add(&outcome.late)?;
        row.venue_load = row.venue_load.max(outcome.venue_load);
        row.preemptions.0 += outcome.preemptions.0;
        row.preemptions.1 += outcome.preemptions.1;
        if let (Some(before), Some(region)) = (before, region.get()) {
            merge(row, &before, &look(region));
        }
        if let (Some(before), Some(page)) = (spans, &page) {
            row.spans.merge(&page.spans().since(&before));
        }
    }
    Ok(())
}

/// Leaves both cores to others for a moment. Of a core that a real-time thread keeps, Linux gives ordinary tasks
/// that wait 50 ms after 950 (its fair server): what they do now they need not take out of the ticks.
fn stand_aside(pid: u32) -> anyhow::Result<()> {
    let pid = Pid::from_raw(pid.cast_signed());
    signal::kill(pid, Signal::SIGSTOP).context("stopping the client for a moment")?;
    std::thread::sleep(ASIDE);
    signal::kill(pid, Signal::SIGCONT).context("letting the client go on")
}

/// Notes what a node's lane has and this one, which is up, was not allowed (proc(5)).
fn doubt(pid: u32, rows: &mut [Measured]) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|rest| rest.split_whitespace().next())
    };
    for (is_so, doubt) in [
        (
            field("Seccomp:") == Some("2"),
            "its thread is not confined (seccomp)",
        ),
        (
            field("VmLck:").is_some_and(|locked| locked != "0"),
            "its memory is not locked",
        ),
    ] {
        for row in rows.iter_mut() {
            if !is_so && !row.doubts.contains(&doubt) {
                row.doubts.push(doubt);
            }
        }
    }
}

/// What a lane has counted, for the one who wonders why it did not come up.
fn counted(region: &Region) -> String {
    let counters = look(region).1;
    let counters = counters.iter().filter(|(_, count)| *count > 0);
    let words = counters.map(|(counter, count)| format!("{} {count}", counter.name()));
    format!("the lane counted: {}", words.collect::<Vec<_>>().join(", "))
}

/// A lane's stages and counters as they are.
type Look = (Vec<(Stage, HistSnapshot)>, Vec<(Counter, u64)>);

fn look(region: &Region) -> Look {
    let Some(lane) = region.lane(LaneId(0)) else {
        return Look::default();
    };
    let stage = |stage: &Stage| (*stage, lane.stages.view(*stage).snapshot());
    (
        Stage::ALL.iter().map(stage).collect(),
        lane.counters.iter().collect(),
    )
}

fn merge(row: &mut Measured, before: &Look, after: &Look) {
    for ((stage, then), (_, now)) in before.0.iter().zip(&after.0) {
        let grown = now.since(then);
        match row.stages.iter_mut().find(|(held, _)| held == stage) {
            Some((_, held)) => held.merge(&grown),
            None => row.stages.push((*stage, grown)),
        }
    }
    for ((counter, then), (_, now)) in before.1.iter().zip(&after.1) {
        let grown = now.saturating_sub(*then);
        match row.counters.iter_mut().find(|(held, _)| held == counter) {
            Some((_, held)) => *held += grown,
            None => row.counters.push((*counter, grown)),
        }
    }
}
