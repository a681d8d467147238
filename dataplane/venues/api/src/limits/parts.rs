//! A window for large limits, counted in parts.

use super::{Cap, Share};
use dp_types::UnixNanos;

/// Parts of a window that are counted apart.
const PARTS: usize = 10;

/// A limit over any span of the window's length: its last ten tenths are counted, and one more, so that a span that
/// begins within a tenth is whole.
#[derive(Debug, Clone, Copy)]
pub struct Parts {
    cap: Cap,
    window_ns: u64,
    counts: [u32; PARTS + 1],
    /// Number of the newest part, counted from 1970.
    newest: u64,
}

impl Parts {
    /// An empty window: our share of `limit` units in `window_ns`, which is raised so that a part is never empty.
    pub const fn new(limit: u32, window_ns: u64, share: Share) -> Self {
        Self {
            cap: Cap::new(limit, share),
            window_ns: if window_ns < PARTS as u64 {
                PARTS as u64
            } else {
                window_ns
            },
            counts: [0; PARTS + 1],
            newest: 0,
        }
    }

    /// Its length.
    pub const fn window_ns(&self) -> u64 {
        self.window_ns
    }

    /// Our share, while others keep to theirs.
    pub const fn limit(&self) -> u32 {
        self.cap.own()
    }

    /// The venue names its limit, and what it has counted in a window that ends at `until`, where it says: what we
    /// have not sent, others have.
    pub fn tell(&mut self, now: UnixNanos, limit: u32, used: u32, until: Option<UnixNanos>) {
        self.cap.learn(limit);
        let others = used.saturating_sub(self.used(now));
        let longest = now.after(self.window_ns.saturating_add(self.window_ns / PARTS as u64));
        self.cap
            .tell_others(others, now, until.unwrap_or(longest).min(longest));
    }

    /// As [`Parts::tell`], of the limit that is known.
    pub fn tell_used(&mut self, now: UnixNanos, used: u32) {
        self.tell(now, self.cap.venue(), used, None);
    }

    /// Units of ours in the window that ends at `now`. Time that runs backwards forgets nothing.
    pub fn used(&mut self, now: UnixNanos) -> u32 {
        let part = now.0 / (self.window_ns / PARTS as u64);
        let gone = part.saturating_sub(self.newest);
        if gone > 0 {
            let len = self.counts.len();
            let gone = usize::try_from(gone).map_or(len, |gone| gone.min(len));
            self.counts.rotate_right(gone);
            if let Some(fresh) = self.counts.get_mut(..gone) {
                fresh.fill(0);
            }
            self.newest = part;
        }
        let counts = self.counts.iter();
        counts.fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Whether `cost` more units fit at `now`, and `reserve` beside them.
    pub fn fits(&mut self, now: UnixNanos, cost: u32, reserve: u32) -> bool {
        let after = self.used(now).saturating_add(cost);
        after.saturating_add(reserve) <= self.cap.at(now)
    }

    /// Counts `cost` units.
    pub fn charge(&mut self, now: UnixNanos, cost: u32) {
        self.used(now);
        if let Some(count) = self.counts.first_mut() {
            *count = count.saturating_add(cost);
        }
    }

    /// Takes `cost` units and leaves `reserve` free: all or none.
    pub fn take(&mut self, now: UnixNanos, cost: u32, reserve: u32) -> bool {
        let fits = self.fits(now, cost, reserve);
        if fits {
            self.charge(now, cost);
        }
        fits
    }

    /// The venue says that it is full, whatever was counted.
    pub fn fill(&mut self, now: UnixNanos) {
        let left = self.limit().saturating_sub(self.used(now));
        self.charge(now, left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const T0: UnixNanos = UnixNanos(1_760_000_000_000_000_000);
    const WINDOW_NS: u64 = 1_000_000_000;

    #[test]
    fn a_share_and_what_others_have_used() {
        let mut window = Parts::new(100, WINDOW_NS, Share::percent(50));
        assert!(window.take(T0, 40, 10) && !window.fits(T0, 1, 10) && window.take(T0, 10, 0));
        assert!(!window.fits(T0, 1, 0) && window.fits(T0, 0, 0));
        let full = T0.after(WINDOW_NS + WINDOW_NS / 10);
        assert!(!window.fits(T0.after(WINDOW_NS), 1, 0) && window.fits(full, 50, 0));
        window.tell(full, 200, 150, Some(full.after(1)));
        assert!(
            !window.fits(full, 51, 0),
            "the rest is fifty of our hundred"
        );
        assert!(window.take(full.after(1), 51, 0) && !window.fits(full.after(1), 101, 0));
        window.fill(full.after(1));
        assert!(!window.fits(full.after(1), 1, 0));
    }

    proptest! {
        /// Law: whatever the pace and cost, no span of the window's length holds more than the limit. A clock that
        /// was ahead stands still until the time it had told.
        #[test]
        fn never_more_than_the_limit_in_any_window(
            steps in proptest::collection::vec((-200_000_000i64..400_000_000, 1u32..11), 1..400),
        ) {
            let mut window = Parts::new(9, WINDOW_NS, Share::WHOLE);
            let (mut now, mut latest, mut passed) = (T0.0, 0, Vec::new());
            for (step, cost) in steps {
                now = now.saturating_add_signed(step);
                latest = latest.max(now);
                if window.take(UnixNanos(now), cost, 0) {
                    prop_assert!(cost <= 9);
                    passed.push((latest, cost));
                }
            }
            for (at, (start, _)) in passed.iter().enumerate() {
                let inside = passed.iter().skip(at).take_while(|(time, _)| time - start < WINDOW_NS);
                prop_assert!(inside.map(|(_, cost)| cost).sum::<u32>() <= 9);
            }
        }

        #[test]
        fn any_time_and_size_is_taken(times: Vec<u64>, cost: u32, window_ns: u64) {
            let mut window = Parts::new(3, window_ns, Share::WHOLE);
            for time in times {
                window.charge(UnixNanos(time), cost);
                window.tell(UnixNanos(time), cost, cost, None);
                prop_assert!(!window.fits(UnixNanos(time), cost, 1) || cost == 0);
            }
        }
    }
}
