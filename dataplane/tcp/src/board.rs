//! The scoreboard: what was sent and is not yet acknowledged, segment by segment (RFC 6675, RFC 8985).
//!
//! ```text
//!                 SACK                    cumulative ACK
//!   InFlight ───────────▶ Sacked ───────────────▶ gone
//!    │    ▲
//!    │    │ sent again      RACK, time-out, duplicate ACKs
//!    ▼    │
//!   Lost ─┘
//! ```
//!
//! Octets in flight are the sum over `InFlight`: a sacked or lost segment is no longer on the wire.

use crate::seq::Seq;
use std::collections::VecDeque;

/// Where a sent segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the wire, as far as we know.
    InFlight,
    /// The peer has it, out of order.
    Sacked,
    /// Not arriving; to be sent again.
    Lost,
}

/// One segment sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) start: Seq,
    /// Octets of the sequence space, a FIN counted.
    pub(crate) len: u32,
    /// When it left last, nanoseconds.
    pub(crate) at: u64,
    pub(crate) place: Place,
    /// It left more than once.
    pub(crate) is_again: bool,
    /// Its last octet is the FIN.
    pub(crate) has_fin: bool,
}

impl Sent {
    pub(crate) fn end(&self) -> Seq {
        self.start.plus(self.len)
    }

    /// Octets of payload.
    pub(crate) fn payload_len(&self) -> usize {
        (self.len - u32::from(self.has_fin)) as usize
    }
}

/// All of them, oldest sequence first, without holes.
pub(crate) struct Board {
    sent: VecDeque<Sent>,
    /// `new` may stop at this many; what is left of the capacity is for splits.
    new_max: usize,
    in_flight: u32,
    lost: u32,
    sacked: u32,
    /// Segments that left more than once.
    again: u32,
}

impl Board {
    /// Room for `segments_max` segments and for cutting all of them up to `split_min` octets when
    /// the path MTU falls: cutting `n` octets gives at most `n / split_min` more pieces.
    pub(crate) fn new(segments_max: usize, octets_max: usize, split_min: usize) -> Self {
        Self {
            sent: VecDeque::with_capacity(segments_max + octets_max / split_min + 1),
            new_max: segments_max,
            in_flight: 0,
            lost: 0,
            sacked: 0,
            again: 0,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.sent.clear();
        (self.in_flight, self.lost, self.sacked, self.again) = (0, 0, 0, 0);
    }

    /// A new segment can be taken.
    pub(crate) fn has_room(&self) -> bool {
        self.sent.len() < self.new_max
    }

    pub(crate) fn push(&mut self, start: Seq, len: u32, at: u64, has_fin: bool) {
        self.in_flight += len;
        self.sent.push_back(Sent {
            start,
            len,
            at,
            place: Place::InFlight,
            is_again: false,
            has_fin,
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.sent.len()
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    pub(crate) fn lost(&self) -> u32 {
        self.lost
    }

    pub(crate) fn sacked(&self) -> u32 {
        self.sacked
    }

    /// Some segment left more than once.
    pub(crate) fn has_again(&self) -> bool {
        self.again > 0
    }

    pub(crate) fn get(&self, index: usize) -> Option<&Sent> {
        self.sent.get(index)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Sent> {
        self.sent.iter()
    }

    /// Index of the first lost segment.
    pub(crate) fn first_lost(&self) -> Option<usize> {
        if self.lost == 0 {
            return None;
        }
        self.sent.iter().position(|sent| sent.place == Place::Lost)
    }

    /// Takes away what ends at or before `ack`, and the front of one that spans it; `seen` is
    /// called for each part that was not sacked before, as it was.
    pub(crate) fn on_ack(&mut self, ack: Seq, mut seen: impl FnMut(&Sent)) {
        while let Some(front) = self.sent.front().copied()
            && front.start.is_before(ack)
        {
            let gone = ack.since(front.start).min(front.len);
            *self.total(front.place) -= gone;
            if front.place != Place::Sacked {
                seen(&Sent { len: gone, ..front });
            }
            if gone == front.len {
                self.again -= u32::from(front.is_again);
                self.sent.pop_front();
            } else if let Some(front) = self.sent.front_mut() {
                front.start = ack;
                front.len -= gone;
            }
        }
    }

    /// Marks segments wholly inside the block; `seen` is called for each marked now, as it was.
    pub(crate) fn on_sack(&mut self, start: Seq, end: Seq, mut seen: impl FnMut(&Sent)) {
        let from = self
            .sent
            .partition_point(|sent| sent.start.is_before(start));
        for index in from..self.sent.len() {
            let Some(sent) = self.sent.get(index).copied() else {
                return;
            };
            if sent.end().is_after(end) {
                return;
            }
            if sent.place != Place::Sacked {
                self.set_place(index, Place::Sacked);
                seen(&sent);
            }
        }
    }

    /// The peer took back its SACKs (RFC 2018, 8): all sacked count as lost.
    pub(crate) fn renege(&mut self) {
        self.change_all(Place::Sacked, Place::Lost);
    }

    /// What was thought lost and not yet sent again is on the wire after all.
    pub(crate) fn unlose(&mut self) {
        self.change_all(Place::Lost, Place::InFlight);
    }

    fn change_all(&mut self, from: Place, to: Place) {
        for index in 0..self.sent.len() {
            if self.sent.get(index).is_some_and(|sent| sent.place == from) {
                self.set_place(index, to);
            }
        }
    }

    /// Moves segments in flight for which `is_lost` holds to lost; returns how many.
    pub(crate) fn lose(&mut self, mut is_lost: impl FnMut(usize, &Sent) -> bool) -> u32 {
        let mut count = 0;
        for index in 0..self.sent.len() {
            let is_hit = self
                .sent
                .get(index)
                .is_some_and(|sent| sent.place == Place::InFlight && is_lost(index, sent));
            if is_hit {
                self.set_place(index, Place::Lost);
                count += 1;
            }
        }
        count
    }

    /// Segment `index` leaves again now.
    pub(crate) fn sent_again(&mut self, index: usize, now: u64) {
        self.set_place(index, Place::InFlight);
        if let Some(sent) = self.sent.get_mut(index) {
            self.again += u32::from(!sent.is_again);
            sent.is_again = true;
            sent.at = now;
        }
    }

    /// Cuts segment `index` after `len` octets; there is room for it (see [`Board::new`]).
    pub(crate) fn split(&mut self, index: usize, len: u32) {
        if self.sent.len() == self.sent.capacity() {
            return;
        }
        let Some(first) = self.sent.get_mut(index) else {
            return;
        };
        if len == 0 || len >= first.len {
            return;
        }
        let second = Sent {
            start: first.start.plus(len),
            len: first.len - len,
            ..*first
        };
        (first.len, first.has_fin) = (len, false);
        self.again += u32::from(second.is_again);
        self.sent.insert(index + 1, second);
    }

    fn set_place(&mut self, index: usize, place: Place) {
        let Some(sent) = self.sent.get_mut(index) else {
            return;
        };
        let (len, was) = (sent.len, sent.place);
        sent.place = place;
        *self.total(was) -= len;
        *self.total(place) += len;
    }

    fn total(&mut self, place: Place) -> &mut u32 {
        match place {
            Place::InFlight => &mut self.in_flight,
            Place::Lost => &mut self.lost,
            Place::Sacked => &mut self.sacked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn totals(board: &Board) -> [u32; 3] {
        [Place::InFlight, Place::Lost, Place::Sacked].map(|place| {
            let of = board.iter().filter(|sent| sent.place == place);
            of.map(|sent| sent.len).sum()
        })
    }

    proptest! {
        /// The running sums are the sums, the segments stay without holes, and the room suffices.
        #[test]
        fn sums_and_order_hold_under_any_steps(
            steps in prop::collection::vec((0u8..6, 0u32..9_000, 0u32..9_000), 1..200),
        ) {
            const START: Seq = Seq(u32::MAX - 4_000);
            let mut board = Board::new(32, 16_384, 512);
            let (mut una, mut nxt) = (START, START);
            let capacity = board.sent.capacity();
            for (step, a, b) in steps {
                match step {
                    0 => {
                        let len = a % 1_460 + 1;
                        if board.has_room() && nxt.since(una) + len <= 16_384 {
                            board.push(nxt, len, u64::from(b), false);
                            nxt = nxt.plus(len);
                        }
                    }
                    1 => {
                        una = una.plus(a.min(nxt.since(una)));
                        board.on_ack(una, |_| ());
                    }
                    2 => board.on_sack(una.plus(a), una.plus(a.saturating_add(b)), |_| ()),
                    3 => {
                        board.lose(|index, _| index as u32 % 3 == a % 3);
                    }
                    4 => {
                        if let Some(index) = board.first_lost() {
                            if board.get(index).is_some_and(|sent| sent.len > 512) {
                                board.split(index, 512);
                            }
                            board.sent_again(index, 1);
                        }
                    }
                    _ if a % 8 == 0 => board.renege(),
                    _ => {}
                }
                prop_assert_eq!(totals(&board), [board.in_flight, board.lost, board.sacked]);
                let again = board.iter().filter(|sent| sent.is_again).count();
                prop_assert_eq!(again, board.again as usize);
                let mut next = una;
                for sent in board.iter() {
                    prop_assert_eq!(sent.start, next);
                    next = sent.end();
                }
                prop_assert_eq!(next, nxt);
                prop_assert_eq!(board.sent.capacity(), capacity);
            }
        }
    }
}
