//! One of the four rings an AF_XDP socket shares with the kernel.
//!
//! ```text
//!   fill, tx:        we produce, the kernel consumes      rx, completion: the other way round
//!
//!   consumer ▼            ▼ producer          both run freely and wrap at 2³²
//!   … read │ full │ full │ empty …            slot = index & mask
//! ```
//!
//! One side writes entries, then its index with Release; the other reads that index with Acquire, then the
//! entries. Each index has one writer. What we make is batched: nothing is shown before [`Producer::publish`]
//! and nothing is given back before [`Consumer::publish`].
//! Source: Documentation/networking/af_xdp.rst; net/xdp/xsk_queue.h ("structure of the rings").

use super::fault::XdpFault;
use core::ffi::c_void;
use core::marker::PhantomData;
use core::num::NonZeroUsize;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use std::os::fd::AsFd;

/// Memory shared with the kernel, and where in it a ring's words are. Unmapped when dropped.
#[derive(Debug)]
struct Shared<T> {
    base: NonNull<c_void>,
    size: usize,
    offsets: libc::xdp_ring_offset,
    mask: u32,
    entries: PhantomData<T>,
}

impl<T: Copy> Shared<T> {
    /// Maps the ring of `count` entries at `page` of the socket.
    fn map(
        socket: impl AsFd,
        page: i64,
        offsets: libc::xdp_ring_offset,
        count: u32,
    ) -> Result<Self, XdpFault> {
        let size = Self::size(&offsets, count)?;
        let flags = MapFlags::MAP_SHARED | MapFlags::MAP_POPULATE;
        let length = NonZeroUsize::new(size).ok_or(XdpFault::Answer("ring size"))?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh mapping at a place of the kernel's choice touches nothing of ours.
        let base = unsafe { mmap(None, length, protection, flags, socket, page) }
            .map_err(XdpFault::nix("mmap of an AF_XDP ring"))?;
        Ok(Self {
            base,
            size,
            offsets,
            mask: count - 1,
            entries: PhantomData,
        })
    }

    /// Bytes of the mapping; the offsets are the kernel's and are checked like any other input.
    fn size(offsets: &libc::xdp_ring_offset, count: u32) -> Result<usize, XdpFault> {
        let wrong = XdpFault::Answer("offsets of an AF_XDP ring");
        let bytes = u64::from(count) * size_of::<T>() as u64;
        let size = offsets.desc.checked_add(bytes).ok_or(wrong)?;
        let words = [offsets.producer, offsets.consumer, offsets.flags];
        let is_sound = count.is_power_of_two()
            && words.iter().all(|at| *at < offsets.desc && at % 4 == 0)
            && offsets.desc.is_multiple_of(align_of::<T>() as u64);
        if is_sound && u32::try_from(size).is_ok() {
            Ok(size as usize)
        } else {
            Err(wrong)
        }
    }

    fn word(&self, at: u64) -> &AtomicU32 {
        let at = self.base.as_ptr().cast::<u8>().wrapping_add(at as usize);
        // SAFETY: `size` proved the word aligned and inside the mapping, which lives as long as `self`; the
        // kernel and we only ever touch it atomically.
        unsafe { AtomicU32::from_ptr(at.cast()) }
    }

    fn producer(&self) -> &AtomicU32 {
        self.word(self.offsets.producer)
    }

    fn consumer(&self) -> &AtomicU32 {
        self.word(self.offsets.consumer)
    }

    fn is_wakeup_needed(&self) -> bool {
        self.word(self.offsets.flags).load(Ordering::Relaxed) & libc::XDP_RING_NEED_WAKEUP != 0
    }

    fn entry(&self, index: u32) -> *mut T {
        let at = self.offsets.desc as usize + (index & self.mask) as usize * size_of::<T>();
        self.base.as_ptr().cast::<u8>().wrapping_add(at).cast()
    }

    const fn count(&self) -> u32 {
        self.mask + 1
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, of this length, and nothing borrows it any more. Failing leaves it
        // mapped, which harms nobody.
        let _ = unsafe { munmap(self.base, self.size) };
    }
}

/// Our end of a ring the kernel reads: fill or tx.
#[derive(Debug)]
pub(super) struct Producer<T> {
    shared: Shared<T>,
    /// Next slot to write; the kernel sees it after `publish`.
    next: u32,
    /// The kernel's consumer as last read.
    consumed: u32,
}

impl<T: Copy> Producer<T> {
    /// Maps it.
    pub fn map(
        socket: impl AsFd,
        page: i64,
        offsets: libc::xdp_ring_offset,
        count: u32,
    ) -> Result<Self, XdpFault> {
        let shared = Shared::map(socket, page, offsets, count)?;
        Ok(Self {
            next: shared.producer().load(Ordering::Relaxed),
            consumed: shared.consumer().load(Ordering::Acquire),
            shared,
        })
    }

    /// Writes an entry. False: the ring is full, which cannot be while it is as long as there are frames.
    #[must_use]
    pub fn push(&mut self, entry: T) -> bool {
        if self.next.wrapping_sub(self.consumed) >= self.shared.count() {
            self.consumed = self.shared.consumer().load(Ordering::Acquire);
            // A wild index of the kernel's reads as full.
            if self.next.wrapping_sub(self.consumed) >= self.shared.count() {
                return false;
            }
        }
        // SAFETY: the slot is inside the mapping and aligned (`Shared::size`); the kernel has read what was
        // there (Acquire above) and reads it again only after `publish`.
        unsafe { self.shared.entry(self.next).write(entry) };
        self.next = self.next.wrapping_add(1);
        true
    }

    /// Shows the kernel what was pushed.
    pub fn publish(&mut self) {
        self.shared.producer().store(self.next, Ordering::Release);
    }

    /// Published entries the kernel has not taken, as of now.
    pub fn waiting(&self) -> u32 {
        let consumed = self.shared.consumer().load(Ordering::Relaxed);
        self.next.wrapping_sub(consumed).min(self.shared.count())
    }

    /// Whether the kernel sleeps until it is called.
    pub fn is_wakeup_needed(&self) -> bool {
        self.shared.is_wakeup_needed()
    }
}

/// Our end of a ring the kernel writes: rx or completion.
#[derive(Debug)]
pub(super) struct Consumer<T> {
    shared: Shared<T>,
    /// Next slot to read; the kernel may write to those before it after `publish`.
    next: u32,
    /// The kernel's producer as last read.
    produced: u32,
}

impl<T: Copy> Consumer<T> {
    /// Maps it.
    pub fn map(
        socket: impl AsFd,
        page: i64,
        offsets: libc::xdp_ring_offset,
        count: u32,
    ) -> Result<Self, XdpFault> {
        let shared = Shared::map(socket, page, offsets, count)?;
        let next = shared.consumer().load(Ordering::Relaxed);
        Ok(Self {
            next,
            produced: next,
            shared,
        })
    }

    /// Looks at the kernel's index; says how many entries wait. A wild one reads as a full ring.
    pub fn refresh(&mut self) -> u32 {
        self.produced = self.shared.producer().load(Ordering::Acquire);
        self.left()
    }

    /// The next of the entries that the last [`Consumer::refresh`] saw.
    pub fn pop(&mut self) -> Option<T> {
        if self.left() == 0 {
            return None;
        }
        // SAFETY: the slot is inside the mapping and aligned (`Shared::size`); the kernel wrote it before
        // it moved its index (Acquire in `refresh`) and writes it again only after `publish`. Any bits are
        // a value of the two entry types, both plain integers.
        let entry = unsafe { self.shared.entry(self.next).read() };
        self.next = self.next.wrapping_add(1);
        Some(entry)
    }

    /// Gives the slots that were read back.
    pub fn publish(&mut self) {
        self.shared.consumer().store(self.next, Ordering::Release);
    }

    fn left(&self) -> u32 {
        self.produced
            .wrapping_sub(self.next)
            .min(self.shared.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::{FcntlArg, SealFlag, fcntl};
    use nix::sys::memfd::{MFdFlags, memfd_create};

    const OFFSETS: libc::xdp_ring_offset = libc::xdp_ring_offset {
        producer: 0,
        consumer: 64,
        flags: 128,
        desc: 192,
    };

    /// A ring over a memory file, so that both ends can be mapped.
    fn pair(count: u32) -> (Producer<u64>, Consumer<u64>) {
        let file =
            memfd_create("ring", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING).unwrap();
        let size = Shared::<u64>::size(&OFFSETS, count).unwrap();
        nix::unistd::ftruncate(&file, size as i64).unwrap();
        fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK)).unwrap();
        let producer = Producer::map(&file, 0, OFFSETS, count).unwrap();
        (producer, Consumer::map(&file, 0, OFFSETS, count).unwrap())
    }

    #[test]
    fn nothing_is_seen_before_it_is_published_and_nothing_overwritten_before_it_is_given_back() {
        let (mut producer, mut consumer) = pair(4);
        assert!((0..4).all(|entry| producer.push(entry)));
        assert!(!producer.push(4));
        assert_eq!(consumer.refresh(), 0);
        producer.publish();
        assert_eq!((producer.waiting(), consumer.refresh()), (4, 4));
        assert_eq!((consumer.pop(), consumer.pop()), (Some(0), Some(1)));
        assert!(!producer.push(4));
        consumer.publish();
        assert!(producer.push(4) && producer.push(5) && !producer.push(6));
        producer.publish();
        assert_eq!(consumer.refresh(), 4);
        let rest: Vec<u64> = core::iter::from_fn(|| consumer.pop()).collect();
        assert_eq!(rest, [2, 3, 4, 5]);
    }

    #[test]
    fn indices_wrap() {
        let (mut producer, mut consumer) = pair(4);
        for word in [OFFSETS.producer, OFFSETS.consumer] {
            consumer
                .shared
                .word(word)
                .store(u32::MAX - 1, Ordering::Relaxed);
        }
        (producer.next, producer.consumed) = (u32::MAX - 1, u32::MAX - 1);
        (consumer.next, consumer.produced) = (u32::MAX - 1, u32::MAX - 1);
        for entry in 0..9 {
            assert!(producer.push(entry));
            producer.publish();
            assert_eq!((consumer.refresh(), consumer.pop()), (1, Some(entry)));
            consumer.publish();
        }
    }

    #[test]
    fn a_wild_index_is_at_most_a_full_ring() {
        let (producer, mut consumer) = pair(4);
        consumer.shared.producer().store(1 << 30, Ordering::Relaxed);
        consumer.shared.consumer().store(77, Ordering::Relaxed);
        assert_eq!(consumer.refresh(), 4);
        assert!(producer.waiting() <= 4);
    }

    #[test]
    fn offsets_that_make_no_ring_are_refused() {
        let with = |change: fn(&mut libc::xdp_ring_offset)| {
            let mut offsets = OFFSETS;
            change(&mut offsets);
            Shared::<u64>::size(&offsets, 4)
        };
        assert_eq!(with(|_| ()), Ok(192 + 32));
        assert!(with(|o| o.desc = u64::MAX).is_err());
        assert!(with(|o| o.desc = 196).is_err());
        assert!(with(|o| o.producer = 192).is_err());
        assert!(with(|o| o.flags = 3).is_err());
        assert!(Shared::<u64>::size(&OFFSETS, 3).is_err());
        assert!(Shared::<u64>::size(&OFFSETS, 0).is_err());
    }

    #[test]
    fn two_threads_pass_everything_on_in_order() {
        /// Raw pointers make a ring stay on its thread; this one is handed over whole.
        struct Moved(Producer<u64>);
        // SAFETY: the producer is used by the thread it is moved to and by no other.
        unsafe impl Send for Moved {}
        const COUNT: u64 = 20_000;
        let (producer, mut consumer) = pair(16);
        let moved = Moved(producer);
        let writer = std::thread::spawn(move || {
            let mut producer = { moved }.0;
            let mut entry = 0;
            while entry < COUNT {
                if producer.push(entry) {
                    entry += 1;
                } else {
                    producer.publish();
                    std::thread::yield_now();
                }
            }
            producer.publish();
        });
        let mut want = 0;
        while want < COUNT {
            if consumer.refresh() == 0 {
                std::thread::yield_now();
            }
            while let Some(entry) = consumer.pop() {
                assert_eq!(entry, want);
                want += 1;
            }
            consumer.publish();
        }
        writer.join().unwrap();
    }
}
