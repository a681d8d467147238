//! Receive buffers the kernel picks from: one arena, a ring of descriptors and the chunks.
//!
//! ```text
//!   | descriptors (16 B x CHUNKS, one page) | chunk 0 | chunk 1 | …
//!     tail ▲ written by us, head kept by the kernel
//!
//!   chunk:  ring ──kernel fills──▶ out (a `Chunk` is held) ──put──▶ ring
//! ```

use crate::CHUNK_BYTES;
use crate::arena::{Arena, ArenaError};
use core::sync::atomic::{AtomicU16, Ordering};
use io_uring::types::BufRingEntry;
use io_uring::{IoUring, squeue};
use std::io;

/// Chunks a lane receives into: 8 MiB, a quarter of a second of 256 Mbit/s.
pub const CHUNKS: u16 = 128;
const _: () = assert!(CHUNKS.is_power_of_two() && CHUNKS as u32 <= u128::BITS);
/// The one buffer group of a ring.
pub const GROUP: u16 = 0;

/// Bytes of the descriptors, rounded up to a page.
const RING_BYTES: usize = 4096;
const _: () = assert!(RING_BYTES >= CHUNKS as usize * size_of::<BufRingEntry>());
/// The pool. Lives as long as the ring it is registered with, and is freed after it.
#[derive(Debug)]
pub struct Pool {
    arena: Arena,
    tail: u16,
    /// Chunks the kernel gave out and that were not put back, one bit each. Guards the memory against a
    /// [`crate::Chunk`] of another transport.
    out: u128,
}

/// Memory of a pool.
pub const BYTES: usize = RING_BYTES + CHUNKS as usize * CHUNK_BYTES;

impl Pool {
    /// Maps and touches the memory, on a node where one is named.
    pub fn on_node(node: Option<u16>) -> Result<Self, ArenaError> {
        let arena = Arena::on_node(BYTES, node)?;
        Ok(Self {
            arena,
            tail: 0,
            out: 0,
        })
    }

    /// Gives all chunks to the kernel. Errors: the kernel's.
    pub fn register<S: squeue::EntryMarker>(&mut self, ring: &IoUring<S>) -> io::Result<()> {
        let address = self.arena.address(0) as u64;
        let submitter = ring.submitter();
        // SAFETY: the descriptors are page aligned, CHUNKS long, and stay mapped until the ring is
        // closed and idle (`Drop for Uring`).
        unsafe { submitter.register_buf_ring_with_flags(address, CHUNKS, GROUP, 0) }?;
        (0..CHUNKS).for_each(|chunk| self.give(chunk));
        Ok(())
    }

    /// The kernel filled a chunk.
    pub const fn take(&mut self, chunk: u16) {
        self.out |= bit(chunk);
    }

    /// Gives a chunk back to the kernel. One that is not out is no chunk of this pool: ignored.
    pub fn put(&mut self, chunk: u32) {
        if let Some(chunk) = self.out(chunk) {
            self.out &= !bit(chunk);
            self.give(chunk);
        }
    }

    /// `len` bytes from `start` of a chunk that is out, as far as it goes; nothing of any other.
    pub fn bytes(&mut self, chunk: u32, start: u32, len: u32) -> &mut [u8] {
        let Some(chunk) = self.out(chunk) else {
            return &mut [];
        };
        let start = (start as usize).min(CHUNK_BYTES);
        let end = start.saturating_add(len as usize).min(CHUNK_BYTES);
        let base = offset(chunk);
        self.arena.slice_mut(base + start..base + end)
    }

    /// Chunks the kernel can fill.
    pub const fn free_count(&self) -> u32 {
        CHUNKS as u32 - self.out.count_ones()
    }

    /// The memory.
    pub const fn arena(&mut self) -> &mut Arena {
        &mut self.arena
    }

    /// A chunk that is out.
    fn out(&self, chunk: u32) -> Option<u16> {
        let chunk = u16::try_from(chunk).ok()?;
        (self.out & bit(chunk) != 0).then_some(chunk)
    }

    /// Publishes a descriptor. At most CHUNKS are in the ring: each chunk is either there or out.
    fn give(&mut self, chunk: u16) {
        let chunk = chunk & (CHUNKS - 1);
        let address = self.arena.address(offset(chunk)) as u64;
        let entry = self.descriptor(self.tail & (CHUNKS - 1));
        // SAFETY: one of CHUNKS descriptors inside the arena; the kernel reads it only after the tail
        // below has passed it, and nobody else holds a reference to it.
        let entry = unsafe { &mut *entry };
        entry.set_addr(address);
        entry.set_len(CHUNK_BYTES as u32);
        entry.set_bid(chunk);
        self.tail = self.tail.wrapping_add(1);
        let base = self.descriptor(0);
        // SAFETY: the base is the registered ring's first entry; `tail` computes an address in it.
        let tail = unsafe { BufRingEntry::tail(base) };
        // SAFETY: the tail is two aligned bytes inside the arena, shared with the kernel only.
        let tail = unsafe { &*tail.cast::<AtomicU16>() };
        tail.store(self.tail, Ordering::Release);
    }

    fn descriptor(&self, at: u16) -> *mut BufRingEntry {
        let at = usize::from(at) * size_of::<BufRingEntry>();
        // An arena begins on a page and descriptors are 16 bytes: aligned.
        self.arena.address(at).cast()
    }
}

/// Of any number: those past the last chunk have no bit.
const fn bit(chunk: u16) -> u128 {
    if chunk < CHUNKS { 1 << chunk } else { 0 }
}

const fn offset(chunk: u16) -> usize {
    RING_BYTES + (chunk & (CHUNKS - 1)) as usize * CHUNK_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_chunks_that_are_out_have_bytes_or_come_back() {
        let mut pool = Pool::on_node(None).unwrap();
        assert!(pool.bytes(3, 0, 10).is_empty());
        assert!(pool.bytes(u32::from(CHUNKS), 0, 10).is_empty());
        pool.take(3);
        assert_eq!(pool.bytes(3, 7, 10).len(), 10);
        assert_eq!(pool.bytes(3, 0, u32::MAX).len(), CHUNK_BYTES);
        assert_eq!(pool.bytes(3, 7, u32::MAX).len(), CHUNK_BYTES - 7);
        assert!(pool.bytes(3, u32::MAX, u32::MAX).is_empty());
        assert!(pool.bytes(3 + (1 << 16), 0, 10).is_empty());
        assert_eq!(pool.free_count(), u32::from(CHUNKS) - 1);
        pool.put(3);
        let tail = pool.tail;
        pool.put(3);
        pool.put(u32::MAX);
        pool.put(3 + (1 << 16));
        assert_eq!((pool.tail, pool.free_count()), (tail, u32::from(CHUNKS)));
    }

    #[test]
    fn chunks_end_inside_the_arena() {
        let pool = Pool::on_node(None).unwrap();
        assert!(offset(CHUNKS - 1) + CHUNK_BYTES <= pool.arena.size());
        assert!(offset(0) >= RING_BYTES);
    }
}
