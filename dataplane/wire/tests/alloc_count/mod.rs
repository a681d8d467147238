//! A global allocator that counts, per thread, what passes through it. For test binaries only.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    // `const` and without a destructor: reading it in the allocator cannot itself allocate.
    static COUNT: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// Counts, then asks the system.
pub struct Counting;

fn count(bytes: usize) {
    COUNT.with(|cell| {
        let (calls, sum) = cell.get();
        cell.set((calls + 1, sum + bytes as u64));
    });
}

// SAFETY: every method passes its arguments unchanged to `System`, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promises about `layout` are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System` with this layout, see `alloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: `pointer` came from `System` with this layout, see `alloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Allocations and reallocations of this thread while `work` runs, and their bytes.
pub fn allocations(work: impl FnOnce()) -> (u64, u64) {
    let (calls, bytes) = COUNT.get();
    work();
    let (calls_after, bytes_after) = COUNT.get();
    (calls_after - calls, bytes_after - bytes)
}
