//! A value one side rewrites and the other copies, whole, without locks: two slots and a version.
//!
//! ```text
//!   version v ──▶ slot[v & 1] holds the value; slot[(v + 1) & 1] is free for the next one
//!   write: fill the free slot, then version = v + 1
//!   read:  copy slot[v & 1]; it is whole if the version is still v
//! ```
//!
//! A plain seqlock has one slot: its writer, killed in mid-write, leaves a value nobody can read. Here
//! the value before stays readable, which is what makes positions exact after `kill -9`.
//!
//! One writer at a time is the caller's promise. Breaking it garbles values, never memory: every word is
//! an atomic. Checked by loom test `loom_twin_is_never_torn`.

use crate::sync::{AtomicU64, Ordering, fence};
use core::marker::PhantomData;

/// Tries before a reader gives up on a value that is rewritten under its eyes. A copy takes tens of
/// nanoseconds and writers pause for longer than that, so one retry is already rare.
pub const READ_TRIES_MAX: u32 = 1_000;

/// A value that travels as `N` words.
pub trait Words<const N: usize>: Sized {
    /// The words.
    fn to_words(&self) -> [u64; N];
    /// The value back; `None` when the words are not one (a foreign or damaged file).
    fn from_words(words: &[u64; N]) -> Option<Self>;
}

/// Publishes the next value. Cost: one store a word, no retry, no wait.
pub(crate) fn publish(
    version: &AtomicU64,
    slots: [&[AtomicU64]; 2],
    words: impl IntoIterator<Item = u64>,
) -> u64 {
    let next = version.load(Ordering::Relaxed).wrapping_add(1);
    // Orders the version published before against the stores below: a reader who sees any of them also
    // sees that version, and drops its copy.
    fence(Ordering::Release);
    let free = if next & 1 == 0 { slots[0] } else { slots[1] };
    for (cell, word) in free.iter().zip(words) {
        cell.store(word, Ordering::Relaxed);
    }
    version.store(next, Ordering::Release);
    next
}

/// One try to copy the current value; `Err` when it changed meanwhile.
pub(crate) fn try_read(
    version: &AtomicU64,
    slots: [&[AtomicU64]; 2],
    out: &mut [u64],
) -> Result<u64, ()> {
    let seen = version.load(Ordering::Acquire);
    let held = if seen & 1 == 0 { slots[0] } else { slots[1] };
    for (word, cell) in out.iter_mut().zip(held) {
        *word = cell.load(Ordering::Relaxed);
    }
    fence(Ordering::Acquire);
    if version.load(Ordering::Relaxed) == seen {
        Ok(seen)
    } else {
        Err(())
    }
}

/// Copies the current value into `out`; its version, 0 = never written. `None` after
/// [`READ_TRIES_MAX`] changes.
pub(crate) fn read(version: &AtomicU64, slots: [&[AtomicU64]; 2], out: &mut [u64]) -> Option<u64> {
    for _ in 0..READ_TRIES_MAX {
        if let Ok(seen) = try_read(version, slots, out) {
            return Some(seen);
        }
        core::hint::spin_loop();
    }
    None
}

/// A twin-slotted value of `N` words in shared memory. All zero bytes = never written.
#[repr(C, align(64))]
pub struct Twin<T, const N: usize> {
    version: AtomicU64,
    slots: [[AtomicU64; N]; 2],
    value: PhantomData<fn(T) -> T>,
}

impl<T: Words<N>, const N: usize> Twin<T, N> {
    /// Publishes `value`. One writer only. Cost: `N` + 1 stores.
    #[inline]
    pub fn write(&self, value: &T) {
        publish(
            &self.version,
            [&self.slots[0], &self.slots[1]],
            value.to_words(),
        );
    }

    /// The latest whole value; `None` when never written, not a value, or rewritten without pause.
    pub fn read(&self) -> Option<T> {
        let mut words = [0; N];
        match read(&self.version, [&self.slots[0], &self.slots[1]], &mut words) {
            None | Some(0) => None,
            Some(_) => T::from_words(&words),
        }
    }

    /// How often it was written: compare to see whether anything changed. Cost: one load.
    #[inline]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}

#[cfg(not(loom))]
impl<T, const N: usize> Default for Twin<T, N> {
    fn default() -> Self {
        Self {
            version: AtomicU64::new(0),
            slots: core::array::from_fn(|_| core::array::from_fn(|_| AtomicU64::new(0))),
            value: PhantomData,
        }
    }
}

#[cfg(not(loom))]
/// Low and high word of a signed 128-bit number.
pub(crate) const fn split(value: i128) -> [u64; 2] {
    [value as u64, (value >> 64) as u64]
}

#[cfg(not(loom))]
/// The inverse of [`split`].
pub(crate) const fn join(low: u64, high: u64) -> i128 {
    ((high as i128) << 64) | low as i128
}

#[cfg(all(test, loom))]
mod tests {
    use super::*;
    use loom::sync::Arc;
    use loom::thread;

    #[test]
    fn loom_twin_is_never_torn() {
        loom::model(|| {
            let cells = || [AtomicU64::new(0), AtomicU64::new(0)];
            let memory = Arc::new((AtomicU64::new(0), [cells(), cells()]));
            let reader = {
                let memory = Arc::clone(&memory);
                thread::spawn(move || {
                    let (version, [even, odd]) = &*memory;
                    let mut copy = [0; 2];
                    if let Ok(seen) = try_read(version, [even, odd], &mut copy) {
                        assert_eq!(copy, [seen, seen * 10], "the value is its version's, whole");
                    }
                })
            };
            // The writer is not the spawned thread: see the tests of `ring`.
            let (version, [even, odd]) = &*memory;
            for n in 1..=3 {
                publish(version, [even, odd], [n, n * 10]);
            }
            reader.join().unwrap();
        });
    }
}
