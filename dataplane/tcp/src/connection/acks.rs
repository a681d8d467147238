//! What an acknowledgement tells: what arrived, how long it took, what must be lost.

use super::{Connection, End, Events, State};
use crate::board::{Place, Sent};
use crate::config::Config;
use crate::congestion::Phase;
use crate::seq::Seq;
use crate::wire::tcp::{Block, TcpHeader};

/// What one ACK delivered.
#[derive(Default)]
struct Delivered {
    octets: u32,
    /// Departure of the first and of the last segment delivered that was sent once.
    first_at: Option<u64>,
    last_at: u64,
}

impl Connection {
    /// Takes acknowledgement, window and SACK blocks. Returns false when the segment is to be
    /// dropped.
    pub(super) fn on_ack(&mut self, header: &TcpHeader, payload_len: usize) -> bool {
        let ack = header.ack;
        // What was never sent, or so old that the window has moved past it (RFC 5961, 5.2).
        let oldest = self.send.una.minus(self.send.window_max);
        if ack.is_after(self.send.nxt) || ack.is_before(oldest) {
            self.challenge();
            return false;
        }
        let window_before = self.send.window;
        self.on_window(header);
        let flight_before = self.board.in_flight();
        let acked = ack.since(self.send.una);
        let had_outstanding = !self.board.is_empty();
        let delivered = self.on_delivery(header, acked);
        if acked > 0 {
            self.on_progress(ack, acked);
        }
        let is_duplicate = acked == 0
            && payload_len == 0
            && had_outstanding
            && ack == self.send.una
            && self.send.window == window_before;
        if had_outstanding {
            self.on_tail_probe(header, acked, is_duplicate);
            self.find_losses(acked, is_duplicate);
            // Without SACK a duplicate stands for one segment delivered (RFC 6937, 3).
            let delivered = if is_duplicate && !self.has_sack {
                self.payload_max() as u32
            } else {
                delivered
            };
            if self.congestion.on_ack(
                self.send.una,
                acked,
                delivered,
                self.board.in_flight(),
                flight_before,
            ) {
                self.rack.on_recovery_end();
            }
            if acked > 0 || (self.has_sack && delivered > 0) {
                self.arm_retransmission(acked > 0);
            }
        }
        if self.send.window == 0 {
            // The peer lives and says not now.
            self.timers.progress = self.now;
        } else {
            self.timers.probe = super::NEVER;
            self.timers.probe_count = 0;
        }
        true
    }

    fn on_window(&mut self, header: &TcpHeader) {
        let is_newer = self.send.wl1.is_before(header.seq)
            || (self.send.wl1 == header.seq && !header.ack.is_before(self.send.wl2));
        if !header.ack.is_before(self.send.una) && is_newer {
            self.send.window = u32::from(header.window) << self.send.shift;
            self.send.window_max = self.send.window_max.max(self.send.window);
            (self.send.wl1, self.send.wl2) = (header.seq, header.ack);
        }
    }

    /// Takes what is acknowledged off the board and marks what is sacked; feeds RACK and the clock.
    fn on_delivery(&mut self, header: &TcpHeader, acked: u32) -> u32 {
        let mut delivered = Delivered::default();
        let echo = header.options.timestamps.map(|(_, echo)| echo);
        let echo = echo.filter(|_| self.has_stamps);
        if let Some(echo) = echo
            && acked > 0
            && self.congestion.on_echo(echo)
        {
            self.counters.spurious += 1;
            self.board.unlose();
        }
        let (now, min_rtt) = (self.now, self.rtt.min());
        let offset = self.opening.timestamp_offset;
        let (board, rack) = (&mut self.board, &mut self.rack);
        let mut seen = |sent: &Sent, is_cumulative: bool| {
            delivered.octets += sent.len;
            let stamp = ((sent.at / 1_000_000) as u32).wrapping_add(offset);
            // An ACK echoes the segment that moved it, not the one it sacks: only what it moves
            // over can be told apart by the echo.
            let is_earlier =
                is_cumulative && echo.is_some_and(|echo| echo.wrapping_sub(stamp) >> 31 == 1);
            rack.on_delivered(sent, now, min_rtt, is_earlier);
            if !sent.is_again && sent.place == Place::InFlight {
                delivered.first_at.get_or_insert(sent.at);
                delivered.last_at = delivered.last_at.max(sent.at);
            }
        };
        board.on_ack(header.ack, |sent| seen(sent, true));
        let is_dsack = self.has_sack && is_dsack(header.options.sack(), header.ack);
        if self.has_sack && !header.options.sack().is_empty() {
            let una = self.send.una.later(header.ack);
            let blocks = header.options.sack();
            for &(start, end) in blocks.get(usize::from(is_dsack)..).unwrap_or_default() {
                let is_sane = start.is_before(end)
                    && end.is_after(una)
                    && !end.is_after(self.send.nxt)
                    && !start.is_before(una);
                if is_sane {
                    self.counters.sack_blocks_in += 1;
                    board.on_sack(start, end, |sent| seen(sent, false));
                }
            }
            if is_dsack
                && blocks
                    .first()
                    .is_some_and(|b| b.0.is_before(self.send.again_end))
            {
                self.counters.dsacks_in += 1;
                rack.on_dsack(una, self.send.nxt);
            }
        }
        let sample = match delivered.first_at {
            Some(first) => Some((
                now.saturating_sub(first),
                now.saturating_sub(delivered.last_at),
            )),
            // Only repeated segments: the echo tells which copy it was (RFC 7323, 4). Not if the
            // ACK reports a duplicate: then the peer sat on its ACK of the first copy until the
            // second came, and that wait is ours, not the path's.
            None if acked > 0 && !is_dsack => echo
                .and_then(|echo| self.sample_of(echo))
                .map(|sample| (sample, sample)),
            None => None,
        };
        if let Some((longest, shortest)) = sample {
            self.rtt.on_sample(now, longest, shortest);
        }
        delivered.octets
    }

    /// Round trip by an echoed timestamp, rounded up to its millisecond.
    pub(super) fn sample_of(&self, echo: u32) -> Option<u64> {
        let ms = self.stamp(self.now).wrapping_sub(echo);
        // Anything above ten minutes is no echo of ours.
        (ms < 600_000).then_some((u64::from(ms) + 1) * 1_000_000)
    }

    fn on_progress(&mut self, ack: Seq, acked: u32) {
        self.send.una = ack;
        self.send.dup_acks = 0;
        self.timers.progress = self.now;
        self.rtt.on_progress();
        let is_fin_acked = self.send.is_fin_sent && ack == self.send.nxt;
        self.counters.bytes_acked += u64::from(acked - u32::from(is_fin_acked));
        if is_fin_acked {
            match self.state {
                State::FinWait1 => self.state = State::FinWait2,
                State::Closing => self.enter_time_wait(),
                State::LastAck => self.finish(End::Closed),
                _ => {}
            }
        }
        if self.send.is_blocked && self.send_room() * 2 >= self.ring.size() {
            self.send.is_blocked = false;
            self.events.add(Events::WRITABLE);
        }
    }

    /// RFC 8985, 7.4: was the probe needed?
    fn on_tail_probe(&mut self, header: &TcpHeader, acked: u32, is_duplicate: bool) {
        let Some((end, is_again)) = self.send.tail else {
            return;
        };
        if header.ack.is_before(end) {
            return;
        }
        let blocks = header.options.sack();
        let is_needless = is_dsack(blocks, header.ack)
            && blocks.first().is_some_and(|block| !block.1.is_before(end));
        if !is_again || is_needless {
            self.send.tail = None;
        } else if acked > 0 && header.ack.is_after(end) {
            self.send.tail = None;
            let outstanding = self.outstanding().saturating_add(acked);
            self.congestion.on_repaired(self.send.nxt, outstanding);
        } else if is_duplicate && blocks.is_empty() {
            self.send.tail = None;
        }
    }

    fn find_losses(&mut self, acked: u32, is_duplicate: bool) {
        if self.has_sack {
            self.find_losses_by_time();
            return;
        }
        // Without SACK: the third duplicate, and each partial ACK of a recovery (RFC 6582).
        self.send.dup_acks += u32::from(is_duplicate);
        let is_third = is_duplicate && self.send.dup_acks == 3;
        let is_partial = acked > 0
            && self.congestion.phase() != Phase::Open
            && self.congestion.is_recovering(self.send.una);
        if is_third || is_partial {
            let lost = self.board.lose(|index, _| index == 0);
            self.counters.dup_ack_losses += u64::from(lost);
            // Both times the head leaves at once (RFC 6582, 3.2).
            self.owed.again |= lost > 0;
            self.congestion.on_loss(self.send.nxt, self.outstanding());
        }
    }

    /// RACK, step 5: marks what was overtaken for too long, and waits for what may yet be.
    pub(super) fn find_losses_by_time(&mut self) {
        self.timers.reorder = super::NEVER;
        if !self.has_sack || (self.board.sacked() == 0 && !self.board.has_again()) {
            return;
        }
        let is_recovering = self.congestion.phase() != Phase::Open;
        let sacked = self.board.iter().filter(|sent| sent.place == Place::Sacked);
        let window = self
            .rack
            .reordering_window(&self.rtt, is_recovering, sacked.count());
        let (now, rack, mut next) = (self.now, &self.rack, super::NEVER);
        let lost = self.board.lose(|_, sent| match rack.lost_at(sent, window) {
            Some(at) if at <= now => true,
            Some(at) => {
                next = next.min(at);
                false
            }
            None => false,
        });
        self.timers.reorder = next;
        if lost > 0 {
            self.counters.rack_losses += u64::from(lost);
            self.congestion.on_loss(self.send.nxt, self.outstanding());
            self.timers.tail = super::NEVER;
        }
    }

    /// A router says that a packet was too big (RFC 1191); `seq` is that of the segment it quotes,
    /// `mtu` the next hop's, 0 = not said. Returns false when nothing such was sent: a forgery.
    pub fn on_too_big(&mut self, now: u64, seq: Seq, mtu: u16) -> bool {
        self.tick(now);
        if seq.is_before(self.send.una) || !seq.is_before(self.send.nxt) {
            return false;
        }
        let stated = match mtu {
            // RFC 1191, 7.1: the next lower plateau.
            0 => match self.send.mss.saturating_add(40) {
                1_493.. => 1_492,
                1_007.. => 1_006,
                _ => Config::MTU_MIN,
            },
            mtu => mtu,
        };
        self.counters.mtu_lowered += u64::from(self.limit_mtu(stated));
        true
    }

    /// No packet larger than this gets through, octets. Returns false when none would be.
    pub(crate) fn limit_mtu(&mut self, mtu: u16) -> bool {
        let mss = mtu.max(Config::MTU_MIN) - 40;
        if mss >= self.send.mss {
            return false;
        }
        self.send.mss = mss;
        let payload_max = self.payload_max();
        self.congestion.set_mss(payload_max as u32);
        // Those cannot have arrived. Not congestion: the window stays.
        self.board.lose(|_, sent| sent.payload_len() > payload_max);
        true
    }

    /// A router or host says that nobody listens. Believed only while connecting (RFC 5927, 5.2):
    /// an established connection has better witnesses. Returns false for a forgery.
    pub fn on_unreachable(&mut self, now: u64, seq: Seq) -> bool {
        self.tick(now);
        if self.state == State::SynSent && seq == self.send.iss {
            self.finish(End::Refused);
            return true;
        }
        !seq.is_before(self.send.una) && seq.is_before(self.send.nxt)
    }
}

/// The first block reports a duplicate (RFC 2883, 4): below the ACK, or inside the second block.
fn is_dsack(blocks: &[Block], ack: Seq) -> bool {
    match *blocks {
        [first, ref rest @ ..] => {
            !first.1.is_after(ack)
                || rest.first().is_some_and(|second| {
                    !first.0.is_before(second.0) && !first.1.is_after(second.1)
                })
        }
        [] => false,
    }
}
