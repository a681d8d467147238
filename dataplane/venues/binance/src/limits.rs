//! Binance's budgets: request weight per IP, orders per account, both corrected by what the venue says.
//! Source: venue page, section 6, read 2026-11-20. Every number is the venue's default until
//! `exchangeInfo` tells the live one.

use dp_types::UnixNanos;
use dp_venue_api::{Bucket, RateGate};

const SECOND: u64 = 1_000_000_000;

/// Request weight a minute and IP.
const WEIGHT_PER_MINUTE: u32 = 6_000;
/// Unfilled orders per ten seconds and account.
const ORDERS_PER_10S: u32 = 50;
/// Unfilled orders a day and account.
const ORDERS_PER_DAY: u32 = 160_000;
/// How long nothing is sent after a 418 that names no time: the shortest ban.
const BAN_NS: u64 = 120 * SECOND;
/// How long nothing is sent after a 429 that names no time.
const PAUSE_NS: u64 = 10 * SECOND;

/// Weight of each request, by its REST twin.
pub mod weight {
    /// `exchangeInfo`.
    pub const EXCHANGE_INFO: u32 = 20;
    /// `depth` with 1,000 levels.
    pub const DEPTH: u32 = 50;
    /// `order.place` and cancels (0 when they succeed; charged in full beforehand).
    pub const ORDER: u32 = 1;
    /// `order.amend.keepPriority`.
    pub const AMEND: u32 = 4;
    /// `order.status`.
    pub const QUERY: u32 = 4;
    /// `openOrders` of one symbol.
    pub const OPEN_ORDERS: u32 = 6;
    /// `myTrades`.
    pub const MY_TRADES: u32 = 20;
    /// `account`.
    pub const ACCOUNT: u32 = 20;
}

/// The budgets of one key and address.
#[derive(Debug)]
pub struct Limits {
    gate: RateGate<3>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            gate: RateGate::new([
                Bucket::new(WEIGHT_PER_MINUTE, 60 * SECOND),
                Bucket::new(ORDERS_PER_10S, 10 * SECOND),
                Bucket::new(ORDERS_PER_DAY, 86_400 * SECOND),
            ]),
        }
    }
}

impl Limits {
    /// Takes weight for a request that is not a new order.
    pub fn take(&mut self, now: UnixNanos, weight: u32, is_cancel: bool) -> bool {
        self.gate.take(now, [weight, 0, 0], is_cancel)
    }

    /// Takes weight and an order for a new order.
    pub fn take_order(&mut self, now: UnixNanos) -> bool {
        self.gate.take(now, [weight::ORDER, 1, 1], false)
    }

    /// The venue's own limit, from `exchangeInfo`.
    pub fn set(&mut self, kind: &str, interval_ns: u64, limit: u32) {
        let [weight, fast, daily] = &mut self.gate.buckets;
        match (kind, interval_ns) {
            ("REQUEST_WEIGHT", interval) => *weight = Bucket::new(limit, interval),
            ("ORDERS", interval) if interval <= 60 * SECOND => *fast = Bucket::new(limit, interval),
            ("ORDERS", interval) => *daily = Bucket::new(limit, interval),
            _ => {}
        }
    }

    /// The venue's own count of what was used, from `rateLimits[]`.
    pub fn correct(&mut self, now: UnixNanos, kind: &str, interval_ns: u64, used: u32) {
        let [weight, fast, daily] = &mut self.gate.buckets;
        match (kind, interval_ns) {
            ("REQUEST_WEIGHT", _) => weight.correct(now, used),
            ("ORDERS", interval) if interval <= 60 * SECOND => fast.correct(now, used),
            ("ORDERS", _) => daily.correct(now, used),
            _ => {}
        }
    }

    /// 429 or 418: nothing is sent until then. `retry_after_s` or `until_ms` as the venue gave them.
    pub fn stop(
        &mut self,
        now: UnixNanos,
        status: u16,
        retry_after_s: Option<u32>,
        until_ms: Option<u64>,
    ) -> UnixNanos {
        let default_ns = if status == 418 { BAN_NS } else { PAUSE_NS };
        let until = match (until_ms, retry_after_s) {
            (Some(ms), _) => UnixNanos::from_millis(ms),
            (None, Some(seconds)) => now.after(u64::from(seconds) * SECOND),
            (None, None) => now.after(default_ns),
        };
        self.gate.stop_until(until);
        until
    }
}

/// `interval` and `intervalNum` of a rate limit, in nanoseconds.
pub fn interval_ns(interval: &str, count: u64) -> u64 {
    let unit = match interval {
        "SECOND" => SECOND,
        "MINUTE" => 60 * SECOND,
        "HOUR" => 3_600 * SECOND,
        _ => 86_400 * SECOND,
    };
    unit.saturating_mul(count.clamp(1, 1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_stop_before_cancels() {
        let mut limits = Limits::default();
        let now = UnixNanos(1_000 * SECOND);
        let orders = (0..200).filter(|_| limits.take_order(now)).count();
        assert_eq!(orders, 40, "a fifth of 50 is kept");
        assert!(limits.take(now, weight::ORDER, true));
    }

    #[test]
    fn the_venue_is_believed() {
        let mut limits = Limits::default();
        let now = UnixNanos(1_000 * SECOND);
        limits.set("ORDERS", 10 * SECOND, 100);
        limits.correct(now, "ORDERS", 10 * SECOND, 79);
        assert!(limits.take_order(now));
        assert!(!limits.take_order(now));
    }

    #[test]
    fn a_ban_is_obeyed() {
        let mut limits = Limits::default();
        let now = UnixNanos(1_000 * SECOND);
        let until = limits.stop(now, 429, Some(7), None);
        assert_eq!(until, now.after(7 * SECOND));
        assert!(!limits.take(now.after(6 * SECOND), 1, true));
        assert!(limits.take(until, 1, true));
        assert_eq!(limits.stop(now, 418, None, None), now.after(BAN_NS));
    }
}
