//! What we may send: request weight per address, orders per account, and the venue's stops.
//!
//! ```text
//! weight   6000 in 1 min   every request; a fifth is kept for cancels
//! orders   50 in 10 s      new orders only (100 on most accounts: read from exchangeInfo)
//! orders   160000 in 1 day
//! 429 / 418                nothing leaves, cancels included, until the time the venue names
//! 429 with -1015           no new order for the shortest order window; cancels go on
//! ```
//! The venue counts in windows aligned to its clock. A token bucket of N per window lets almost 2N pass in
//! an unlucky one; here the last window is counted in tenths, and one tenth more, so that no span of a
//! window's length ever holds more than its limit. The defaults are replaced by the values of `exchangeInfo` and corrected by the
//! `rateLimits` of each answer, never downwards: the venue gives capacity back for fills, we don't count on it.
//! Source: venue page, section 6, read 2026-11-20.

use dp_types::UnixNanos;
use dp_wire::json::Value;

const SECOND_NS: u64 = 1_000_000_000;
const MINUTE_NS: u64 = 60 * SECOND_NS;
const DAY_NS: u64 = 86_400 * SECOND_NS;
/// Parts of a window that are counted apart.
const PARTS: u64 = 10;
/// Share of the weight only cancels may use: one in this many.
const RESERVE_SHARE: u32 = 5;
/// A refusal for rate without a time: the weight's own window.
const STOP_NS: u64 = MINUTE_NS;
/// A ban without a time: the venue's shortest.
const BAN_NS: u64 = 2 * MINUTE_NS;
/// The venue's longest ban, three days: a later time is a wrong one.
const BAN_NS_MAX: u64 = 3 * DAY_NS;

/// A limit over any span of `window_ns`.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    limit: u32,
    window_ns: u64,
    counts: [u32; PARTS as usize + 1],
    /// Number of the newest part, counted from 1970.
    newest: u64,
}

impl Window {
    /// An empty window. `window_ns` is raised to [`PARTS`] so that a part is never empty.
    pub const fn new(limit: u32, window_ns: u64) -> Self {
        let window_ns = if window_ns < PARTS { PARTS } else { window_ns };
        Self {
            limit,
            window_ns,
            counts: [0; PARTS as usize + 1],
            newest: 0,
        }
    }

    /// Forgets parts that have left the window. Time that runs backwards forgets nothing.
    fn advance(&mut self, now: UnixNanos) {
        let part = now.0 / (self.window_ns / PARTS);
        let gone = part.saturating_sub(self.newest);
        if gone == 0 {
            return;
        }
        let gone =
            usize::try_from(gone).map_or(self.counts.len(), |gone| gone.min(self.counts.len()));
        self.counts.rotate_right(gone);
        if let Some(fresh) = self.counts.get_mut(..gone) {
            fresh.fill(0);
        }
        self.newest = part;
    }

    /// Units counted in the window that ends at `now`.
    pub fn used(&mut self, now: UnixNanos) -> u32 {
        self.advance(now);
        self.counts
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }

    fn fits(&mut self, now: UnixNanos, cost: u32, reserve: u32) -> bool {
        self.used(now).saturating_add(cost).saturating_add(reserve) <= self.limit
    }

    fn charge(&mut self, now: UnixNanos, cost: u32) {
        self.advance(now);
        if let Some(count) = self.counts.first_mut() {
            *count = count.saturating_add(cost);
        }
    }

    /// Takes the venue's own limit and count.
    fn tell(&mut self, now: UnixNanos, usage: Usage) {
        self.limit = usage.limit;
        let missing = usage.count.saturating_sub(self.used(now));
        self.charge(now, missing);
    }
}

/// One entry of `rateLimits`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Orders, or request weight.
    pub is_orders: bool,
    /// Its window, nanoseconds.
    pub window_ns: u64,
    /// What a window allows.
    pub limit: u32,
    /// What the venue counted in it; 0 where it does not say.
    pub count: u32,
}

/// Entries of one answer we keep: weight and two of orders.
pub const USAGES_MAX: usize = 3;

/// The entries of `rateLimits` that concern us. Unknown kinds are passed over.
pub fn usages(root: Value<'_>) -> [Option<Usage>; USAGES_MAX] {
    let mut found = [None; USAGES_MAX];
    let items = root.get("rateLimits").and_then(Value::as_array);
    let usages = items.into_iter().flatten().filter_map(usage);
    for (slot, usage) in found.iter_mut().zip(usages) {
        *slot = Some(usage);
    }
    found
}

fn usage(item: Value<'_>) -> Option<Usage> {
    let text = |key| item.str(key).ok().map(str::as_bytes);
    let number = |key| item.u64(key).ok();
    Usage::new(
        text("rateLimitType")?,
        text("interval")?,
        number("intervalNum")?,
        number("limit")?,
        number("count").unwrap_or(0),
    )
}

impl Usage {
    /// From the fields of an entry. `None` for kinds, units and limits that do not concern us; a count that
    /// cannot be is none.
    pub(crate) fn new(
        kind: &[u8],
        interval: &[u8],
        number: u64,
        limit: u64,
        count: u64,
    ) -> Option<Self> {
        let unit = match interval {
            b"SECOND" => SECOND_NS,
            b"MINUTE" => MINUTE_NS,
            b"HOUR" => 60 * MINUTE_NS,
            b"DAY" => DAY_NS,
            _ => return None,
        };
        let is_orders = match kind {
            b"ORDERS" => true,
            b"REQUEST_WEIGHT" => false,
            _ => return None,
        };
        Some(Self {
            is_orders,
            window_ns: unit.checked_mul(number)?,
            limit: u32::try_from(limit).ok()?,
            count: u32::try_from(count).unwrap_or(0),
        })
    }
}

/// Everything that limits us at this venue.
#[derive(Debug, Clone)]
pub struct Limits {
    weight: Window,
    orders: [Window; 2],
    stopped_until: UnixNanos,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            weight: Window::new(6_000, MINUTE_NS),
            orders: [
                Window::new(50, 10 * SECOND_NS),
                Window::new(160_000, DAY_NS),
            ],
            stopped_until: UnixNanos(0),
        }
    }
}

impl Limits {
    /// Takes room for a request of this weight that is no cancel.
    pub fn request(&mut self, now: UnixNanos, weight: u32) -> bool {
        let reserve = self.weight.limit / RESERVE_SHARE;
        if now < self.stopped_until || !self.weight.fits(now, weight, reserve) {
            return false;
        }
        self.weight.charge(now, weight);
        true
    }

    /// Takes room for a new order.
    pub fn new_order(&mut self, now: UnixNanos) -> bool {
        if !self.orders.iter_mut().all(|window| window.fits(now, 1, 0)) || !self.request(now, 1) {
            return false;
        }
        for window in &mut self.orders {
            window.charge(now, 1);
        }
        true
    }

    /// The venue says that the shortest order window is full, whatever we counted.
    pub fn full_of_orders(&mut self, now: UnixNanos) {
        if let Some(window) = self.orders.first_mut() {
            let left = window.limit.saturating_sub(window.used(now));
            window.charge(now, left);
        }
    }

    /// Takes room for a cancel or a mass cancel: no order count, and the reserve is theirs.
    pub fn cancel(&mut self, now: UnixNanos) -> bool {
        if now < self.stopped_until || !self.weight.fits(now, 1, 0) {
            return false;
        }
        self.weight.charge(now, 1);
        true
    }

    /// Takes the venue's own limits and counts.
    pub fn tell(&mut self, now: UnixNanos, usages: &[Option<Usage>]) {
        for usage in usages.iter().flatten() {
            let windows = if usage.is_orders {
                self.orders.as_mut_slice()
            } else {
                core::slice::from_mut(&mut self.weight)
            };
            if let Some(window) = windows
                .iter_mut()
                .find(|window| window.window_ns == usage.window_ns)
            {
                window.tell(now, *usage);
            }
        }
    }

    /// The venue said stop. `until` is its own time, if it named one; returns ours.
    pub fn stop(&mut self, now: UnixNanos, is_ban: bool, until: Option<UnixNanos>) -> UnixNanos {
        let default = now.after(if is_ban { BAN_NS } else { STOP_NS });
        let until = until
            .filter(|until| until.since(now) > 0 && until.since(now) <= BAN_NS_MAX)
            .unwrap_or(default);
        self.stopped_until = self.stopped_until.max(until);
        self.stopped_until
    }

    /// Until when nothing may be sent.
    pub const fn stopped_until(&self) -> UnixNanos {
        self.stopped_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const T0: UnixNanos = UnixNanos(1_760_000_000_000_000_000);

    #[test]
    fn fifty_orders_then_none_until_the_window_has_passed() {
        let mut limits = Limits::default();
        let passed = (0..100).filter(|_| limits.new_order(T0)).count();
        assert_eq!(passed, 50);
        assert!(limits.cancel(T0), "cancels have no order count");
        assert!(!limits.new_order(T0.after(10 * SECOND_NS)));
        assert!(limits.new_order(T0.after(11 * SECOND_NS)));
    }

    #[test]
    fn too_many_orders_holds_orders_and_nothing_else() {
        let mut limits = Limits::default();
        limits.full_of_orders(T0);
        assert!(!limits.new_order(T0));
        assert!(limits.cancel(T0), "what rests must go");
        assert!(limits.request(T0, 1));
        assert!(limits.new_order(T0.after(11 * SECOND_NS)));
    }

    #[test]
    fn a_fifth_of_the_weight_is_kept_for_cancels() {
        let mut limits = Limits::default();
        let snapshots = (0..200).filter(|_| limits.request(T0, 50)).count();
        assert_eq!(snapshots, 96, "4800 of 6000");
        assert!(!limits.new_order(T0));
        assert_eq!((0..2_000).filter(|_| limits.cancel(T0)).count(), 1_200);
    }

    #[test]
    fn the_venue_knows_better() {
        let mut limits = Limits::default();
        let usage = Usage {
            is_orders: true,
            window_ns: 10 * SECOND_NS,
            limit: 100,
            count: 97,
        };
        limits.tell(T0, &[Some(usage), None]);
        assert_eq!((0..9).filter(|_| limits.new_order(T0)).count(), 3);
        let lower = Usage { count: 0, ..usage };
        limits.tell(T0, &[Some(lower)]);
        assert!(!limits.new_order(T0), "never downwards");
    }

    #[test]
    fn a_stop_holds_everything() {
        let mut limits = Limits::default();
        let named = T0.after(5 * SECOND_NS);
        assert_eq!(limits.stop(T0, false, Some(named)), named);
        assert!(!limits.cancel(T0) && !limits.new_order(T0) && !limits.request(T0, 1));
        assert!(limits.cancel(named) && limits.new_order(named));
        assert_eq!(limits.stop(named, true, None), named.after(BAN_NS));
        let absurd = Some(UnixNanos(u64::MAX));
        assert_eq!(Limits::default().stop(T0, false, absurd), T0.after(STOP_NS));
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
                if window.fits(UnixNanos(now), cost, 0) {
                    window.charge(UnixNanos(now), cost);
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
                window.charge(UnixNanos(time), 1);
                let _ = window.used(UnixNanos(time));
            }
        }
    }
}
