//! What falls due: time-outs, probes, keep-alive, the end of waiting.

use super::{Connection, End, Reset, State};
use crate::board::Place;
use crate::congestion::Phase;

/// A timer that does not run.
pub(super) const NEVER: u64 = u64::MAX;

/// Deadlines in nanoseconds, and what they count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timers {
    /// SYN or SYN-ACK again.
    pub(super) syn: u64,
    /// Retransmission (RFC 6298).
    pub(super) retransmit: u64,
    /// Tail loss probe (RFC 8985, 7).
    pub(super) tail: u64,
    /// The reordering window of some segment closes (RFC 8985, 6.3).
    pub(super) reorder: u64,
    /// Zero-window probe.
    pub(super) probe: u64,
    pub(super) keepalive: u64,
    /// End of TIME-WAIT.
    pub(super) done: u64,
    /// When the SYN left last, and how often.
    pub(super) syn_at: u64,
    pub(super) syn_count: u32,
    pub(super) probe_count: u32,
    pub(super) keepalive_count: u32,
    /// Last sign that the peer takes what we send.
    pub(super) progress: u64,
    /// Not before this the next unproved segment is answered. Not a deadline.
    pub(super) challenge: u64,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            syn: NEVER,
            retransmit: NEVER,
            tail: NEVER,
            reorder: NEVER,
            probe: NEVER,
            keepalive: NEVER,
            done: NEVER,
            syn_at: 0,
            syn_count: 0,
            probe_count: 0,
            keepalive_count: 0,
            progress: 0,
            challenge: 0,
        }
    }
}

impl Timers {
    pub(super) fn next(&self) -> u64 {
        let sending = self.retransmit.min(self.tail).min(self.reorder);
        let asking = self.syn.min(self.probe).min(self.keepalive);
        sending.min(asking).min(self.done)
    }

    pub(super) fn stop_sending(&mut self) {
        (self.retransmit, self.tail, self.reorder) = (NEVER, NEVER, NEVER);
        (self.probe, self.syn) = (NEVER, NEVER);
    }
}

impl Connection {
    /// Runs what is due.
    pub(super) fn run_timers(&mut self) {
        if self.now < self.timers.next() {
            return;
        }
        let now = self.now;
        if now >= self.timers.done {
            self.finish(End::Closed);
            return;
        }
        if now >= self.timers.syn {
            self.on_syn_timeout();
        }
        if now >= self.timers.reorder {
            self.find_losses_by_time();
        }
        // The probe first: at the same instant it takes the place of the time-out (RFC 8985, 7.2).
        if now >= self.timers.tail {
            self.timers.tail = NEVER;
            self.owed.tail = true;
            self.timers.retransmit = now.saturating_add(self.rtt.rto());
        }
        if now >= self.timers.retransmit {
            self.on_timeout();
        }
        if now >= self.timers.probe {
            self.on_probe_due();
        }
        if now >= self.timers.keepalive {
            self.on_keepalive_due();
        }
    }

    /// Time passes while nothing can leave, which it cannot since `since`: what is due happens, what it would send
    /// stays owed.
    pub(crate) fn wait(&mut self, now: u64, since: u64) {
        self.tick(now);
        self.run_timers();
        // What never left has no time-out of its own.
        let has_unsent = self.send.written.is_after(self.send.nxt)
            || self.send.is_closing != self.send.is_fin_sent
            || self.owed.syn
            || self.owed.probe;
        let since = since.max(self.timers.progress);
        let is_hopeless = now.saturating_sub(since) >= self.config.give_up_ns;
        if self.state != State::Closed && has_unsent && is_hopeless {
            self.give_up();
        }
    }

    /// From now on segments go another way, which must show for itself how long it takes: what is in flight is
    /// taken for lost with the old one. If it was not, its echo tells (RFC 3522).
    pub(crate) fn on_redirected(&mut self, now: u64) {
        self.tick(now);
        self.rtt.on_progress();
        self.owed.syn |= self.state == State::SynSent;
        if self.board.is_empty() {
            return;
        }
        self.board.lose(|_, _| true);
        self.congestion.on_loss(self.send.nxt, self.outstanding());
        self.send.tail = None;
        (self.owed.tail, self.owed.again) = (false, true);
        self.timers.reorder = NEVER;
        self.arm_retransmission(true);
    }

    /// Starts or stops the retransmission and tail timers after sending or an ACK (RFC 6298, 5).
    pub(super) fn arm_retransmission(&mut self, is_restart: bool) {
        if self.board.is_empty() {
            (self.timers.retransmit, self.timers.tail) = (NEVER, NEVER);
            return;
        }
        if is_restart || self.timers.retransmit == NEVER {
            self.timers.retransmit = self.now.saturating_add(self.rtt.rto());
        }
        let may_probe = self.has_sack
            && self.congestion.phase() == Phase::Open
            && self.board.sacked() == 0
            && self.board.lost() == 0
            && self.send.tail.is_none();
        self.timers.tail = NEVER;
        if may_probe && let Some(smoothed) = self.rtt.smoothed() {
            let lone = if self.board.len() == 1 {
                self.config.ack_delay_max_ns
            } else {
                0
            };
            let wait = smoothed.saturating_mul(2).saturating_add(lone);
            self.timers.tail = self.now.saturating_add(wait).min(self.timers.retransmit);
        }
    }

    /// Nothing in flight, something to send, a window of nothing: ask until it opens.
    pub(super) fn arm_probe(&mut self) {
        let is_stuck = self.board.is_empty()
            && self.send.window == 0
            && self.send.written.is_after(self.send.nxt);
        if is_stuck && self.timers.probe == NEVER && !self.owed.probe {
            if self.timers.probe_count == 0 {
                self.timers.progress = self.now;
            }
            let wait = self.rtt.backed_off(self.timers.probe_count);
            self.timers.probe = self.now.saturating_add(wait);
        }
    }

    fn on_syn_timeout(&mut self) {
        if self.is_hopeless() {
            self.give_up();
            return;
        }
        self.timers.syn = NEVER;
        self.rtt.back_off();
        self.owed.syn = true;
    }

    fn on_timeout(&mut self) {
        if self.is_hopeless() {
            self.give_up();
            return;
        }
        self.counters.timeouts += 1;
        let is_reneged = self
            .board
            .get(0)
            .is_some_and(|sent| sent.place == Place::Sacked);
        if is_reneged {
            self.counters.reneged += 1;
            self.board.renege();
        }
        if self.is_black_hole() {
            self.on_too_big(self.now, self.send.una, 0);
        }
        let window = self.rack.reordering_window(&self.rtt, true, 0);
        let (now, rack) = (self.now, &self.rack);
        // Without SACK nothing will tell which of the others are missing: all go again.
        let is_blind = !self.has_sack;
        self.board
            .lose(|index, sent| index == 0 || is_blind || rack.is_overdue(sent, window, now));
        self.congestion
            .on_timeout(self.send.nxt, self.outstanding());
        self.send.tail = None;
        (self.owed.tail, self.owed.again) = (false, true);
        self.timers.tail = NEVER;
        self.timers.reorder = NEVER;
        self.rtt.back_off();
        self.timers.retransmit = now.saturating_add(self.rtt.rto());
    }

    /// The largest segment there can be has left and left again without an answer, for every second time-out: a
    /// hop that drops its like, and whose word of it does not reach us (RFC 8899, 4.3; RFC 4821, 7.7).
    fn is_black_hole(&self) -> bool {
        let largest = self.payload_max();
        self.rtt.backoff() % 2 == 1
            && self.board.get(0).is_some_and(|head| {
                // One that waits for its next hop has not left again.
                let is_out = head.is_again && head.place == Place::InFlight;
                is_out && head.payload_len() >= largest
            })
    }

    fn on_probe_due(&mut self) {
        if self.is_hopeless() {
            self.give_up();
            return;
        }
        self.timers.probe = NEVER;
        self.timers.probe_count = self.timers.probe_count.saturating_add(1);
        self.counters.zero_window_probes += 1;
        self.owed.probe = true;
    }

    fn on_keepalive_due(&mut self) {
        if !self.board.is_empty() || self.send.window == 0 {
            // Other questions are out; their silence is counted elsewhere.
            self.timers.keepalive = self.now.saturating_add(self.config.keepalive_idle_ns);
            return;
        }
        if self.timers.keepalive_count >= self.config.keepalive_probes {
            self.give_up();
            return;
        }
        self.timers.keepalive_count += 1;
        self.counters.keepalive_probes += 1;
        self.timers.keepalive = self.now.saturating_add(self.config.keepalive_interval_ns);
        self.owed.probe = true;
    }

    fn is_hopeless(&self) -> bool {
        self.now.saturating_sub(self.timers.progress) >= self.config.give_up_ns
    }

    fn give_up(&mut self) {
        if self.state != State::SynSent {
            self.owed.reset = Some(Reset {
                seq: self.send.nxt,
                ack: Some(self.receive.nxt),
            });
        }
        self.finish(End::TimedOut);
    }
}
