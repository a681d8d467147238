//! `spinlane lanes`: whether each lane turns, where it hangs when it does not, and what it costs the kernel.
//!
//! ```text
//!   beat younger than 50 ms   fine
//!   older                     slow
//!   older than 500 ms         stuck: its thread's state, what it waits in, its kernel stack (root)
//!   process gone              dead         ended in order   stopped
//! ```
//! A lane that parks beats each 2 ms, others each turn. The beat is read from shared memory and the rest from
//! /proc: neither needs the lane, the dataplane or the control plane to answer.

use super::{age_ms, is_alive, now};
use crate::table::{Table, count};
use dp_shm::{Counter, LaneView, Region};
use dp_types::UnixNanos;
use serde::{Deserialize, Serialize};
use std::sync::atomic::Ordering::Relaxed;

/// A beat older than this is slow, milliseconds: 25 times what the longest park takes.
pub const SLOW_MS: u64 = 50;
/// A beat older than this is stuck, milliseconds.
pub const STUCK_MS: u64 = 500;
/// Frames of a kernel stack shown.
const FRAMES_MAX: usize = 8;

/// How a lane stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It ended in order, or never ran.
    #[default]
    Stopped,
    /// It turns.
    Fine,
    /// Its last beat is older than [`SLOW_MS`].
    Slow,
    /// Its last beat is older than [`STUCK_MS`].
    Stuck,
    /// Its process is gone.
    Dead,
}

impl Health {
    /// The word in tables and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Fine => "fine",
            Self::Slow => "slow",
            Self::Stuck => "STUCK",
            Self::Dead => "DEAD",
        }
    }

    /// By the age of the last beat; `None` = it has not beaten since its start.
    pub const fn of_beat(age_ms: Option<u64>) -> Self {
        match age_ms {
            Some(..=SLOW_MS) => Self::Fine,
            Some(..=STUCK_MS) => Self::Slow,
            Some(_) => Self::Stuck,
            None => Self::Stopped,
        }
    }

    /// Nobody trades on this lane though somebody should.
    pub const fn is_ill(self) -> bool {
        matches!(self, Self::Stuck | Self::Dead)
    }
}

/// A lane's thread as the kernel sees it (proc(5)).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Thread {
    /// Its state: `R (running)`, `S (sleeping)`, `t (tracing stop)`, ….
    pub state: Option<String>,
    /// Kernel function it waits in; absent when it runs, or the kernel does not say.
    pub waits_in: Option<String>,
    /// Its kernel stack, innermost first; empty when it runs in user space or we are not root.
    pub kernel_stack: Vec<String>,
}

impl Thread {
    /// Reads what the kernel tells; nothing for a thread that is gone.
    pub fn read(pid: u32, thread: u32) -> Self {
        let file = |name: &str| {
            let text = std::fs::read_to_string(format!("/proc/{pid}/task/{thread}/{name}"));
            text.unwrap_or_default()
        };
        let status = file("status");
        let state = status.lines().find_map(|line| line.strip_prefix("State:"));
        let waits_in = file("wchan");
        let stack = file("stack");
        // `[<0>] function+0x12/0x34`
        let frames = stack.lines().filter_map(|line| line.split(' ').nth(1));
        Self {
            state: state.map(|state| state.trim().to_owned()),
            waits_in: (!matches!(waits_in.as_str(), "" | "0")).then_some(waits_in),
            kernel_stack: frames.take(FRAMES_MAX).map(str::to_owned).collect(),
        }
    }

    /// For people: `t (tracing stop), waits in ptrace_stop`.
    pub fn text(&self) -> String {
        let mut text = self.state.clone().unwrap_or_else(|| "gone".into());
        if let Some(waits_in) = &self.waits_in {
            text.push_str(", waits in ");
            text.push_str(waits_in);
        }
        if !self.kernel_stack.is_empty() {
            text.push_str("; kernel stack ");
            text.push_str(&self.kernel_stack.join(" < "));
        }
        text
    }
}

/// Page faults and context switches of a lane's thread.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Costs {
    /// Page faults, minor and major.
    pub page_faults: u64,
    /// Context switches it asked for: it slept or waited.
    pub voluntary_switches: u64,
    /// Context switches it did not: somebody else got the core.
    pub involuntary_switches: u64,
}

impl From<[u64; 3]> for Costs {
    fn from([page_faults, voluntary_switches, involuntary_switches]: [u64; 3]) -> Self {
        Self {
            page_faults,
            voluntary_switches,
            involuntary_switches,
        }
    }
}

/// Costs since the lane's connections stand and its orders are compared.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Steady {
    /// Since when, milliseconds.
    pub for_ms: Option<u64>,
    /// The costs.
    #[serde(flatten)]
    pub costs: Costs,
}

/// How a lane stands with the machine.
#[derive(Debug, Clone, Serialize)]
pub struct Standing {
    /// Which.
    pub lane: u8,
    /// What it does, of [`dp_shm::ROLES`]; none before its first start.
    pub roles: Vec<&'static str>,
    /// How it stands.
    pub health: Health,
    /// Core it is pinned to.
    pub core: Option<u32>,
    /// Its process.
    pub pid: u32,
    /// Its kernel thread; 0 = it does not run.
    pub thread: u32,
    /// Since its last beat.
    pub beat_age_ms: Option<u64>,
    /// Longest duty cycle since its start, waits and stalls included.
    pub cycle_ns_max: Option<u64>,
    /// Where it hangs, when it is not fine.
    pub hangs: Option<Thread>,
    /// Since its thread started, setting up included.
    pub since_start: Costs,
    /// Since it is steady; absent while it is not.
    pub steady: Option<Steady>,
    /// Messages read by the venues' scanners.
    pub messages_scanned: u64,
    /// Messages read by the general parser: when a venue changes its words, hot ones come here.
    pub messages_parsed: u64,
    /// System calls it was refused.
    pub refused_calls: u32,
    /// Number of the last of them.
    pub refused_call: Option<u32>,
}

impl Standing {
    /// Reads a lane of a region whose dataplane is, or was, `pid`.
    pub fn read(region: &Region, view: &LaneView<'_>, pid: u32, now: UnixNanos) -> Self {
        let beat = view.beat;
        let thread = beat.thread.load(Relaxed);
        let has_beaten = beat.beat_tsc.load(Relaxed) != 0;
        let age = age_ms(UnixNanos(beat.beat_unix_ns.load(Relaxed)), now).filter(|_| has_beaten);
        let health = match thread {
            0 => Health::Stopped,
            _ if !is_alive(pid) => Health::Dead,
            _ => Health::of_beat(age),
        };
        let cycle = beat.cycle_tsc_max.load(Relaxed);
        let cost = view.cost;
        let is_hanging = matches!(health, Health::Slow | Health::Stuck);
        Self {
            lane: view.lane.0,
            roles: beat.roles().collect(),
            health,
            core: beat.core_plus_one.load(Relaxed).checked_sub(1),
            pid,
            thread,
            beat_age_ms: age,
            cycle_ns_max: region.tsc_hz().map(|hz| super::latency::to_ns(cycle, hz)),
            hangs: is_hanging.then(|| Thread::read(pid, thread)),
            since_start: [0, 1, 2]
                .map(|at: usize| cost.since_start[at].load(Relaxed))
                .into(),
            steady: cost.since_steady().map(|(from, costs)| Steady {
                for_ms: age_ms(UnixNanos(from), now),
                costs: costs.into(),
            }),
            messages_scanned: view.counters.get(Counter::MessagesScanned),
            messages_parsed: view.counters.get(Counter::MessagesParsed),
            refused_calls: cost.refused.load(Relaxed),
            refused_call: cost.refused_call_plus_one.load(Relaxed).checked_sub(1),
        }
    }

    /// For people: its roles, at most `engine journal` wide; `all` where a tick becomes an order in it.
    pub fn roles_text(&self) -> String {
        let is_whole = ["feed", "engine", "gateway"]
            .iter()
            .all(|role| self.roles.contains(role));
        match self.roles.as_slice() {
            [] => "-".to_owned(),
            _ if is_whole => "all".to_owned(),
            roles => roles.join(" "),
        }
    }

    /// For people: where it hangs and since when; nothing when it turns.
    pub fn complaint(&self) -> Option<String> {
        let age = self.beat_age_ms.unwrap_or(0);
        match self.health {
            Health::Stopped | Health::Fine => None,
            Health::Dead => Some(format!("its process is gone, {age} ms after its last beat")),
            Health::Slow | Health::Stuck => {
                let hangs = self.hangs.as_ref().map(Thread::text).unwrap_or_default();
                Some(format!(
                    "no beat for {age} ms; thread {}: {hangs}",
                    self.thread
                ))
            }
        }
    }
}

/// All lanes of a node.
#[derive(Debug, Clone, Serialize)]
pub struct Lanes {
    /// `fine`, or `stuck` when a lane is stuck or dead.
    pub outcome: &'static str,
    /// Name.
    pub node: String,
    /// By lane.
    pub lanes: Vec<Standing>,
}

impl Lanes {
    /// Reads them.
    pub fn read(region: &Region) -> Self {
        let lanes: Vec<Standing> = standings(region);
        let is_ill = lanes.iter().any(|lane| lane.health.is_ill());
        Self {
            outcome: if is_ill { "stuck" } else { "fine" },
            node: region.node().as_str().to_owned(),
            lanes,
        }
    }

    /// Whether a lane is stuck or dead.
    pub fn is_ill(&self) -> bool {
        self.lanes.iter().any(|lane| lane.health.is_ill())
    }

    /// For people.
    pub fn text(&self) -> String {
        // What fits 80 columns; the thread and every number are in `--json`.
        let mut table = Table::new(&[
            "lane", "roles", ">core", "health", ">beat", ">faults", ">asked", ">taken", ">steady",
        ]);
        let mut below = String::new();
        for lane in &self.lanes {
            let shown = lane.steady.map_or(lane.since_start, |steady| steady.costs);
            let for_s = lane.steady.and_then(|steady| steady.for_ms);
            table.row([
                lane.lane.to_string(),
                lane.roles_text(),
                lane.core.map_or("-".into(), |core| core.to_string()),
                lane.health.name().to_owned(),
                lane.beat_age_ms
                    .map_or("never".into(), |ms| format!("{ms} ms")),
                count(shown.page_faults),
                count(shown.voluntary_switches),
                count(shown.involuntary_switches),
                for_s.map_or("no".into(), |ms| format!("{} s", ms / 1_000)),
            ]);
            if let Some(complaint) = lane.complaint() {
                below += &format!("\nlane {}: {complaint}", lane.lane);
            }
            if lane.messages_scanned + lane.messages_parsed > 0 {
                let (scanned, parsed) = (lane.messages_scanned, lane.messages_parsed);
                let (scanned, parsed) = (count(scanned), count(parsed));
                let lane = lane.lane;
                below += &format!(
                    "\nlane {lane}: {scanned} messages scanned, {parsed} parsed the general way"
                );
            }
            if lane.refused_calls > 0 {
                let last = lane
                    .refused_call
                    .map_or("-".into(), |call| call.to_string());
                let (lane, calls) = (lane.lane, lane.refused_calls);
                below += &format!(
                    "\nlane {lane}: was refused {calls} system calls, the last number {last}"
                );
            }
        }
        format!(
            "{}\n\nfaults: pages; asked, taken: switches it asked for, and not; since steady, else\n\
             since start{below}",
            table.render()
        )
    }
}

/// Every lane's standing.
pub fn standings(region: &Region) -> Vec<Standing> {
    let (pid, now) = (region.header().dataplane_pid.load(Relaxed), now());
    let lane = |view: LaneView<'_>| Standing::read(region, &view, pid, now);
    region.lanes().map(lane).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_goes_by_the_age_of_the_beat() {
        let cases = [
            (None, Health::Stopped),
            (Some(0), Health::Fine),
            (Some(SLOW_MS), Health::Fine),
            (Some(SLOW_MS + 1), Health::Slow),
            (Some(STUCK_MS + 1), Health::Stuck),
        ];
        for (age, health) in cases {
            assert_eq!(Health::of_beat(age), health);
        }
    }

    #[test]
    fn the_table_has_each_lanes_roles_and_fits_80_columns() {
        let dir = tempfile::tempdir().unwrap();
        let shape = dp_shm::Shape::new(4, 4, 1 << 10, 1 << 8);
        let (region, _) = Region::open_or_create(&dir.path().join("shm"), &shape).unwrap();
        for (view, bits) in region.lanes().zip([0b0001, 0b1010, 0b0111, 0]) {
            view.beat.show_roles(bits);
            view.beat.show_core(Some(127));
            for cost in &view.cost.since_start {
                cost.store(99_999, Relaxed);
            }
        }
        let mut lanes = Lanes::read(&region);
        for lane in &mut lanes.lanes {
            lane.beat_age_ms = Some(9_999);
            lane.steady = Some(Steady {
                for_ms: Some(999_999_000),
                costs: lane.since_start,
            });
        }
        lanes.lanes[1].refused_calls = 3;
        lanes.lanes[1].refused_call = Some(41);
        let text = lanes.text();
        let rows: Vec<&str> = text.lines().collect();
        for line in &rows {
            assert!(line.chars().count() <= 80, "{line}");
        }
        let roles = ["feed ", "engine journal ", "all ", "- "];
        for (row, roles) in rows[1..].iter().zip(roles) {
            assert!(row[6..].starts_with(roles), "{row}");
            assert!(row.ends_with("999999 s"), "cut: {row}");
        }
        assert!(
            text.ends_with("\nlane 1: was refused 3 system calls, the last number 41"),
            "{text}"
        );
        let json = serde_json::to_value(&lanes).unwrap();
        assert_eq!(
            json["lanes"][1]["roles"],
            serde_json::json!(["engine", "journal"])
        );
        assert_eq!(json["lanes"][3]["roles"], serde_json::json!([]));
    }

    #[test]
    fn the_kernel_tells_where_a_thread_is() {
        let (tell, thread) = std::sync::mpsc::channel();
        let (end, wait) = std::sync::mpsc::channel::<()>();
        let sleeper = std::thread::spawn(move || {
            tell.send(nix::unistd::gettid().as_raw().unsigned_abs())
                .unwrap();
            wait.recv().ok();
        });
        let thread = thread.recv().unwrap();
        let seen = std::iter::repeat_with(|| Thread::read(std::process::id(), thread))
            .take(2_000)
            .inspect(|_| std::thread::sleep(std::time::Duration::from_millis(1)))
            .find(|seen| seen.state.as_deref() == Some("S (sleeping)"))
            .expect("it sleeps");
        assert!(seen.text().starts_with("S (sleeping)"), "{}", seen.text());
        drop(end);
        sleeper.join().unwrap();
        assert_eq!(Thread::read(std::process::id(), 0), Thread::default());
    }
}
