//! Memory a lane takes once, at start, and never again: anonymous, pre-faulted, on 2 MiB pages where the
//! machine has them. It says which pages it got; nobody has to guess.
//!
//! ```text
//!   PROT_NONE guard | 2 MiB | 2 MiB | … | PROT_NONE guard
//! ```
//!
//! It does not lock memory: the process does ([`crate::lock_memory`]).

use crate::numa::{self, Kernel, Nodes as _};
use core::num::NonZeroUsize;
use core::ops::Range;
use core::ptr::NonNull;
use nix::errno::Errno;
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, mprotect, munmap};

/// Size of a huge page, bytes.
pub const HUGE_PAGE_BYTES: usize = 2 << 20;
/// Size of an ordinary page, bytes.
const PAGE_BYTES: usize = 4096;

/// What backs an [`Arena`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pages {
    /// Reserved 2 MiB pages (`vm.nr_hugepages`): cannot be split or taken away.
    Huge,
    /// 2 MiB pages the kernel made because it was asked to; all of the arena is on them.
    Transparent,
    /// 4 KiB pages, at least in part.
    Small,
}

impl Pages {
    /// For logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Huge => "huge",
            Self::Transparent => "transparent huge",
            Self::Small => "4 KiB",
        }
    }
}

// SAFETY: an arena owns its mapping, and nothing of it is bound to the thread that made it.
unsafe impl Send for Arena {}

// SAFETY: the mapping is readable and writable, page-aligned and stays until drop; whoever owns the arena owns
// all of it, and a ring that is given one is its only user.
unsafe impl dp_shm::spsc::Memory for Arena {
    fn start(&self) -> NonNull<u8> {
        self.start
    }

    fn size(&self) -> usize {
        self.size
    }
}

/// The machine has no such memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{size} bytes of memory: {}", std::io::Error::from_raw_os_error(*.errno))]
pub struct ArenaError {
    /// Asked for, rounded up to huge pages.
    pub size: usize,
    /// The kernel's error number.
    pub errno: i32,
}

/// Zeroed memory that is there: no page of it faults later. Owned by one thread.
#[derive(Debug)]
pub struct Arena {
    start: NonNull<u8>,
    size: usize,
    /// The whole mapping, guards included.
    mapping: (NonNull<core::ffi::c_void>, usize),
    pages: Pages,
    node: Option<u16>,
    is_leaked: bool,
}

impl Arena {
    /// Maps and touches at least `bytes`, rounded up to whole huge pages, wherever the kernel likes.
    ///
    /// Cost: milliseconds. Errors: [`ArenaError`]; lacking huge pages is none.
    pub fn new(bytes: usize) -> Result<Self, ArenaError> {
        Self::on_node(bytes, None)
    }

    /// The same, bound to a memory node. Errors: also when the machine has no such node.
    pub fn on_node(bytes: usize, node: Option<u16>) -> Result<Self, ArenaError> {
        let size = bytes.max(1).next_multiple_of(HUGE_PAGE_BYTES);
        let arena = Self::reserved(size, node).or_else(|_| Self::ordinary(size, node));
        let arena = arena.map(|mut arena| {
            let page = if arena.pages == Pages::Huge {
                HUGE_PAGE_BYTES
            } else {
                PAGE_BYTES
            };
            arena.node = numa::node_of(&Kernel, arena.start, arena.size, page);
            arena
        });
        arena.map_err(|errno| ArenaError {
            size,
            errno: errno as i32,
        })
    }

    /// The node all its pages were on once touched, as the kernel said; `None` = on several, or it does not say.
    pub const fn node(&self) -> Option<u16> {
        self.node
    }

    /// What it lives on.
    pub const fn pages(&self) -> Pages {
        self.pages
    }

    /// Bytes.
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Some of it.
    ///
    /// # Panics
    /// When `range` is not inside.
    pub fn slice(&self, range: Range<usize>) -> &[u8] {
        self.check(&range);
        let at = self.start.as_ptr().wrapping_add(range.start);
        // SAFETY: `check` proved that the range is inside the mapping, which is readable until drop; the
        // kernel writes only to ranges it was given and has not given back (`uring::pool`).
        unsafe { core::slice::from_raw_parts(at, range.len()) }
    }

    /// Some of it, to write.
    ///
    /// # Panics
    /// When `range` is not inside.
    pub fn slice_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        self.check(&range);
        let at = self.start.as_ptr().wrapping_add(range.start);
        // SAFETY: as in `slice`; `&mut self` makes this the only view of it in this process.
        unsafe { core::slice::from_raw_parts_mut(at, range.len()) }
    }

    /// Where a byte is, for the kernel.
    ///
    /// # Panics
    /// When `offset` is not inside.
    pub(crate) fn address(&self, offset: usize) -> *mut u8 {
        assert!(offset < self.size, "{offset} is outside the arena");
        self.start.as_ptr().wrapping_add(offset)
    }

    /// Never unmaps it: for when the kernel may still write to it.
    pub(crate) const fn leak(&mut self) {
        self.is_leaked = true;
    }

    fn check(&self, range: &Range<usize>) {
        assert!(
            range.start <= range.end && range.end <= self.size,
            "{range:?} is outside the arena"
        );
    }

    /// On reserved huge pages. `mmap` fails now when there are too few, instead of a SIGBUS later.
    fn reserved(size: usize, node: Option<u16>) -> Result<Self, Errno> {
        let length = NonZeroUsize::new(size).ok_or(Errno::EINVAL)?;
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_HUGETLB | MapFlags::MAP_HUGE_2MB;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh anonymous mapping at a place of the kernel's choice touches nothing of ours.
        let base = unsafe { mmap_anonymous(None, length, protection, flags) }?;
        let mut arena = Self {
            start: base.cast(),
            size,
            mapping: (base, size),
            pages: Pages::Huge,
            node: None,
            is_leaked: false,
        };
        arena.bind(node)?;
        arena.populate(HUGE_PAGE_BYTES)?;
        Ok(arena)
    }

    /// On ordinary memory, aligned so that the kernel can back it with huge pages.
    fn ordinary(size: usize, node: Option<u16>) -> Result<Self, Errno> {
        // One huge page of slack to align, and at least one page of guard at either end: guards keep
        // the mapping apart from its neighbours, so that /proc/self/smaps speaks of it alone.
        let length = NonZeroUsize::new(size + 2 * HUGE_PAGE_BYTES).ok_or(Errno::EINVAL)?;
        // SAFETY: a fresh anonymous mapping at a place of the kernel's choice touches nothing of ours.
        let base =
            unsafe { mmap_anonymous(None, length, ProtFlags::PROT_NONE, MapFlags::MAP_PRIVATE) }?;
        let skip = HUGE_PAGE_BYTES - base.as_ptr().addr() % HUGE_PAGE_BYTES;
        let start = base.cast::<u8>().as_ptr().wrapping_add(skip);
        let mut arena = Self {
            start: NonNull::new(start).ok_or(Errno::ENOMEM)?,
            size,
            mapping: (base, length.get()),
            pages: Pages::Small,
            node: None,
            is_leaked: false,
        };
        let inner = arena.start.cast();
        // Making it writable is what the kernel accounts: more than the machine has is refused here.
        // SAFETY: skip <= one huge page, so the range is inside the mapping made above.
        unsafe { mprotect(inner, size, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE) }?;
        // SAFETY: the same range; the advice changes no content. Refused where the kernel has none.
        let _ = unsafe { madvise(inner, size, MmapAdvise::MADV_HUGEPAGE) };
        arena.bind(node)?;
        arena.populate(PAGE_BYTES)?;
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
        if huge_bytes(&smaps, arena.start.as_ptr().addr()) >= size {
            arena.pages = Pages::Transparent;
        }
        Ok(arena)
    }

    /// Before the first touch: a page is placed when it is made.
    fn bind(&self, node: Option<u16>) -> Result<(), Errno> {
        node.map_or(Ok(()), |node| Kernel.bind(self.start, self.size, node))
    }

    /// Makes every page. Asked this way, a node without enough huge pages is an error and no SIGBUS
    /// (madvise(2), MADV_POPULATE_WRITE, Linux 5.14); an older kernel is made to by touching.
    fn populate(&mut self, step: usize) -> Result<(), Errno> {
        let inner = self.start.cast();
        // SAFETY: the range is our own mapping, writable; it is prefaulted, no content changes.
        let result = unsafe { madvise(inner, self.size, MmapAdvise::MADV_POPULATE_WRITE) };
        match result {
            Err(Errno::EINVAL) => {
                self.touch(step);
                Ok(())
            }
            other => other,
        }
    }

    /// Writes to every page, so that each is there.
    fn touch(&mut self, step: usize) {
        for offset in (0..self.size).step_by(step) {
            // SAFETY: `offset` is inside the mapping, writable, and nobody else knows of it yet.
            // Volatile, or the compiler drops a zero written over a zero.
            unsafe { self.address(offset).write_volatile(0) };
        }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        if !self.is_leaked {
            let (base, length) = self.mapping;
            // SAFETY: the mapping is ours, of this length, and nothing borrows it any more. Failing
            // leaves it mapped, which harms nobody.
            let _ = unsafe { munmap(base, length) };
        }
    }
}

/// `AnonHugePages` of the mapping that starts at `start`, bytes. `smaps`: /proc/PID/smaps (proc(5)).
fn huge_bytes(smaps: &str, start: usize) -> usize {
    let head = format!("{start:x}-");
    let lines = smaps.lines().skip_while(|line| !line.starts_with(&head));
    let kib = lines
        .skip(1)
        .take_while(|line| line.split(' ').next().is_some_and(|key| key.ends_with(':')))
        .find_map(|line| line.strip_prefix("AnonHugePages:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<usize>().ok());
    kib.unwrap_or(0).saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minor_faults() -> i64 {
        let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_THREAD);
        usage.unwrap().minor_page_faults()
    }

    #[test]
    fn no_page_of_it_faults_later() {
        let mut arena = Arena::new(5 << 20).unwrap();
        assert_eq!(arena.size(), 6 << 20);
        let before = minor_faults();
        arena.slice_mut(0..6 << 20).fill(7);
        let sum: u64 = arena
            .slice(0..6 << 20)
            .iter()
            .map(|byte| u64::from(*byte))
            .sum();
        assert_eq!(sum, 7 * (6 << 20));
        // 1536 pages of 4 KiB: a handful may be the test thread's own.
        assert!(
            minor_faults() - before < 16,
            "{} faults",
            minor_faults() - before
        );
    }

    #[test]
    fn it_starts_zeroed_and_aligned_and_says_its_pages() {
        let arena = Arena::new(1).unwrap();
        assert_eq!(arena.address(0).addr() % HUGE_PAGE_BYTES, 0);
        assert!(arena.slice(0..arena.size()).iter().all(|byte| *byte == 0));
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let is_thp = huge_bytes(&smaps, arena.address(0).addr()) == arena.size();
        assert_eq!(
            arena.pages() == Pages::Transparent,
            is_thp,
            "{:?}",
            arena.pages()
        );
    }

    /// Reserves pages itself, and gives them back: a machine has none unless somebody asked for them.
    #[test]
    fn reserved_pages_are_used_and_come_back() {
        const POOL: &str = "/proc/sys/vm/nr_hugepages";
        let read = || {
            std::fs::read_to_string(POOL)
                .ok()?
                .trim()
                .parse::<u64>()
                .ok()
        };
        let Some(before) = read() else {
            println!("SKIPPED: no huge pages in this kernel");
            return;
        };
        let is_raised = std::fs::write(POOL, (before + 8).to_string()).is_ok();
        if !is_raised || read() != Some(before + 8) {
            println!("SKIPPED: huge pages cannot be reserved here (not root, or memory in pieces)");
            let _ = std::fs::write(POOL, before.to_string());
            return;
        }
        let arena = Arena::on_node(5 << 20, Some(0));
        let _ = std::fs::write(POOL, before.to_string());
        let mut arena = arena.unwrap();
        assert_eq!(
            (arena.pages(), arena.node(), arena.size()),
            (Pages::Huge, Some(0), 6 << 20)
        );
        arena.slice_mut(0..6 << 20).fill(1);
    }

    #[test]
    fn too_much_is_refused() {
        // The whole address space: refused by `mmap` whatever the overcommit policy.
        let error = Arena::new(1 << 47).map(|_| ()).unwrap_err();
        assert_eq!(error.errno, libc::ENOMEM, "{error}");
    }

    #[test]
    fn smaps_is_read_for_one_mapping() {
        let smaps = "1000-2000 rw-p 0 00:00 0 \nRss: 4 kB\nAnonHugePages:   2048 kB\n\
                     2000-3000 rw-p 0 00:00 0 \nRss: 4 kB\nAnonHugePages:   4096 kB\n\
                     3000-4000 rw-p 0 00:00 0 \nRss: 4 kB\n";
        assert_eq!(huge_bytes(smaps, 0x1000), 2 << 20);
        assert_eq!(huge_bytes(smaps, 0x2000), 4 << 20);
        assert_eq!(huge_bytes(smaps, 0x3000), 0);
        assert_eq!(huge_bytes(smaps, 0x4000), 0);
    }

    #[test]
    #[should_panic(expected = "outside the arena")]
    fn a_range_past_the_end_is_a_bug() {
        let arena = Arena::new(1).unwrap();
        let _ = arena.slice(arena.size()..arena.size() + 1);
    }
}
