//! Raw frames in and out, and who owns each of them.
//!
//! ```text
//!   receive half   filling ──arrived──▶ held ──release──▶ filling
//!   send half      free ──reserve──▶ held ──submit──▶ sending ──done──▶ free
//!                    ▲────────────release───┘
//! ```
//!
//! The two halves never lend to each other: a lane that holds every received frame can still send, and a
//! peer that takes nothing cannot keep us from receiving. Out of frames is back-pressure: what is held stays
//! as it is, and the kernel (or the pair's other end) drops what comes next and counts it.

use crate::Chunk;
use core::ops::Range;
use dp_types::UnixNanos;

/// A frame in our hands: received and not released, or reserved and not submitted.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a frame that is not released or submitted is lost to the interface"]
pub struct Frame {
    pub(super) index: u32,
    pub(super) start: u32,
    pub(super) len: u32,
}

impl Frame {
    /// Bytes, link header included.
    pub const fn size(&self) -> usize {
        self.len as usize
    }

    /// The frame as a piece of a stream: only `range` of its bytes is shown, and releasing the chunk
    /// releases the frame. A range past the end is cut.
    pub fn into_chunk(self, range: Range<usize>) -> Chunk {
        let len = self.len as usize;
        let end = range.end.min(len);
        let start = range.start.min(end);
        Chunk {
            buffer: self.index,
            start: self.start + start as u32,
            len: (end - start) as u32,
        }
    }

    /// The same frame, for looking only: it is the chunk's to release.
    pub(crate) const fn of(chunk: &Chunk) -> Self {
        Self {
            index: chunk.buffer,
            start: chunk.start,
            len: chunk.len,
        }
    }

    /// The frame behind a chunk made by [`Frame::into_chunk`]; its bytes are the chunk's alone.
    pub const fn from_chunk(chunk: Chunk) -> Self {
        Self {
            index: chunk.buffer,
            start: chunk.start,
            len: chunk.len,
        }
    }
}

/// What went through a [`FrameIo`] since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameCounters {
    /// Frames received.
    pub rx_frames: u64,
    /// Frames submitted.
    pub tx_frames: u64,
    /// Submitted frames given back after the interface sent them.
    pub tx_done: u64,
    /// Reservations refused: every frame of the send half was in use.
    pub tx_full: u64,
    /// Descriptors that named no frame of ours, or one that was not the kernel's. Always 0.
    pub bad_descriptors: u64,
    /// Frames lost because a ring of the kernel's had no room for them. Always 0: the rings are longer than
    /// there are frames.
    pub ring_full: u64,
    /// System calls made to have frames sent or buffers filled.
    pub kicks: u64,
    /// Of these, refused by the kernel; tried again later.
    pub kicks_refused: u64,
}

/// Raw Ethernet frames of one queue of one interface. One thread; no call blocks but [`FrameIo::park`];
/// after construction none allocates.
///
/// A turn: [`poll`](Self::poll), [`next`](Self::next) until none, write answers into
/// [`reserve`](Self::reserve)d frames and [`submit`](Self::submit) them, [`kick`](Self::kick) once.
pub trait FrameIo {
    /// For logs: `xdp`, `pair`.
    fn name(&self) -> &'static str;
    /// System calls made in steady state.
    fn steady_syscalls(&self) -> &'static [&'static str];
    /// Bytes of the largest frame that can be sent, link header included.
    fn frame_bytes_max(&self) -> usize;

    /// Looks for received frames and for sent ones that are done; says how many received ones wait.
    fn poll(&mut self, now: UnixNanos) -> usize;
    /// The next received frame, in place. It is ours until released, in whatever order.
    fn next(&mut self) -> Option<Frame>;
    /// A frame's bytes, in place. Nothing, for a frame that is not ours.
    fn bytes(&mut self, frame: &Frame) -> &mut [u8];
    /// Gives a frame back: a received one to be filled again, a reserved one unsent.
    fn release(&mut self, frame: Frame);

    /// A frame to write into, [`frame_bytes_max`](Self::frame_bytes_max) long, with whatever bytes were
    /// there before. `None` is back-pressure: all are on their way.
    fn reserve(&mut self) -> Option<Frame>;
    /// Queues the first `len` bytes of a reserved frame. They leave with the next [`kick`](Self::kick).
    /// A frame that was received, or of no bytes, is released instead.
    fn submit(&mut self, frame: Frame, len: usize);
    /// Has everything that was submitted sent.
    fn kick(&mut self);

    /// Sleeps until a frame arrives or `timeout_ns` passed.
    fn park(&mut self, timeout_ns: u64);
    /// What went through.
    fn counters(&self) -> FrameCounters;
    /// Received frames that were dropped before we saw them, for want of room. At most one of the
    /// [steady system calls](Self::steady_syscalls): not for every turn.
    fn dropped(&self) -> u64 {
        0
    }
}

/// Who owns a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// The kernel may write to it, or read from it.
    Kernel,
    /// We hold it.
    Held,
    /// Nobody: a send frame on the stack.
    Free,
}

/// The owner of each frame of an area: the first `rx_count` receive, the rest send.
#[derive(Debug)]
pub(super) struct Owners {
    owners: Box<[Owner]>,
    rx_count: u32,
    /// Send frames that are free: the hottest on top.
    free: Vec<u32>,
}

impl Owners {
    /// All receive frames the kernel's, all send frames free.
    pub fn new(rx_count: u32, tx_count: u32) -> Self {
        let rx = (0..rx_count).map(|_| Owner::Kernel);
        Self {
            owners: rx.chain((0..tx_count).map(|_| Owner::Free)).collect(),
            rx_count,
            free: (rx_count..rx_count + tx_count).rev().collect(),
        }
    }

    /// Frames in all.
    pub const fn count(&self) -> u32 {
        self.owners.len() as u32
    }

    /// The kernel filled a receive frame. False: it was not the kernel's to fill.
    pub fn arrived(&mut self, index: u32) -> bool {
        index < self.rx_count && self.turn(index, Owner::Kernel, Owner::Held)
    }

    /// The kernel is done with a send frame. False: it did not have it.
    pub fn done(&mut self, index: u32) -> bool {
        let is_ours = index >= self.rx_count && self.turn(index, Owner::Kernel, Owner::Free);
        if is_ours {
            self.free.push(index);
        }
        is_ours
    }

    /// Takes a free send frame.
    pub fn reserve(&mut self) -> Option<u32> {
        let index = self.free.pop()?;
        self.turn(index, Owner::Free, Owner::Held);
        Some(index)
    }

    /// Hands a held send frame to the kernel. False: it is none.
    pub fn submit(&mut self, index: u32) -> bool {
        index >= self.rx_count && self.turn(index, Owner::Held, Owner::Kernel)
    }

    /// Lets a held frame go. True: it receives, and must be given to the kernel to fill.
    pub fn release(&mut self, index: u32) -> bool {
        if index < self.rx_count {
            return self.turn(index, Owner::Held, Owner::Kernel);
        }
        if self.turn(index, Owner::Held, Owner::Free) {
            self.free.push(index);
        }
        false
    }

    /// Whether we hold it: only then may its bytes be touched.
    pub fn is_held(&self, index: u32) -> bool {
        self.owners.get(index as usize) == Some(&Owner::Held)
    }

    fn turn(&mut self, index: u32, from: Owner, to: Owner) -> bool {
        match self.owners.get_mut(index as usize) {
            Some(owner) if *owner == from => {
                *owner = to;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_chunk_of_a_frame_is_cut_to_it() {
        let frame = |len| Frame {
            index: 3,
            start: 256,
            len,
        };
        let chunk = frame(100).into_chunk(54..100);
        assert_eq!((chunk.buffer, chunk.start, chunk.len), (3, 310, 46));
        let back = Frame::from_chunk(chunk);
        assert_eq!((back.index, back.start, back.len), (3, 310, 46));
        let chunk = frame(100).into_chunk(200..300);
        assert_eq!((chunk.start, chunk.len), (356, 0));
        let chunk = frame(100).into_chunk(54..usize::MAX);
        assert_eq!((chunk.start, chunk.len), (310, 46));
    }

    proptest! {
        /// Whatever is asked of it, in whatever order and with whatever numbers: no frame has two owners,
        /// none is lost, and a verb on a frame in the wrong state changes nothing.
        #[test]
        fn every_frame_has_one_owner(steps in prop::collection::vec((0u8..6, 0u32..12), 0..400)) {
            let (rx, tx) = (4u32, 5u32);
            let mut owners = Owners::new(rx, tx);
            let mut held = std::collections::BTreeSet::new();
            let mut kernel: std::collections::BTreeSet<u32> = (0..rx).collect();
            for (verb, index) in steps {
                match verb {
                    0 => prop_assert_eq!(owners.arrived(index), index < rx && kernel.remove(&index) && held.insert(index)),
                    1 => prop_assert_eq!(owners.done(index), index >= rx && kernel.remove(&index)),
                    2 => {
                        let got = owners.reserve();
                        let is_any = (rx..rx + tx).any(|i| !held.contains(&i) && !kernel.contains(&i));
                        prop_assert_eq!(got.is_some(), is_any);
                        if let Some(index) = got {
                            prop_assert!(index >= rx && !kernel.contains(&index) && held.insert(index));
                        }
                    }
                    3 => prop_assert_eq!(owners.submit(index), index >= rx && held.remove(&index) && kernel.insert(index)),
                    4 => {
                        let was_held = held.remove(&index);
                        if was_held && index < rx { kernel.insert(index); }
                        prop_assert_eq!(owners.release(index), was_held && index < rx);
                    }
                    _ => prop_assert_eq!(owners.is_held(index), held.contains(&index)),
                }
                let free = owners.free.len();
                prop_assert_eq!(free + held.len() + kernel.len(), (rx + tx) as usize);
            }
        }
    }
}
