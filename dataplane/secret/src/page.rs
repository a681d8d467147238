//! Pages that hold secrets: the mapping, and nothing of what is in it.

use core::mem::MaybeUninit;
use core::ptr::NonNull;
use zeroize::Zeroize;

/// What the kernel gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `memfd_secret(2)`: in no other page table, the kernel's included.
    Hidden,
    /// Anonymous memory, `mlock(2)` and `MADV_DONTDUMP`: the kernel was built or started without the former.
    Locked,
}

/// No memory for a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "no memory can be locked for a key (errno {0}): raise the limit of locked memory (LimitMEMLOCK, ulimit -l)"
)]
pub struct SecretError(pub i32);

/// Whole pages, owned. Wiped before they are given back.
pub(crate) struct Page {
    at: NonNull<u8>,
    len: usize,
    pub(crate) kind: Kind,
}

// SAFETY: plain memory with one owner; who may touch it from where is said by the types above it.
unsafe impl Send for Page {}
// SAFETY: as above: shared references to a `Page` read nothing of it.
unsafe impl Sync for Page {}

fn errno() -> SecretError {
    SecretError(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

impl Page {
    /// At least `bytes` of zeroed memory, at the beginning of a page. Errors: [`SecretError`].
    pub(crate) fn new(bytes: usize) -> Result<Self, SecretError> {
        // SAFETY: asks for a number, touches no memory.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let page = usize::try_from(page).unwrap_or(4096);
        let len = bytes.max(1).next_multiple_of(page);
        Self::hidden(len).or_else(|_| Self::locked(len))
    }

    fn hidden(len: usize) -> Result<Self, SecretError> {
        // SAFETY: no memory is passed.
        let fd = unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) };
        let fd = i32::try_from(fd)
            .ok()
            .filter(|fd| *fd >= 0)
            .ok_or_else(errno)?;
        let size = libc::off_t::try_from(len).unwrap_or(libc::off_t::MAX);
        // SAFETY: `fd` is ours, and no memory is passed.
        let is_sized = unsafe { libc::ftruncate(fd, size) } == 0;
        let page = if is_sized {
            Self::map(len, fd, libc::MAP_SHARED, Kind::Hidden)
        } else {
            Err(errno())
        };
        // SAFETY: `fd` is ours and closed once; the mapping keeps the memory.
        unsafe { libc::close(fd) };
        page
    }

    fn locked(len: usize) -> Result<Self, SecretError> {
        let page = Self::map(
            len,
            -1,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            Kind::Locked,
        )?;
        // SAFETY: the range is the mapping just made.
        if unsafe { libc::mlock(page.at.as_ptr().cast(), len) } != 0 {
            return Err(errno());
        }
        Ok(page)
    }

    fn map(len: usize, fd: i32, flags: i32, kind: Kind) -> Result<Self, SecretError> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping anywhere; nothing of ours is replaced.
        let at = unsafe { libc::mmap(core::ptr::null_mut(), len, access, flags, fd, 0) };
        if at == libc::MAP_FAILED {
            return Err(errno());
        }
        let at = NonNull::new(at.cast()).ok_or(SecretError(libc::ENOMEM))?;
        let page = Self { at, len, kind };
        for advice in [libc::MADV_DONTDUMP, libc::MADV_DONTFORK] {
            // SAFETY: the range is the mapping just made. What is refused here is so for hidden pages anyway.
            let _ = unsafe { libc::madvise(at.as_ptr().cast(), len, advice) };
        }
        Ok(page)
    }

    pub(crate) const fn as_ptr(&self) -> *mut u8 {
        self.at.as_ptr()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let at = self.at.as_ptr().cast::<MaybeUninit<u8>>();
        // SAFETY: the mapping is ours, `len` long, and nobody else looks at it any more.
        let bytes = unsafe { core::slice::from_raw_parts_mut(at, self.len) };
        bytes.zeroize();
        // SAFETY: as above; it is given back once.
        unsafe { libc::munmap(at.cast(), self.len) };
    }
}
