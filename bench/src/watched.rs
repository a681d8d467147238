//! Raw frames with somebody watching: when a received descriptor was there, when one to send was published.
//!
//! ```text
//!   poll ─▶ received: stamp ─▶ TCP, TLS, WebSocket, decode, book, strategy, risk, OMS, journal,
//!           encode, mask, seal, TCP ─▶ submit ─▶ kick: stamp
//! ```
//! Only a kick that has a payload to send ends a span: acknowledgements leave unwatched. The kernel's own part,
//! the call in which it takes the frame, comes after the second stamp.

use dp_shm::layout::Shape;
use dp_shm::{HistSnapshot, LaneWriter, Region, Stage};
use dp_transport::tsc;
use dp_transport::xdp::{Frame, FrameCounters, FrameIo, MemFrames};
use dp_types::{LaneId, Tsc, UnixNanos};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Bytes of headers, options and the smallest TLS record: a longer frame has a message.
const BARE_BYTES: usize = 120;

/// What is done with a span, and what time it is for the frames.
pub trait Watch {
    /// The time frames are told.
    fn now(&self, now: UnixNanos) -> UnixNanos {
        now
    }
    /// Cycles from a received descriptor to the one it caused.
    fn span(&mut self, cycles: u64);
}

/// Frames and their watch.
#[derive(Debug)]
pub struct Watched<F, W> {
    frames: F,
    watch: W,
    received: Option<Tsc>,
    has_payload: bool,
}

impl<F, W> Watched<F, W> {
    /// Watches `frames`.
    pub const fn new(frames: F, watch: W) -> Self {
        Self {
            frames,
            watch,
            received: None,
            has_payload: false,
        }
    }
}

impl<F: FrameIo, W: Watch> FrameIo for Watched<F, W> {
    fn name(&self) -> &'static str {
        self.frames.name()
    }

    fn steady_syscalls(&self) -> &'static [&'static str] {
        self.frames.steady_syscalls()
    }

    fn frame_bytes_max(&self) -> usize {
        self.frames.frame_bytes_max()
    }

    fn poll(&mut self, now: UnixNanos) -> usize {
        let count = self.frames.poll(self.watch.now(now));
        self.received = (count > 0).then(tsc);
        count
    }

    fn next(&mut self) -> Option<Frame> {
        self.frames.next()
    }

    fn bytes(&mut self, frame: &Frame) -> &mut [u8] {
        self.frames.bytes(frame)
    }

    fn release(&mut self, frame: Frame) {
        self.frames.release(frame);
    }

    fn reserve(&mut self) -> Option<Frame> {
        self.frames.reserve()
    }

    fn submit(&mut self, frame: Frame, len: usize) {
        self.has_payload |= len > BARE_BYTES;
        self.frames.submit(frame, len);
    }

    fn kick(&mut self) {
        if core::mem::take(&mut self.has_payload)
            && let Some(received) = self.received.take()
        {
            self.watch.span(tsc().since(received));
        }
        self.frames.kick();
    }

    fn dropped(&self) -> u64 {
        self.frames.dropped()
    }

    fn park(&mut self, timeout_ns: u64) {
        self.frames.park(timeout_ns);
    }

    fn counters(&self) -> FrameCounters {
        self.frames.counters()
    }
}

/// The latest span of a lane over frames in memory; what is on the wire has always arrived.
#[derive(Debug, Clone, Default)]
pub struct Latest(Rc<Cell<u64>>);

impl Latest {
    /// The span since the last time it was taken, cycles; 0 = none.
    pub fn take(&self) -> u64 {
        self.0.take()
    }
}

impl Watch for Latest {
    fn now(&self, _: UnixNanos) -> UnixNanos {
        UnixNanos(u64::MAX)
    }

    fn span(&mut self, cycles: u64) {
        self.0.set(cycles);
    }
}

/// Frames in memory with their watch.
pub type Paired = Watched<MemFrames, Latest>;

/// Shared memory of its own for the spans of a live lane, beside the lane's.
pub struct Page(Region);

impl Page {
    /// Where it stands for a lane whose shared memory is at `shm`.
    pub fn path(shm: &Path) -> PathBuf {
        shm.with_extension("frames")
    }

    /// Makes it. Errors: the file.
    pub fn make(shm: &Path) -> anyhow::Result<Self> {
        // The smallest there is: only one of its histograms is used.
        let (region, _) =
            Region::open_or_create(&Self::path(shm), &Shape::new(1, 8, 1 << 10, 1 << 10))?;
        Ok(Self(region))
    }

    /// Attaches to the one a client has made. Errors: it has not.
    pub fn attach(shm: &Path) -> anyhow::Result<Self> {
        Ok(Self(Region::attach(&Self::path(shm))?))
    }

    /// The one who records. Errors: there is one already.
    pub fn watch(&self) -> anyhow::Result<Spans<'_>> {
        Ok(Spans(self.0.lane_writer(LaneId(0))?))
    }

    /// All spans so far, cycles.
    pub fn spans(&self) -> HistSnapshot {
        let lane = self.0.lane(LaneId(0));
        lane.map_or_else(HistSnapshot::default, |lane| {
            lane.stages.view(Stage::TickToTrade).snapshot()
        })
    }
}

/// Records the spans of a live lane.
pub struct Spans<'r>(LaneWriter<'r>);

impl Watch for Spans<'_> {
    fn span(&mut self, cycles: u64) {
        self.0.stages.record(Stage::TickToTrade, cycles);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_transport::xdp::{PairOptions, pair};

    #[test]
    fn a_payload_ends_a_span_and_an_acknowledgement_does_not() {
        let (near, far) = pair(PairOptions::default());
        let latest = Latest::default();
        let mut near = Watched::new(near, latest.clone());
        let mut far = Watched::new(far, Latest::default());
        let send = |end: &mut Paired, len: usize| {
            let frame = end.reserve().unwrap();
            end.submit(frame, len);
            end.kick();
        };
        send(&mut near, 300);
        assert_eq!(latest.take(), 0, "nothing had come");
        send(&mut far, 300);
        assert_eq!(near.poll(UnixNanos(1)), 1);
        let frame = near.next().unwrap();
        near.release(frame);
        send(&mut near, 66);
        assert_eq!(latest.take(), 0, "an acknowledgement");
        send(&mut near, 300);
        assert!(latest.take() > 0);
        send(&mut near, 300);
        assert_eq!(latest.take(), 0, "the second order of a turn");
    }
}
