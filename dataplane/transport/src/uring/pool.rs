//! Receive buffers the kernel picks from: one mapping, a ring of descriptors and the chunks.
//!
//! ```text
//!   | descriptors (16 B x CHUNKS, page aligned) | chunk 0 | chunk 1 | … |
//!     tail ▲ written by us, head kept by the kernel
//! ```

use crate::CHUNK_BYTES;
use core::sync::atomic::{AtomicU16, Ordering};
use io_uring::types::BufRingEntry;
use io_uring::{IoUring, squeue};
use std::io;
use std::ptr::NonNull;

/// Chunks a lane receives into: 8 MiB, a quarter of a second of 256 Mbit/s.
pub const CHUNKS: u16 = 128;
const _: () = assert!(CHUNKS.is_power_of_two());
/// The one buffer group of a ring.
pub const GROUP: u16 = 0;

/// Bytes of the descriptors, rounded up to a page.
const RING_BYTES: usize = 4096;
const _: () = assert!(RING_BYTES >= CHUNKS as usize * size_of::<BufRingEntry>());
const MAP_BYTES: usize = RING_BYTES + CHUNKS as usize * CHUNK_BYTES;

/// The pool. Lives as long as the ring it is registered with, and is freed after it.
#[derive(Debug)]
pub struct Pool {
    base: NonNull<u8>,
    tail: u16,
}

// SAFETY: the mapping is owned by this value alone and has no thread affinity; it is moved to the
// lane's thread once, before use.
unsafe impl Send for Pool {}

impl Pool {
    /// Maps, touches and registers the pool. Errors: the kernel's.
    pub fn new<S: squeue::EntryMarker>(ring: &IoUring<S>) -> io::Result<Self> {
        // SAFETY: a fresh anonymous private mapping; MAP_POPULATE faults it in now.
        let base = unsafe {
            libc::mmap(
                core::ptr::null_mut(),
                MAP_BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast::<u8>()).ok_or_else(io::Error::last_os_error)?;
        let mut pool = Self { base, tail: 0 };
        let address = base.as_ptr() as u64;
        // SAFETY: the descriptors are page aligned, CHUNKS long, and stay mapped until `drop`, which
        // runs after the ring's own (field order in `Uring`).
        unsafe {
            ring.submitter()
                .register_buf_ring_with_flags(address, CHUNKS, GROUP, 0)?
        };
        for chunk in 0..CHUNKS {
            pool.put(chunk);
        }
        Ok(pool)
    }

    fn address(&self, chunk: u16) -> *mut u8 {
        let offset = RING_BYTES + usize::from(chunk & (CHUNKS - 1)) * CHUNK_BYTES;
        self.base.as_ptr().wrapping_add(offset)
    }

    /// Gives a chunk to the kernel. The caller has one the kernel gave out, or a new one.
    pub fn put(&mut self, chunk: u16) {
        let at = usize::from(self.tail & (CHUNKS - 1));
        let entry = self.base.as_ptr().cast::<BufRingEntry>().wrapping_add(at);
        // SAFETY: `at < CHUNKS`, so the descriptor is inside the mapping; the kernel reads it only
        // after the tail below has passed it.
        let entry = unsafe { &mut *entry };
        entry.set_addr(self.address(chunk) as u64);
        entry.set_len(CHUNK_BYTES as u32);
        entry.set_bid(chunk);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the base is the registered ring's first entry; `tail` computes an address in it.
        let tail = unsafe { BufRingEntry::tail(self.base.as_ptr().cast()) };
        // SAFETY: the tail is two aligned bytes inside the mapping, shared with the kernel only.
        let tail = unsafe { &*tail.cast::<AtomicU16>() };
        tail.store(self.tail, Ordering::Release);
    }

    /// The first `len` bytes of a chunk the kernel gave out.
    pub fn bytes(&mut self, chunk: u16, len: usize) -> &mut [u8] {
        let len = len.min(CHUNK_BYTES);
        // SAFETY: the range is inside the mapping; the kernel does not write a chunk it gave out until
        // it is put back, and `Chunk` is neither `Copy` nor `Clone`, so there is one holder.
        unsafe { core::slice::from_raw_parts_mut(self.address(chunk), len) }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` with this base and length, and nothing borrows it.
        unsafe { libc::munmap(self.base.as_ptr().cast(), MAP_BYTES) };
    }
}
