//! What the machine gives a measurement: a core, real-time priority, and the count of times it took them
//! away again.

use anyhow::Context as _;
use core::fmt;
use dp_transport::clock::{Clock, tsc};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::resource::{UsageWho, getrusage};
use serde::Serialize;
use std::fs::File;
use std::process::Command;

/// Priority of everything that is measured: above every ordinary thread, below the kernel's own.
const FIFO: &str = "10";
/// A gap between two clock reads of a spinning thread that counts as a hiccup, ns.
pub const HICCUP_NS: u64 = 10_000;

/// Where the two ends of a measurement run, and whether they got what they asked for.
#[derive(Debug, Clone, Serialize)]
pub struct Seats {
    /// The client's core.
    pub client_core: usize,
    /// The venue's core.
    pub venue_core: usize,
    /// Both run under SCHED_FIFO.
    pub is_fifo: bool,
    /// They have a core each.
    pub is_apart: bool,
}

impl Seats {
    /// Core 0 for the client, core 1 for the venue, unless told otherwise or there is one core only; tries
    /// whether SCHED_FIFO is allowed.
    pub fn find(client_core: usize, venue_core: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let [client_core, venue_core] = [client_core, venue_core].map(|core| core.min(cores - 1));
        let trial = Command::new("chrt").args(["-f", FIFO, "true"]).output();
        Self {
            client_core,
            venue_core,
            is_fifo: trial.is_ok_and(|trial| trial.status.success()),
            is_apart: client_core != venue_core,
        }
    }

    /// A command that runs on the client's core with the priority there is. Errors are the command's own.
    pub fn client(&self, program: &std::path::Path) -> Command {
        let core = self.client_core.to_string();
        let mut command = if self.is_fifo {
            let mut command = Command::new("chrt");
            command.args(["-f", FIFO, "taskset"]);
            command
        } else {
            Command::new("taskset")
        };
        command.args(["-c", &core]).arg(program).env(INSIDE, "1");
        command
    }

    /// Takes a core for the calling thread, and the priority there is.
    pub fn sit(&self, core: usize) {
        let _ = dp_transport::pin(core);
        if self.is_fifo {
            let thread = nix::unistd::gettid().to_string();
            let _ = Command::new("chrt")
                .args(["-f", "-p", FIFO, &thread])
                .output();
        }
    }

    /// What was asked for and is not so, as sentences.
    pub fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        if !self.is_fifo {
            doubts.push(
                "SCHED_FIFO is not allowed here: ordinary threads preempt both ends".to_owned(),
            );
        }
        if !self.is_apart {
            doubts.push(
                "one core for both ends: each waits for the other to be scheduled".to_owned(),
            );
        }
        let isolated = std::fs::read_to_string("/sys/devices/system/cpu/isolated");
        if isolated.unwrap_or_default().trim().is_empty() {
            doubts.push(
                "no core is isolated: p99.9 and max belong to the machine's neighbours".to_owned(),
            );
        }
        doubts
    }
}

/// The right to measure on this machine. Two benches at once would spin on the same cores at the same
/// priority, each waiting for what the other keeps from running.
pub struct Alone(#[expect(dead_code, reason = "held, not used")] Option<Flock<File>>);

/// Set for what a bench starts: it runs under the right of that one.
const INSIDE: &str = "SPINLANE_BENCH_INSIDE";

impl Alone {
    /// Waits until no other bench measures here. Errors: the lock file cannot be made.
    pub fn wait() -> anyhow::Result<Self> {
        if std::env::var_os(INSIDE).is_some() {
            return Ok(Self(None));
        }
        let path = std::env::temp_dir().join("spinlane-bench.lock");
        let open = || {
            let mut options = File::options();
            options.create(true).append(true).open(&path)
        };
        let file = open().with_context(|| format!("opening {}", path.display()))?;
        let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(Self(Some(lock))),
            Err((file, _)) => file,
        };
        eprintln!("another bench measures on this machine: waiting for it to end");
        let lock = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno)?;
        Ok(Self(Some(lock)))
    }
}

/// Waiting for the core of this much counts as preemption even where no switch was counted, ns.
const WAITED_NS: u64 = 1_000_000;

/// What the scheduler has done to a thread since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Suffered {
    /// Times it was made to leave its core while it wanted to run.
    pub switches: u64,
    /// How long it wanted to run and did not, ns. Grows when it runs again.
    pub waited_ns: u64,
}

impl Suffered {
    /// Of the calling thread.
    pub fn own() -> Self {
        let usage = getrusage(UsageWho::RUSAGE_THREAD);
        let switches = usage.map_or(0, |usage| usage.involuntary_context_switches());
        Self {
            switches: u64::try_from(switches).unwrap_or(0),
            waited_ns: waited_ns("/proc/thread-self/schedstat"),
        }
    }

    /// Of another process's main thread; nothing when it is gone.
    pub fn of(pid: u32) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let mut lines = status.lines();
        let count = lines.find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"));
        Self {
            switches: count.and_then(|text| text.trim().parse().ok()).unwrap_or(0),
            waited_ns: waited_ns(&format!("/proc/{pid}/schedstat")),
        }
    }

    /// Whether this, added in a stretch of time, is a preemption: made to leave, or kept waiting.
    pub const fn is_preempted(self) -> bool {
        self.switches > 0 || self.waited_ns > WAITED_NS
    }

    /// What was added after `earlier`.
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            switches: self.switches.saturating_sub(earlier.switches),
            waited_ns: self.waited_ns.saturating_sub(earlier.waited_ns),
        }
    }
}

/// The second field of a `schedstat` file: time on a run queue (kernel documentation, "Scheduler
/// Statistics").
fn waited_ns(path: &str) -> u64 {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let field = text.split_whitespace().nth(1);
    field.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Gaps a spinning thread saw.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Hiccups {
    /// How long was looked, ns.
    pub looked_ns: u64,
    /// Gaps over [`HICCUP_NS`].
    pub count: u64,
    /// The longest, ns.
    pub max_ns: u64,
    /// All of them together, ns.
    pub lost_ns: u64,
}

impl fmt::Display for Hiccups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            looked_ns,
            count,
            max_ns,
            lost_ns,
        } = self;
        write!(
            f,
            "hiccups: {count} over {} us in {} ms, longest {} us, together {} us",
            HICCUP_NS / 1_000,
            looked_ns / 1_000_000,
            max_ns / 1_000,
            lost_ns / 1_000
        )
    }
}

impl Hiccups {
    /// Spins for `window_ns` and adds where the time went that was not ours.
    pub fn look(&mut self, clock: &Clock, window_ns: u64) {
        let (begin, mut last) = (tsc(), tsc());
        loop {
            let now = tsc();
            let gap_ns = clock.cycles_to_ns(now.since(last));
            if gap_ns > HICCUP_NS {
                self.count += 1;
                self.lost_ns += gap_ns;
                self.max_ns = self.max_ns.max(gap_ns);
            }
            last = now;
            let looked_ns = clock.cycles_to_ns(now.since(begin));
            if looked_ns >= window_ns {
                self.looked_ns += looked_ns;
                return;
            }
        }
    }

    /// The same on a core of a measurement, by a thread that sits as its client does.
    pub fn look_at(&mut self, seats: &Seats, core: usize, clock: &Clock, window_ns: u64) {
        let mut seen = *self;
        let look = || {
            seats.sit(core);
            seen.look(clock, window_ns);
            seen
        };
        *self = std::thread::scope(|scope| scope.spawn(look).join()).unwrap_or(*self);
    }

    /// Adds another look.
    pub const fn add(&mut self, other: &Self) {
        self.looked_ns += other.looked_ns;
        self.count += other.count;
        self.lost_ns += other.lost_ns;
        if other.max_ns > self.max_ns {
            self.max_ns = other.max_ns;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hiccups_are_looked_for() {
        let clock = Clock::calibrate(20);
        let mut hiccups = Hiccups::default();
        hiccups.look(&clock, 5_000_000);
        assert!(hiccups.looked_ns >= 5_000_000);
        assert!(hiccups.lost_ns >= hiccups.max_ns);
        let seats = Seats::find(0, 1);
        hiccups.look_at(&seats, seats.client_core, &clock, 5_000_000);
        assert!(hiccups.looked_ns >= 10_000_000);
    }

    #[test]
    fn what_the_scheduler_did_can_be_seen_from_outside() {
        let before = Suffered::own();
        std::thread::yield_now();
        assert!(Suffered::own().since(before).waited_ns < u64::MAX / 2);
        assert!(Suffered::of(std::process::id()).waited_ns > 0 || before.waited_ns == 0);
        assert_eq!(
            Suffered::of(u32::MAX),
            Suffered::default(),
            "no such process"
        );
    }
}
