//! A recording played again, through the engine's own entry points.

use super::code::In;
use super::file::{Block, Blocks};
use super::recorder::Script;
use super::{FileFault, Input, Past, Scratch, Seated, Setting, Tap};
use crate::engine::{Engine, Seating, Setup};
use crate::wall::Wall;
use dp_journal::Entry;
use dp_shm::layout::Shape;
use dp_shm::{Region, ShmError};
use dp_strategy::{Kind, PARAMS_MAX, Values};
use dp_types::limit::INSTRUMENTS_MAX;
use dp_types::{Now, Tsc, UnixNanos};
use ring::digest;
use std::path::Path;

/// What a replay found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// Inputs played.
    pub inputs: u64,
    /// Of them, events of venues.
    pub events: u64,
    /// Records that came out.
    pub records: u64,
    /// Of them, orders.
    pub orders: u64,
    /// Of them, fills.
    pub fills: u64,
    /// Times the recording's sum of what came out was compared with ours.
    pub checks: u64,
    /// SHA-256 over all records that came out, without their places in the ring: the same for the same recording,
    /// whichever build played it.
    pub digest: [u8; 32],
    /// Time of the first and the last input.
    pub span: (UnixNanos, UnixNanos),
    /// Where the file ends before its lane did; `None` = it is whole.
    pub torn_at: Option<u64>,
    /// Where what came out is not what came out then. Nothing behind it was played.
    pub diverged: Option<Diverged>,
}

impl Replayed {
    /// The digest in hexadecimal.
    pub fn digest_text(&self) -> String {
        let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('?');
        let bytes = self.digest.iter();
        bytes
            .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
            .collect()
    }
}

/// Where a replay went another way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Diverged {
    /// After this input, from 0.
    pub input: u64,
    /// Its time.
    pub at: UnixNanos,
}

/// Why a recording cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ReplayFault {
    /// The file.
    #[error(transparent)]
    File(#[from] FileFault),
    /// Memory for it.
    #[error(transparent)]
    Memory(#[from] ShmError),
    /// It does not begin with what an engine is made with, or has it twice.
    #[error("the recording does not begin with its engine")]
    NoEngine,
    /// It has a strategy of a kind this program has not.
    #[error(
        "the recording has a strategy of the kind `{0}`, which this program has not: play it with the program that made it"
    )]
    UnknownKind(String),
    /// A strategy cannot be made of its values.
    #[error("the recording's strategy of the kind `{0}` cannot be made: {1}")]
    Strategy(String, String),
}

/// Plays a recording with strategies of these kinds; `on_entry` is given each record that comes out.
///
/// Errors: [`ReplayFault`]. A torn end and another outcome are no errors, but told.
pub fn replay(
    path: &Path,
    kinds: &[Kind],
    on_entry: &mut dyn FnMut(UnixNanos, &Entry),
) -> Result<Replayed, ReplayFault> {
    let mut tape = Tape::open(path)?;
    let mut scratch = Scratch::default();
    let Some(Input::Setup(setup)) = tape.next(&mut scratch)? else {
        return Err(ReplayFault::NoEngine);
    };
    let memory = Memory::new(&setup)?;
    let writer = memory.region.lane_writer(setup.lane)?;
    let mut wall = Wall::new(&memory.region, writer, setup.lane, setup.epoch);
    wall.tap = Tap::Replay(Box::default());
    let mut player = Player {
        engine: Engine::new(wall, setup),
        kinds,
        found: Replayed {
            inputs: 1,
            events: 0,
            records: 0,
            orders: 0,
            fills: 0,
            checks: 0,
            digest: [0; 32],
            span: (UnixNanos(0), UnixNanos(0)),
            torn_at: None,
            diverged: None,
        },
        sha: digest::Context::new(&digest::SHA256),
        on_entry,
    };
    while let Some(input) = tape.next(&mut scratch)? {
        // What was read while it worked stands behind it.
        tape.read_ahead(player.script())?;
        let now = tape.last;
        if player.found.span.0 == UnixNanos(0) {
            player.found.span.0 = now.unix;
        }
        player.found.span.1 = now.unix;
        let is_same = player.play(input)?;
        player.collect();
        if !is_same {
            player.found.diverged = Some(Diverged {
                input: player.found.inputs,
                at: now.unix,
            });
            break;
        }
        player.found.inputs += 1;
    }
    let mut found = player.found;
    found.digest.copy_from_slice(player.sha.finish().as_ref());
    found.torn_at = tape.torn_at;
    Ok(found)
}

/// Shared memory of a replay's own.
struct Memory {
    region: Region,
    _dir: tempfile::TempDir,
}

impl Memory {
    fn new(setup: &Setup) -> Result<Self, ReplayFault> {
        let io = |error| FileFault::Io {
            path: std::env::temp_dir(),
            error,
        };
        let dir = tempfile::tempdir().map_err(io)?;
        let lanes = u32::from(setup.lane.0) + 1;
        // Its rings are not used.
        let shape = Shape::new(lanes, INSTRUMENTS_MAX as u32, 256, 256);
        let (region, _) = Region::open_or_create(&dir.path().join("replay"), &shape)?;
        region.begin_run(setup.epoch, 1_000_000_000, UnixNanos(0));
        Ok(Self { region, _dir: dir })
    }
}

/// Inputs of a file, one after the other.
struct Tape {
    blocks: Blocks,
    block: Vec<u8>,
    at: usize,
    last: Now,
    torn_at: Option<u64>,
}

impl Tape {
    fn open(path: &Path) -> Result<Self, FileFault> {
        Ok(Self {
            blocks: Blocks::open(path)?,
            block: Vec::new(),
            at: 0,
            last: Now {
                tsc: Tsc(0),
                unix: UnixNanos(0),
            },
            torn_at: None,
        })
    }

    /// Whether there is a byte to read.
    fn fill(&mut self) -> Result<bool, FileFault> {
        while self.torn_at.is_none() && self.at >= self.block.len() {
            let position = self.blocks.position();
            self.at = 0;
            self.block.clear();
            match self.blocks.next(&mut self.block)? {
                Block::Whole => {}
                Block::End => return Ok(false),
                Block::Torn => self.torn_at = Some(position),
            }
        }
        Ok(self.torn_at.is_none())
    }

    fn next<'s>(&mut self, scratch: &'s mut Scratch) -> Result<Option<Input<'s>>, FileFault> {
        if !self.fill()? {
            return Ok(None);
        }
        let rest = self.block.get(self.at..).unwrap_or_default();
        let mut from = In(rest);
        let input = Input::get(&mut from, &mut self.last, scratch);
        self.at = self.block.len() - from.0.len();
        if input.is_none() {
            self.torn_at = Some(self.blocks.position());
        }
        Ok(input)
    }

    /// Takes what belongs to the input just read.
    fn read_ahead(&mut self, script: Option<&mut Script>) -> Result<(), FileFault> {
        let mut scratch = Scratch::default();
        let Some(script) = script else {
            return Ok(());
        };
        (script.asked, script.page, script.is_checkpoint_due) = (0, None, false);
        script.refused.clear();
        script.within.clear();
        loop {
            if !self.fill()? {
                return Ok(());
            }
            let rest = self.block.get(self.at..).unwrap_or_default();
            if !rest.first().is_some_and(|tag| Input::is_nested(*tag)) {
                return Ok(());
            }
            match self.next(&mut scratch)? {
                Some(Input::Refused(ask)) => script.refused.push_back(ask),
                Some(Input::Within(words)) => script.within.push_back(words),
                Some(Input::CheckpointDue) => script.is_checkpoint_due = true,
                Some(Input::Page(version, node, limits)) => {
                    script.page = Some((version, *node, limits));
                }
                _ => return Ok(()),
            }
        }
    }
}

struct Player<'r, 'k> {
    engine: Engine<'r>,
    kinds: &'k [Kind],
    found: Replayed,
    sha: digest::Context,
    on_entry: &'k mut dyn FnMut(UnixNanos, &Entry),
}

impl Player<'_, '_> {
    /// Always there: the engine was made with it.
    const fn script(&mut self) -> Option<&mut Script> {
        match &mut self.engine.wall.tap {
            Tap::Replay(script) => Some(script),
            Tap::Off | Tap::Record(_) => None,
        }
    }

    /// Gives the engine an input. False: what has come out is not what came out then.
    fn play(&mut self, input: Input<'_>) -> Result<bool, ReplayFault> {
        let engine = &mut self.engine;
        match input {
            Input::Setup(_) => return Err(ReplayFault::NoEngine),
            Input::Feeds(venue, plan) => engine.set_feeds(venue, plan),
            Input::Follow(id, max) => engine.follow_orders(id, max),
            Input::Recover(past, now) => engine.recover(&Past::recovered(*past), now),
            Input::Instruments(venue, list) => engine.set_instruments(venue, &list),
            Input::Limits(id, limits) => engine.set_limits(id, limits),
            Input::Seat(seated, seen) => self.seat(*seated, seen)?,
            Input::Set(setting) => self.set(setting),
            Input::Words(words, now) => engine.take_words(&words, now),
            Input::Event(feed, event, now) => {
                self.found.events += 1;
                engine.on_event_of(feed, &event, now, now.tsc);
            }
            Input::Book(feed, msg, now, arrived) => {
                self.found.events += 1;
                engine.on_book(feed, &msg, now, arrived, now.tsc);
            }
            Input::BookLost(id, feed, now) => engine.on_ring_lost(id, feed, now),
            Input::Fact(venue, fact, now) => engine.on_fact(venue, fact, now),
            Input::Outcome(outcome, now) => engine.on_outcome(outcome, now),
            Input::Errand(outcome, now) => engine.on_outcome_of_errand(outcome, now),
            Input::CancelPassed(id, now) => engine.on_cancel_passed(id, now),
            Input::AmendPassed(id, now) => {
                engine.on_amend_passed(id, now);
            }
            Input::Tick(now) => engine.on_tick(now),
            Input::Command(note, seen) => {
                engine.see(seen);
                engine.on_command(&note);
            }
            Input::Stop(seen) => {
                engine.see(seen);
                engine.stop();
            }
            Input::Elsewhere(it) => engine.take_elsewhere(it),
            Input::Took => return Ok(engine.next_action().is_some()),
            Input::Drained => return Ok(engine.next_action().is_none()),
            Input::Check(sum) => {
                self.found.checks += 1;
                return Ok(self.script().is_some_and(|script| script.sum.0 == sum));
            }
            // Belonged to an input that was not there.
            Input::Refused(_) | Input::CheckpointDue | Input::Page(..) | Input::Within(_) => {}
        }
        Ok(true)
    }

    fn seat(&mut self, seated: Seated, seen: UnixNanos) -> Result<(), ReplayFault> {
        let name = seated.kind.as_str();
        let kind = self.kinds.iter().find(|kind| kind.name == name);
        let kind = *kind.ok_or_else(|| ReplayFault::UnknownKind(name.to_owned()))?;
        let values = |raw: &[i64; PARAMS_MAX]| {
            Values::from_raw(kind.params, raw)
                .map_err(|fault| ReplayFault::Strategy(name.to_owned(), fault.to_string()))
        };
        let seating = Seating {
            id: seated.id,
            name: seated.name,
            kind,
            values: values(&seated.values)?,
            configured: values(&seated.configured)?,
            legs: seated.legs,
            identity: seated.identity,
            goal: seated.goal,
            saved: seated.saved,
        };
        self.engine.see(seen);
        self.engine.sit(seating);
        Ok(())
    }

    fn set(&mut self, setting: Setting) {
        let engine = &mut self.engine;
        match setting {
            Setting::Watch(limits) => engine.set_watch(limits),
            Setting::ExposureMax(max) => engine.set_exposure_max(max),
            Setting::OrderValueMax(max) => engine.set_order_value_max(max),
            Setting::CurrencyMax(asset, max) => engine.set_currency_max(asset, max),
            Setting::Currency(asset) => engine.set_currency(asset),
            Setting::Rate(asset, rate) => engine.set_rate(asset, rate),
            Setting::Tolerance(instrument, qty) => engine.set_tolerance(instrument, qty),
            Setting::BalanceTolerance(asset, amount) => engine.set_balance_tolerance(asset, amount),
            Setting::SharedAccount(venue) => engine.share_account(venue),
            Setting::ListedPositions(venue) => engine.await_positions(venue),
            Setting::BalanceRounding(asset, amount) => engine.set_balance_rounding(asset, amount),
        }
    }

    /// Takes what came out of the input in hand.
    fn collect(&mut self) {
        let Some(script) = self.script() else { return };
        let entries = core::mem::take(&mut script.entries);
        for (at, entry) in &entries {
            self.found.records += 1;
            match entry {
                Entry::OrderIntent(_) => self.found.orders += 1,
                Entry::Fill(_) => self.found.fills += 1,
                _ => {}
            }
            let record = dp_journal::Record {
                seq: 0,
                epoch: dp_types::Epoch(0),
                lane: self.engine.wall.lane(),
                at: *at,
                entry: *entry,
            };
            for word in record.encode() {
                self.sha.update(&word.to_le_bytes());
            }
            (self.on_entry)(*at, entry);
        }
    }
}
