//! What we may send: weight per pool and 30 s, frames per link, and the venue's stops.
//!
//! ```text
//! spot         4000   orders by either way, their lists, whole books      a fifth is kept for cancels
//! management   2000   balances
//! public       2000   symbols, part books, tokens (per address)
//! link          100   frames of ours in 10 s on a classic WebSocket
//! ```
//! These are what an account without a VIP tier has. The venue's windows begin at a pool's first request, and we
//! do not know which was counted as that; so ours are counted in tenths and one tenth more, and no span of a
//! window's length ever holds more than the limit. The order link's answers tell limit and rest of the spot
//! pool: the limit is taken over, the count is corrected upwards only, and until the venue's window begins anew.
//! Source: venue page, section 6, read 2026-11-20.

use dp_types::UnixNanos;

const SECOND_NS: u64 = 1_000_000_000;
/// The window of all pools.
const POOL_NS: u64 = 30 * SECOND_NS;
const SPOT: u32 = 4_000;
const MANAGEMENT: u32 = 2_000;
const PUBLIC: u32 = 2_000;
/// Frames of ours on one classic WebSocket, and their window.
const LINK_FRAMES: u32 = 100;
const LINK_NS: u64 = 10 * SECOND_NS;
/// Parts of a window that are counted apart.
const PARTS: usize = 10;
/// Share of the spot pool only cancels may use: one in this many.
const RESERVE_SHARE: u32 = 5;
/// How long we hold still where the venue refuses for rate and does not say until when. The venue says "with
/// jitter" of the refusals that come without a time.
const STOP_NS: u64 = 3 * SECOND_NS;
/// The same for cancels, which must get out.
const CANCEL_STOP_NS: u64 = SECOND_NS;
/// The longest stop we believe: no window of the venue's is longer.
const STOP_MS_MAX: u64 = 60_000;

/// A limit over any span of `window_ns`.
#[derive(Debug, Clone)]
pub struct Window {
    limit: u32,
    window_ns: u64,
    counts: [u32; PARTS + 1],
    /// Number of the newest part, counted from 1970.
    newest: u64,
}

impl Window {
    /// An empty window. `window_ns` is raised so that a part is never empty.
    pub const fn new(limit: u32, window_ns: u64) -> Self {
        Self {
            limit,
            window_ns: if window_ns < PARTS as u64 {
                PARTS as u64
            } else {
                window_ns
            },
            counts: [0; PARTS + 1],
            newest: 0,
        }
    }

    /// Units counted in the window that ends at `now`. Time that runs backwards forgets nothing.
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

    fn fits(&mut self, now: UnixNanos, cost: u32, reserve: u32) -> bool {
        self.used(now).saturating_add(cost).saturating_add(reserve) <= self.limit
    }

    fn charge(&mut self, now: UnixNanos, cost: u32) {
        self.used(now);
        if let Some(count) = self.counts.first_mut() {
            *count = count.saturating_add(cost);
        }
    }

    /// Takes `cost`, all or none, and leaves `reserve` free.
    pub fn take(&mut self, now: UnixNanos, cost: u32, reserve: u32) -> bool {
        let fits = self.fits(now, cost, reserve);
        if fits {
            self.charge(now, cost);
        }
        fits
    }
}

/// What an answer of the order link tells of the spot pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// What a window allows.
    pub limit: u32,
    /// What is left of it.
    pub remaining: u32,
    /// Until it begins anew, milliseconds.
    pub reset_ms: u64,
}

/// A pool, and what a request costs there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// Of the spot pool.
    Spot(u32),
    /// Of the spot pool, its reserve included.
    Cancel(u32),
    /// Of the management pool.
    Management(u32),
    /// Of the public pool.
    Public(u32),
}

/// Everything that limits us at this venue.
#[derive(Debug, Clone)]
pub struct Limits {
    spot: Window,
    /// What the venue has counted in its spot window beyond our count, and until when.
    beyond: (u32, UnixNanos),
    management: Window,
    public: Window,
    /// Market data and user stream.
    links: [Window; 2],
    stopped_until: UnixNanos,
    cancels_stopped_until: UnixNanos,
}

impl Default for Limits {
    fn default() -> Self {
        let link = || Window::new(LINK_FRAMES, LINK_NS);
        Self {
            spot: Window::new(SPOT, POOL_NS),
            beyond: (0, UnixNanos(0)),
            management: Window::new(MANAGEMENT, POOL_NS),
            public: Window::new(PUBLIC, POOL_NS),
            links: [link(), link()],
            stopped_until: UnixNanos(0),
            cancels_stopped_until: UnixNanos(0),
        }
    }
}

impl Limits {
    /// Takes room for a request. Cancels go on while everything else is stopped, unless one of them was refused.
    pub fn take(&mut self, now: UnixNanos, cost: Cost) -> bool {
        let beyond = self.beyond(now);
        let reserve = (self.spot.limit / RESERVE_SHARE).saturating_add(beyond);
        let (window, cost, reserve, stopped_until) = match cost {
            Cost::Spot(cost) => (&mut self.spot, cost, reserve, self.stopped_until),
            Cost::Cancel(cost) => (&mut self.spot, cost, beyond, self.cancels_stopped_until),
            Cost::Management(cost) => (&mut self.management, cost, 0, self.stopped_until),
            Cost::Public(cost) => (&mut self.public, cost, 0, self.stopped_until),
        };
        now >= stopped_until && window.take(now, cost, reserve)
    }

    fn beyond(&self, now: UnixNanos) -> u32 {
        let (count, until) = self.beyond;
        if now < until { count } else { 0 }
    }

    /// Takes room for `count` frames on a classic link.
    pub fn frames(&mut self, now: UnixNanos, is_private: bool, count: u32) -> bool {
        let [public, private] = &mut self.links;
        let window = if is_private { private } else { public };
        window.take(now, count, 0)
    }

    /// Takes the venue's own limit and count of the spot pool. A limit of 0 is none.
    pub fn tell(&mut self, now: UnixNanos, usage: Usage) {
        if usage.limit == 0 {
            return;
        }
        self.spot.limit = usage.limit;
        let used = usage.limit.saturating_sub(usage.remaining);
        let missing = used.saturating_sub(self.spot.used(now));
        let left_ns = match usage.reset_ms {
            0 => POOL_NS,
            ms => ms.saturating_mul(1_000_000).min(POOL_NS),
        };
        self.beyond = (missing.max(self.beyond(now)), now.after(left_ns));
    }

    /// The venue refused for rate: holds everything until the time it named, if it did; cancels only when one
    /// of them was refused. Returns when it ends.
    pub fn stop(&mut self, now: UnixNanos, is_cancel: bool, named_ms: Option<u64>) -> UnixNanos {
        let named_ns = named_ms
            .filter(|ms| *ms > 0)
            .map(|ms| ms.min(STOP_MS_MAX) * 1_000_000);
        if is_cancel {
            let until = now.after(named_ns.unwrap_or(CANCEL_STOP_NS));
            self.cancels_stopped_until = self.cancels_stopped_until.max(until);
        }
        let until = now.after(named_ns.unwrap_or(STOP_NS));
        self.stopped_until = self.stopped_until.max(until);
        self.stopped_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const T0: UnixNanos = UnixNanos(1_760_000_000_000_000_000);

    #[test]
    fn a_fifth_of_the_spot_pool_is_kept_for_cancels() {
        let mut limits = Limits::default();
        let count =
            |limits: &mut Limits, cost| (0..9_000).filter(|_| limits.take(T0, cost)).count();
        assert_eq!(count(&mut limits, Cost::Spot(1)), 3_200);
        assert_eq!(count(&mut limits, Cost::Cancel(1)), 800);
        assert_eq!(
            count(&mut limits, Cost::Public(10)),
            200,
            "a pool of its own"
        );
        assert!(!limits.take(T0.after(POOL_NS), Cost::Spot(1)));
        assert!(limits.take(T0.after(POOL_NS + POOL_NS / 10), Cost::Spot(1)));
    }

    #[test]
    fn the_venue_knows_better() {
        let mut limits = Limits::default();
        let usage = Usage {
            limit: 6_000,
            remaining: 1_205,
            reset_ms: 29_500,
        };
        limits.tell(T0, usage);
        assert!(limits.take(T0, Cost::Spot(5)));
        assert!(!limits.take(T0, Cost::Spot(1)), "the rest is for cancels");
        let rest = Usage {
            remaining: 6_000,
            ..usage
        };
        limits.tell(T0, rest);
        assert!(!limits.take(T0, Cost::Spot(1)), "never downwards");
        limits.tell(T0, Usage { limit: 0, ..usage });
        assert!(limits.take(T0, Cost::Cancel(1_200)));
        let anew = T0.after(29_500_000_000);
        assert!(!limits.take(UnixNanos(anew.0 - 1), Cost::Cancel(1)));
        assert!(
            limits.take(anew, Cost::Spot(1)),
            "its window is another now"
        );
    }

    #[test]
    fn a_stop_holds_all_but_cancels_as_long_as_named() {
        let mut limits = Limits::default();
        assert_eq!(limits.stop(T0, false, None), T0.after(STOP_NS));
        let until = limits.stop(T0, false, Some(29_500));
        assert_eq!(until, T0.after(29_500_000_000));
        for cost in [Cost::Spot(1), Cost::Management(1), Cost::Public(1)] {
            assert!(!limits.take(T0.after(29_499_999_999), cost));
            assert!(limits.take(until, cost));
        }
        assert!(limits.take(T0, Cost::Cancel(1)), "what rests must go");
        limits.stop(T0, true, None);
        assert!(!limits.take(T0, Cost::Cancel(1)));
        assert!(limits.take(T0.after(CANCEL_STOP_NS), Cost::Cancel(1)));
        let absurd = limits.stop(T0, false, Some(u64::MAX));
        assert_eq!(absurd, T0.after(STOP_MS_MAX * 1_000_000));
    }

    #[test]
    fn a_link_takes_a_hundred_frames_in_ten_seconds() {
        let mut limits = Limits::default();
        assert!(limits.frames(T0, false, 100) && !limits.frames(T0, false, 1));
        assert!(limits.frames(T0, true, 1), "each link by itself");
        assert!(limits.frames(T0.after(LINK_NS + LINK_NS / 10), false, 100));
    }

    proptest! {
        /// Law: whatever the pace and cost, no span of the window's length holds more than its limit.
        #[test]
        fn never_more_than_the_limit_in_any_window(
            steps in proptest::collection::vec((0u64..400_000_000, 1u32..4), 1..400),
        ) {
            let mut window = Window::new(9, SECOND_NS);
            let (mut now, mut passed) = (T0.0, Vec::new());
            for (step, cost) in steps {
                now += step;
                if window.take(UnixNanos(now), cost, 0) {
                    passed.push((now, cost));
                }
            }
            for (at, (start, _)) in passed.iter().enumerate() {
                let inside = passed.iter().skip(at).take_while(|(time, _)| time - start < SECOND_NS);
                prop_assert!(inside.map(|(_, cost)| cost).sum::<u32>() <= 9);
            }
        }

        #[test]
        fn time_in_any_order_never_panics(times: Vec<u64>, window_ns: u64) {
            let mut window = Window::new(3, window_ns);
            for time in times {
                window.take(UnixNanos(time), 1, 0);
            }
        }
    }
}
