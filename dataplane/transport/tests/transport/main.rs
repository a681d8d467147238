//! io_uring and plain system calls against the kernel's own sockets: bytes exact both ways, ends told, nothing leaks, and a
//! steady state that neither allocates nor calls what it did not declare.

/// Each of these tests over both ways to the kernel's TCP.
macro_rules! both {
    ($($name:ident),* $(,)?) => {
        mod uring {
            $(#[test] fn $name() { super::$name::<dp_transport::Uring>(); })*
        }
        mod sockets {
            $(#[test] fn $name() { super::$name::<dp_transport::Sockets>(); })*
        }
    };
}

mod churn;
mod confine;
mod echo;
mod ends;
mod late;
mod limits;
mod multicast;
mod steady;
mod support;
mod xdp;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Counts what the calling thread asks of the allocator.
struct Counting;

thread_local! {
    static TOUCHES: Cell<u64> = const { Cell::new(0) };
}

/// Allocator calls of this thread while `work` runs.
fn alloc_touches(work: impl FnOnce()) -> u64 {
    let before = TOUCHES.get();
    work();
    TOUCHES.get() - before
}

fn touch() {
    // A thread that ends may free after its locals are gone; nobody counts then.
    let _ = TOUCHES.try_with(|touches| touches.set(touches.get() + 1));
}

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        touch();
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        touch();
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        touch();
        // SAFETY: the caller's promise, passed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
