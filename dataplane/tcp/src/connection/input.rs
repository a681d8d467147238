//! A segment came: is it acceptable (RFC 9293, 3.10.7.4; RFC 5961; RFC 7323, 5), what does it carry.

use super::{Connection, End, Events, Reset, State};
use crate::seq::Seq;
use crate::wire::tcp::{Flags, TcpHeader};
use core::ops::Range;

/// A timestamp this old no longer guards against old segments (RFC 7323, 5.5: 24 days).
const STAMP_LIFE_NS: u64 = 24 * 24 * 3_600 * 1_000_000_000;

impl Connection {
    /// Takes one segment that arrived at `now`, its checksum proved. Returns which part of
    /// `payload` is next in line for the application: read it where it lies, it counts as consumed.
    /// What [`Connection::readable`] has comes after it.
    ///
    /// Cost: constant, but with gaps or losses linear in the segments in flight. No allocation.
    #[inline]
    pub fn on_segment(&mut self, now: u64, header: &TcpHeader, payload: &[u8]) -> Range<usize> {
        self.tick(now);
        self.counters.segments_in += 1;
        match self.state {
            State::Closed => 0..0,
            State::SynSent => {
                self.on_segment_in_syn_sent(header);
                0..0
            }
            _ => self.on_segment_synchronised(header, payload),
        }
    }

    fn on_segment_in_syn_sent(&mut self, header: &TcpHeader) {
        let has_ack = header.flags.has(Flags::ACK);
        let acks_syn = has_ack && header.ack == self.send.nxt && self.send.nxt != self.send.iss;
        if has_ack && !acks_syn {
            if header.flags.has(Flags::RST) {
                self.counters.resets_refused += 1;
            } else {
                self.owed.reset = Some(Reset {
                    seq: header.ack,
                    ack: None,
                });
            }
            return;
        }
        if header.flags.has(Flags::RST) {
            if has_ack {
                self.finish(End::Refused);
            } else {
                self.counters.resets_refused += 1;
            }
            return;
        }
        if !header.flags.has(Flags::SYN) || !(acks_syn || self.config.simultaneous_open) {
            return;
        }
        self.on_peer_syn(header);
        if acks_syn {
            self.send.una = header.ack;
            self.owed.syn = false;
            self.owed.ack = true;
            self.establish(header);
        } else {
            // Both opened at once (RFC 9293, 3.5, figure 8).
            self.state = State::SynReceived;
            self.owed.syn = true;
        }
    }

    fn establish(&mut self, header: &TcpHeader) {
        self.state = State::Established;
        self.events.add(Events::CONNECTED);
        self.send.una = self.send.iss.plus(1);
        self.send.nxt = self.send.una;
        self.timers.syn = super::NEVER;
        self.timers.progress = self.now;
        self.owed.syn = false;
        self.heard();
        let echo = header.options.timestamps.map(|(_, echo)| echo);
        let sample = if self.timers.syn_count == 1 {
            Some(self.now.saturating_sub(self.timers.syn_at))
        } else {
            echo.filter(|_| self.has_stamps)
                .and_then(|echo| self.sample_of(echo))
        };
        if let Some(sample) = sample {
            self.rtt.on_sample(self.now, sample, sample);
        }
    }

    fn on_segment_synchronised(&mut self, header: &TcpHeader, payload: &[u8]) -> Range<usize> {
        let flags = header.flags;
        let is_reset = flags.has(Flags::RST);
        let extra = u32::from(flags.has(Flags::SYN)) + u32::from(flags.has(Flags::FIN));
        let len = (payload.len() as u32).saturating_add(extra);
        if self.state == State::SynReceived
            && flags.has(Flags::SYN)
            && !is_reset
            && header.seq == self.receive.irs
        {
            self.on_syn_again(header);
            return 0..0;
        }
        if !is_reset && !self.is_timely(header, len) {
            return 0..0;
        }
        if !self.is_acceptable(header.seq, len) {
            self.on_unacceptable(header, payload, len);
            return 0..0;
        }
        if is_reset {
            // Only the exact number resets; one merely inside the window is asked about (RFC 5961, 3).
            if self.state == State::TimeWait {
                // Nothing is left to reset but the waiting itself (RFC 1337, hazard 3).
                self.counters.resets_refused += 1;
            } else if header.seq == self.receive.nxt {
                let is_refused = self.state == State::SynReceived;
                self.finish(if is_refused { End::Refused } else { End::Reset });
            } else {
                self.counters.resets_refused += 1;
                self.challenge();
            }
            return 0..0;
        }
        if flags.has(Flags::SYN) {
            self.challenge();
            return 0..0;
        }
        if !flags.has(Flags::ACK) {
            return 0..0;
        }
        if self.state == State::SynReceived {
            if header.ack != self.send.nxt || self.send.nxt == self.send.iss {
                self.owed.reset = Some(Reset {
                    seq: header.ack,
                    ack: None,
                });
                return 0..0;
            }
            self.establish(header);
            (self.send.wl1, self.send.wl2) = (header.seq, header.ack);
            self.send.window = u32::from(header.window) << self.send.shift;
            self.send.window_max = self.send.window;
        }
        if let Some((value, _)) = header.options.timestamps
            && self.has_stamps
            && !header.seq.is_after(self.receive.acked)
        {
            self.receive.stamp_recent = value;
            self.receive.stamp_recent_at = self.now;
        }
        self.heard();
        if !self.on_ack(header, payload.len()) || self.state == State::Closed {
            return 0..0;
        }
        if len == 0 {
            return 0..0;
        }
        self.on_data(header.seq, payload, flags.has(Flags::FIN))
    }

    /// The SYN of the handshake once more: our SYN-ACK was lost, or the two crossed.
    fn on_syn_again(&mut self, header: &TcpHeader) {
        let acks_ours = header.flags.has(Flags::ACK)
            && header.ack == self.send.nxt
            && self.send.nxt != self.send.iss;
        if acks_ours {
            self.establish(header);
            self.owed.ack = true;
        } else if !header.flags.has(Flags::ACK) {
            self.owed.syn = true;
        }
    }

    /// PAWS (RFC 7323, 5.3). A segment that fails is answered and dropped.
    fn is_timely(&mut self, header: &TcpHeader, len: u32) -> bool {
        if !self.has_stamps {
            return true;
        }
        let Some((value, _)) = header.options.timestamps else {
            self.counters.unstamped_drops += 1;
            return false;
        };
        let age = self.now.saturating_sub(self.receive.stamp_recent_at);
        let is_old = value.wrapping_sub(self.receive.stamp_recent) >> 31 == 1;
        if is_old && age < STAMP_LIFE_NS {
            self.counters.paws_drops += 1;
            self.answer(len > 0 && !header.flags.has(Flags::SYN));
            return false;
        }
        true
    }

    /// RFC 9293, 3.4, table 6.
    fn is_acceptable(&self, seq: Seq, len: u32) -> bool {
        let (next, edge) = (self.receive.nxt, self.receive.edge);
        let is_inside = |at: Seq| !at.is_before(next) && at.is_before(edge);
        if len == 0 {
            return seq == next || is_inside(seq);
        }
        is_inside(seq) || is_inside(seq.plus(len - 1))
            // Larger than the window and around it.
            || (next != edge && seq.is_before(next) && seq.plus(len - 1).is_after(edge))
    }

    fn on_unacceptable(&mut self, header: &TcpHeader, payload: &[u8], len: u32) {
        if header.flags.has(Flags::RST) {
            self.counters.out_of_window += 1;
            self.counters.resets_refused += 1;
            return;
        }
        if header.flags.has(Flags::SYN) {
            self.challenge();
            return;
        }
        let end = header.seq.plus(len);
        if len > 0 && !end.is_after(self.receive.nxt) {
            self.counters.duplicates_in += 1;
            if !payload.is_empty() {
                self.receive.dsack = Some((header.seq, end));
            }
            if self.state == State::TimeWait {
                self.timers.done = self.now.saturating_add(self.config.time_wait_ns);
            }
        } else {
            self.counters.out_of_window += 1;
        }
        self.answer(len > 0);
    }

    /// Payload and FIN of an acceptable segment.
    fn on_data(&mut self, seq: Seq, payload: &[u8], has_fin: bool) -> Range<usize> {
        let is_receiving = matches!(
            self.state,
            State::Established | State::FinWait1 | State::FinWait2
        );
        self.owed.ack = true;
        if !is_receiving {
            return 0..0;
        }
        let next = self.receive.nxt;
        let payload_end = seq.plus(payload.len() as u32);
        // A FIN before what came already is a lie.
        let is_last = self
            .assembly
            .last()
            .is_none_or(|last| !last.is_after(payload_end));
        let is_new = self.receive.fin_at.is_none() && is_last;
        if has_fin && is_new && !payload_end.is_after(self.receive.edge) {
            self.receive.fin_at = Some(payload_end);
        }
        // What we have already, what is beyond the window, what lies behind their own FIN.
        let skip = next.since(seq).min(payload.len() as u32);
        if skip > 0 {
            self.counters.duplicates_in += 1;
            self.receive.dsack = Some((seq, seq.plus(skip)));
        }
        let mut end = payload_end.earlier(self.receive.edge);
        if let Some(fin_at) = self.receive.fin_at {
            end = end.earlier(fin_at);
        }
        self.counters.refused_bytes += u64::from(payload_end.since(end));
        let start = seq.plus(skip);
        let usable = end.since(start) as usize;
        let skip = skip as usize;
        let bytes = payload.get(skip..skip + usable).unwrap_or_default();
        let in_place = self.take_in(start, bytes);
        if self.receive.fin_at == Some(self.receive.nxt) {
            self.on_fin();
        }
        skip..skip + in_place
    }

    /// Takes octets at or after the next expected; returns how many of them are handed out in place.
    fn take_in(&mut self, seq: Seq, bytes: &[u8]) -> usize {
        let next = self.receive.nxt;
        let is_next = seq == next;
        let mut in_place = 0;
        if is_next && self.receive.read == next && !self.receive.is_holding {
            let until = self
                .assembly
                .first()
                .map_or(u32::MAX, |first| first.since(seq));
            in_place = bytes.len().min(until as usize);
            self.receive.nxt = next.plus(in_place as u32);
            self.receive.read = self.receive.nxt;
        }
        let rest = bytes.get(in_place..).unwrap_or_default();
        if !rest.is_empty() {
            let at = seq.plus(in_place as u32);
            let block = (at, at.plus(rest.len() as u32));
            if !is_next {
                self.counters.out_of_order_in += 1;
                if self.assembly.holds(block) {
                    self.counters.duplicates_in += 1;
                    self.receive.dsack = Some(block);
                }
            }
            if self.assembly.insert(at, rest, is_next).is_err() {
                self.counters.refused_bytes += rest.len() as u64;
            }
        }
        if !self.assembly.is_empty() {
            self.receive.nxt = self.assembly.advance(self.receive.nxt);
        }
        let taken = self.receive.nxt.since(next);
        self.counters.bytes_in += u64::from(taken);
        if self.receive.read != self.receive.nxt && taken > 0 {
            self.events.add(Events::READABLE);
        }
        in_place
    }

    fn on_fin(&mut self) {
        self.receive.nxt = self.receive.nxt.plus(1);
        self.receive.is_fin_received = true;
        self.receive.edge = self.receive.edge.later(self.receive.nxt);
        self.assembly.clear();
        self.events.add(Events::PEER_CLOSED);
        self.state = match self.state {
            State::Established => State::CloseWait,
            State::FinWait1 => State::Closing,
            State::FinWait2 => {
                self.enter_time_wait();
                State::TimeWait
            }
            state => state,
        };
    }

    pub(super) fn enter_time_wait(&mut self) {
        self.state = State::TimeWait;
        self.timers.stop_sending();
        self.timers.keepalive = super::NEVER;
        self.timers.done = self.now.saturating_add(self.config.time_wait_ns);
    }

    /// The peer lives.
    fn heard(&mut self) {
        self.timers.keepalive_count = 0;
        self.timers.keepalive = match self.config.keepalive_idle_ns {
            0 => super::NEVER,
            _ if self.state == State::TimeWait => super::NEVER,
            idle => self.now.saturating_add(idle),
        };
    }

    /// Owes an ACK that may be a liar's doing: free when the segment had content, else seldom, so
    /// that two confused ends do not ACK each other for ever.
    fn answer(&mut self, is_free: bool) -> bool {
        if !is_free {
            if self.now < self.timers.challenge {
                return false;
            }
            let interval = self.config.challenge_interval_ns;
            self.timers.challenge = self.now.saturating_add(interval);
        }
        self.owed.ack = true;
        true
    }

    /// Owes a challenge ACK (RFC 5961): an honest peer that means it answers with the exact number.
    pub(super) fn challenge(&mut self) {
        if self.answer(false) {
            self.counters.challenge_acks += 1;
        }
    }
}
