//! One thread, one core; asked for and read back.

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

/// Why a lane could not be pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AffinityError {
    /// The machine (or this process's allowance) has no such core.
    #[error("core {core} is not among the cores this process may use ({count} of them)")]
    NoSuchCore {
        /// Asked for.
        core: usize,
        /// Allowed cores.
        count: usize,
    },
    /// The kernel did not do it.
    #[error("the kernel did not pin the thread to core {0}")]
    Refused(usize),
}

/// Pins the calling thread to `core` and reads the result back.
///
/// Errors: [`AffinityError::NoSuchCore`], and the thread runs where it ran; [`AffinityError::Refused`]
/// when the kernel says no or what is read back is not this core alone.
pub fn pin(core: usize) -> Result<(), AffinityError> {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let count = cores.len();
    let Some(id) = cores.into_iter().find(|id| id.id == core) else {
        return Err(AffinityError::NoSuchCore { core, count });
    };
    if !core_affinity::set_for_current(id) {
        return Err(AffinityError::Refused(core));
    }
    let held = sched_getaffinity(Pid::from_raw(0)).map_err(|_| AffinityError::Refused(core))?;
    let is_alone =
        (0..CpuSet::count()).all(|other| held.is_set(other).unwrap_or(false) == (other == core));
    if is_alone {
        Ok(())
    } else {
        Err(AffinityError::Refused(core))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_pinned_and_a_missing_core_is_refused() {
        std::thread::spawn(|| {
            let core = core_affinity::get_core_ids().unwrap()[0].id;
            assert_eq!(pin(core), Ok(()));
            assert!(matches!(
                pin(100_000),
                Err(AffinityError::NoSuchCore { .. })
            ));
        })
        .join()
        .unwrap();
    }
}
