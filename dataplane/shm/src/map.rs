//! The mapping itself, and the only `unsafe` of the crate: making it, and pointing into it.

use crate::config::ConfigHead;
use crate::hist::HistPage;
use crate::layout::{Header, LaneHead};
use crate::table::TableHead;
use crate::twin::Twin;
use crate::words::{KillWord, LeaseWord};
use core::mem::{align_of, size_of};
use core::num::NonZeroUsize;
use core::ptr::NonNull;
use core::sync::atomic::AtomicU64;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use std::fs::File;

/// A file mapped for reading and writing, shared with other processes.
pub(crate) struct Mapping {
    start: NonNull<core::ffi::c_void>,
    size: usize,
}

// SAFETY: the mapping is plain memory that stays put until drop; all access goes through atomics.
unsafe impl Send for Mapping {}
// SAFETY: as above: `at` and `slice` hand out only types made of atomics.
unsafe impl Sync for Mapping {}

/// Types that may be looked at in memory other processes write.
///
/// # Safety
/// Made of atomics only (so that shared references never race) and valid for any bytes.
pub(crate) unsafe trait Shared {}
// SAFETY: atomics only.
unsafe impl Shared for AtomicU64 {}
// SAFETY: arrays of atomics.
unsafe impl<const W: usize> Shared for [AtomicU64; W] {}
// SAFETY: atomics only.
unsafe impl Shared for Header {}
// SAFETY: atomics only.
unsafe impl Shared for LeaseWord {}
// SAFETY: atomics only.
unsafe impl Shared for KillWord {}
// SAFETY: atomics only.
unsafe impl Shared for ConfigHead {}
// SAFETY: atomics only.
unsafe impl Shared for TableHead {}
// SAFETY: atomics only.
unsafe impl Shared for LaneHead {}
// SAFETY: atomics only.
unsafe impl Shared for HistPage {}
// SAFETY: atomics and a zero-sized marker.
unsafe impl<T, const N: usize> Shared for Twin<T, N> {}

/// Linux 5.14: faults pages in for writing and reports what would have been a SIGBUS (`madvise(2)`).
const MADV_POPULATE_WRITE: libc::c_int = 23;

impl Mapping {
    /// Maps the first `size` bytes of `file`, which must be that long.
    ///
    /// `prefault`: every page is there before this returns, on 2 MiB pages where the system lets shared
    /// memory have them (`/sys/kernel/mm/transparent_hugepage/shmem_enabled`); lacking them is no error.
    pub fn new(file: &File, size: usize, prefault: bool) -> std::io::Result<Self> {
        let length = NonZeroUsize::new(size).ok_or(std::io::ErrorKind::InvalidInput)?;
        let (prot, flags) = (
            ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
            MapFlags::MAP_SHARED,
        );
        // SAFETY: a new mapping at an address of the kernel's choosing overlaps nothing of ours.
        let start = unsafe { mmap(None, length, prot, flags, file, 0) }?;
        let mapping = Self { start, size };
        if prefault {
            mapping.advise(libc::MADV_HUGEPAGE).ok();
            match mapping.advise(MADV_POPULATE_WRITE) {
                // An older kernel: then the memory is at least set aside, so that no access can fail.
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                    nix::fcntl::posix_fallocate(file, 0, size as libc::off_t)?;
                }
                other => other?,
            }
        }
        Ok(mapping)
    }

    /// The `T` at `offset`. A bug when it lies outside or is not aligned.
    pub fn at<T: Shared>(&self, offset: usize) -> &T {
        &self.slice(offset, 1)[0]
    }

    /// `count` of `T` from `offset` on. As [`Mapping::at`].
    pub fn slice<T: Shared>(&self, offset: usize, count: usize) -> &[T] {
        let end = count
            .checked_mul(size_of::<T>())
            .and_then(|size| size.checked_add(offset));
        assert!(
            end.is_some_and(|end| end <= self.size),
            "section lies inside the mapping"
        );
        assert!(offset.is_multiple_of(align_of::<T>()), "section is aligned");
        // SAFETY: `offset` is at most `size` (asserted), so the sum stays inside the mapping.
        let first = unsafe { self.start.byte_add(offset) }.cast::<T>();
        // SAFETY: in bounds and aligned (asserted; the mapping starts on a page), valid for any bytes and
        // shareable (`Shared`), alive as long as `self`.
        unsafe { core::slice::from_raw_parts(first.as_ptr(), count) }
    }

    fn advise(&self, advice: libc::c_int) -> std::io::Result<()> {
        // SAFETY: the range is our own mapping; both advices used leave its content as it is.
        let result = unsafe { libc::madvise(self.start.as_ptr(), self.size, advice) };
        if result == 0 {
            Ok(())
        } else {
            Err(std::io::Error::last_os_error())
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `new` mapped exactly this range, and every reference into it borrowed `self`.
        unsafe { munmap(self.start, self.size) }.ok();
    }
}
