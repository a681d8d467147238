//! What the machine kept from a process: the time its threads were ready and had no core (schedstat of
//! proc(5)). On a shared machine that is what a measured time has in it that is not the program's.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long each thread of a process has waited for a core since it began, by thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waits(BTreeMap<i32, Duration>);

impl Waits {
    /// Reads them; threads that end meanwhile are left out. Errors: there is no such process.
    pub fn of(pid: i32) -> Result<Self> {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task"))?;
        let waits = tasks.filter_map(|task| {
            let path = task.ok()?.path();
            let thread = path.file_name()?.to_str()?.parse().ok()?;
            let text = std::fs::read_to_string(path.join("schedstat")).ok()?;
            // Time on a core, time waiting for one, turns.
            let waited = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
            Some((thread, Duration::from_nanos(waited)))
        });
        Ok(Self(waits.collect()))
    }

    /// Of one thread. Errors: it is not there.
    pub fn thread(&self, thread: i32) -> Result<Duration> {
        let waited = self.0.get(&thread).copied();
        waited.with_context(|| format!("no thread {thread}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_shares_its_core_waits_and_one_that_sleeps_does_not() {
        use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
        use nix::unistd::{Pid, gettid};
        let this = Pid::from_raw(0);
        let allowed = sched_getaffinity(this).unwrap();
        let core = (0..CpuSet::count()).find(|core| allowed.is_set(*core).unwrap_or(false));
        let waited = || Waits::of(std::process::id().cast_signed()).unwrap();
        let spin = move || {
            let mut only = CpuSet::new();
            only.set(core.unwrap()).unwrap();
            sched_setaffinity(this, &only).unwrap();
            let begin = std::time::Instant::now();
            while begin.elapsed() < Duration::from_millis(200) {}
            waited().thread(gettid().as_raw()).unwrap()
        };
        let pair = [std::thread::spawn(spin), std::thread::spawn(spin)];
        let waits = pair.map(|thread| thread.join().unwrap());
        // Two of them on one core for 200 ms: each had half of it at most.
        let sum = waits[0] + waits[1];
        assert!(sum > Duration::from_millis(100), "{waits:?}");
        let asleep = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            waited().thread(gettid().as_raw()).unwrap()
        });
        assert!(asleep.join().unwrap() < Duration::from_millis(150));
    }
}
