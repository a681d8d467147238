//! A bad link, by seed: which frame is lost, late, doubled, damaged, and when each leaves.
//!
//! Why: this kernel has no netem, and a fault that cannot be replayed cannot be mended. The same core
//! serves tests in virtual time and a relay between two network namespaces; it neither sleeps nor
//! reads a clock.
//!
//! ```text
//!   offer(now, frame) ─▶ blackout? loss? damage? copy? ─▶ queue at the link's rate ─▶ delay + jitter
//!   next_due() tells when, take(now) gives what has arrived by then
//! ```
//!
//! One [`Link`] is one direction. Deliberately not here: sockets, threads, what a frame means.
#![forbid(unsafe_code)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Shares are in millionths.
pub const MILLION: u32 = 1_000_000;

/// How bad a link is. The default is perfect: no loss, no delay, no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Impairments {
    /// Everything random follows from it.
    pub seed: u64,
    /// Frames lost, millionths.
    pub loss: u32,
    /// After a lost frame the next one is lost with this chance too, millionths: bursts.
    pub loss_again: u32,
    /// Frames that leave twice, millionths.
    pub duplicate: u32,
    /// Frames held back by up to `reorder_ns`, so that later ones overtake, millionths.
    pub reorder: u32,
    /// By how much at most.
    pub reorder_ns: u64,
    /// Frames with damage, millionths: one to fifteen neighbouring bits, behind the addresses of
    /// the link layer. The Internet checksum finds every such burst; what it cannot find, a card's
    /// frame check drops, which is `loss`.
    pub corrupt: u32,
    /// Every frame takes this long.
    pub delay_ns: u64,
    /// And up to this much longer; keeps the order unless `reorder` says otherwise.
    pub jitter_ns: u64,
    /// Octets a second; 0 = no limit.
    pub rate: u64,
    /// Octets that may wait for the link; more are lost. 0 = no limit.
    pub queue: u64,
    /// Every so often nothing passes; 0 = never.
    pub blackout_every_ns: u64,
    /// For so long.
    pub blackout_ns: u64,
}

/// What a link did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Frames offered.
    pub offered: u64,
    /// Frames that arrived, copies too.
    pub delivered: u64,
    /// Lost by chance or blackout.
    pub lost: u64,
    /// Lost because the queue was full.
    pub overflowed: u64,
    /// Doubled.
    pub duplicated: u64,
    /// Held back.
    pub reordered: u64,
    /// Damaged.
    pub corrupted: u64,
}

/// splitmix64: small, good enough, and the same for ever.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `bound`, 0 for 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        match bound {
            0 => 0,
            bound => self.next() % bound,
        }
    }

    /// True with a chance of `share` millionths.
    pub const fn hits(&mut self, share: u32) -> bool {
        share != 0 && self.below(MILLION as u64) < share as u64
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Flying {
    due: u64,
    /// Frames due at one instant leave in the order they came.
    number: u64,
    frame: Vec<u8>,
}

/// One direction of a link.
#[derive(Debug)]
pub struct Link {
    impairments: Impairments,
    random: Random,
    flying: BinaryHeap<Reverse<Flying>>,
    number: u64,
    /// When the link has put the last frame on the wire.
    busy_until: u64,
    /// When the last frame in order arrives.
    last_due: u64,
    was_lost: bool,
    tally: Tally,
}

impl Link {
    /// An empty link.
    pub fn new(impairments: Impairments) -> Self {
        Self {
            impairments,
            random: Random::new(impairments.seed),
            flying: BinaryHeap::new(),
            number: 0,
            busy_until: 0,
            last_due: 0,
            was_lost: false,
            tally: Tally::default(),
        }
    }

    /// A frame enters at `now`, nanoseconds.
    pub fn offer(&mut self, now: u64, frame: &[u8]) {
        let worse = self.impairments;
        self.tally.offered += 1;
        let share = if self.was_lost {
            worse.loss.max(worse.loss_again)
        } else {
            worse.loss
        };
        self.was_lost = self.random.hits(share);
        if self.was_lost || self.is_dark(now) {
            self.tally.lost += 1;
            return;
        }
        let copies = if self.random.hits(worse.duplicate) {
            self.tally.duplicated += 1;
            2
        } else {
            1
        };
        for _ in 0..copies {
            self.send(now, frame);
        }
    }

    /// When the next frame arrives; `None` when none is under way.
    pub fn next_due(&self) -> Option<u64> {
        self.flying.peek().map(|flying| flying.0.due)
    }

    /// A frame that has arrived by `now`.
    pub fn take(&mut self, now: u64) -> Option<Vec<u8>> {
        if self.next_due()? > now {
            return None;
        }
        self.tally.delivered += 1;
        self.flying.pop().map(|flying| flying.0.frame)
    }

    /// Changes how bad it is from now on; what flies, flies.
    pub fn set(&mut self, impairments: Impairments) {
        self.impairments = impairments;
    }

    /// What it did so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    fn is_dark(&self, now: u64) -> bool {
        let every = self.impairments.blackout_every_ns;
        // The first one comes at the end of the first period, so that a link begins alive.
        every != 0 && now % every >= every.saturating_sub(self.impairments.blackout_ns)
    }

    fn send(&mut self, now: u64, frame: &[u8]) {
        let worse = self.impairments;
        let starts = now.max(self.busy_until);
        let len = frame.len() as u64;
        if worse.rate != 0 {
            let waiting = (starts - now).saturating_mul(worse.rate) / 1_000_000_000;
            if worse.queue != 0 && waiting + len > worse.queue {
                self.tally.overflowed += 1;
                return;
            }
            self.busy_until = starts + len.saturating_mul(1_000_000_000) / worse.rate;
        } else {
            self.busy_until = starts;
        }
        let jitter = self.random.below(worse.jitter_ns);
        let mut due = self.busy_until + worse.delay_ns + jitter;
        if self.random.hits(worse.reorder) {
            self.tally.reordered += 1;
            due += self.random.below(worse.reorder_ns);
        } else {
            due = due.max(self.last_due);
            self.last_due = due;
        }
        let mut frame = frame.to_vec();
        if self.random.hits(worse.corrupt) && frame.len() > 14 {
            self.tally.corrupted += 1;
            self.damage(&mut frame);
        }
        self.number += 1;
        self.flying.push(Reverse(Flying {
            due,
            number: self.number,
            frame,
        }));
    }

    /// Flips a burst of one to fifteen bits, its first and last surely.
    fn damage(&mut self, frame: &mut [u8]) {
        let bits = (frame.len() as u64 - 14) * 8;
        let width = (1 + self.random.below(15)).min(bits);
        let first = 14 * 8 + self.random.below(bits - width + 1);
        for bit in first..first + width {
            let is_edge = bit == first || bit == first + width - 1;
            if is_edge || self.random.hits(MILLION / 2) {
                frame[bit as usize / 8] ^= 0x80 >> (bit % 8);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn arrivals(impairments: Impairments, count: u64) -> (Vec<(u64, Vec<u8>)>, Tally) {
        let mut link = Link::new(impairments);
        for i in 0..count {
            link.offer(i * 1_000, &[i as u8; 100]);
        }
        let mut out = Vec::new();
        while let Some(due) = link.next_due() {
            out.push((due, link.take(due).unwrap()));
        }
        (out, *link.tally())
    }

    #[test]
    fn the_same_seed_gives_the_same_day_and_another_does_not() {
        let bad = Impairments {
            seed: 7,
            loss: 100_000,
            duplicate: 100_000,
            reorder: 100_000,
            reorder_ns: MS,
            corrupt: 100_000,
            delay_ns: MS,
            jitter_ns: MS,
            ..Impairments::default()
        };
        assert_eq!(arrivals(bad, 500), arrivals(bad, 500));
        assert_ne!(
            arrivals(bad, 500).0,
            arrivals(Impairments { seed: 8, ..bad }, 500).0
        );
    }

    #[test]
    fn a_perfect_link_delivers_everything_at_once_and_in_order() {
        let (out, tally) = arrivals(Impairments::default(), 300);
        assert_eq!(tally.delivered, 300);
        for (i, (due, frame)) in out.iter().enumerate() {
            assert_eq!((*due, frame[0]), (i as u64 * 1_000, i as u8));
        }
    }

    #[test]
    fn shares_are_what_was_asked_for() {
        let bad = Impairments {
            seed: 1,
            loss: 50_000,
            duplicate: 20_000,
            corrupt: 10_000,
            ..Impairments::default()
        };
        let (_, tally) = arrivals(bad, 100_000);
        assert!((4_500..5_500).contains(&tally.lost), "{tally:?}");
        assert!((1_700..2_100).contains(&tally.duplicated), "{tally:?}");
        assert!((800..1_200).contains(&tally.corrupted), "{tally:?}");
        assert_eq!(
            tally.delivered,
            tally.offered - tally.lost + tally.duplicated
        );
    }

    #[test]
    fn jitter_keeps_the_order_and_reordering_does_not() {
        let order = |reorder| {
            let bad = Impairments {
                seed: 3,
                reorder,
                reorder_ns: MS,
                jitter_ns: MS,
                ..Impairments::default()
            };
            let (out, _) = arrivals(bad, 200);
            out.windows(2).all(|pair| pair[0].1[0] <= pair[1].1[0])
        };
        assert!(order(0));
        assert!(!order(200_000));
    }

    #[test]
    fn rate_and_queue_hold() {
        // 100 octets at 1 MB/s take 100 µs; one a microsecond is offered, ten fit the queue.
        let bad = Impairments {
            rate: 1_000_000,
            queue: 1_000,
            ..Impairments::default()
        };
        let (out, tally) = arrivals(bad, 200);
        assert_eq!(tally.delivered + tally.overflowed, 200);
        assert!((10..=13).contains(&tally.delivered), "{tally:?}");
        for pair in out.windows(2) {
            assert_eq!(pair[1].0 - pair[0].0, 100_000);
        }
    }

    #[test]
    fn nothing_passes_in_a_blackout() {
        let bad = Impairments {
            blackout_every_ns: 100_000,
            blackout_ns: 40_000,
            ..Impairments::default()
        };
        let (out, tally) = arrivals(bad, 200);
        assert_eq!(tally.lost, 80);
        assert!(out.iter().all(|(due, _)| due % 100_000 < 60_000));
    }

    #[test]
    fn damage_is_a_burst_behind_the_addresses() {
        let mut link = Link::new(Impairments {
            seed: 5,
            corrupt: MILLION,
            ..Impairments::default()
        });
        for _ in 0..1_000 {
            link.offer(0, &[0; 60]);
            let frame = link.take(0).unwrap();
            assert!(frame[..14].iter().all(|byte| *byte == 0));
            let bits = u128::from_be_bytes(frame[14..30].try_into().unwrap());
            assert!(frame.iter().any(|byte| *byte != 0));
            if frame[30..].iter().all(|byte| *byte == 0) {
                assert!(128 - bits.leading_zeros() - bits.trailing_zeros() <= 15);
            }
        }
    }
}
