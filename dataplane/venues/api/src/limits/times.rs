//! An exact sliding window.

use super::{Cap, Share};
use dp_types::UnixNanos;

/// The times of the last requests: at most as many in any window as the limit says.
#[derive(Debug, Clone)]
pub struct Times {
    cap: Cap,
    /// Highest limit the venue may name.
    limit_max: u32,
    /// A ring; 0 marks a slot never used.
    times: Box<[u64]>,
    next: usize,
    window_ns: u64,
}

impl Times {
    /// An empty window: our share of `limit` requests (raised to 1) in `window_ns`. Allocates once.
    pub fn new(limit: u32, window_ns: u64, share: Share) -> Self {
        Self::growing(limit, limit, window_ns, share)
    }

    /// The same, where the venue may later name a limit of up to `limit_max`.
    pub fn growing(limit: u32, limit_max: u32, window_ns: u64, share: Share) -> Self {
        let limit_max = limit_max.max(limit);
        Self {
            cap: Cap::new(limit, share),
            limit_max,
            times: vec![0; share.of(limit_max) as usize].into_boxed_slice(),
            next: 0,
            window_ns,
        }
    }

    /// The venue names its limit; what is out of range is not believed.
    pub fn learn(&mut self, limit: u32) {
        if (1..=self.limit_max).contains(&limit) {
            self.cap.learn(limit);
        }
    }

    /// The venue has counted `used` in a window that ends at `until`: what we have not sent, others have.
    pub fn tell(&mut self, now: UnixNanos, used: u32, until: UnixNanos) {
        let others = used.saturating_sub(self.used(now));
        self.cap.tell_others(others, now, until);
    }

    /// As [`Times::tell`], where the venue says what is left of its limit.
    pub fn tell_left(&mut self, now: UnixNanos, left: u32, until: UnixNanos) {
        self.tell(now, self.cap.venue().saturating_sub(left), until);
    }

    /// Our share, while others keep to theirs.
    pub const fn limit(&self) -> u32 {
        self.cap.own()
    }

    /// Requests of ours in the window that ends at `now`.
    pub fn used(&self, now: UnixNanos) -> u32 {
        let latest = (1..=self.times.len()).map(|back| self.back(back));
        let inside =
            latest.take_while(|time| *time != 0 && time.saturating_add(self.window_ns) > now.0);
        inside.fold(0, |count, _| count + 1)
    }

    /// When the request so many places back was sent, 1 for the last one; 0 where there was none.
    fn back(&self, places: usize) -> u64 {
        let len = self.times.len();
        let slot = (self.next + len - places.min(len)) % len.max(1);
        self.times.get(slot).copied().unwrap_or(0)
    }

    /// Whether `cost` more requests fit at `now`, and `reserve` beside them. A cost above the limit never fits, none
    /// always does.
    pub fn fits(&self, now: UnixNanos, cost: u32, reserve: u32) -> bool {
        if cost == 0 {
            return true;
        }
        let asked = cost.saturating_add(reserve);
        let Some(may_stay) = self.cap.at(now).checked_sub(asked) else {
            return false;
        };
        // So many may still be in the window: the one before them must have left it.
        let time = self.back(may_stay as usize + 1);
        time == 0 || time.saturating_add(self.window_ns) <= now.0
    }

    /// Counts `cost` requests.
    pub fn charge(&mut self, now: UnixNanos, cost: u32) {
        // In order of time, whatever the clock does: a later request never leaves the window before an earlier one.
        let at = now.0.max(self.back(1)).max(1);
        for _ in 0..(cost as usize).min(self.times.len()) {
            if let Some(slot) = self.times.get_mut(self.next) {
                *slot = at;
            }
            self.next = (self.next + 1) % self.times.len();
        }
    }

    /// Takes `cost` requests and leaves `reserve` free: all or none.
    pub fn take(&mut self, now: UnixNanos, cost: u32, reserve: u32) -> bool {
        let fits = self.fits(now, cost, reserve);
        if fits {
            self.charge(now, cost);
        }
        fits
    }

    /// Forgets what was used: what is limited is another one now.
    pub fn clear(&mut self) {
        self.times.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const T0: UnixNanos = UnixNanos(1_700_000_000_000_000_000);
    const WINDOW_NS: u64 = 1_000_000_000;

    fn whole(limit: u32) -> Times {
        Times::new(limit, WINDOW_NS, Share::WHOLE)
    }

    #[test]
    fn the_limit_at_once_then_none_until_the_window_has_passed() {
        let mut window = whole(7);
        assert!(window.take(T0, 4, 3) && !window.fits(T0, 1, 3));
        assert!(window.take(T0, 3, 0) && !window.fits(T0, 1, 0));
        assert!(window.fits(T0, 0, 9), "nothing is asked");
        assert!(!window.fits(UnixNanos(T0.0 + WINDOW_NS - 1), 1, 0));
        assert!(window.take(T0.after(WINDOW_NS), 7, 0));
        let later = T0.after(2 * WINDOW_NS);
        assert!(!window.fits(later, 8, 0) && !window.fits(later, u32::MAX, u32::MAX));
        window.clear();
        assert!(window.take(T0, 7, 0));
    }

    #[test]
    fn a_share_and_what_others_have_used() {
        let mut window = Times::growing(10, 60, WINDOW_NS, Share::percent(50));
        assert!(window.take(T0, 5, 0) && !window.fits(T0, 1, 0));
        window.learn(20);
        assert_eq!((window.limit(), window.used(T0)), (10, 5));
        window.tell(T0, 17, T0.after(WINDOW_NS / 2));
        assert!(window.take(T0, 3, 0), "twelve of twenty are others'");
        assert!(!window.fits(T0, 1, 0));
        assert!(window.take(T0.after(WINDOW_NS / 2), 2, 0));
        for absurd in [0, 61] {
            window.learn(absurd);
            assert_eq!(window.limit(), 10);
        }
        window.learn(2);
        assert!(window.take(T0.after(2 * WINDOW_NS), 1, 0), "at least one");
        assert_eq!(Times::new(0, 1, Share::percent(1)).limit(), 1);
    }

    proptest! {
        /// Law: whatever the pace and cost, and wherever the clock goes, no span of the window's length holds more
        /// than the limit; and what fits is taken.
        #[test]
        fn never_more_than_the_limit_in_any_window(
            steps in proptest::collection::vec((-200_000_000i64..300_000_000, 1u32..4), 1..400),
            room in 7u32..30,
        ) {
            let mut window = Times::growing(7, room, WINDOW_NS, Share::WHOLE);
            let (mut now, mut passed) = (T0.0, Vec::new());
            for (step, cost) in steps {
                now = now.saturating_add_signed(step);
                if window.take(UnixNanos(now), cost, 0) {
                    passed.push((now, cost));
                } else {
                    let latest = passed.iter().map(|(time, _)| *time).max().unwrap();
                    let near = passed.iter().filter(|(time, _)| time + 2 * WINDOW_NS > now.min(latest));
                    prop_assert!(near.map(|(_, cost)| cost).sum::<u32>() + cost > 7);
                }
            }
            passed.sort_unstable();
            for (at, (start, _)) in passed.iter().enumerate() {
                let inside = passed.iter().skip(at).take_while(|(time, _)| time - start < WINDOW_NS);
                prop_assert!(inside.map(|(_, cost)| cost).sum::<u32>() <= 7);
            }
        }

        #[test]
        fn any_time_and_size_is_taken(times: Vec<u64>, limit in 0u32..50, cost: u32, window_ns: u64) {
            let mut window = Times::new(limit, window_ns, Share::percent(10));
            for time in times {
                window.take(UnixNanos(time), cost % 60, 0);
                window.charge(UnixNanos(time), cost);
                window.tell(UnixNanos(time), cost, UnixNanos(u64::MAX));
                prop_assert!(window.used(UnixNanos(time)) <= window.limit());
            }
        }
    }
}
