//! Atomics by way of one door: `core` in the product, `loom` when the algorithms are model-checked.

#[cfg(not(loom))]
pub use core::sync::atomic::{AtomicU64, Ordering, fence};
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicU64, Ordering, fence};

/// A cell whose content is reached by pointer: loom sees each access.
#[cfg(loom)]
pub use loom::cell::UnsafeCell as Cell;

/// A cell whose content is reached by pointer.
#[cfg(not(loom))]
#[repr(transparent)]
pub struct Cell<T>(core::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> Cell<T> {
    /// A cell with `value`.
    pub const fn new(value: T) -> Self {
        Self(core::cell::UnsafeCell::new(value))
    }

    /// Its content, to read.
    #[inline]
    pub fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get())
    }

    /// Its content, to write.
    #[inline]
    pub fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.0.get())
    }
}

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
