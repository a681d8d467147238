//! One thread, one core; asked for and read back.
//!
//! The kernel is asked, not the mask a thread has inherited: `isolcpus=` takes isolated cores out of the mask of
//! the first process and so of all others, and pinning is how one gets there.

use core_affinity::CoreId;
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

/// Why a lane could not be pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AffinityError {
    /// The machine has no such core, or this process's cpuset leaves it out.
    #[error(
        "there is no core {core}, or this process's cpuset leaves it out (its mask has {count})"
    )]
    NoSuchCore {
        /// Asked for.
        core: usize,
        /// Cores in the thread's mask.
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
    if core >= CpuSet::count() || !core_affinity::set_for_current(CoreId { id: core }) {
        let count = core_affinity::get_core_ids().map_or(0, |cores| cores.len());
        return Err(AffinityError::NoSuchCore { core, count });
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

/// Whether a thread of this process can be pinned to `core`: tried, on a thread that ends with it.
pub fn can_pin(core: usize) -> bool {
    std::thread::spawn(move || pin(core).is_ok())
        .join()
        .unwrap_or(false)
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

    /// As on a machine with isolated cores: the mask a thread has inherited lacks the core.
    #[test]
    fn a_core_outside_the_inherited_mask_can_be_had() {
        let cores = core_affinity::get_core_ids().unwrap();
        let (first, last) = (cores[0].id, cores[cores.len() - 1].id);
        std::thread::spawn(move || {
            pin(first).unwrap();
            assert!(can_pin(last));
            assert_eq!(pin(last), Ok(()));
        })
        .join()
        .unwrap();
        assert!(!can_pin(100_000));
    }
}
