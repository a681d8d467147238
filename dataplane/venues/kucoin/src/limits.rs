//! What we may send: weight per pool and 30 s, frames per link, and the venue's stops.
//!
//! ```text
//! spot         4000   orders by either way, their lists, whole books      a fifth is kept for cancels
//! management   2000   balances
//! public       2000   symbols, part books, tokens (per address)
//! link          100   frames of ours in 10 s on a classic WebSocket
//! ```
//! These are what an account without a VIP tier has. The venue's windows begin at a pool's first request, and we
//! do not know which was counted as that; ours hold in any span. The order link's answers tell limit and rest of the
//! spot pool: the limit is taken over, and what was counted beyond us others of the account have used, until the
//! venue's window begins anew.
//! Source: venue page, section 6, read 2026-11-20.

use dp_types::{InstrumentId, UnixNanos};
use dp_venue_api::limits::{Budget, OrderAsk, Parts, Rates, Share, Stops, lacking};

const SECOND_NS: u64 = 1_000_000_000;
/// The window of all pools.
const POOL_NS: u64 = 30 * SECOND_NS;
const SPOT: u32 = 4_000;
const MANAGEMENT: u32 = 2_000;
const PUBLIC: u32 = 2_000;
/// The dearest request: a token.
pub(crate) const COST_MAX: u32 = 10;
/// Frames of ours on one classic WebSocket, and their window.
const LINK_FRAMES: u32 = 100;
const LINK_NS: u64 = 10 * SECOND_NS;
/// Share of the spot pool only cancels may use: one in this many.
const RESERVE_SHARE: u32 = 5;
/// How long we hold still where the venue refuses for rate and does not say until when. The venue says "with
/// jitter" of the refusals that come without a time.
const STOP_NS: u64 = 3 * SECOND_NS;
/// The same for cancels, which must get out.
const CANCEL_STOP_NS: u64 = SECOND_NS;
/// The longest stop we believe: no window of the venue's is longer.
const STOP_MS_MAX: u64 = 60_000;

/// A pool of the account's, or of the address's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// Orders, and what is asked with keys.
    Spot,
    /// Balances.
    Management,
    /// What is asked without keys.
    Public,
}

/// What an answer tells of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// What a window allows.
    pub limit: u32,
    /// What is left of it.
    pub remaining: u32,
    /// Until it begins anew, milliseconds.
    pub reset_ms: u64,
}

/// What a cancel of all orders of a symbol costs, and of one.
pub(crate) const CANCEL_ALL_COST: Cost = Cost::Cancel(2);
pub(crate) const CANCEL_COST: Cost = Cost::Cancel(1);

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
    spot: Parts,
    management: Parts,
    public: Parts,
    /// Market data and user stream.
    links: [Parts; 2],
    stops: Stops,
}

/// What a budget is too small for, if for anything.
pub fn lacks(budget: Budget) -> Option<&'static str> {
    let now = UnixNanos(0);
    let mut limits = Limits::new(budget);
    let orders = (0..SPOT).take_while(|_| limits.take(now, Cost::Spot(1)));
    lacking(&[
        (orders.count() > 0, "a new order"),
        (
            limits.take(now, Cost::Cancel(1)),
            "a cancel after new orders",
        ),
        (
            Limits::new(budget).take(now, Cost::Spot(COST_MAX)),
            "a token",
        ),
        (limits.take(now, Cost::Public(COST_MAX)), "a public token"),
    ])
}

impl Limits {
    /// Our share of the pools, and links of our own.
    pub const fn new(budget: Budget) -> Self {
        Self {
            spot: Parts::new(SPOT, POOL_NS, budget.account),
            management: Parts::new(MANAGEMENT, POOL_NS, budget.account),
            public: Parts::new(PUBLIC, POOL_NS, budget.address),
            links: [Parts::new(LINK_FRAMES, LINK_NS, Share::WHOLE); 2],
            stops: Stops::NONE,
        }
    }

    /// Takes room for a request. Cancels go on while everything else is stopped, unless one of them was refused.
    pub fn take(&mut self, now: UnixNanos, cost: Cost) -> bool {
        let reserve = self.spot.limit() / RESERVE_SHARE;
        let is_held = self.stops.holds(now);
        let (window, cost, reserve, is_held) = match cost {
            Cost::Spot(cost) => (&mut self.spot, cost, reserve, is_held),
            Cost::Cancel(cost) => (&mut self.spot, cost, 0, self.stops.holds_cancels(now)),
            Cost::Management(cost) => (&mut self.management, cost, 0, is_held),
            Cost::Public(cost) => (&mut self.public, cost, 0, is_held),
        };
        !is_held && window.take(now, cost, reserve)
    }

    /// Takes room for `count` frames on a classic link.
    pub fn frames(&mut self, now: UnixNanos, is_private: bool, count: u32) -> bool {
        let [public, private] = &mut self.links;
        let window = if is_private { private } else { public };
        window.take(now, count, 0)
    }

    /// Takes the venue's own limit and count of a pool. A limit of 0 is none.
    pub fn tell(&mut self, now: UnixNanos, pool: Pool, usage: Usage) {
        if usage.limit == 0 {
            return;
        }
        let used = usage.limit.saturating_sub(usage.remaining);
        let left_ns = match usage.reset_ms {
            0 => POOL_NS,
            ms => ms.saturating_mul(1_000_000).min(POOL_NS),
        };
        let window = match pool {
            Pool::Spot => &mut self.spot,
            Pool::Management => &mut self.management,
            Pool::Public => &mut self.public,
        };
        window.tell(now, usage.limit, used, Some(now.after(left_ns)));
    }

    /// The venue refused for rate: holds everything until the time it named, if it did; cancels only when one
    /// of them was refused. Returns when it ends.
    pub fn stop(&mut self, now: UnixNanos, is_cancel: bool, named_ms: Option<u64>) -> UnixNanos {
        let named_ns = named_ms
            .filter(|ms| *ms > 0)
            .map(|ms| ms.min(STOP_MS_MAX) * 1_000_000);
        if is_cancel {
            let until = now.after(named_ns.unwrap_or(CANCEL_STOP_NS));
            self.stops.hold_cancels(until);
        }
        self.stops.hold(now.after(named_ns.unwrap_or(STOP_NS)))
    }
}

impl Rates for Limits {
    fn take(&mut self, now: UnixNanos, _: InstrumentId, ask: OrderAsk<'_>) -> bool {
        match ask {
            OrderAsk::New(count) => (0..count).all(|_| Self::take(self, now, Cost::Spot(1))),
            // The venue has none: each is refused before it is counted.
            OrderAsk::Amend(_) => true,
            OrderAsk::Cancel(_) => Self::take(self, now, CANCEL_COST),
            OrderAsk::CancelAll(_) => Self::take(self, now, CANCEL_ALL_COST),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: UnixNanos = UnixNanos(1_760_000_000_000_000_000);

    #[test]
    fn a_fifth_of_the_spot_pool_is_kept_for_cancels() {
        let mut limits = Limits::new(Budget::WHOLE);
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
        let mut limits = Limits::new(Budget::WHOLE);
        let usage = Usage {
            limit: 6_000,
            remaining: 1_205,
            reset_ms: 29_500,
        };
        limits.tell(T0, Pool::Spot, usage);
        assert!(limits.take(T0, Cost::Spot(5)));
        assert!(!limits.take(T0, Cost::Spot(1)), "the rest is for cancels");
        let rest = Usage {
            remaining: 6_000,
            ..usage
        };
        limits.tell(T0, Pool::Spot, rest);
        assert!(!limits.take(T0, Cost::Spot(1)), "never downwards");
        limits.tell(T0, Pool::Spot, Usage { limit: 0, ..usage });
        assert!(limits.take(T0, Cost::Cancel(1_200)));
        let anew = T0.after(29_500_000_000);
        assert!(!limits.take(UnixNanos(anew.0 - 1), Cost::Cancel(1)));
        assert!(
            limits.take(anew, Cost::Spot(1)),
            "its window is another now"
        );
    }

    #[test]
    fn each_pool_is_told_of_by_itself() {
        let mut limits = Limits::new(Budget::WHOLE);
        let usage = Usage {
            limit: 2_000,
            remaining: 3,
            reset_ms: 10_000,
        };
        limits.tell(T0, Pool::Public, usage);
        assert!(!limits.take(T0, Cost::Public(4)) && limits.take(T0, Cost::Public(3)));
        assert!(limits.take(T0, Cost::Management(5)) && limits.take(T0, Cost::Spot(5)));
        limits.tell(T0, Pool::Management, usage);
        assert!(!limits.take(T0, Cost::Management(5)));
        assert!(limits.take(T0.after(10_000_000_000), Cost::Management(5)));
    }

    #[test]
    fn a_stop_holds_all_but_cancels_as_long_as_named() {
        let mut limits = Limits::new(Budget::WHOLE);
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
        let mut limits = Limits::new(Budget::WHOLE);
        assert!(limits.frames(T0, false, 100) && !limits.frames(T0, false, 1));
        assert!(limits.frames(T0, true, 1), "each link by itself");
        assert!(limits.frames(T0.after(LINK_NS + LINK_NS / 10), false, 100));
    }

    #[test]
    fn a_share_is_a_smaller_account_and_others_cost_what_is_not_theirs() {
        let mut limits = Limits::new(Budget::of(Share::percent(50)));
        let count =
            |limits: &mut Limits, cost| (0..9_000).filter(|_| limits.take(T0, cost)).count();
        assert_eq!(count(&mut limits, Cost::Spot(1)), 1_600);
        let usage = |remaining| Usage {
            limit: 4_000,
            remaining,
            reset_ms: 29_500,
        };
        limits.tell(T0, Pool::Spot, usage(400));
        assert_eq!(count(&mut limits, Cost::Cancel(1)), 400, "no more is left");
        limits.tell(T0.after(29_500_000_000), Pool::Spot, usage(4_000));
        assert_eq!(count(&mut limits, Cost::Public(10)), 100);
        let of = |percent| lacks(Budget::of(Share::percent(percent)));
        assert_eq!((of(100), of(1)), (None, None));
        let narrow = Budget {
            address: Share::percent(1).part(40),
            ..Budget::WHOLE
        };
        assert_eq!(lacks(narrow), Some("a public token"));
    }
}
