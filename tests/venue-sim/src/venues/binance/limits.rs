//! Request weight per minute, unfilled orders per account, and what happens to who ignores them.

use super::reply::Reject;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const MINUTE_NS: u64 = 60_000_000_000;
const TEN_S_NS: u64 = 10_000_000_000;
const DAY_NS: u64 = 86_400_000_000_000;
/// New orders per day and account.
const ORDERS_PER_DAY: u32 = 200_000;
/// Refused requests in one minute after which the address is banned.
const STRIKES_MAX: u32 = 20;
/// The first ban's length.
const BAN_NS: u64 = 120_000_000_000;

#[derive(Debug, Default, Clone, Copy)]
struct Window {
    index: u64,
    count: u32,
}

impl Window {
    fn count(&self, now: u64, length: u64) -> u32 {
        if self.index == now / length {
            self.count
        } else {
            0
        }
    }

    fn add(&mut self, now: u64, length: u64, amount: u32) {
        self.count = self.count(now, length).saturating_add(amount);
        self.index = now / length;
    }

    fn give_back(&mut self, now: u64, length: u64) {
        if self.index == now / length {
            self.count = self.count.saturating_sub(1);
        }
    }
}

/// All counters. Everything on loopback is one address.
#[derive(Debug)]
pub struct Limits {
    weight_max: u32,
    orders_max: u32,
    weight: Window,
    strikes: Window,
    orders: BTreeMap<usize, [Window; 2]>,
    /// Everything is answered 418 until then.
    pub banned_until: u64,
}

impl Limits {
    /// Limits of so much weight a minute and so many orders in 10 s.
    pub fn new(weight_max: u32, orders_max: u32) -> Self {
        Self {
            weight_max,
            orders_max,
            weight: Window::default(),
            strikes: Window::default(),
            orders: BTreeMap::new(),
            banned_until: 0,
        }
    }

    /// Takes the weight of a request. Errors: 429 when it is used up, 418 while banned.
    pub fn spend(&mut self, now: u64, weight: u32) -> Result<(), Reject> {
        if now < self.banned_until {
            return Err(banned(self.banned_until));
        }
        if self.weight.count(now, MINUTE_NS).saturating_add(weight) > self.weight_max {
            self.strikes.add(now, MINUTE_NS, 1);
            if self.strikes.count(now, MINUTE_NS) > STRIKES_MAX {
                self.banned_until = now + BAN_NS;
                return Err(banned(self.banned_until));
            }
            return Err(too_many(end_ms(now, MINUTE_NS), self.weight_max));
        }
        self.weight.add(now, MINUTE_NS, weight);
        Ok(())
    }

    /// Gives the weight of a success back: successful order requests cost nothing.
    pub fn refund(&mut self, now: u64, weight: u32) {
        if self.weight.index == now / MINUTE_NS {
            self.weight.count = self.weight.count.saturating_sub(weight);
        }
    }

    /// Counts a new order. Errors: -1015.
    pub fn new_order(&mut self, now: u64, account: usize) -> Result<(), Reject> {
        let max = self.orders_max;
        let [short, day] = self.orders.entry(account).or_default();
        if short.count(now, TEN_S_NS) >= max {
            let text = format!("Too many new orders; current limit is {max} orders per 10 SECOND.");
            return Err(Reject::new(429, -1015, text).retry_after(end_ms(now, TEN_S_NS)));
        }
        if day.count(now, DAY_NS) >= ORDERS_PER_DAY {
            let text =
                format!("Too many new orders; current limit is {ORDERS_PER_DAY} orders per 1 DAY.");
            return Err(Reject::new(429, -1015, text).retry_after(end_ms(now, DAY_NS)));
        }
        short.add(now, TEN_S_NS, 1);
        day.add(now, DAY_NS, 1);
        Ok(())
    }

    /// A refusal by the engine or a first fill gives the order's place back.
    pub fn give_back(&mut self, now: u64, account: usize) {
        if let Some([short, day]) = self.orders.get_mut(&account) {
            short.give_back(now, TEN_S_NS);
            day.give_back(now, DAY_NS);
        }
    }

    /// Weight used in this minute.
    pub fn used_weight(&self, now: u64) -> u32 {
        self.weight.count(now, MINUTE_NS)
    }

    /// An account's orders in this 10 s and this day.
    pub fn order_counts(&self, now: u64, account: usize) -> [u32; 2] {
        self.orders.get(&account).map_or([0, 0], |[short, day]| {
            [short.count(now, TEN_S_NS), day.count(now, DAY_NS)]
        })
    }

    /// The `rateLimits` of `exchangeInfo`.
    pub fn rules(&self) -> Value {
        json!([
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1,
             "limit": self.weight_max},
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10,
             "limit": self.orders_max},
            {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1,
             "limit": ORDERS_PER_DAY},
            {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5,
             "limit": 300_000}
        ])
    }

    /// The order rules with an account's counts.
    pub fn order_usage(&self, now: u64, account: usize) -> Vec<Value> {
        let [short, day] = self.order_counts(now, account);
        vec![
            json!({"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10,
                   "limit": self.orders_max, "count": short}),
            json!({"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1,
                   "limit": ORDERS_PER_DAY, "count": day}),
        ]
    }

    /// The weight rule with what is used.
    pub fn weight_usage(&self, now: u64) -> Value {
        json!({"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1,
               "limit": self.weight_max, "count": self.used_weight(now)})
    }
}

fn end_ms(now: u64, length: u64) -> u64 {
    (now / length + 1) * length / 1_000_000
}

/// 429, told when to come back.
pub fn too_many(at_ms: u64, weight_max: u32) -> Reject {
    let text = format!(
        "Too much request weight used; current limit is {weight_max} request weight per 1 MINUTE. \
         Please use WebSocket Streams for live updates to avoid polling the API."
    );
    Reject::new(429, -1003, text).retry_after(at_ms)
}

fn banned(until: u64) -> Reject {
    let until_ms = until / 1_000_000;
    let text = format!(
        "Way too much request weight used; IP banned until {until_ms}. \
         Please use WebSocket Streams for live updates to avoid bans."
    );
    Reject::new(418, -1003, text).retry_after(until_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weight_runs_out_then_bans_then_recovers() {
        let mut limits = Limits::new(10, 5);
        assert!(limits.spend(0, 10).is_ok());
        assert_eq!(limits.spend(1, 1).unwrap_err().status, 429);
        for _ in 0..STRIKES_MAX {
            let _ = limits.spend(2, 1);
        }
        assert_eq!(limits.spend(3, 1).unwrap_err().status, 418);
        assert!(limits.spend(2 + BAN_NS + MINUTE_NS, 1).is_ok());
    }

    #[test]
    fn a_fill_gives_the_order_back() {
        let mut limits = Limits::new(10, 2);
        assert!(limits.new_order(0, 1).is_ok() && limits.new_order(0, 1).is_ok());
        assert_eq!(limits.new_order(0, 1).unwrap_err().code, -1015);
        limits.give_back(0, 1);
        assert!(limits.new_order(0, 1).is_ok());
        assert_eq!(limits.order_counts(0, 1), [2, 2]);
        assert!(limits.new_order(TEN_S_NS, 1).is_ok());
    }
}
