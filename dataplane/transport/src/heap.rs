//! The lane's heap, grown before it is needed.
//!
//! rustls allocates a block per record. The C library's heap of a thread grows a page at a time, by a system
//! call, and gives pages back by another; a trading lane should make neither. So the heap is grown once, at
//! the start, and told to keep what it has. Source: mallopt(3), glibc's malloc/arena.c (`grow_heap`).

/// Bytes of one block while growing: below any threshold that would map it apart.
const BLOCK_BYTES: usize = 64 << 10;

/// Grows the calling thread's heap by about `bytes`, touches all of it and keeps it from shrinking.
///
/// Says whether the C library took the settings; where it did not, the heap grows as it always did.
pub fn grow_heap(bytes: usize) -> bool {
    let is_kept = keep();
    let blocks: Vec<Vec<u8>> = (0..bytes / BLOCK_BYTES)
        .map(|_| vec![1; BLOCK_BYTES])
        .collect();
    drop(core::hint::black_box(blocks));
    is_kept
}

#[cfg(target_env = "gnu")]
fn keep() -> bool {
    const NEVER: libc::c_int = libc::c_int::MAX;
    /// Largest threshold the C library takes (HEAP_MAX_SIZE / 2 on 64 bits).
    const MAPPED_APART: libc::c_int = 32 << 20;
    // SAFETY: mallopt changes two parameters under the allocator's own lock; any thread may call it.
    let trim = unsafe { libc::mallopt(libc::M_TRIM_THRESHOLD, NEVER) };
    // SAFETY: as above.
    let map = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_APART) };
    trim == 1 && map == 1
}

#[cfg(not(target_env = "gnu"))]
const fn keep() -> bool {
    false
}

#[cfg(test)]
mod tests {
    /// Page faults of the calling thread so far.
    fn faults() -> i64 {
        let who = nix::sys::resource::UsageWho::RUSAGE_THREAD;
        nix::sys::resource::getrusage(who)
            .unwrap()
            .minor_page_faults()
    }

    #[test]
    fn a_grown_heap_is_kept() {
        std::thread::spawn(|| {
            assert!(super::grow_heap(8 << 20));
            let before = faults();
            for _ in 0..100 {
                drop(core::hint::black_box(vec![1u8; 1 << 20]));
            }
            // A heap that gave pages back would fault 256 of them in again each time.
            assert!(faults() - before < 256, "{} faults", faults() - before);
        })
        .join()
        .unwrap();
    }
}
