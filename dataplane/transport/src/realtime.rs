//! What keeps a lane on its core and its memory where it is: scheduling class and locked pages, each asked for
//! and read back.

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::unistd::Pid;

/// Highest priority a lane may have: above it the kernel's own threads (timers, migration) starve.
/// Source: sched(7); Documentation/scheduler/sched-rt-group.rst.
pub const FIFO_MAX: u8 = 60;

/// Why the kernel did not do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RealtimeError {
    /// Not a priority a lane may have.
    #[error("priority {0}: use 1 to {FIFO_MAX}; above it the kernel's own threads would starve")]
    Priority(u8),
    /// No right to.
    #[error("the kernel refuses SCHED_FIFO {priority}: {}; it needs CAP_SYS_NICE or an rtprio limit", std::io::Error::from_raw_os_error(*.errno))]
    Refused {
        /// Asked for.
        priority: u8,
        /// The kernel's error number.
        errno: i32,
    },
    /// No right to lock memory, or more than the limit.
    #[error("the kernel does not lock our memory: {}; it needs CAP_IPC_LOCK", std::io::Error::from_raw_os_error(*.0))]
    Lock(i32),
}

/// Puts the calling thread into SCHED_FIFO. Errors: [`RealtimeError`]; the thread is as it was.
pub fn set_fifo(priority: u8) -> Result<(), RealtimeError> {
    if priority == 0 || priority > FIFO_MAX {
        return Err(RealtimeError::Priority(priority));
    }
    let parameters = libc::sched_param {
        sched_priority: i32::from(priority),
    };
    // SAFETY: the kernel reads one `sched_param`; 0 is the calling thread.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) };
    Errno::result(result).map_err(|errno| RealtimeError::Refused {
        priority,
        errno: errno as i32,
    })?;
    Ok(())
}

/// The calling thread's SCHED_FIFO priority; 0 = it is in another class.
pub fn fifo() -> u8 {
    // SAFETY: 0 is the calling thread; nothing is read or written but its class.
    let policy = unsafe { libc::sched_getscheduler(0) };
    let mut parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the kernel writes one `sched_param`.
    let result = unsafe { libc::sched_getparam(0, &raw mut parameters) };
    if policy == libc::SCHED_FIFO && result == 0 {
        u8::try_from(parameters.sched_priority).unwrap_or(0)
    } else {
        0
    }
}

/// Has the calling thread leave the class and the core it inherited from the lane that started it: a lane that
/// spins never lets a thread of its own class and core run. It goes where the process's first thread may run,
/// or anywhere else when that is the lane's core too. What the kernel refuses stays as it was.
pub(crate) fn stand_aside() {
    let ordinary = libc::sched_param { sched_priority: 0 };
    // SAFETY: the kernel reads one `sched_param`; 0 is the calling thread. Leaving a class needs no right.
    let _ = unsafe { libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const ordinary) };
    let cores = |pid| sched_getaffinity(pid).ok();
    let (Some(own), Some(first)) = (cores(Pid::from_raw(0)), cores(Pid::this())) else {
        return;
    };
    let has = |set: &CpuSet, core: &usize| set.is_set(*core).unwrap_or(false);
    let all = 0..CpuSet::count();
    if all.clone().filter(|core| has(&own, core)).count() != 1 {
        return;
    }
    let others = all.filter(|core| !has(&own, core));
    let (allowed, rest): (Vec<usize>, Vec<usize>) = others.partition(|core| has(&first, core));
    let mut wanted = CpuSet::new();
    for core in if allowed.is_empty() { rest } else { allowed } {
        let _ = wanted.set(core);
    }
    let _ = sched_setaffinity(Pid::from_raw(0), &wanted);
}

/// Locks all memory of the process, what is there and what comes: from here no page of it is taken away, and
/// what is mapped later is there at once. Errors: [`RealtimeError::Lock`].
///
/// Cost: touches everything mapped, stacks included; milliseconds a GiB.
pub fn lock_memory() -> Result<(), RealtimeError> {
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE)
        .map_err(|errno| RealtimeError::Lock(errno as i32))
}

/// Whether memory of the process is locked (`VmLck` of /proc/self/status, proc(5)): nearly all of it is, or
/// the lock was never taken.
pub fn is_memory_locked() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let (locked, resident) = (kib(&status, "VmLck:"), kib(&status, "VmRSS:"));
    // Huge pages are outside both counts; the vDSO and device mappings are never locked.
    locked > 0 && locked >= resident / 2
}

fn kib(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse().ok());
    number.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_in_the_class_it_asked_for_or_told_why_not() {
        std::thread::spawn(|| {
            assert_eq!(fifo(), 0);
            assert_eq!(set_fifo(0), Err(RealtimeError::Priority(0)));
            assert_eq!(set_fifo(99), Err(RealtimeError::Priority(99)));
            match set_fifo(5) {
                Ok(()) => assert_eq!(fifo(), 5),
                Err(error) => {
                    assert_eq!(
                        error,
                        RealtimeError::Refused {
                            priority: 5,
                            errno: libc::EPERM
                        }
                    );
                    assert_eq!(fifo(), 0);
                }
            }
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_helper_of_a_pinned_lane_runs_elsewhere() {
        let lane = std::thread::spawn(|| {
            let cores = core_affinity::get_core_ids().unwrap();
            let (core, has_others) = (cores[0].id, cores.len() > 1);
            crate::pin(core).unwrap();
            let is_realtime = set_fifo(5).is_ok();
            let helper = std::thread::spawn(move || {
                assert_eq!(fifo() > 0, is_realtime, "inherited");
                stand_aside();
                (fifo(), sched_getaffinity(Pid::from_raw(0)).unwrap())
            });
            let (priority, cores) = helper.join().unwrap();
            assert_eq!(priority, 0);
            let elsewhere = (0..CpuSet::count()).any(|at| at != core && cores.is_set(at).unwrap());
            assert_eq!(
                (elsewhere, cores.is_set(core).unwrap()),
                (has_others, !has_others)
            );
        });
        lane.join().unwrap();
    }

    /// In a process of its own: the lock is for the whole process, and for good.
    #[test]
    fn locked_memory_is_seen_to_be() {
        const CHILD: &str = "DP_TRANSPORT_TEST_LOCK";
        if std::env::var_os(CHILD).is_some() {
            assert!(!is_memory_locked());
            match lock_memory() {
                Ok(()) => assert!(is_memory_locked()),
                Err(error) => {
                    assert!(matches!(
                        error,
                        RealtimeError::Lock(libc::EPERM | libc::ENOMEM)
                    ));
                    assert!(!is_memory_locked());
                }
            }
            return;
        }
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["realtime::tests::locked_memory_is_seen_to_be", "--exact"])
            .env(CHILD, "1")
            .stdout(std::process::Stdio::null())
            .status();
        assert!(status.unwrap().success());
    }

    #[test]
    fn status_lines_are_read() {
        let status = "Name:\tx\nVmLck:\t      12 kB\nVmRSS:\t 9 kB\n";
        assert_eq!(
            (
                kib(status, "VmLck:"),
                kib(status, "VmRSS:"),
                kib(status, "VmPin:")
            ),
            (12, 9, 0)
        );
    }
}
