//! One channel's packets in order, from one line or from two that carry the same.
//!
//! ```text
//!   line A  1 2 3 ─ 5 6        first arrival wins: 1 2 3 4 5 6
//!   line B  1 2 ─ 4 5 6        what comes ahead of its turn is held until the other line has filled the hole
//! ```
//! A hole that stays open is asked about ([`Due::Ask`]), and given up ([`Due::GiveUp`]) a little later, or at once when
//! no more can be held: then what was held goes on, and whoever keeps books starts them anew. All memory is taken at
//! the start. Nothing here knows what a packet says: only where it stands and how many numbers it takes.

use dp_types::UnixNanos;

/// Longest datagram. Both feeds stay within an Ethernet frame of 1,500 bytes.
pub const DATAGRAM_MAX: usize = 2_048;
/// Packets held behind a hole: some milliseconds of a busy channel.
pub const HELD_MAX: usize = 64;
/// How long the other line is waited for before anything is asked. Two lines in one building differ by microseconds.
pub const ASK_NS: u64 = 500_000;
/// How long a hole may stay open: an answer from within the building takes far less, and a book may not be traded on
/// for long while something of it is missing.
pub const GIVE_UP_NS: u64 = 10_000_000;
/// A number so far behind is not late: the counter began anew. The classic feed keeps 100,000 packets for those who ask.
pub const RESTART_MIN: u64 = 100_000;

/// Numbers that did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole {
    /// The first of them.
    pub first: u64,
    /// How many; 0 when the counter began anew and nobody knows.
    pub count: u64,
}

/// Where a packet stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It is its turn. So many of its messages were told before: lines may pack them differently.
    Next {
        /// How many.
        skip: u32,
    },
    /// All of it was told before.
    Seen,
    /// Ahead of its turn: held.
    Held,
    /// It cannot be held, or the counter began anew: give up ([`Sequence::give_up`]), then ask again.
    Broken,
}

/// What is due of a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing yet.
    Nothing,
    /// Ask for these.
    Ask(Hole),
    /// It stayed open for too long.
    GiveUp,
}

/// What a channel has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Packets of any kind, from any line.
    pub packets: u64,
    /// Of them told before: with two lines, half.
    pub repeats: u64,
    /// Of them ahead of their turn.
    pub held: u64,
    /// Holes given up.
    pub holes: u64,
}

/// A held packet: where it stands, and which slot has its bytes.
#[derive(Debug, Clone, Copy)]
struct Held {
    first: u64,
    count: u32,
    slot: usize,
    len: usize,
}

/// The order of one channel.
#[derive(Debug)]
pub struct Sequence {
    /// The number that is next; `None` before the first packet.
    next: Option<u64>,
    /// The highest number told to exist ahead of `next`.
    ahead: u64,
    /// By number.
    held: Vec<Held>,
    slots: Box<[u8]>,
    is_used: [bool; HELD_MAX],
    open_since: Option<UnixNanos>,
    is_asked: bool,
    heard: UnixNanos,
    counts: Counts,
}

impl Default for Sequence {
    fn default() -> Self {
        Self {
            next: None,
            ahead: 0,
            held: Vec::with_capacity(HELD_MAX),
            slots: vec![0; HELD_MAX * DATAGRAM_MAX].into_boxed_slice(),
            is_used: [false; HELD_MAX],
            open_since: None,
            is_asked: false,
            heard: UnixNanos(0),
            counts: Counts::default(),
        }
    }
}

impl Sequence {
    /// Takes a packet of `count` numbers from `first` on; none is a sign of life that tells which number is next.
    ///
    /// Cost: O(packets held), no allocation.
    pub fn judge(&mut self, first: u64, count: u32, bytes: &[u8], now: UnixNanos) -> Place {
        self.counts.packets += 1;
        self.heard = now;
        let next = *self.next.get_or_insert(first);
        let end = first.saturating_add(u64::from(count));
        if end.saturating_add(RESTART_MIN) < next {
            self.drop_held();
            return Place::Broken;
        }
        if first > next {
            return self.hold(first, count, bytes, now);
        }
        if end <= next {
            self.counts.repeats += u64::from(count > 0);
            return Place::Seen;
        }
        self.advance(end, now);
        Place::Next {
            skip: (next - first) as u32, // below `count`
        }
    }

    /// The next of what was held, copied out, with how many of its messages were told before. Call it after each
    /// [`Place::Next`] and [`Sequence::give_up`] until it has nothing.
    pub fn take_held(&mut self, now: UnixNanos, into: &mut Vec<u8>) -> Option<u32> {
        loop {
            let (held, next) = (*self.held.first()?, self.next?);
            if held.first > next {
                return None;
            }
            self.held.remove(0);
            if let Some(used) = self.is_used.get_mut(held.slot) {
                *used = false;
            }
            let end = held.first.saturating_add(u64::from(held.count));
            if end <= next {
                continue;
            }
            let start = held.slot * DATAGRAM_MAX;
            into.clear();
            into.extend_from_slice(self.slots.get(start..start + held.len)?);
            self.advance(end, now);
            return Some((next - held.first) as u32); // below `count`
        }
    }

    /// Goes on behind the hole. Nothing when there is none.
    pub fn give_up(&mut self, now: UnixNanos) -> Option<Hole> {
        let next = self.next?;
        let target = self.held.first().map_or(self.ahead, |held| held.first);
        self.counts.holes += 1;
        if target <= next {
            // The counter began anew: what comes next is next.
            self.next = None;
            self.ahead = 0;
            self.open_since = None;
            return Some(Hole {
                first: next,
                count: 0,
            });
        }
        self.advance(target, now);
        Some(Hole {
            first: next,
            count: target - next,
        })
    }

    /// What is due now; each hole is asked about once.
    pub fn due(&mut self, now: UnixNanos) -> Due {
        let Some(since) = self.open_since else {
            return Due::Nothing;
        };
        if now >= since.after(GIVE_UP_NS) {
            return Due::GiveUp;
        }
        if self.is_asked || now < since.after(ASK_NS) {
            return Due::Nothing;
        }
        self.is_asked = true;
        let first = self.next.unwrap_or(0);
        let end = self.held.first().map_or(self.ahead, |held| held.first);
        Due::Ask(Hole {
            first,
            count: end.saturating_sub(first),
        })
    }

    /// When [`Sequence::due`] must be asked.
    pub fn deadline(&self) -> Option<UnixNanos> {
        let wait = if self.is_asked { GIVE_UP_NS } else { ASK_NS };
        self.open_since.map(|since| since.after(wait))
    }

    /// When anything last came, a sign of life too.
    pub const fn heard(&self) -> UnixNanos {
        self.heard
    }

    /// The number that is next.
    pub const fn next(&self) -> Option<u64> {
        self.next
    }

    /// What has been seen.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// A hole is as old as the last step towards it: a packet from nowhere, far ahead, must not end a channel that
    /// goes on.
    fn advance(&mut self, next: u64, now: UnixNanos) {
        self.next = Some(next);
        self.is_asked = false;
        self.open_since = (self.ahead > next).then_some(now);
    }

    fn hold(&mut self, first: u64, count: u32, bytes: &[u8], now: UnixNanos) -> Place {
        if count > 0 {
            let place = self.held.partition_point(|held| held.first < first);
            let is_twin = |held: &Held| held.first == first && held.count == count;
            if self.held.get(place).is_some_and(is_twin) {
                self.counts.repeats += 1;
                return Place::Seen;
            }
            let slot = self.is_used.iter().position(|used| !used);
            let Some((slot, used)) = slot.and_then(|at| Some((at, self.is_used.get_mut(at)?)))
            else {
                return Place::Broken;
            };
            let start = slot * DATAGRAM_MAX;
            let room = self
                .slots
                .get_mut(start..start + bytes.len().min(DATAGRAM_MAX));
            if let Some(room) = room.filter(|room| room.len() == bytes.len()) {
                room.copy_from_slice(bytes);
                *used = true;
                let len = bytes.len();
                self.held.insert(
                    place,
                    Held {
                        first,
                        count,
                        slot,
                        len,
                    },
                );
                self.counts.held += 1;
            }
        }
        self.ahead = self.ahead.max(first);
        self.open_since.get_or_insert(now);
        Place::Held
    }

    fn drop_held(&mut self) {
        self.held.clear();
        self.is_used = [false; HELD_MAX];
        self.ahead = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn at(us: u64) -> UnixNanos {
        UnixNanos(1_000_000_000 + us * 1_000)
    }

    /// Feeds packets `(first, count)`, gives up when it must; the numbers told, and the holes.
    struct Reader {
        sequence: Sequence,
        told: Vec<u64>,
        holes: Vec<Hole>,
    }

    impl Reader {
        fn new() -> Self {
            Self {
                sequence: Sequence::default(),
                told: Vec::new(),
                holes: Vec::new(),
            }
        }

        fn drain(&mut self, now: UnixNanos) {
            let mut bytes = Vec::new();
            while let Some(skip) = self.sequence.take_held(now, &mut bytes) {
                let numbers = bytes.chunks(8).skip(skip as usize);
                let read = |chunk: &[u8]| u64::from_le_bytes(chunk.try_into().unwrap());
                self.told.extend(numbers.map(read));
            }
        }

        fn give_up(&mut self, now: UnixNanos) {
            self.holes.extend(self.sequence.give_up(now));
            self.drain(now);
        }

        fn packet(&mut self, first: u64, count: u32, us: u64) {
            let numbers = first..first + u64::from(count);
            let bytes: Vec<u8> = numbers.clone().flat_map(u64::to_le_bytes).collect();
            loop {
                match self.sequence.judge(first, count, &bytes, at(us)) {
                    Place::Next { skip } => {
                        self.told.extend(numbers.skip(skip as usize));
                        self.drain(at(us));
                        return;
                    }
                    Place::Seen | Place::Held => return,
                    Place::Broken => self.give_up(at(us)),
                }
            }
        }

        fn time(&mut self, us: u64) -> Due {
            let due = self.sequence.due(at(us));
            if due == Due::GiveUp {
                self.give_up(at(us));
            }
            due
        }
    }

    #[test]
    fn two_lines_fill_each_other() {
        let mut reader = Reader::new();
        for (n, first) in [1, 1, 2, 3, 2, 5, 4, 5, 6, 6].into_iter().enumerate() {
            reader.packet(first, 1, n as u64);
        }
        assert_eq!(reader.told, [1, 2, 3, 4, 5, 6]);
        assert_eq!((reader.holes.len(), reader.sequence.deadline()), (0, None));
        let counts = reader.sequence.counts();
        assert_eq!((counts.repeats, counts.held), (4, 1));
    }

    #[test]
    fn lines_that_pack_differently_tell_each_message_once() {
        let mut reader = Reader::new();
        for (first, count) in [(10, 3), (10, 5), (14, 1), (16, 2), (12, 5)] {
            reader.packet(first, count, 0);
        }
        assert_eq!(reader.told, [10, 11, 12, 13, 14, 15, 16, 17]);
    }

    #[test]
    fn a_hole_is_asked_about_then_given_up() {
        let mut reader = Reader::new();
        reader.packet(1, 1, 0);
        reader.packet(4, 1, 1);
        let (ask, end) = (ASK_NS / 1_000 + 1, GIVE_UP_NS / 1_000 + 1);
        assert_eq!(reader.sequence.deadline(), Some(at(ask)));
        assert_eq!(reader.time(ask - 1), Due::Nothing);
        let hole = Hole { first: 2, count: 2 };
        assert_eq!(reader.time(ask), Due::Ask(hole));
        assert_eq!(reader.time(ask + 1), Due::Nothing, "asked once");
        assert_eq!(reader.sequence.deadline(), Some(at(end)));
        assert_eq!(reader.time(end), Due::GiveUp);
        assert_eq!((&*reader.told, &*reader.holes), (&[1, 4][..], &[hole][..]));
        assert_eq!(reader.sequence.deadline(), None);
    }

    /// A sign of life behind the last packet of a quiet channel shows that it was lost.
    #[test]
    fn a_sign_of_life_tells_of_a_lost_packet() {
        let mut reader = Reader::new();
        reader.packet(1, 1, 0);
        reader.packet(2, 0, 5);
        assert_eq!(reader.sequence.deadline(), None, "2 is next");
        reader.packet(3, 0, 6);
        assert_eq!(reader.time(GIVE_UP_NS / 1_000 + 6), Due::GiveUp);
        assert_eq!(reader.holes, [Hole { first: 2, count: 1 }]);
        reader.packet(3, 1, 20_000);
        assert_eq!(reader.told, [1, 3]);
    }

    #[test]
    fn no_more_is_held_than_there_is_room_for() {
        let mut reader = Reader::new();
        reader.packet(1, 1, 0);
        for n in 0..=HELD_MAX as u64 {
            reader.packet(3 + n, 1, 1);
        }
        assert_eq!(reader.holes, [Hole { first: 2, count: 1 }]);
        assert_eq!(reader.told.len(), HELD_MAX + 2);
    }

    #[test]
    fn a_counter_that_began_anew_is_followed_and_one_packet_from_nowhere_is_not() {
        let mut reader = Reader::new();
        reader.packet(1_000_000, 1, 0);
        reader.packet(1, 1, 1);
        reader.packet(2, 1, 2);
        assert_eq!(reader.told, [1_000_000, 1, 2]);
        assert_eq!(
            reader.holes,
            [Hole {
                first: 1_000_001,
                count: 0
            }]
        );
        let mut reader = Reader::new();
        reader.packet(1, 1, 0);
        reader.packet(900_000, 1, 1);
        for n in 2..100 {
            reader.packet(n, 1, n * GIVE_UP_NS / 2_000);
            assert_ne!(reader.time(n * GIVE_UP_NS / 2_000 + 1), Due::GiveUp);
        }
        assert_eq!((reader.told.len(), reader.holes.len()), (99, 0));
    }

    proptest! {
        /// Two lines, each with losses of its own and packets out of order: what one of them had is told once and in
        /// order; what none had is a hole.
        #[test]
        fn what_either_line_had_is_told_once_in_order(
            fates in prop::collection::vec((0u8..8, 0u8..8, 0u64..40), 2..200),
        ) {
            let mut arrivals = Vec::new();
            for (n, (a, b, late)) in fates.iter().enumerate() {
                let n = n as u64;
                // The first is there, so that both begin alike.
                if *a > 1 || n == 0 {
                    arrivals.push((n * 100 + late, n));
                }
                if *b > 1 {
                    arrivals.push((n * 100 + 2 * late + 7, n));
                }
            }
            arrivals.sort_unstable();
            let (mut reader, mut want) = (Reader::new(), Vec::new());
            for (us, n) in &arrivals {
                reader.time(*us);
                reader.packet(*n, 1, *us);
                want.push(*n);
            }
            let last = arrivals.last().map_or(0, |(us, _)| *us);
            // Each hole is waited for by itself.
            for holes in 1..=fates.len() as u64 {
                reader.time(last + holes * GIVE_UP_NS);
            }
            want.sort_unstable();
            want.dedup();
            let missing: u64 = reader.holes.iter().map(|hole| hole.count).sum();
            prop_assert_eq!(&reader.told, &want);
            prop_assert_eq!(missing, want.last().unwrap() + 1 - want.len() as u64);
        }

        #[test]
        fn any_numbers_are_taken(packets in prop::collection::vec((any::<u64>(), any::<u32>(), any::<u8>()), 0..300)) {
            let mut sequence = Sequence::default();
            let mut bytes = Vec::new();
            for (n, (first, count, len)) in packets.into_iter().enumerate() {
                let now = at(n as u64 * 1_000);
                let packet = vec![1; usize::from(len)];
                let mut tries = 0;
                while sequence.judge(first, count, &packet, now) == Place::Broken {
                    sequence.give_up(now);
                    while sequence.take_held(now, &mut bytes).is_some() {}
                    tries += 1;
                    prop_assert!(tries < 3, "it ends");
                }
                while sequence.take_held(now, &mut bytes).is_some() {}
                if sequence.due(now) == Due::GiveUp {
                    sequence.give_up(now);
                }
            }
        }
    }
}
