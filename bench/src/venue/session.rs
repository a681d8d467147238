//! One client's connections and the timetable kept for it.
//!
//! ```text
//!   come_up ─▶ keep(load) ─▶ keep(load) …        one client process, several rates
//!      └ keep: loop { due? tell : hear orders, stamp, answer ; window over? look at the counters }
//! ```

use super::conn::{Conn, Role};
use super::drain::Drain;
use super::net::Net;
use super::texts::{Desk, Heard};
use super::walk::NUMBERS;
use super::{Load, Outcome, Venue};
use crate::host::Suffered;
use crate::stats::{self, WINDOW_NS};
use anyhow::{Context as _, bail, ensure};
use dp_shm::Region;
use dp_transport::clock::tsc;
use dp_types::Tsc;
use std::collections::VecDeque;

/// Ticks sealed and written at once when several are due.
const BURST: u64 = 64;
/// How often everything but orders is looked at, ns.
const COLD_NS: u64 = 1_000_000;
/// How long the last orders are waited for, ns.
const TAIL_NS: u64 = 2_000_000_000;
/// How long a client may take to come up, ns.
const COME_UP_NS: u64 = 30_000_000_000;
/// A turn of the venue's own loop that took this long, and what it did beside, was taken from it (an interrupt,
/// the hypervisor).
const TURN_NS: u64 = 500_000;
/// What a turn may take more for each order heard or tick told, ns: several times what one costs, so that no
/// backlog a client made by itself is ever taken for time the venue lost.
const PIECE_NS: u64 = 20_000;
/// The same for a request or a new connection (a snapshot, a handshake), ns.
const COLD_PIECE_NS: u64 = 50 * PIECE_NS;
/// After a preemption the client has caught up when fewer orders are missing than are due in this, ns.
const CAUGHT_UP_NS: u64 = 1_000_000;
/// It is given so many times what was lost to catch up in, and one window at least: who takes longer is slow by
/// itself.
const CATCH_UP_TIMES: u64 = 4;
/// Sealed bytes a client may be behind: a second of 1,000,000 ticks.
const BEHIND_BYTES_MAX: usize = 800 << 20;
/// Ticks of the trial that shows whether a client is up, and their rate.
const TRIAL: (u64, u64) = (100, 2_000);

/// One accepted connection. What it is shows by its first byte.
#[derive(Default)]
struct Port {
    conn: Option<Conn>,
    /// What the network did not take at once.
    behind: VecDeque<u8>,
}

impl Port {
    /// One read, and when it came back with something; that is decrypted here too.
    fn pull(
        &mut self,
        at: usize,
        net: &mut dyn Net,
        venue: &Venue,
        buffer: &mut [u8],
    ) -> anyhow::Result<Option<Tsc>> {
        let Some((count, arrival)) = net.read(at, buffer)? else {
            return Ok(None);
        };
        if self.conn.is_none() {
            let is_tls = buffer.first() == Some(&22);
            self.conn = Some(Conn::new(is_tls.then_some(&venue.tls))?);
        }
        if let Some(conn) = &mut self.conn {
            conn.on_bytes(&buffer[..count])?;
        }
        Ok(Some(arrival))
    }

    /// Writes what the network takes. Errors: the client is [`BEHIND_BYTES_MAX`] behind, or gone.
    fn push(&mut self, at: usize, net: &mut dyn Net) -> anyhow::Result<()> {
        let Some(conn) = &mut self.conn else {
            return Ok(());
        };
        if self.behind.is_empty() {
            let count = net.write(at, &conn.out)?;
            self.behind.extend(&conn.out[count..]);
        } else {
            self.behind.extend(&conn.out);
            let count = net.write(at, self.behind.as_slices().0)?;
            self.behind.drain(..count);
        }
        conn.out.clear();
        ensure!(
            self.behind.len() < BEHIND_BYTES_MAX,
            "the client is {} MiB behind: it cannot keep up with this rate",
            BEHIND_BYTES_MAX >> 20
        );
        Ok(())
    }
}

/// One client's connections and the ticks it was told.
pub struct Session<'v> {
    venue: &'v Venue,
    net: Box<dyn Net + 'v>,
    pid: Option<u32>,
    ports: Vec<Port>,
    feed: Option<usize>,
    orders: Option<usize>,
    /// Number of the next tick to say.
    next: u64,
    /// One past the last tick sealed; those from `next` on stand in `ready`.
    sealed: u64,
    ready: Vec<u8>,
    buffer: Box<[u8]>,
    desk: Desk,
    /// Cycles worked.
    busy: u64,
    /// What this turn's work may take, ns.
    allowed_ns: u64,
    cold_at: u64,
    drain: Option<Drain<'v>>,
}

/// A timetable in cycles of the counter.
#[derive(Clone, Copy)]
struct Table {
    load: Load,
    /// Number of its first tick.
    first: u64,
    start: u64,
    hz: u64,
}

impl Table {
    /// When a tick of it is due: with the first of its burst.
    fn due(&self, tick: u64) -> u64 {
        let tick = tick - tick % self.load.burst;
        let cycles = u128::from(tick) * u128::from(self.hz) / u128::from(self.load.rate.max(1));
        self.start + cycles as u64
    }

    const fn total(&self) -> u64 {
        self.load.warm + self.load.ticks
    }

    fn cycles(&self, ns: u64) -> u64 {
        (u128::from(ns) * u128::from(self.hz) / 1_000_000_000) as u64
    }

    /// The window a moment belongs to; those before the ticks that count are window 0.
    fn window(&self, at: u64) -> usize {
        (at.saturating_sub(self.due(self.load.warm)) / self.cycles(WINDOW_NS)) as usize
    }
}

/// A timetable being kept.
struct Run {
    table: Table,
    said: u64,
    /// One bit a tick: answered.
    done: Vec<u64>,
    outcome: Outcome,
    window: usize,
    dirty: Vec<bool>,
    seen: [Suffered; 2],
    /// Orders the ticks said so far call for, and those that came.
    wanted: u64,
    came: u64,
    /// A preemption's backlog is still being worked off: to the end of the one window at least, of the other at
    /// most.
    behind: Option<(usize, usize)>,
}

impl Run {
    fn new(table: Table, seen: [Suffered; 2]) -> Self {
        let Load {
            warm, ticks, every, ..
        } = table.load;
        let is_asked = |tick: &u64| (table.first + tick).is_multiple_of(every);
        let asked = (warm..warm + ticks).filter(is_asked).count() as u64;
        let lasts_ns = u128::from(ticks) * 1_000_000_000 / u128::from(table.load.rate.max(1));
        let windows = lasts_ns.div_ceil(u128::from(WINDOW_NS)).max(1) as usize;
        Self {
            table,
            said: 0,
            done: vec![0; (table.total() / 64 + 1) as usize],
            outcome: Outcome {
                values: Vec::with_capacity(asked as usize),
                clean: Vec::new(),
                asked,
                answered: 0,
                strays: 0,
                late: stats::histogram(),
                venue_load: 0.0,
                preemptions: (0, 0),
            },
            window: 0,
            dirty: vec![false; windows],
            seen,
            wanted: 0,
            came: 0,
            behind: None,
        }
    }

    /// The order of tick `number` (as far as it is known) arrived at `arrival`.
    fn on_order(&mut self, number: Option<u64>, arrival: Tsc, ns: impl Fn(u64) -> u64) {
        let last = (self.table.first + self.said).wrapping_sub(1);
        // The latest tick said that has this number.
        let tick = number
            .map(|number| last.wrapping_sub((last % NUMBERS + NUMBERS - number) % NUMBERS))
            .and_then(|number| number.checked_sub(self.table.first))
            .filter(|tick| *tick < self.said);
        let Some(tick) = tick else {
            self.outcome.strays += 1;
            return;
        };
        let bit = 1 << (tick % 64);
        let word = &mut self.done[(tick / 64) as usize];
        if *word & bit != 0 {
            self.outcome.strays += 1;
            return;
        }
        *word |= bit;
        self.came += 1;
        if tick < self.table.load.warm {
            return;
        }
        let due = self.table.due(tick);
        let latency = ns(arrival.0.saturating_sub(due)).max(1);
        let latency = u32::try_from(latency).unwrap_or(u32::MAX);
        let window = self.table.window(due).min(self.dirty.len() - 1);
        self.outcome.values.push((latency, window as u32));
        self.outcome.answered += 1;
    }

    /// Looks at the counters when a window is over. A switch is counted when the thread leaves and its
    /// waiting when it is back: everything from then to now was lost, however many windows it spans.
    fn pass_windows(&mut self, now: u64, look: impl FnOnce() -> [Suffered; 2]) {
        let window = self.table.window(now).min(self.dirty.len());
        if window <= self.window {
            return;
        }
        let seen = look();
        let grown = [0, 1].map(|at| seen[at].since(self.seen[at]));
        let waited_ns = grown
            .map(|one| one.waited_ns)
            .into_iter()
            .max()
            .unwrap_or(0);
        if grown.iter().any(|one| one.is_preempted()) {
            let back = now.saturating_sub(self.table.cycles(waited_ns));
            let from = self.table.window(back).min(self.window);
            self.dirty[from..window].fill(true);
            self.fall_behind(window, waited_ns);
        } else if let Some((least, most)) = self.behind {
            // The window that follows, and those until the client has caught up or had time to.
            let until = window.min(most + 1).max(self.window);
            self.dirty[self.window..until].fill(true);
            let missing = self.wanted.saturating_sub(self.came);
            let Load { rate, every, .. } = self.table.load;
            let normal = rate * CAUGHT_UP_NS / 1_000_000_000 / every;
            let has_more = window <= least || missing > normal.max(1) && window <= most;
            self.behind = self.behind.filter(|_| has_more);
        }
        (self.window, self.seen) = (window, seen);
    }

    /// The backlog of `lost_ns` is worked off from `window` on.
    fn fall_behind(&mut self, window: usize, lost_ns: u64) {
        let windows = lost_ns.saturating_mul(CATCH_UP_TIMES) / WINDOW_NS;
        let (least, most) = self.behind.unwrap_or_default();
        let most = most.max(window + windows as usize);
        self.behind = Some((least.max(window), most));
    }

    /// A turn of the venue's loop, from `from` to `to`, in which it did what may take `allowed_ns`. Longer, and
    /// the venue itself stood still.
    fn turned(&mut self, from: u64, to: u64, allowed_ns: u64) {
        let took = to.saturating_sub(from);
        let allowed = self.table.cycles(TURN_NS.saturating_add(allowed_ns));
        if took <= allowed || to < self.table.due(self.table.load.warm) {
            return;
        }
        let last = self.dirty.len() - 1;
        let [from, to] = [from, to].map(|at| self.table.window(at).min(last));
        self.dirty[from..=to].fill(true);
        let lost_ns = u128::from(took) * 1_000_000_000 / u128::from(self.table.hz.max(1));
        self.fall_behind(to + 1, lost_ns as u64);
    }

    /// Which windows were left alone, and were not busy with what an earlier one left over.
    fn clean(&self) -> Vec<bool> {
        self.dirty.iter().map(|is_dirty| !is_dirty).collect()
    }
}

impl Venue {
    /// A session with the next client that connects over `net`. `pid` is its process, when it has one of its
    /// own.
    pub fn session<'v>(&'v self, net: Box<dyn Net + 'v>, pid: Option<u32>) -> Session<'v> {
        Session {
            venue: self,
            net,
            pid,
            ports: Vec::new(),
            feed: None,
            orders: None,
            next: 0,
            sealed: 0,
            ready: Vec::with_capacity(128 << 10),
            buffer: vec![0; 64 << 10].into_boxed_slice(),
            desk: Desk::default(),
            busy: 0,
            allowed_ns: 0,
            cold_at: 0,
            drain: None,
        }
    }
}

impl<'v> Session<'v> {
    /// Empties the rings of this node from now on.
    pub fn drain(&mut self, region: &'v Region) -> anyhow::Result<()> {
        self.drain = Some(Drain::new(region)?);
        Ok(())
    }

    /// Serves until a trial is answered tick by tick, one tick in `every`. `attach` is called once market
    /// data may flow, for what the client has made by then. Errors: it left, or took too long.
    pub fn come_up(
        &mut self,
        every: u64,
        attach: impl FnOnce(&mut Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let begin = tsc();
        let mut attach = Some(attach);
        while self.venue.clock.cycles_to_ns(tsc().since(begin)) < COME_UP_NS {
            self.cold()?;
            self.hear(None)?;
            if self.feed.is_none() || self.orders.is_none() {
                std::thread::sleep(core::time::Duration::from_micros(200));
                continue;
            }
            if let Some(attach) = attach.take() {
                attach(self)?;
            }
            let trial = Load {
                rate: TRIAL.1 * every.min(50),
                warm: 0,
                ticks: TRIAL.0 * every,
                every,
                stall: None,
                burst: 1,
                per_record: 1,
            };
            let outcome = self.keep(&trial, TAIL_NS / 20)?;
            if outcome.answered == outcome.asked && outcome.asked > 0 {
                return Ok(());
            }
        }
        bail!(
            "the client did not answer ticks within {} s",
            COME_UP_NS / 1_000_000_000
        )
    }

    /// Keeps a timetable and waits for the last orders. Errors: the client left.
    pub fn run(&mut self, load: &Load) -> anyhow::Result<Outcome> {
        self.keep(load, TAIL_NS)
    }

    fn keep(&mut self, load: &Load, tail_ns: u64) -> anyhow::Result<Outcome> {
        ensure!(
            load.every > 0 && NUMBERS.is_multiple_of(load.every),
            "{} does not divide {NUMBERS}",
            load.every
        );
        let (burst, per_record) = (load.burst, load.per_record);
        ensure!(
            BURST.is_multiple_of(burst) && burst.is_multiple_of(per_record),
            "bursts of {burst} by {per_record}: each must divide the next, and {BURST}"
        );
        ensure!(
            load.warm.is_multiple_of(burst) && load.ticks.is_multiple_of(burst),
            "bursts of {burst} do not fill the timetable"
        );
        let clock = self.venue.clock;
        self.seal(per_record)?;
        let table = Table {
            load: *load,
            first: self.next,
            // Long enough from now to be on time for the first one.
            start: tsc().0 + clock.tsc_hz() / 1_000,
            hz: clock.tsc_hz(),
        };
        let before = self.preemptions();
        let busy = self.busy;
        let mut run = Run::new(table, before);
        let end = table.due(table.total());
        let mut stall = load.stall;
        let mut turn = tsc().0;
        loop {
            let last = core::mem::replace(&mut turn, tsc().0);
            run.turned(last, turn, core::mem::take(&mut self.allowed_ns));
            // Each turn: a client's backlog may keep the venue from ever finding nothing to hear.
            run.pass_windows(turn, || self.preemptions());
            if run.said < table.total() && tsc().0 >= table.due(run.said) {
                if let Some((_, ns)) = stall.take_if(|(at, _)| run.said >= load.warm + *at) {
                    stand_still(table.cycles(ns));
                }
                self.tell(&mut run)?;
            }
            if self.hear(Some(&mut run))? {
                continue;
            }
            let now = tsc().0;
            if run.said == table.total() && now >= end {
                let is_late = now > end + table.cycles(tail_ns);
                if is_late || run.outcome.answered == run.outcome.asked {
                    break;
                }
            }
            if now >= self.cold_at {
                self.cold_at = now + table.cycles(COLD_NS);
                self.cold()?;
            }
        }
        let after = self.preemptions();
        let clean = run.clean();
        let mut outcome = run.outcome;
        outcome.clean = clean;
        outcome.venue_load =
            (self.busy - busy) as f64 / tsc().0.saturating_sub(table.start).max(1) as f64;
        let [client, own] = [0, 1].map(|at| after[at].since(before[at]).switches);
        outcome.preemptions = (client, own);
        Ok(outcome)
    }

    /// Writes every tick that is due, and seals the one after.
    fn tell(&mut self, run: &mut Run) -> anyhow::Result<()> {
        let begin = tsc().0;
        let table = run.table;
        let mut count = 1;
        while count < BURST
            && run.said + count < table.total()
            && begin >= table.due(run.said + count)
        {
            count += 1;
        }
        let per_record = table.load.per_record;
        while self.sealed < self.next + count {
            self.seal(per_record.min(self.next + count - self.sealed))?;
        }
        let feed = self.feed.context("no market data connection")?;
        let port = &mut self.ports[feed];
        if let Some(conn) = &mut port.conn {
            conn.out.extend_from_slice(&self.ready);
        }
        self.ready.clear();
        port.push(feed, &mut *self.net)?;
        for tick in (run.said..run.said + count).filter(|tick| *tick >= table.load.warm) {
            let late = self.venue.clock.cycles_to_ns(begin - table.due(tick));
            run.outcome.late.saturating_record(late.max(1));
        }
        let every = table.load.every;
        let asked = (self.next..self.next + count).filter(|at| at.is_multiple_of(every));
        run.wanted += asked.count() as u64;
        run.said += count;
        self.next += count;
        if run.said < table.total() {
            self.seal(per_record)?;
        }
        self.busy += tsc().0 - begin;
        Ok(())
    }

    /// Seals more ticks, as one record, behind those that are ready.
    fn seal(&mut self, ticks: u64) -> anyhow::Result<()> {
        let feed = self.feed.context("no market data connection")?;
        let Some(conn) = &mut self.ports[feed].conn else {
            return Ok(());
        };
        let unix_ms = self.venue.clock.now().unix.millis();
        for tick in self.sealed..self.sealed + ticks {
            self.venue.walk.write(tick, unix_ms, conn.said());
        }
        let waiting = conn.out.len();
        conn.seal()?;
        self.ready.extend_from_slice(&conn.out[waiting..]);
        conn.out.truncate(waiting);
        self.sealed += ticks;
        self.allowed_ns += ticks * PIECE_NS;
        Ok(())
    }

    /// One look at the order connection. Says whether something came.
    fn hear(&mut self, run: Option<&mut Run>) -> anyhow::Result<bool> {
        let Some(orders) = self.orders else {
            return Ok(false);
        };
        let port = &mut self.ports[orders];
        let Some(arrival) = port.pull(orders, &mut *self.net, self.venue, &mut self.buffer)? else {
            return Ok(false);
        };
        let clock = self.venue.clock;
        let Some(conn) = &mut port.conn else {
            return Ok(false);
        };
        let mut numbers = [None; 64];
        let mut run = run;
        loop {
            let mut count = 0;
            while count < numbers.len()
                && let Some(text) = conn.next_frame()
            {
                self.allowed_ns += PIECE_NS;
                let heard = self.desk.hear(text, clock.now().unix.millis());
                for text in self.desk.said() {
                    conn.say(text);
                }
                if let Heard::Order(number) = heard {
                    numbers[count] = number;
                    count += 1;
                }
            }
            if let Some(run) = run.as_deref_mut() {
                for number in &numbers[..count] {
                    run.on_order(*number, arrival, |cycles| clock.cycles_to_ns(cycles));
                }
            }
            if count < numbers.len() {
                break;
            }
        }
        conn.seal()?;
        port.push(orders, &mut *self.net)?;
        if let Some(drain) = &mut self.drain {
            drain.run();
        }
        self.busy += tsc().since(arrival);
        Ok(true)
    }

    /// Everything that is not a tick or an order: connections, REST, what a full socket left over.
    fn cold(&mut self) -> anyhow::Result<()> {
        self.net.tend();
        if self.net.accept()? {
            self.ports.push(Port::default());
            self.allowed_ns += COLD_PIECE_NS;
        }
        for at in 0..self.ports.len() {
            let port = &mut self.ports[at];
            if self.orders == Some(at) {
                // Its orders are heard where their arrival counts.
                port.push(at, &mut *self.net)?;
                continue;
            }
            if port
                .pull(at, &mut *self.net, self.venue, &mut self.buffer)?
                .is_some()
            {
                self.allowed_ns += COLD_PIECE_NS;
            }
            let Some(conn) = &mut port.conn else {
                continue;
            };
            while let Some(target) = conn.next_request()? {
                let body = Desk::rest(&self.venue.walk, self.next, &target);
                conn.say_http(&body);
                conn.seal()?;
            }
            while conn.next_frame().is_some() {}
            match conn.role {
                Some(Role::Feed) if conn.is_upgraded() => self.feed = Some(at),
                Some(Role::Orders) if conn.is_upgraded() => self.orders = Some(at),
                _ => {}
            }
            port.push(at, &mut *self.net)?;
        }
        if let Some(drain) = &mut self.drain {
            drain.run();
        }
        Ok(())
    }

    fn preemptions(&self) -> [Suffered; 2] {
        let client = self.pid.map_or_else(Suffered::default, Suffered::of);
        [client, Suffered::own()]
    }
}

fn stand_still(cycles: u64) {
    let begin = tsc();
    while tsc().since(begin) < cycles {
        core::hint::spin_loop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HZ: u64 = 1_000_000_000;
    const MS: u64 = 1_000_000;
    const QUIET: [Suffered; 2] = [Suffered {
        switches: 0,
        waited_ns: 0,
    }; 2];

    /// A second at 30,000/s in cycles of 1 ns, from 0.
    fn new() -> Run {
        let load = Load {
            warm: 0,
            ..Load::new(30_000, 1.0)
        };
        let table = Table {
            load,
            first: 0,
            start: 0,
            hz: HZ,
        };
        Run::new(table, QUIET)
    }

    fn dirty(run: &Run) -> Vec<usize> {
        let all = run.dirty.iter().enumerate();
        all.filter(|(_, is_dirty)| **is_dirty)
            .map(|(at, _)| at)
            .collect()
    }

    #[test]
    fn a_turn_may_be_as_long_as_its_work_and_no_longer() {
        let mut run = new();
        // What a client's stall of 50 ms leaves: 1,500 orders in one turn.
        run.turned(100 * MS, 115 * MS, 1_500 * PIECE_NS);
        run.pass_windows(115 * MS, || QUIET);
        run.turned(115 * MS, 115 * MS + TURN_NS, 0);
        assert!(dirty(&run).is_empty(), "hearing them is no preemption");
        // As long without work: the venue was taken away; the window after it goes too.
        run.pass_windows(210 * MS, || QUIET);
        run.turned(210 * MS, 225 * MS, 0);
        for at in 225..500 {
            run.pass_windows(at * MS, || QUIET);
        }
        assert_eq!(dirty(&run), [10, 11, 12]);
    }

    #[test]
    fn who_is_always_behind_is_not_excused_for_ever() {
        let mut run = new();
        run.pass_windows(20 * MS, || QUIET);
        let waited = Suffered {
            switches: 1,
            waited_ns: 15 * MS,
        };
        // Never again fewer than a millisecond's orders are missing.
        run.wanted = 10_000;
        for at in 21..1_000 {
            run.pass_windows(at * MS, || [waited, QUIET[1]]);
        }
        // 15 ms lost, four times as long to catch up: its own window, three, and the one begun.
        assert_eq!(dirty(&run), [1, 2, 3, 4, 5]);
        run = new();
        for at in 1..1_000 {
            run.pass_windows(at * MS, || [waited, QUIET[1]]);
        }
        assert_eq!(dirty(&run), [0, 1], "caught up at once: one window");
    }
}
