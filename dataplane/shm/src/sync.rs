//! Atomics by way of one door: `core` in the product, `loom` when the algorithms are model-checked.

#[cfg(not(loom))]
pub use core::sync::atomic::{AtomicU64, Ordering, fence};
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicU64, Ordering, fence};

/// Copies words out, one relaxed load each.
#[inline]
pub fn load<const W: usize>(words: &[AtomicU64; W]) -> [u64; W] {
    core::array::from_fn(|at| words[at].load(Ordering::Relaxed))
}

/// Copies words in, one relaxed store each.
#[inline]
pub fn store<const W: usize>(words: &[AtomicU64; W], values: &[u64; W]) {
    for (word, value) in words.iter().zip(values) {
        word.store(*value, Ordering::Relaxed);
    }
}
