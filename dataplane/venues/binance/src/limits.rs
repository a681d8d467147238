//! What we may send: request weight per address, orders per account, and the venue's stops.
//!
//! ```text
//! weight   6000 in 1 min   every request; a fifth is kept for cancels
//! orders   50 in 10 s      new orders only (100 on most accounts: read from exchangeInfo)
//! orders   160000 in 1 day
//! 429 / 418                nothing leaves, cancels included, until the time the venue names
//! 429 with -1015           no new order for the shortest order window; cancels go on
//! ```
//! The venue counts in windows aligned to its clock; ours hold in any span. The defaults are replaced by the values of
//! `exchangeInfo`. What the `rateLimits` of an answer count beyond us, others of the address or account have used; it
//! is not corrected downwards: the venue gives capacity back for fills, we don't count on it.
//! Source: venue page, section 6, read 2026-11-20.

use crate::product::Product;
use dp_types::{InstrumentId, UnixNanos};
use dp_venue_api::limits::{Budget, OrderAsk, Parts, Rates, Stops, lacking};
use dp_wire::json::Value;

const SECOND_NS: u64 = 1_000_000_000;
const MINUTE_NS: u64 = 60 * SECOND_NS;
const DAY_NS: u64 = 86_400 * SECOND_NS;
/// Share of the weight only cancels may use: one in this many.
const RESERVE_SHARE: u32 = 5;
/// A refusal for rate without a time: the weight's own window.
const STOP_NS: u64 = MINUTE_NS;
/// A ban without a time: the venue's shortest.
const BAN_NS: u64 = 2 * MINUTE_NS;
/// The venue's longest ban, three days: a later time is a wrong one.
const BAN_NS_MAX: u64 = 3 * DAY_NS;

/// Weight of an amend over the WebSocket API.
const AMEND_WEIGHT: u32 = 4;

/// What a request for several orders of futures costs, however many they are: of the weight, and of the two windows
/// of orders. Source: as `usdm::batch`.
pub(crate) const BATCH_WEIGHT: u32 = 5;
const BATCH_ORDERS: [u32; 2] = [5, 1];

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
    product: Product,
    weight: Parts,
    orders: [Parts; 2],
    stops: Stops,
}

/// What a budget is too small for, if for anything.
pub fn lacks(budget: Budget) -> Option<&'static str> {
    let too_small = [Product::Spot, Product::Usdm].map(|product| lacks_of(product, budget));
    too_small.into_iter().flatten().next()
}

fn lacks_of(product: Product, budget: Budget) -> Option<&'static str> {
    let now = UnixNanos(0);
    let fresh = || Limits::new(product, budget);
    let (allowed, weights) = (product.allowed(), product.weights());
    let mut trading = fresh();
    let orders = (0..allowed.weight)
        .take_while(|_| trading.new_order(now))
        .count();
    let [(shortest, _), _] = allowed.orders;
    lacking(&[
        (orders > 0 && budget.account.holds(shortest), "a new order"),
        (trading.cancel(now), "a cancel after new orders"),
        (fresh().request(now, weights.depth), "a book"),
        (
            fresh().request(now, weights.open_orders),
            "a list of open orders",
        ),
    ])
}

impl Limits {
    /// A product's defaults, as far as they are ours; nothing used.
    pub fn new(product: Product, budget: Budget) -> Self {
        let allowed = product.allowed();
        Self {
            product,
            weight: Parts::new(allowed.weight, MINUTE_NS, budget.address),
            orders: allowed
                .orders
                .map(|(limit, window_ns)| Parts::new(limit, window_ns, budget.account)),
            stops: Stops::NONE,
        }
    }

    /// Takes room for a request of this weight that is no cancel.
    pub fn request(&mut self, now: UnixNanos, weight: u32) -> bool {
        let reserve = self.weight.limit() / RESERVE_SHARE;
        !self.stops.holds(now) && self.weight.take(now, weight, reserve)
    }

    /// Takes room for a new order.
    pub fn new_order(&mut self, now: UnixNanos) -> bool {
        self.orders(now, [1; 2], 1)
    }

    /// Takes room for an amend: futures count it as an order.
    pub fn amend(&mut self, now: UnixNanos) -> bool {
        match self.product {
            Product::Spot => self.request(now, AMEND_WEIGHT),
            Product::Usdm => self.new_order(now),
        }
    }

    /// Takes room for a request for several new orders of futures.
    pub fn new_batch(&mut self, now: UnixNanos) -> bool {
        self.orders(now, BATCH_ORDERS, BATCH_WEIGHT)
    }

    fn orders(&mut self, now: UnixNanos, counts: [u32; 2], weight: u32) -> bool {
        let mut windows = self.orders.iter_mut().zip(counts);
        if !windows.all(|(window, count)| window.fits(now, count, 0)) || !self.request(now, weight)
        {
            return false;
        }
        for (window, count) in self.orders.iter_mut().zip(counts) {
            window.charge(now, count);
        }
        true
    }

    /// The venue says that the shortest order window is full, whatever we counted.
    pub fn full_of_orders(&mut self, now: UnixNanos) {
        if let Some(window) = self.orders.first_mut() {
            window.fill(now);
        }
    }

    /// Takes room for a cancel or a mass cancel: no order count, and the reserve is theirs.
    pub fn cancel(&mut self, now: UnixNanos) -> bool {
        !self.stops.holds(now) && self.weight.take(now, 1, 0)
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
                .find(|window| window.window_ns() == usage.window_ns)
            {
                window.tell(now, usage.limit, usage.count, None);
            }
        }
    }

    /// Takes the weight that an HTTP answer says is used of this minute: what we have not sent, others at this address
    /// have.
    pub fn tell_weight(&mut self, now: UnixNanos, used: u32) {
        self.weight.tell_used(now, used);
    }

    /// The venue said stop. `until` is its own time, if it named one; returns ours.
    pub fn stop(&mut self, now: UnixNanos, is_ban: bool, until: Option<UnixNanos>) -> UnixNanos {
        let default = now.after(if is_ban { BAN_NS } else { STOP_NS });
        let until = until
            .filter(|until| until.since(now) > 0 && until.since(now) <= BAN_NS_MAX)
            .unwrap_or(default);
        self.stops.hold(until)
    }

    /// Until when nothing may be sent.
    pub const fn stopped_until(&self) -> UnixNanos {
        self.stops.until()
    }
}

impl Rates for Limits {
    fn take(&mut self, now: UnixNanos, _: InstrumentId, ask: OrderAsk<'_>) -> bool {
        match ask {
            OrderAsk::New(count) => (0..count).all(|_| self.new_order(now)),
            OrderAsk::Amend(_) => self.amend(now),
            OrderAsk::Cancel(_) | OrderAsk::CancelAll(_) => self.cancel(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_venue_api::limits::Share;

    const T0: UnixNanos = UnixNanos(1_760_000_000_000_000_000);

    #[test]
    fn fifty_orders_then_none_until_the_window_has_passed() {
        let mut limits = Limits::new(Product::Spot, Budget::WHOLE);
        let passed = (0..100).filter(|_| limits.new_order(T0)).count();
        assert_eq!(passed, 50);
        assert!(limits.cancel(T0), "cancels have no order count");
        assert!(!limits.new_order(T0.after(10 * SECOND_NS)));
        assert!(limits.new_order(T0.after(11 * SECOND_NS)));
    }

    #[test]
    fn too_many_orders_holds_orders_and_nothing_else() {
        let mut limits = Limits::new(Product::Spot, Budget::WHOLE);
        limits.full_of_orders(T0);
        assert!(!limits.new_order(T0));
        assert!(limits.cancel(T0), "what rests must go");
        assert!(limits.request(T0, 1));
        assert!(limits.new_order(T0.after(11 * SECOND_NS)));
    }

    #[test]
    fn a_batch_counts_as_the_venue_counts_it() {
        let fresh = || Limits::new(Product::Usdm, Budget::WHOLE);
        let mut limits = fresh();
        let batches = (0..100).filter(|_| limits.new_batch(T0)).count();
        assert_eq!(batches, 60, "five each of 300 in 10 s");
        assert!(!limits.new_order(T0) && limits.cancel(T0));
        let mut limits = fresh();
        assert_eq!((0..296).filter(|_| limits.new_order(T0)).count(), 296);
        assert!(!limits.new_batch(T0), "four are left");
        assert_eq!(
            (0..9).filter(|_| limits.new_order(T0)).count(),
            4,
            "and still are"
        );
        let mut limits = fresh();
        limits.tell_weight(T0, 1_916);
        assert!(!limits.new_batch(T0) && limits.new_order(T0), "of 1,920");
    }

    #[test]
    fn a_fifth_of_the_weight_is_kept_for_cancels() {
        let mut limits = Limits::new(Product::Spot, Budget::WHOLE);
        let snapshots = (0..200).filter(|_| limits.request(T0, 50)).count();
        assert_eq!(snapshots, 96, "4800 of 6000");
        assert!(!limits.new_order(T0));
        assert_eq!((0..2_000).filter(|_| limits.cancel(T0)).count(), 1_200);
    }

    #[test]
    fn weight_that_others_have_used_is_not_ours() {
        let mut limits = Limits::new(Product::Spot, Budget::WHOLE);
        assert!(limits.request(T0, 1_000));
        limits.tell_weight(T0, 5_990);
        assert!(!limits.new_order(T0), "what is left is for cancels");
        assert_eq!((0..99).filter(|_| limits.cancel(T0)).count(), 10);
        assert!(limits.new_order(T0.after(67 * SECOND_NS)));
    }

    #[test]
    fn the_venue_knows_better() {
        let mut limits = Limits::new(Product::Spot, Budget::WHOLE);
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
        let mut limits = Limits::new(Product::Spot, Budget::WHOLE);
        let named = T0.after(5 * SECOND_NS);
        assert_eq!(limits.stop(T0, false, Some(named)), named);
        assert!(!limits.cancel(T0) && !limits.new_order(T0) && !limits.request(T0, 1));
        assert!(limits.cancel(named) && limits.new_order(named));
        assert_eq!(limits.stop(named, true, None), named.after(BAN_NS));
        let absurd = Some(UnixNanos(u64::MAX));
        assert_eq!(
            Limits::new(Product::Spot, Budget::WHOLE).stop(T0, false, absurd),
            T0.after(STOP_NS)
        );
    }

    #[test]
    fn a_share_is_a_smaller_venue_and_others_cost_only_what_is_not_theirs() {
        let half = Budget::of(Share::percent(50));
        let mut limits = Limits::new(Product::Spot, half);
        let taken = |limits: &mut Limits| (0..90).filter(|_| limits.new_order(T0)).count();
        assert_eq!(taken(&mut limits), 25);
        let usage = Usage {
            is_orders: true,
            window_ns: 10 * SECOND_NS,
            limit: 100,
            count: 75,
        };
        limits.tell(T0, &[Some(usage)]);
        assert_eq!(taken(&mut limits), 25, "others have used their fifty");
        assert_eq!((0..9_000).filter(|_| limits.request(T0, 1)).count(), 2_350);
        assert_eq!((0..9_000).filter(|_| limits.cancel(T0)).count(), 600);
        let usage = Usage { count: 99, ..usage };
        let mut limits = Limits::new(Product::Spot, half);
        limits.tell(T0, &[Some(usage)]);
        assert_eq!(taken(&mut limits), 1, "others have used more");
    }

    #[test]
    fn a_budget_holds_a_list_or_says_so() {
        let of = |percent| lacks_of(Product::Spot, Budget::of(Share::percent(percent)));
        assert_eq!((of(100), of(2)), (None, None));
        assert_eq!(of(1), Some("a new order"));
        let address = Share::percent(1);
        let narrow = Budget {
            address,
            ..Budget::WHOLE
        };
        assert_eq!(lacks_of(Product::Spot, narrow), Some("a book"));
        assert_eq!(lacks(narrow), Some("a book"), "of either product");
    }
}
