//! Two ends of a cable in memory: raw frames under virtual time, for tests of whatever runs over
//! [`FrameIo`].
//!
//! ```text
//!   end A ──kick──▶ on its way, `delay_ns` ──poll──▶ end B        and back
//! ```
//!
//! Ownership is the real one ([`super::frames`]): frames run out, and what arrives then is dropped and
//! counted. A test plays the wire by taking frames off it and putting others on ([`MemFrames::take_wire`],
//! [`MemFrames::put_wire`]). It is no network: it loses and reorders nothing by itself.

use super::frames::{Frame, FrameCounters, FrameIo, Owners};
use super::umem::{FrameSize, HEADROOM_BYTES};
use dp_types::UnixNanos;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

/// How a pair behaves; both ends alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairOptions {
    /// Nanoseconds between one end's kick and the other's poll that sees it.
    pub delay_ns: u64,
    /// Frames to receive into, each end.
    pub rx_frames: u32,
    /// Frames to send from, each end. That many can be on their way.
    pub tx_frames: u32,
    /// Size of a frame's place.
    pub frame_size: FrameSize,
}

impl Default for PairOptions {
    fn default() -> Self {
        Self {
            delay_ns: 0,
            rx_frames: 64,
            tx_frames: 64,
            frame_size: FrameSize::Kib2,
        }
    }
}

/// A frame on the wire: which of the sender's it is, its bytes, and when it arrives.
#[derive(Debug)]
struct Flying {
    index: Option<u32>,
    bytes: Vec<u8>,
    due: UnixNanos,
}

/// One direction.
#[derive(Debug, Default)]
struct Wire {
    flying: VecDeque<Flying>,
    /// The sender's frames that have arrived.
    done: Vec<u32>,
    /// Byte buffers to use again.
    spare: Vec<Vec<u8>>,
}

/// One end.
#[derive(Debug)]
pub struct MemFrames {
    options: PairOptions,
    owners: Owners,
    bytes: Box<[u8]>,
    out: Rc<RefCell<Wire>>,
    into: Rc<RefCell<Wire>>,
    /// Receive frames to fill, oldest first.
    fill: VecDeque<u32>,
    arrived: VecDeque<Frame>,
    submitted: VecDeque<(u32, u32, u32)>,
    now: UnixNanos,
    counters: FrameCounters,
    rx_dropped: u64,
}

/// Makes both ends. All memory is taken here.
pub fn pair(options: PairOptions) -> (MemFrames, MemFrames) {
    let wire = || Rc::new(RefCell::new(Wire::new(options)));
    let (there, back) = (wire(), wire());
    let end = |out: &Rc<RefCell<Wire>>, into: &Rc<RefCell<Wire>>| {
        let owners = Owners::new(options.rx_frames, options.tx_frames);
        let (rx, tx) = (options.rx_frames as usize, options.tx_frames as usize);
        MemFrames {
            options,
            bytes: vec![0; owners.count() as usize * options.frame_size.bytes()].into(),
            owners,
            out: Rc::clone(out),
            into: Rc::clone(into),
            fill: (0..options.rx_frames).collect(),
            arrived: VecDeque::with_capacity(rx),
            submitted: VecDeque::with_capacity(tx),
            now: UnixNanos(0),
            counters: FrameCounters::default(),
            rx_dropped: 0,
        }
    };
    (end(&there, &back), end(&back, &there))
}

impl Wire {
    fn new(options: PairOptions) -> Self {
        let tx = options.tx_frames as usize;
        let spare = || Vec::with_capacity(options.frame_size.bytes());
        Self {
            flying: VecDeque::with_capacity(tx),
            done: Vec::with_capacity(tx),
            spare: (0..tx).map(|_| spare()).collect(),
        }
    }
}

impl MemFrames {
    /// Takes the oldest frame this end sent off the wire, before the other end sees it.
    pub fn take_wire(&mut self) -> Option<Vec<u8>> {
        let mut wire = self.out.borrow_mut();
        let flying = wire.flying.pop_front()?;
        wire.done.extend(flying.index);
        Some(flying.bytes)
    }

    /// Puts a frame on the wire as if this end had sent it, due at `due`.
    pub fn put_wire(&mut self, bytes: Vec<u8>, due: UnixNanos) {
        let flying = Flying {
            index: None,
            bytes,
            due,
        };
        let mut wire = self.out.borrow_mut();
        let at = wire.flying.partition_point(|other| other.due <= due);
        wire.flying.insert(at, flying);
    }

    /// Frames that came while all of ours were held, or were too long: lost.
    pub const fn rx_dropped(&self) -> u64 {
        self.rx_dropped
    }

    fn at(&self, frame: &Frame) -> Option<core::ops::Range<usize>> {
        let size = self.options.frame_size.bytes();
        let end = frame.start as usize + frame.len as usize;
        let base = frame.index as usize * size;
        let is_ours = self.owners.is_held(frame.index) && end <= size;
        is_ours.then_some(base + frame.start as usize..base + end)
    }

    fn receive(&mut self, bytes: &[u8]) {
        let room = self.frame_bytes_max();
        let index = if bytes.len() > room {
            None
        } else {
            self.fill.pop_front()
        };
        let Some(index) = index else {
            self.rx_dropped += 1;
            return;
        };
        self.owners.arrived(index);
        let (start, len) = (HEADROOM_BYTES as u32, bytes.len() as u32);
        let frame = Frame { index, start, len };
        if let Some(at) = self.at(&frame) {
            self.bytes[at].copy_from_slice(bytes);
        }
        self.arrived.push_back(frame);
    }
}

impl FrameIo for MemFrames {
    fn name(&self) -> &'static str {
        "pair"
    }

    fn steady_syscalls(&self) -> &'static [&'static str] {
        &[]
    }

    fn frame_bytes_max(&self) -> usize {
        self.options.frame_size.bytes() - HEADROOM_BYTES
    }

    fn poll(&mut self, now: UnixNanos) -> usize {
        self.now = self.now.max(now);
        let into = Rc::clone(&self.into);
        let mut wire = into.borrow_mut();
        while let Some(flying) = wire.flying.pop_front_if(|flying| flying.due <= self.now) {
            self.receive(&flying.bytes);
            if let Some(index) = flying.index {
                wire.done.push(index);
                wire.spare.push(flying.bytes);
            }
        }
        let out = Rc::clone(&self.out);
        for index in out.borrow_mut().done.drain(..) {
            self.counters.tx_done += u64::from(self.owners.done(index));
        }
        self.arrived.len()
    }

    fn next(&mut self) -> Option<Frame> {
        let frame = self.arrived.pop_front();
        self.counters.rx_frames += u64::from(frame.is_some());
        frame
    }

    fn bytes(&mut self, frame: &Frame) -> &mut [u8] {
        self.at(frame).map_or(&mut [], |at| &mut self.bytes[at])
    }

    fn release(&mut self, frame: Frame) {
        if self.owners.release(frame.index) {
            self.fill.push_back(frame.index);
        }
    }

    fn reserve(&mut self) -> Option<Frame> {
        let index = self.owners.reserve();
        self.counters.tx_full += u64::from(index.is_none());
        let (start, len) = (HEADROOM_BYTES as u32, self.frame_bytes_max() as u32);
        index.map(|index| Frame { index, start, len })
    }

    fn submit(&mut self, frame: Frame, len: usize) {
        let len = len.min(frame.size());
        if len == 0 || !self.owners.submit(frame.index) {
            self.release(frame);
            return;
        }
        self.counters.tx_frames += 1;
        self.submitted
            .push_back((frame.index, frame.start, len as u32));
    }

    fn kick(&mut self) {
        let size = self.options.frame_size.bytes();
        let mut wire = self.out.borrow_mut();
        let due = self.now.after(self.options.delay_ns);
        while let Some((index, start, len)) = self.submitted.pop_front() {
            let from = index as usize * size + start as usize;
            let mut bytes = wire.spare.pop().unwrap_or_default();
            bytes.clear();
            bytes.extend_from_slice(&self.bytes[from..from + len as usize]);
            let index = Some(index);
            let at = wire.flying.partition_point(|other| other.due <= due);
            wire.flying.insert(at, Flying { index, bytes, due });
        }
    }

    /// Nothing to sleep on: time is the caller's.
    fn park(&mut self, _timeout_ns: u64) {}

    fn counters(&self) -> FrameCounters {
        self.counters
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn send(end: &mut MemFrames, bytes: &[u8]) -> bool {
        let Some(frame) = end.reserve() else {
            return false;
        };
        end.bytes(&frame)[..bytes.len()].copy_from_slice(bytes);
        end.submit(frame, bytes.len());
        end.kick();
        true
    }

    #[test]
    fn a_frame_arrives_after_the_delay_in_place_and_mutable() {
        let (mut a, mut b) = pair(PairOptions {
            delay_ns: 100,
            ..PairOptions::default()
        });
        a.poll(UnixNanos(1_000));
        assert!(send(&mut a, b"hello"));
        assert_eq!((b.poll(UnixNanos(1_099)), b.next()), (0, None));
        assert_eq!(b.poll(UnixNanos(1_100)), 1);
        let frame = b.next().unwrap();
        b.bytes(&frame).make_ascii_uppercase();
        assert_eq!(b.bytes(&frame), b"HELLO");
        b.release(frame);
        a.poll(UnixNanos(1_100));
        assert_eq!((a.counters().tx_frames, a.counters().tx_done), (1, 1));
    }

    #[test]
    fn held_frames_are_back_pressure_and_stay_as_they_are() {
        let (mut a, mut b) = pair(PairOptions {
            rx_frames: 4,
            tx_frames: 2,
            ..PairOptions::default()
        });
        let mut held = Vec::new();
        for round in 0..6u8 {
            assert!(send(&mut a, &[round; 60]));
            b.poll(UnixNanos(0));
            a.poll(UnixNanos(0));
            held.extend(core::iter::from_fn(|| b.next()));
        }
        assert_eq!((held.len(), b.rx_dropped()), (4, 2));
        for (round, frame) in held.into_iter().enumerate().rev() {
            assert_eq!(b.bytes(&frame), [round as u8; 60]);
            b.release(frame);
        }
        // Nobody polls the other end: two are on their way, no third fits.
        assert!(send(&mut a, b"x") && send(&mut a, b"y") && !send(&mut a, b"z"));
        assert_eq!(a.counters().tx_full, 1);
        assert_eq!(b.poll(UnixNanos(0)), 2);
        a.poll(UnixNanos(0));
        assert!(send(&mut a, b"z"));
    }

    #[test]
    fn the_wire_can_lose_and_change_frames() {
        let (mut a, mut b) = pair(PairOptions::default());
        for byte in 0..3u8 {
            assert!(send(&mut a, &[byte; 60]));
        }
        assert_eq!(a.take_wire().unwrap(), [0; 60]);
        let second = a.take_wire().unwrap();
        a.put_wire(second, UnixNanos(5));
        a.put_wire(vec![9; 5_000], UnixNanos(5));
        assert_eq!(b.poll(UnixNanos(5)), 2);
        let order: Vec<u8> = core::iter::from_fn(|| {
            let frame = b.next()?;
            let byte = b.bytes(&frame)[0];
            b.release(frame);
            Some(byte)
        })
        .collect();
        assert_eq!((order, b.rx_dropped()), (vec![2, 1], 1));
        a.poll(UnixNanos(5));
        assert_eq!(a.counters().tx_done, 3);
    }

    proptest! {
        /// Whatever the order of sending, holding and releasing: each frame arrives once, whole, or is
        /// counted as dropped, and in the end every frame can be used again.
        #[test]
        fn frames_are_neither_lost_nor_doubled(steps in prop::collection::vec(0u8..5, 0..300)) {
            let (mut a, mut b) = pair(PairOptions { rx_frames: 4, tx_frames: 4, ..PairOptions::default() });
            let (mut sent, mut got, mut held) = (0u32, 0u64, Vec::new());
            for step in steps {
                match step {
                    0 | 1 => sent += u32::from(send(&mut a, &sent.to_be_bytes())),
                    2 => { b.poll(UnixNanos(0)); a.poll(UnixNanos(0)); }
                    3 => held.extend(b.next().inspect(|_| got += 1)),
                    _ => if !held.is_empty() { let frame = held.swap_remove(held.len() / 2); b.release(frame); },
                }
            }
            b.poll(UnixNanos(0));
            a.poll(UnixNanos(0));
            while let Some(frame) = b.next() { got += 1; b.release(frame); }
            for frame in held { b.release(frame); }
            prop_assert_eq!(got + b.rx_dropped(), u64::from(sent));
            prop_assert_eq!(a.counters().tx_done, u64::from(sent));
            for _ in 0..4 { prop_assert!(send(&mut a, b"again")); }
            prop_assert_eq!(b.poll(UnixNanos(0)), 4);
        }
    }
}
