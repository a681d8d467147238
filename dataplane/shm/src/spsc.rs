//! A queue between two lanes of one process: whole values, moved, one writer and one reader.
//!
//! ```text
//!   Sender ── stage, stage, publish ──▶ [ slot | slot | slot | … ] ──▶ pop ── Receiver
//!      head ─▶ (a line of its own)                      tail ─▶ (a line of its own)
//! ```
//! [`crate::ring`] carries words between processes, where the other side may write anything. Here both ends are
//! our own threads, so a value moves as it is: one that is neither `Copy` nor `Clone` still exists once. What is
//! staged becomes visible together, so a message of many slots is seen whole or not at all.
//!
//! It neither waits nor allocates after it is made, and what is still in it when both ends are gone is forgotten.

use crate::sync::{AtomicU64, Cell, Ordering};
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use std::sync::Arc;

/// A line of its own, and the one the prefetcher takes with it.
#[repr(align(128))]
struct Line(AtomicU64);

/// Memory for a ring's slots.
///
/// # Safety
/// [`Memory::start`] points at [`Memory::size`] bytes that can be read and written, are aligned to
/// [`ALIGN`], belong to this value alone, and stay where they are until it is dropped.
pub unsafe trait Memory: Send {
    /// The first byte.
    fn start(&self) -> NonNull<u8>;
    /// Bytes.
    fn size(&self) -> usize;
}

/// What memory of a ring is aligned to, bytes.
pub const ALIGN: usize = 128;

/// Memory from the heap: for tests, and where it does not matter where it lies.
pub struct Heap(Box<[MaybeUninit<Block>]>);

#[repr(align(128))]
struct Block(#[expect(dead_code, reason = "only its size and alignment count")] [u8; ALIGN]);

impl Heap {
    /// At least `bytes`.
    pub fn new(bytes: usize) -> Self {
        let blocks = bytes.div_ceil(ALIGN);
        Self((0..blocks).map(|_| MaybeUninit::uninit()).collect())
    }
}

// SAFETY: a boxed slice of 128-byte blocks, aligned so; the box owns it and does not move it. Nobody but the
// ring is handed its address.
unsafe impl Memory for Heap {
    fn start(&self) -> NonNull<u8> {
        NonNull::from(&*self.0).cast()
    }

    fn size(&self) -> usize {
        size_of_val(&*self.0)
    }
}

type Slot<T> = Cell<MaybeUninit<T>>;

struct Shared<T> {
    /// One past the newest value that may be read.
    head: Line,
    /// The oldest value that may not be overwritten.
    tail: Line,
    /// Ends that are gone.
    gone: Line,
    slots: NonNull<Slot<T>>,
    capacity: u64,
    /// Keeps the slots' memory; never looked at.
    _memory: Box<dyn Memory>,
}

// SAFETY: values are handed from the one sender to the one receiver, hence `T: Send`; a slot is touched by the
// sender while it lies at or above `head`, by the receiver while it lies in `tail..head`, never by both: loom
// tests below. The memory is only kept.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// The slot of a position.
    #[inline]
    fn slot(&self, at: u64) -> &Slot<T> {
        let index = (at & (self.capacity - 1)) as usize;
        // SAFETY: `index` is below `capacity`, and `ring` laid out that many slots from `slots` on.
        let slot = unsafe { self.slots.add(index) };
        // SAFETY: `ring` has initialised every slot, and their memory lives as long as `self`.
        unsafe { slot.as_ref() }
    }

    fn is_half(&self) -> bool {
        self.gone.0.load(Ordering::Acquire) > 0
    }

    fn leave(&self) {
        self.gone.0.fetch_add(1, Ordering::Release);
    }
}

/// The memory does not hold the slots asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{need} bytes are needed for a ring, the memory has {have}")]
pub struct TooSmall {
    /// Needed.
    pub need: usize,
    /// There.
    pub have: usize,
}

/// Bytes a ring of so many values takes.
pub const fn bytes<T>(capacity: usize) -> usize {
    size_of::<Slot<T>>() * capacity
}

/// Makes a ring of `capacity` values in `memory`.
///
/// Errors: [`TooSmall`].
///
/// # Panics
/// When `capacity` is not a power of two.
pub fn ring<T: Send>(
    memory: impl Memory + 'static,
    capacity: usize,
) -> Result<(Sender<T>, Receiver<T>), TooSmall> {
    const {
        assert!(!core::mem::needs_drop::<T>(), "what is left is forgotten");
        assert!(align_of::<Slot<T>>() <= ALIGN, "aligned as the memory is");
    };
    assert!(
        capacity.is_power_of_two(),
        "a ring's capacity is a power of two"
    );
    let (need, have) = (bytes::<T>(capacity), memory.size());
    if need > have {
        return Err(TooSmall { need, have });
    }
    let slots = memory.start().cast::<Slot<T>>();
    for index in 0..capacity {
        // SAFETY: `index` is below `capacity`, and the memory holds that many slots.
        let slot = unsafe { slots.add(index) };
        // SAFETY: the memory can be written, is aligned for a slot, and nobody else has it yet.
        unsafe { slot.write(Cell::new(MaybeUninit::uninit())) };
    }
    let shared = Arc::new(Shared {
        head: Line(AtomicU64::new(0)),
        tail: Line(AtomicU64::new(0)),
        gone: Line(AtomicU64::new(0)),
        slots,
        capacity: capacity as u64,
        _memory: Box::new(memory),
    });
    let sender = Sender {
        shared: Arc::clone(&shared),
        next: 0,
        tail_seen: 0,
    };
    let receiver = Receiver {
        shared,
        next: 0,
        head_seen: 0,
    };
    Ok((sender, receiver))
}

/// The writing end. One a ring.
pub struct Sender<T: Send> {
    shared: Arc<Shared<T>>,
    next: u64,
    tail_seen: u64,
}

impl<T: Send> Sender<T> {
    /// Puts a value in without showing it. Errors: gives it back; there is no room. Cost: one copy.
    #[inline]
    pub fn stage(&mut self, value: T) -> Result<(), T> {
        if self.next - self.tail_seen >= self.shared.capacity && self.room() == 0 {
            return Err(value);
        }
        self.shared.slot(self.next).with_mut(|slot| {
            // SAFETY: `next - tail < capacity`, so the receiver has left this slot and not been shown it again;
            // `&mut self` makes this the only sender; `slot` is not kept. Loom: `values_come_out_whole_in_order`.
            unsafe { (*slot).write(value) };
        });
        self.next += 1;
        Ok(())
    }

    /// Shows everything staged, at once. Cost: one store.
    #[inline]
    pub fn publish(&mut self) {
        self.shared.head.0.store(self.next, Ordering::Release);
    }

    /// [`Sender::stage`] and [`Sender::publish`].
    #[inline]
    pub fn push(&mut self, value: T) -> Result<(), T> {
        self.stage(value)?;
        self.publish();
        Ok(())
    }

    /// How many values there is room for now. Cost: one load of the receiver's line.
    #[inline]
    pub fn room(&mut self) -> u64 {
        self.tail_seen = self.shared.tail.0.load(Ordering::Acquire);
        self.shared.capacity - (self.next - self.tail_seen)
    }

    /// Whether there is room for `count`. Cost: no load while it is known.
    #[inline]
    pub fn has_room(&mut self, count: u64) -> bool {
        self.shared.capacity - (self.next - self.tail_seen) >= count || self.room() >= count
    }

    /// Values it holds.
    pub fn capacity(&self) -> u64 {
        self.shared.capacity
    }

    /// Whether the receiver is gone.
    pub fn is_closed(&self) -> bool {
        self.shared.is_half()
    }
}

impl<T: Send> Drop for Sender<T> {
    fn drop(&mut self) {
        self.publish();
        self.shared.leave();
    }
}

/// The reading end. One a ring.
pub struct Receiver<T: Send> {
    shared: Arc<Shared<T>>,
    next: u64,
    head_seen: u64,
}

impl<T: Send> Receiver<T> {
    /// The oldest value, moved out. Cost: one load when there is none, one copy and a store when there is.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        if self.next == self.head_seen {
            self.head_seen = self.shared.head.0.load(Ordering::Acquire);
            if self.next == self.head_seen {
                return None;
            }
        }
        let value = self.shared.slot(self.next).with(|slot| {
            // SAFETY: `next < head`, and the sender's release of `head` came after it wrote this slot, which it
            // leaves alone until `tail` is past it. Loom: `values_come_out_whole_in_order`.
            let value = unsafe { slot.read() };
            // SAFETY: it was written, and a position is read once, so the value is moved, not copied.
            unsafe { value.assume_init() }
        });
        self.next += 1;
        self.shared.tail.0.store(self.next, Ordering::Release);
        Some(value)
    }

    /// Whether the sender is gone. What it had put in can still be taken.
    pub fn is_closed(&self) -> bool {
        self.shared.is_half()
    }
}

impl<T: Send> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.leave();
    }
}

impl<T: Send> core::fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Sender")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

impl<T: Send> core::fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Receiver")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    /// Neither `Copy` nor `Clone`, and no power of two in size.
    #[derive(Debug, PartialEq, Eq)]
    struct Once([u32; 5]);

    fn once(n: u32) -> Once {
        Once([n, n + 1, n + 2, n + 3, n + 4])
    }

    #[test]
    fn what_is_staged_is_seen_together() {
        let (mut sender, mut receiver) = ring(Heap::new(4_096), 8).unwrap();
        sender.stage(once(1)).unwrap();
        sender.stage(once(2)).unwrap();
        assert_eq!(receiver.pop(), None);
        sender.publish();
        assert_eq!(
            [receiver.pop(), receiver.pop()],
            [Some(once(1)), Some(once(2))]
        );
        assert_eq!(receiver.pop(), None);
    }

    #[test]
    fn a_full_ring_gives_the_value_back() {
        let (mut sender, mut receiver) = ring(Heap::new(4_096), 2).unwrap();
        sender.push(once(1)).unwrap();
        sender.push(once(2)).unwrap();
        assert_eq!(
            (sender.push(once(3)), sender.has_room(1)),
            (Err(once(3)), false)
        );
        assert_eq!(receiver.pop(), Some(once(1)));
        assert!(sender.has_room(1) && !sender.has_room(2));
        sender.push(once(3)).unwrap();
    }

    #[test]
    fn each_end_knows_when_the_other_is_gone() {
        let (mut sender, mut receiver) = ring(Heap::new(4_096), 2).unwrap();
        sender.push(once(1)).unwrap();
        assert!(!receiver.is_closed() && !sender.is_closed());
        drop(sender);
        assert!(receiver.is_closed());
        assert_eq!(receiver.pop(), Some(once(1)), "what was put in before");
        let (sender, receiver) = ring::<Once>(Heap::new(4_096), 2).unwrap();
        drop(receiver);
        assert!(sender.is_closed());
    }

    #[test]
    fn memory_that_does_not_hold_it_is_refused() {
        let need = bytes::<Once>(256);
        let have = Heap::new(need - ALIGN).size();
        let error = ring::<Once>(Heap::new(need - ALIGN), 256).unwrap_err();
        assert_eq!(error, TooSmall { need, have });
    }

    #[test]
    fn two_threads_lose_and_double_nothing() {
        const COUNT: u32 = 20_000;
        let (mut sender, mut receiver) = ring(Heap::new(4_096), 16).unwrap();
        let writer = std::thread::spawn(move || {
            for n in 0..COUNT {
                let mut value = once(n);
                while let Err(back) = sender.push(value) {
                    value = back;
                    std::thread::yield_now();
                }
            }
        });
        for n in 0..COUNT {
            let value = loop {
                match receiver.pop() {
                    Some(value) => break value,
                    None => std::thread::yield_now(),
                }
            };
            assert_eq!(value, once(n));
        }
        writer.join().unwrap();
        assert_eq!(receiver.pop(), None);
    }

    proptest! {
        /// A ring is a bounded queue whose back is hidden until published.
        #[test]
        fn it_is_a_queue(steps in proptest::collection::vec(0u8..4, 0..200)) {
            let (mut sender, mut receiver) = ring(Heap::new(4_096), 8).unwrap();
            let (mut staged, mut shown): (VecDeque<u32>, VecDeque<u32>) = Default::default();
            for (n, step) in (0u32..).zip(steps) {
                match step {
                    0 | 1 => {
                        let has_room = staged.len() + shown.len() < 8;
                        prop_assert_eq!(sender.stage(once(n)).is_ok(), has_room);
                        if has_room {
                            staged.push_back(n);
                        }
                    }
                    2 => {
                        sender.publish();
                        shown.append(&mut staged);
                    }
                    _ => prop_assert_eq!(receiver.pop(), shown.pop_front().map(once)),
                }
                let room = 8 - (staged.len() + shown.len()) as u64;
                prop_assert_eq!(sender.room(), room);
            }
        }
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use loom::thread;

    #[test]
    fn loom_spsc_values_come_out_whole_in_order() {
        loom::model(|| {
            let (mut sender, mut receiver) = ring::<[u64; 2]>(Heap::new(4_096), 1).unwrap();
            let reader = thread::spawn(move || {
                let taken: Vec<_> = (0..2).filter_map(|_| receiver.pop()).collect();
                (receiver, taken)
            });
            let sent: Vec<_> = (1..=2)
                .filter(|n| sender.push([*n, n * 10]).is_ok())
                .collect();
            let (mut receiver, mut taken) = reader.join().unwrap();
            taken.extend(receiver.pop());
            let whole: Vec<_> = sent.iter().map(|n| [*n, n * 10]).collect();
            assert_eq!(taken, whole);
        });
    }

    #[test]
    fn loom_spsc_a_batch_is_seen_whole_or_not_at_all() {
        loom::model(|| {
            let (mut sender, mut receiver) = ring::<u64>(Heap::new(4_096), 2).unwrap();
            let reader = thread::spawn(move || {
                let taken: Vec<_> = std::iter::from_fn(|| receiver.pop()).collect();
                assert!(taken.is_empty() || taken == [1, 2], "{taken:?}");
            });
            sender.stage(1).unwrap();
            sender.stage(2).unwrap();
            sender.publish();
            reader.join().unwrap();
        });
    }

    #[test]
    fn loom_spsc_a_closed_ring_still_gives_what_it_had() {
        loom::model(|| {
            let (mut sender, mut receiver) = ring::<u64>(Heap::new(4_096), 2).unwrap();
            let writer = thread::spawn(move || {
                sender.push(1).unwrap();
            });
            if receiver.is_closed() {
                assert_eq!(receiver.pop(), Some(1));
            }
            writer.join().unwrap();
        });
    }
}
