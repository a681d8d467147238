//! What the lanes cost the kernel, and what it refused them: read by the main thread, never by a lane.
//!
//! ```text
//!   /proc/self/task/TID ─▶ look ─▶ CostLine in shared memory ─▶ spinlane lanes
//!   Refusals (counted by the lane's thread) ─▶  │
//!                                               └▶ the log, once for each look that finds more
//! ```
//! A lane is steady from one second after the last of its links came up and its orders were compared with the
//! venue's; a connection that is opened anew ends that, and so does what it costs.

use core::sync::atomic::Ordering::Relaxed;
use dp_config::{Config, Seccomp};
use dp_shm::layout::CostLine;
use dp_shm::{LinkState, Region};
use dp_transport::Idle;
use dp_transport::confine::{self, Refusals};
use dp_types::{LaneId, UnixNanos, VenueId};
use nix::unistd::{Pid, gettid};
use std::sync::OnceLock;

/// Between two looks.
const LOOK_NS: u64 = 250_000_000;
/// How long a lane's connections have stood when it counts as steady.
const STEADY_NS: u64 = 1_000_000_000;

/// A lane's thread, as it told at its start.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    thread: Pid,
    refusals: Option<Refusals>,
}

/// Confines the calling lane's thread, where the configuration asks for it, to what its transport (`steady` and
/// `cold`; nothing where it has none) and its idle policy call. What the kernel says to it is a fact for the judge.
pub fn confine(
    lane: &dp_config::Lane,
    idle: Idle,
    (steady, cold): (&[&'static str], &[&'static str]),
) -> Subject {
    let mut refusals = None;
    if lane.seccomp == Seccomp::Refuse {
        let calls = [steady, cold, idle.steady_syscalls()].concat();
        refusals = confine::confine(&calls)
            .inspect_err(|error| tracing::warn!(%error, "the lane's thread is not confined"))
            .ok();
    }
    Subject {
        thread: gettid(),
        refusals,
    }
}

impl Subject {
    /// Whether the kernel holds the thread to its list.
    pub const fn is_confined(&self) -> bool {
        self.refusals.is_some()
    }
}

/// Page faults, voluntary and involuntary context switches of a thread since its start.
type Costs = [u64; 3];

/// Reads them (proc(5)). `None`: the thread has ended.
fn costs(thread: Pid) -> Option<Costs> {
    let at = format!("/proc/self/task/{thread}");
    let stat = std::fs::read_to_string(format!("{at}/stat")).ok()?;
    // Behind the name in brackets: minflt is the 8th field, majflt the 10th.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let field = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let status = std::fs::read_to_string(format!("{at}/status")).ok()?;
    let switches = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().parse::<u64>().ok()
    };
    Some([
        field(7)? + field(9)?,
        switches("voluntary_ctxt_switches:")?,
        switches("nonvoluntary_ctxt_switches:")?,
    ])
}

/// One lane's state between looks.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    refused: u64,
    /// Connections opened anew when all were last seen standing, and since when they stand.
    standing: Option<(u64, UnixNanos)>,
}

/// Looks at every lane once in a while.
pub struct Watch<'a> {
    config: &'a Config,
    region: &'a Region,
    subjects: &'a [OnceLock<Subject>],
    seen: Vec<Seen>,
    due: UnixNanos,
}

impl<'a> Watch<'a> {
    /// A watch over the lanes, which tell their `subjects` as they start.
    pub fn new(config: &'a Config, region: &'a Region, subjects: &'a [OnceLock<Subject>]) -> Self {
        for view in region.lanes() {
            clear(view.cost);
        }
        Self {
            config,
            region,
            subjects,
            seen: vec![Seen::default(); subjects.len()],
            due: UnixNanos(0),
        }
    }

    /// A last look, after the lanes have ended.
    pub fn finish(&mut self, now: UnixNanos) {
        self.due = UnixNanos(0);
        self.look(now);
    }

    /// Looks, when it is time to.
    pub fn look(&mut self, now: UnixNanos) {
        if now < self.due {
            return;
        }
        self.due = now.after(LOOK_NS);
        let lanes = self.region.lanes().zip(self.subjects).zip(&mut self.seen);
        for ((view, subject), seen) in lanes {
            let Some(subject) = subject.get() else {
                continue;
            };
            if let Some(costs) = costs(subject.thread) {
                let reopened = standing(self.config, self.region, view.lane);
                seen.standing = reopened.map(|count| match seen.standing {
                    Some((before, since)) if before == count => (count, since),
                    _ => (count, now),
                });
                let steady = seen.standing.map(|(_, since)| since.after(STEADY_NS));
                show(view.cost, costs, steady.filter(|from| now >= *from));
            }
            if let Some(refusals) = &subject.refusals {
                tell(view.cost, refusals, seen, view.lane);
            }
        }
    }
}

/// Connections opened anew so far, when all connections of the lane stand and its orders are compared.
fn standing(config: &Config, region: &Region, lane: LaneId) -> Option<u64> {
    let section = config.lane.get(usize::from(lane.0))?;
    let mut reopened = 0;
    for name in &section.venues {
        let venue = VenueId::from_name(name)?;
        let status = region.venue(venue)?.read()?;
        let is_up = |link: &LinkState| matches!(link, LinkState::None | LinkState::Up);
        let trades = config.venue.get(name)?.keys_file.is_some() && venue.takes_orders();
        let is_standing = status.links.iter().all(is_up)
            && status.links.contains(&LinkState::Up)
            && (!trades || status.is_logged_in && status.is_reconciled);
        if !is_standing {
            return None;
        }
        reopened += status.reconnects;
    }
    Some(reopened)
}

fn clear(line: &CostLine) {
    show(line, [0; 3], None);
    line.refused.store(0, Relaxed);
    line.refused_call_plus_one.store(0, Relaxed);
}

/// Shows costs, and what they were when the lane became steady at `steady`, seen now for the first time or not.
fn show(line: &CostLine, costs: Costs, steady: Option<UnixNanos>) {
    for (slot, cost) in line.since_start.iter().zip(costs) {
        slot.store(cost, Relaxed);
    }
    let from = steady.map_or(0, |at| at.0);
    if line.steady_unix_ns.swap(from, Relaxed) != from {
        for (slot, cost) in line.at_steady.iter().zip(costs) {
            slot.store(cost, Relaxed);
        }
    }
}

fn tell(line: &CostLine, refusals: &Refusals, seen: &mut Seen, lane: LaneId) {
    let count = refusals.count();
    if count == seen.refused {
        return;
    }
    seen.refused = count;
    line.refused
        .store(u32::try_from(count).unwrap_or(u32::MAX), Relaxed);
    if let Some((call, at)) = refusals.last() {
        line.refused_call_plus_one.store(call + 1, Relaxed);
        let call = confine::name_of(call);
        tracing::error!(
            lane = lane.0,
            call,
            at = format_args!("{at:#x}"),
            count,
            "a lane asked for a system call that is not on its list: refused"
        );
    }
}

/// Whether the configuration asks for a lane to be confined.
pub fn asked(lane: &dp_config::Lane) -> bool {
    lane.seccomp == Seccomp::Refuse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_s_costs_grow_with_what_it_does() {
        let before = costs(gettid()).unwrap();
        let pages = std::hint::black_box(vec![1_u8; 8 << 20]);
        std::thread::sleep(std::time::Duration::from_millis(1));
        let after = costs(gettid()).unwrap();
        assert!(after[0] > before[0], "page faults {before:?} {after:?}");
        assert!(after[1] > before[1], "switches {before:?} {after:?}");
        drop(pages);
        assert_eq!(costs(Pid::from_raw(1 << 22)), None);
    }

    #[test]
    fn steady_begins_with_its_costs_and_ends_with_a_new_connection() {
        let line = CostLine::default();
        show(&line, [5, 6, 7], None);
        assert_eq!(line.at_steady[0].load(Relaxed), 0);
        show(&line, [8, 9, 10], Some(UnixNanos(100)));
        show(&line, [11, 9, 12], Some(UnixNanos(100)));
        let since: Vec<u64> = line.since_steady().unwrap().1.to_vec();
        assert_eq!(since, [3, 0, 2]);
        show(&line, [20, 20, 20], None);
        assert!(line.since_steady().is_none());
        show(&line, [21, 22, 23], Some(UnixNanos(200)));
        assert_eq!(line.since_steady().unwrap().1, [0, 0, 0]);
    }
}
