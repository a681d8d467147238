//! What leaves, in this order: a reset, the handshake, what was lost, the tail probe, new data, a
//! question, a bare ACK.

use super::{Connection, NEVER, State};
use crate::seq::Seq;
use crate::wire::tcp::{Flags, Options, TCP_LEN, TCP_LEN_MAX, TIMESTAMPS_LEN, TcpHeader, seal};

impl Connection {
    /// Writes the next segment, TCP header and all, into `out`; returns its length, `None` when
    /// nothing is to be sent now. Call until `None`, after feeding and whenever
    /// [`Connection::next_deadline`] has come.
    ///
    /// `out` must hold the MTU less 20. Cost: one copy of the payload and one pass of checksum.
    #[inline]
    pub fn poll_transmit(&mut self, now: u64, out: &mut [u8]) -> Option<usize> {
        self.tick(now);
        if out.len()
            < usize::from(self.config.mtu)
                .saturating_sub(20)
                .max(TCP_LEN_MAX)
        {
            return None;
        }
        self.run_timers();
        if let Some(reset) = self.owed.reset.take() {
            return self.emit_reset(reset.seq, reset.ack, out);
        }
        let len = match self.state {
            State::SynSent | State::SynReceived => return self.emit_syn(out),
            State::Closed => return None,
            State::TimeWait => None,
            _ => self.emit_data(out),
        };
        if len.is_some() {
            return len;
        }
        self.arm_probe();
        if self.owed.probe {
            return self.emit_probe(out);
        }
        if self.owed.ack {
            return self.emit(self.send.nxt, 0, Flags::ACK, out);
        }
        None
    }

    fn emit_data(&mut self, out: &mut [u8]) -> Option<usize> {
        if let Some(index) = self.board.first_lost() {
            let len = self.cut_to_size(index);
            if core::mem::take(&mut self.owed.again)
                || self.congestion.allows(self.board.in_flight(), len)
            {
                return self.emit_again(index, out);
            }
        }
        if core::mem::take(&mut self.owed.tail) && !self.board.is_empty() {
            self.counters.tail_loss_probes += 1;
            if let Some(len) = self.emit_new(true, out) {
                self.send.tail = Some((self.send.nxt, false));
                self.timers.tail = NEVER;
                return Some(len);
            }
            let mut last = self.board.len() - 1;
            let len_before = self.board.len();
            self.cut_to_size(last);
            last += self.board.len() - len_before;
            self.send.tail = Some((self.send.nxt, true));
            return self.emit_again(last, out);
        }
        self.emit_new(false, out)
    }

    /// Cuts a segment sent before the MTU fell; returns the length of its first part.
    fn cut_to_size(&mut self, index: usize) -> u32 {
        let payload_max = self.payload_max();
        let len_of = |connection: &Self| connection.board.get(index).map_or(0, |sent| sent.len);
        let is_long = self
            .board
            .get(index)
            .is_some_and(|sent| sent.payload_len() > payload_max);
        if is_long {
            self.board.split(index, payload_max as u32);
        }
        len_of(self)
    }

    fn emit_again(&mut self, index: usize, out: &mut [u8]) -> Option<usize> {
        let sent = *self.board.get(index)?;
        self.board.sent_again(index, self.now);
        self.counters.retransmits += 1;
        self.send.again_end = self.send.again_end.later(sent.end());
        let stamp = self.stamp(self.now);
        self.congestion.on_sent_again(stamp);
        self.congestion.on_sent(sent.len);
        self.arm_retransmission(false);
        let mut flags = Flags::ACK.with(Flags::PSH);
        if sent.has_fin {
            flags = flags.with(Flags::FIN);
        }
        self.emit(sent.start, sent.payload_len(), flags, out)
    }

    /// New octets; `is_forced` = whatever the congestion window says.
    #[inline]
    fn emit_new(&mut self, is_forced: bool, out: &mut [u8]) -> Option<usize> {
        let unsent = self.send.written.since(self.send.nxt) as usize;
        let owes_fin = self.send.is_closing && !self.send.is_fin_sent;
        if (unsent == 0 && !owes_fin) || self.send.is_fin_sent || !self.board.has_room() {
            return None;
        }
        let edge = self.send.una.plus(self.send.window);
        let usable = edge.since(self.send.nxt) as usize;
        let wanted = unsent.min(self.payload_max());
        let len = wanted.min(usable);
        if unsent > 0 && len == 0 {
            return None;
        }
        // A sliver of a window is not worth a segment while others are out (RFC 9293, 3.8.6.2.1).
        if len < wanted && len < self.send.window_max as usize / 2 && !self.board.is_empty() {
            return None;
        }
        let has_fin = owes_fin && len == unsent;
        let total = len as u32 + u32::from(has_fin);
        if self.board.is_empty() {
            if self.now.saturating_sub(self.send.last_at) > self.rtt.rto() {
                self.congestion.on_idle(self.config.initial_window);
            }
            self.timers.progress = self.now;
        }
        if !is_forced && !self.congestion.allows(self.board.in_flight(), total) {
            return None;
        }
        let seq = self.send.nxt;
        self.board.push(seq, total, self.now, has_fin);
        self.congestion.on_sent(total);
        self.send.nxt = seq.plus(total);
        self.send.last_at = self.now;
        let mut flags = Flags::ACK;
        if len == unsent {
            flags = flags.with(Flags::PSH);
        }
        if has_fin {
            flags = flags.with(Flags::FIN);
            self.send.is_fin_sent = true;
            self.state = match self.state {
                State::CloseWait => State::LastAck,
                _ => State::FinWait1,
            };
        }
        self.arm_retransmission(false);
        self.emit(seq, len, flags, out)
    }

    fn emit_syn(&mut self, out: &mut [u8]) -> Option<usize> {
        if !core::mem::take(&mut self.owed.syn) {
            return None;
        }
        self.timers.syn_at = self.now;
        self.timers.syn_count = self.timers.syn_count.saturating_add(1);
        self.timers.syn = self.now.saturating_add(self.rtt.rto());
        self.counters.retransmits += u64::from(self.timers.syn_count > 1);
        self.send.nxt = self.send.iss.plus(1);
        let is_answer = self.state == State::SynReceived;
        let (mut flags, mut ack, mut echo) = (Flags::SYN, Seq(0), 0);
        if is_answer {
            flags = flags.with(Flags::ACK);
            (ack, echo) = (self.receive.nxt, self.receive.stamp_recent);
            self.receive.acked = ack;
            self.owed.ack = false;
        }
        let may = |ours: bool, agreed: bool| ours && (!is_answer || agreed);
        let config = &self.config;
        // An answer scales only if the question did.
        let is_scaled = may(
            config.window_scaling,
            self.receive.shift > 0 || self.send.shift > 0,
        );
        let mut options = Options::default();
        // What the peer sends comes by the same path, as far as we know; an answer cannot tell that limit from
        // the peer's own.
        options.mss = Some(if is_answer {
            config.mtu.saturating_sub(40)
        } else {
            self.send.mss
        });
        options.window_scale = is_scaled.then(|| config.window_shift());
        options.is_sack_permitted = may(config.sack, self.has_sack);
        options.timestamps =
            may(config.timestamps, self.has_stamps).then(|| (self.stamp(self.now), echo));
        let window = self.assembly.size().min(usize::from(u16::MAX)) as u16;
        let header = TcpHeader {
            seq: self.send.iss,
            ack,
            flags,
            window,
            options,
            ..self.ports()
        };
        self.write(&header, 0, out)
    }

    /// An octet the peer has had long ago: it must answer with where it stands (RFC 9293, 3.8.4
    /// and 3.8.6.1). One with content, since answers to empty segments are rationed by some.
    fn emit_probe(&mut self, out: &mut [u8]) -> Option<usize> {
        self.owed.probe = false;
        // The peer does not read the ACK of an old octet, so this one answers nothing.
        let owes_ack = self.owed.ack;
        let header = self.header(self.send.una.minus(1), Flags::ACK, 1);
        self.owed.ack |= owes_ack;
        let at = TCP_LEN + header.options.len();
        if let Some(octet) = out.get_mut(at) {
            *octet = 0;
        }
        self.write(&header, 1, out)
    }

    fn emit_reset(&mut self, seq: Seq, ack: Option<Seq>, out: &mut [u8]) -> Option<usize> {
        let header = TcpHeader {
            seq,
            ack: ack.unwrap_or_default(),
            flags: match ack {
                Some(_) => Flags::RST.with(Flags::ACK),
                None => Flags::RST,
            },
            ..self.ports()
        };
        self.write(&header, 0, out)
    }

    /// A segment of `len` octets of the send buffer from `seq`.
    #[inline]
    fn emit(&mut self, seq: Seq, len: usize, flags: Flags, out: &mut [u8]) -> Option<usize> {
        let header = self.header(seq, flags, len);
        let at = TCP_LEN + header.options.len();
        self.ring.read(seq, out.get_mut(at..at + len)?);
        self.write(&header, len, out)
    }

    /// A header with ACK, window, timestamps, and such SACK blocks as fit beside the payload. What
    /// does not fit stays owed and leaves as a bare ACK.
    #[inline]
    fn header(&mut self, seq: Seq, flags: Flags, len: usize) -> TcpHeader {
        let mut options = Options::default();
        if self.has_stamps {
            options.timestamps = Some((self.stamp(self.now), self.receive.stamp_recent));
        }
        self.owed.ack = false;
        let has_blocks = !self.assembly.is_empty() || self.receive.dsack.is_some();
        if self.has_sack && has_blocks {
            let room = if len == 0 {
                TCP_LEN_MAX - TCP_LEN
            } else {
                usize::from(self.send.mss).saturating_sub(len)
            };
            let used = if self.has_stamps { TIMESTAMPS_LEN } else { 0 };
            let room = room.min(TCP_LEN_MAX - TCP_LEN);
            let mut count = room.saturating_sub(used + 4) / 8;
            if count == 0 {
                self.owed.ack = true;
            } else {
                if let Some(block) = self.receive.dsack.take() {
                    count -= usize::from(options.push_sack(block));
                }
                self.owed.ack = self.assembly.tell(&mut options, count);
                self.counters.sack_blocks_out += options.sack().len() as u64;
            }
        }
        self.receive.acked = self.receive.nxt;
        TcpHeader {
            seq,
            ack: self.receive.nxt,
            flags,
            window: self.advertise(),
            options,
            ..self.ports()
        }
    }

    fn ports(&self) -> TcpHeader {
        TcpHeader {
            source_port: self.opening.local.port(),
            target_port: self.opening.remote.port(),
            ..TcpHeader::default()
        }
    }

    /// Writes header and checksum around the payload already in place.
    #[inline]
    fn write(&mut self, header: &TcpHeader, payload_len: usize, out: &mut [u8]) -> Option<usize> {
        let len = header.write(out)? + payload_len;
        let (local, remote) = (self.opening.local.ip(), self.opening.remote.ip());
        seal(out.get_mut(..len)?, *local, *remote);
        self.counters.segments_out += 1;
        Some(len)
    }

    /// Moves the advertised edge out when that is worth telling, never back; returns the field.
    #[inline]
    fn advertise(&mut self) -> u16 {
        let wanted = self.window_wanted();
        if wanted.since(self.receive.edge) as usize >= self.window_step() {
            self.receive.edge = wanted;
        }
        let window = self.receive.edge.since(self.receive.nxt);
        (window >> self.receive.shift).min(u32::from(u16::MAX)) as u16
    }

    /// Where the right edge could be, in whole units of the window field.
    pub(super) fn window_wanted(&self) -> Seq {
        let free = self.receive.read.plus(self.assembly.size() as u32);
        let shift = self.receive.shift;
        let units = (free.since(self.receive.nxt) >> shift).min(u32::from(u16::MAX));
        let wanted = self.receive.nxt.plus(units << shift);
        wanted.later(self.receive.edge)
    }

    /// By how much the edge must move to be worth telling (RFC 9293, 3.8.6.2.2).
    pub(super) fn window_step(&self) -> usize {
        let mss = usize::from(self.config.mtu.saturating_sub(40));
        mss.min(self.assembly.size() / 2)
    }
}
