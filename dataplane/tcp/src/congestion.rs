//! How much may be on the wire: NewReno (RFC 5681, RFC 6582) with byte counting (RFC 3465),
//! proportional rate reduction in recovery (RFC 6937), and undoing what timestamps show to have been
//! for nothing (RFC 4015). Order flow rarely fills a window; this is here so that it never breaks one.
//!
//! ```text
//!            loss found                    all of it acknowledged
//!   Open ─────────────────▶ Recovery ────────────────────────────▶ Open
//!     │  time-out             │ time-out                            ▲
//!     └──────────▶ Loss ◀─────┘                                     │
//!                    └──────────────────────────────────────────────┘
//! ```

use crate::seq::Seq;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Open,
    /// Losses are being repaired; until `recover` is acknowledged the window is not cut again.
    Recovery,
    /// After a time-out.
    Loss,
}

/// The window as it was before a cut.
#[derive(Debug, Clone, Copy)]
struct Before {
    window: u32,
    threshold: u32,
    /// Timestamp of the first retransmission since.
    stamp: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Congestion {
    window: u32,
    threshold: u32,
    mss: u32,
    ceiling: u32,
    phase: Phase,
    recover: Seq,
    /// Octets acknowledged since the window last grew, in congestion avoidance.
    acked: u32,
    delivered: u64,
    out: u64,
    /// Octets outstanding when recovery began, never 0.
    outstanding: u64,
    before: Option<Before>,
}

impl Congestion {
    pub(crate) fn new(mss: u32, initial: u32, ceiling: u32) -> Self {
        Self {
            window: mss.saturating_mul(initial),
            threshold: u32::MAX,
            mss,
            ceiling,
            phase: Phase::Open,
            recover: Seq(0),
            acked: 0,
            delivered: 0,
            out: 0,
            outstanding: 1,
            before: None,
        }
    }

    pub(crate) fn set_mss(&mut self, mss: u32) {
        self.mss = mss;
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// `una` is still inside what was out when the window was cut.
    pub(crate) fn is_recovering(&self, una: Seq) -> bool {
        self.phase != Phase::Open && una.is_before(self.recover)
    }

    pub(crate) fn window(&self) -> u32 {
        self.window
    }

    /// `len` octets may join `in_flight`. With nothing in flight one segment always may.
    pub(crate) fn allows(&self, in_flight: u32, len: u32) -> bool {
        in_flight == 0 || in_flight.saturating_add(len) <= self.window
    }

    pub(crate) fn on_sent(&mut self, len: u32) {
        self.out += u64::from(len);
    }

    /// Something was sent again, with this timestamp if there are any.
    pub(crate) fn on_sent_again(&mut self, stamp: u32) {
        if let Some(before) = &mut self.before {
            before.stamp.get_or_insert(stamp);
        }
    }

    /// A loss was found. Cuts the window once per recovery.
    pub(crate) fn on_loss(&mut self, nxt: Seq, outstanding: u32) {
        if self.phase != Phase::Open {
            return;
        }
        self.cut(Phase::Recovery, nxt, outstanding);
        (self.delivered, self.out) = (0, 0);
        self.outstanding = u64::from(outstanding).max(1);
    }

    /// The retransmission timer ran out. Only the first of a row halves the threshold (RFC 5681, 3.1).
    pub(crate) fn on_timeout(&mut self, nxt: Seq, outstanding: u32) {
        if self.phase == Phase::Loss {
            self.window = self.mss;
            return;
        }
        self.cut(Phase::Loss, nxt, outstanding);
        self.window = self.mss;
    }

    /// A probe repaired a loss that nothing else saw (RFC 8985, 7.4.2): cut, and it is over.
    pub(crate) fn on_repaired(&mut self, nxt: Seq, outstanding: u32) {
        if self.phase == Phase::Open {
            self.cut(Phase::Open, nxt, outstanding);
            self.window = self.threshold;
            self.before = None;
        }
    }

    fn cut(&mut self, phase: Phase, nxt: Seq, outstanding: u32) {
        if self.before.is_none() {
            self.before = Some(Before {
                window: self.window,
                threshold: self.threshold,
                stamp: None,
            });
        }
        self.threshold = (outstanding / 2).max(self.mss.saturating_mul(2));
        (self.phase, self.recover, self.acked) = (phase, nxt, 0);
    }

    /// An ACK arrived: `acked` octets cumulatively, `delivered` with those sacked; `in_flight` is
    /// counted after it, `flight_before` before. Returns true when a recovery ended.
    pub(crate) fn on_ack(
        &mut self,
        una: Seq,
        acked: u32,
        delivered: u32,
        in_flight: u32,
        flight_before: u32,
    ) -> bool {
        let is_over = self.phase != Phase::Open && !una.is_before(self.recover);
        match self.phase {
            Phase::Recovery if is_over => self.window = self.threshold,
            Phase::Recovery => self.reduce(delivered, in_flight),
            Phase::Open | Phase::Loss => self.grow(acked, flight_before),
        }
        if is_over {
            self.phase = Phase::Open;
            self.before = None;
        }
        is_over
    }

    /// The ACK echoes `echo`: if that is older than our first retransmission since the cut, the
    /// original had arrived and the cut was for nothing (RFC 3522). Returns true when undone.
    pub(crate) fn on_echo(&mut self, echo: u32) -> bool {
        let Some(before) = self.before else {
            return false;
        };
        let is_older = |stamp: u32| echo.wrapping_sub(stamp) >> 31 == 1;
        if self.phase == Phase::Open || !before.stamp.is_some_and(is_older) {
            return false;
        }
        self.window = self.window.max(before.window);
        self.threshold = before.threshold;
        self.phase = Phase::Open;
        self.before = None;
        true
    }

    /// Nothing was sent for longer than a time-out: what the path holds is unknown (RFC 5681, 4.1).
    pub(crate) fn on_idle(&mut self, initial: u32) {
        self.window = self.window.min(self.mss.saturating_mul(initial));
    }

    fn reduce(&mut self, delivered: u32, in_flight: u32) {
        self.delivered += u64::from(delivered);
        let room = if in_flight > self.threshold {
            let share = (self.delivered * u64::from(self.threshold)).div_ceil(self.outstanding);
            share.saturating_sub(self.out)
        } else {
            // Slow-start reduction bound.
            let bound = self
                .delivered
                .saturating_sub(self.out)
                .max(u64::from(delivered));
            let limit = bound.saturating_add(u64::from(self.mss));
            limit.min(u64::from(self.threshold - in_flight))
        };
        // The first retransmission leaves whatever the arithmetic says (RFC 6937, 3).
        let room = if self.out == 0 {
            room.max(u64::from(self.mss))
        } else {
            room
        };
        self.window = in_flight.saturating_add(u32::try_from(room).unwrap_or(u32::MAX));
    }

    fn grow(&mut self, acked: u32, flight_before: u32) {
        // A window that is not used proves nothing about the path (RFC 7661).
        let used = flight_before.saturating_add(2 * self.mss);
        if self.window < self.threshold {
            if used.saturating_mul(2) >= self.window || self.phase == Phase::Loss {
                // One ACK may answer a whole batch, so all it covers counts; after a time-out the
                // wire is distrusted and it is two segments (RFC 3465, 2.2 and 2.3).
                let step = match self.phase {
                    Phase::Loss => acked.min(2 * self.mss),
                    _ => acked,
                };
                self.window = self.window.saturating_add(step).min(self.ceiling);
            }
        } else if used >= self.window {
            self.acked = self.acked.saturating_add(acked);
            if self.acked >= self.window {
                self.acked -= self.window;
                self.window = self.window.saturating_add(self.mss).min(self.ceiling);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1_000;

    fn open() -> Congestion {
        Congestion::new(MSS, 10, 1 << 20)
    }

    #[test]
    fn slow_start_grows_by_what_is_acknowledged_after_a_time_out_by_two_segments() {
        let mut congestion = open();
        congestion.on_ack(Seq(0), MSS, MSS, 9 * MSS, 10 * MSS);
        assert_eq!(congestion.window(), 11 * MSS);
        congestion.on_ack(Seq(0), 9 * MSS, 9 * MSS, 0, 10 * MSS);
        assert_eq!(congestion.window(), 20 * MSS);
        congestion.on_timeout(Seq(50_000), 20 * MSS);
        congestion.on_ack(Seq(0), 5 * MSS, 5 * MSS, 0, MSS);
        assert_eq!(congestion.window(), 3 * MSS);
    }

    #[test]
    fn an_unused_window_does_not_grow() {
        let mut congestion = open();
        for _ in 0..100 {
            congestion.on_ack(Seq(0), 230, 230, 0, 230);
        }
        assert_eq!(congestion.window(), 10 * MSS);
    }

    #[test]
    fn a_loss_halves_once_and_recovery_sends_in_proportion() {
        let mut congestion = open();
        congestion.on_loss(Seq(20_000), 20 * MSS);
        assert_eq!(congestion.phase(), Phase::Recovery);
        congestion.on_loss(Seq(20_000), 20 * MSS);
        // 18 in flight, threshold 10: for two delivered, one may leave.
        congestion.on_ack(Seq(0), 0, 2 * MSS, 18 * MSS, 20 * MSS);
        assert_eq!(congestion.window(), 19 * MSS);
        assert!(congestion.on_ack(Seq(20_000), 20 * MSS, 18 * MSS, 0, 18 * MSS));
        assert_eq!(congestion.window(), 10 * MSS);
    }

    #[test]
    fn a_spurious_time_out_is_undone() {
        let mut congestion = open();
        congestion.on_timeout(Seq(9_000), 9 * MSS);
        assert_eq!(congestion.window(), MSS);
        assert!(!congestion.on_echo(5));
        congestion.on_sent_again(7);
        assert!(!congestion.on_echo(7));
        assert!(congestion.on_echo(6));
        assert_eq!(
            (congestion.window(), congestion.phase()),
            (10 * MSS, Phase::Open)
        );
    }

    #[test]
    fn with_nothing_in_flight_one_segment_may_always_leave() {
        let mut congestion = open();
        congestion.on_timeout(Seq(0), 9 * MSS);
        assert!(congestion.allows(0, 9_000));
        assert!(!congestion.allows(1, MSS));
    }
}
