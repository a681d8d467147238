//! Octets that arrived before their turn, and the SACK blocks that tell of them (RFC 2018, 4).
//!
//! ```text
//!   ring   read_nxt ········ rcv_nxt ░░░░░ ████ ░░░ ██████ ░░░░░░ read_nxt + size
//!                   unread           gap  range gap range
//! ```
//!
//! What came first stays: a later copy with other content fills holes only. A copy of an octet cannot
//! be told from a forgery, and whoever injects later must not win.

use crate::ring::Ring;
use crate::seq::Seq;
use crate::wire::tcp::{Block, Options};

/// Ranges kept apart at most. A window of 256 KiB holds 180 full segments: every third one lost.
const RANGES_MAX: usize = 64;

#[derive(Clone, Copy)]
struct Held {
    start: Seq,
    end: Seq,
    /// Larger = touched later; the latest is told first.
    stamp: u64,
}

/// The reassembly buffer.
pub(crate) struct Assembly {
    ring: Ring,
    /// Sorted, apart from one another by at least an octet.
    ranges: Vec<Held>,
    stamp: u64,
    /// Ranges up to this stamp were told to the peer.
    told: u64,
}

/// There are [`RANGES_MAX`] ranges (one kept free) and this one touches none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooManyGaps;

impl Assembly {
    pub(crate) fn new(size: usize) -> Self {
        Self {
            ring: Ring::new(size),
            ranges: Vec::with_capacity(RANGES_MAX),
            stamp: 0,
            told: 0,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.ranges.clear();
    }

    pub(crate) fn size(&self) -> usize {
        self.ring.size()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Where the first octet held begins.
    pub(crate) fn first(&self) -> Option<Seq> {
        self.ranges.first().map(|range| range.start)
    }

    /// Where the last octet held ends.
    pub(crate) fn last(&self) -> Option<Seq> {
        self.ranges.last().map(|range| range.end)
    }

    /// Takes octets at `seq`, within one ring size of the first unread one (the caller's proof).
    /// `is_next` = they are next in line: for them one range is kept free.
    pub(crate) fn insert(
        &mut self,
        seq: Seq,
        bytes: &[u8],
        is_next: bool,
    ) -> Result<(), TooManyGaps> {
        if bytes.is_empty() {
            return Ok(());
        }
        let end = seq.plus(bytes.len() as u32);
        // Ranges that overlap or touch seq..end are those from `from` to before `to`.
        let from = self
            .ranges
            .partition_point(|range| range.end.is_before(seq));
        let to = self
            .ranges
            .partition_point(|range| !range.start.is_after(end));
        if from >= to && self.ranges.len() + usize::from(!is_next) >= RANGES_MAX {
            return Err(TooManyGaps);
        }
        let mut cursor = seq;
        let (mut start, mut last) = (seq, end);
        for range in self.ranges.get(from..to).unwrap_or_default() {
            if cursor.is_before(range.start) {
                fill(&mut self.ring, seq, bytes, cursor, range.start.earlier(end));
            }
            cursor = cursor.later(range.end);
            start = start.earlier(range.start);
            last = last.later(range.end);
        }
        if cursor.is_before(end) {
            fill(&mut self.ring, seq, bytes, cursor, end);
        }
        self.stamp += 1;
        let held = Held {
            start,
            end: last,
            stamp: self.stamp,
        };
        if from < to {
            self.ranges.drain(from + 1..to);
            if let Some(range) = self.ranges.get_mut(from) {
                *range = held;
            }
        } else {
            self.ranges.insert(from, held);
        }
        Ok(())
    }

    /// Gives up the ranges that now continue `next`; returns the octet after them.
    pub(crate) fn advance(&mut self, mut next: Seq) -> Seq {
        while let Some(first) = self.ranges.first()
            && !first.start.is_after(next)
        {
            next = next.later(first.end);
            self.ranges.remove(0);
        }
        next
    }

    /// Octets from `at`, contiguous in memory; the caller knows that they are there.
    pub(crate) fn slice_mut(&mut self, at: Seq, len: u32) -> &mut [u8] {
        self.ring.slice_mut(at, len as usize)
    }

    /// Adds up to `count` SACK blocks, the latest touched first. Returns true when ranges touched
    /// since the last call are still untold: one ACK may answer a batch of segments, and what it
    /// leaves out the peer would send again. The oldest of them are told first then.
    pub(crate) fn tell(&mut self, options: &mut Options, count: usize) -> bool {
        let told = self.told;
        let untold = self
            .ranges
            .iter()
            .filter(|range| range.stamp > told)
            .count();
        let mut below = u64::MAX;
        if untold > count {
            // The stamp after the `count` oldest untold ones.
            let mut from = told;
            for _ in 0..count {
                from = self.oldest_after(from).unwrap_or(from);
            }
            self.told = from;
            below = from + 1;
        } else {
            self.told = self.stamp;
        }
        for _ in 0..count {
            let candidates = self.ranges.iter().filter(|range| range.stamp < below);
            let Some(next) = candidates.max_by_key(|range| range.stamp) else {
                break;
            };
            options.push_sack((next.start, next.end));
            below = next.stamp;
        }
        untold > count
    }

    fn oldest_after(&self, stamp: u64) -> Option<u64> {
        let stamps = self.ranges.iter().map(|range| range.stamp);
        stamps.filter(|other| *other > stamp).min()
    }

    /// The range that holds all of `block`, for a DSACK about it.
    pub(crate) fn holds(&self, block: Block) -> bool {
        self.ranges
            .iter()
            .any(|range| !block.0.is_before(range.start) && !block.1.is_after(range.end))
    }
}

/// Copies the part `start..end` of `bytes`, which begin at `seq`.
fn fill(ring: &mut Ring, seq: Seq, bytes: &[u8], start: Seq, end: Seq) {
    let (from, to) = (start.since(seq) as usize, end.since(seq) as usize);
    ring.write(start, bytes.get(from..to).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn blocks(assembly: &mut Assembly, count: usize) -> Vec<(u32, u32)> {
        let mut options = Options::default();
        assembly.tell(&mut options, count);
        options.sack().iter().map(|b| (b.0.0, b.1.0)).collect()
    }

    #[test]
    fn the_latest_block_is_told_first_and_neighbours_merge() {
        let mut assembly = Assembly::new(4_096);
        for at in [100, 300, 200] {
            assembly.insert(Seq(at), &[1; 50], false).unwrap();
        }
        assert_eq!(
            blocks(&mut assembly, 4),
            [(200, 250), (300, 350), (100, 150)]
        );
        assembly.insert(Seq(150), &[2; 50], false).unwrap();
        assert_eq!(blocks(&mut assembly, 1), [(100, 250)]);
        assert!(assembly.holds((Seq(120), Seq(250))));
        assert!(!assembly.holds((Seq(120), Seq(251))));
    }

    #[test]
    fn what_does_not_fit_is_told_next_time_and_the_latest_last() {
        let mut assembly = Assembly::new(4_096);
        for at in 1..=5 {
            assembly.insert(Seq(at * 10), &[1; 5], false).unwrap();
        }
        let mut told = Vec::new();
        loop {
            let mut options = Options::default();
            let is_more = assembly.tell(&mut options, 3);
            told.push(options.sack().iter().map(|b| b.0.0).collect::<Vec<_>>());
            if !is_more {
                break;
            }
        }
        assert_eq!(told, [vec![30, 20, 10], vec![50, 40, 30]]);
        assert_eq!(blocks(&mut assembly, 1), [(50, 55)]);
    }

    #[test]
    fn gaps_are_bounded() {
        let mut assembly = Assembly::new(4_096);
        for gap in 1..RANGES_MAX as u32 {
            assembly.insert(Seq(gap * 4), &[1], false).unwrap();
        }
        assert_eq!(assembly.insert(Seq(1_000), &[1], false), Err(TooManyGaps));
        // What touches a range is still taken.
        assert_eq!(assembly.insert(Seq(5), &[1], false), Ok(()));
        // And what is next in line always is.
        assert_eq!(assembly.insert(Seq(0), &[1], true), Ok(()));
    }

    proptest! {
        /// Against an array of optional octets: first wins, and the contiguous front comes out.
        #[test]
        fn equals_the_naive_buffer(
            base in prop_oneof![Just(0u32), Just(u32::MAX - 100), any::<u32>()],
            pieces in prop::collection::vec((0usize..200, 1usize..40, any::<u8>()), 1..40),
        ) {
            let mut assembly = Assembly::new(256);
            let mut naive = [None; 256];
            for (at, len, value) in pieces {
                let bytes: Vec<u8> = (0..len).map(|i| value.wrapping_add(i as u8)).collect();
                assembly.insert(Seq(base).plus(at as u32), &bytes, false).unwrap();
                for (slot, byte) in naive[at..at + len].iter_mut().zip(bytes) {
                    slot.get_or_insert(byte);
                }
                let starts: Vec<_> = assembly.ranges.iter().map(|r| (r.start, r.end)).collect();
                for pair in starts.windows(2) {
                    prop_assert!(pair[0].1.is_before(pair[1].0));
                }
                let held: u32 = starts.iter().map(|r| r.1.since(r.0)).sum();
                prop_assert_eq!(held as usize, naive.iter().flatten().count());
            }
            let front = naive.iter().take_while(|slot| slot.is_some()).count();
            let next = assembly.advance(Seq(base));
            prop_assert_eq!(next.since(Seq(base)) as usize, front);
            let mut at = 0;
            while at < front {
                let slice = assembly.slice_mut(Seq(base).plus(at as u32), (front - at) as u32);
                for byte in slice.iter() {
                    prop_assert_eq!(Some(*byte), naive[at]);
                    at += 1;
                }
            }
        }
    }
}
