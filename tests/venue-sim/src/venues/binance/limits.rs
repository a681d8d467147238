//! Request weight per minute, unfilled orders per account, and what happens to who ignores them.

use super::reply::Reject;
use crate::core::Response;
use crate::window::Window;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const MINUTE_NS: u64 = 60_000_000_000;
const TEN_S_NS: u64 = 10_000_000_000;
const DAY_NS: u64 = 86_400_000_000_000;

/// The longer of an account's two windows of orders.
#[derive(Debug, Clone, Copy)]
pub struct Long {
    /// Orders in it.
    pub max: u32,
    /// Its length.
    pub length_ns: u64,
    /// The venue's word for its unit, of which it lasts one.
    pub interval: &'static str,
    /// The header that tells its count.
    pub header: &'static str,
}

/// Spot's: a day.
const DAY: Long = Long {
    max: 200_000,
    length_ns: DAY_NS,
    interval: "DAY",
    header: "x-mbx-order-count-1d",
};
/// Futures': a minute.
pub const MINUTE: Long = Long {
    max: 1_200,
    length_ns: MINUTE_NS,
    interval: "MINUTE",
    header: "x-mbx-order-count-1m",
};

/// Refused requests in one minute after which the address is banned.
const STRIKES_MAX: u32 = 20;
/// The first ban's length.
const BAN_NS: u64 = 120_000_000_000;

/// All counters. Everything on loopback is one address.
#[derive(Debug)]
pub struct Limits {
    orders_max: u32,
    long: Long,
    weight: Window,
    strikes: Window,
    orders: BTreeMap<usize, [Window; 2]>,
    /// Everything is answered 418 until then.
    pub banned_until: u64,
    /// Requests and upgrades that came while banned.
    pub while_banned: u64,
}

impl Limits {
    /// Limits of so much weight a minute and so many orders in 10 s, and spot's in a day.
    pub fn new(weight_max: u32, orders_max: u32) -> Self {
        Self::with(weight_max, orders_max, DAY)
    }

    /// As [`Limits::new`] with another long window.
    pub fn with(weight_max: u32, orders_max: u32, long: Long) -> Self {
        Self {
            orders_max,
            long,
            weight: Window::new(weight_max, MINUTE_NS),
            strikes: Window::new(STRIKES_MAX, MINUTE_NS),
            orders: BTreeMap::new(),
            banned_until: 0,
            while_banned: 0,
        }
    }

    /// Whether the address may speak at all. Errors: 418 while banned.
    pub fn admit(&mut self, now: u64) -> Result<(), Reject> {
        if now < self.banned_until {
            self.while_banned += 1;
            return Err(banned(self.banned_until));
        }
        Ok(())
    }

    /// Takes the weight of a request. Errors: 429 when it is used up, 418 while banned.
    pub fn spend(&mut self, now: u64, weight: u32) -> Result<(), Reject> {
        self.admit(now)?;
        if !self.weight.take(now, weight) {
            if !self.strikes.take(now, 1) {
                self.banned_until = now + BAN_NS;
                return Err(banned(self.banned_until));
            }
            return Err(too_many(self.weight.end_ms(now), self.weight.limit()));
        }
        Ok(())
    }

    /// Gives the weight of a success back: successful order requests cost nothing.
    pub fn refund(&mut self, now: u64, weight: u32) {
        self.weight.give_back(now, weight);
    }

    /// Counts a new order. Errors: -1015.
    pub fn new_order(&mut self, now: u64, account: usize) -> Result<(), Reject> {
        self.new_orders(now, account, [1; 2])
    }

    /// Counts new orders of one request, by what they count in each window. Errors: -1015.
    pub fn new_orders(
        &mut self,
        now: u64,
        account: usize,
        [few, many]: [u32; 2],
    ) -> Result<(), Reject> {
        let (max, long) = (self.orders_max, self.long);
        let [short, longer] = self.orders.entry(account).or_insert_with(|| {
            [
                Window::new(max, TEN_S_NS),
                Window::new(long.max, long.length_ns),
            ]
        });
        if !short.take(now, few) {
            let text = format!("Too many new orders; current limit is {max} orders per 10 SECOND.");
            return Err(Reject::new(429, -1015, text).retry_after(short.end_ms(now)));
        }
        if !longer.take(now, many) {
            short.give_back(now, few);
            let (max, interval) = (long.max, long.interval);
            let text =
                format!("Too many new orders; current limit is {max} orders per 1 {interval}.");
            return Err(Reject::new(429, -1015, text).retry_after(longer.end_ms(now)));
        }
        Ok(())
    }

    /// A refusal by the engine or a first fill gives the order's place back.
    pub fn give_back(&mut self, now: u64, account: usize) {
        for window in self.orders.get_mut(&account).into_iter().flatten() {
            window.give_back(now, 1);
        }
    }

    /// A REST answer with the counts in its headers.
    pub fn response(&self, now: u64, result: Result<String, Reject>, account: usize) -> Response {
        let weight = self.used_weight(now).to_string();
        let mut headers = vec![
            ("x-mbx-used-weight", weight.clone()),
            ("x-mbx-used-weight-1m", weight),
        ];
        if account != 0 {
            let [short, longer] = self.order_counts(now, account);
            headers.push(("x-mbx-order-count-10s", short.to_string()));
            headers.push((self.long.header, longer.to_string()));
        }
        match result {
            Ok(body) => Response {
                status: 200,
                headers,
                body,
            },
            Err(reject) => {
                if let Some(at) = reject.retry_after_ms {
                    let left = at.saturating_sub(now / 1_000_000).div_ceil(1_000);
                    headers.push(("retry-after", left.to_string()));
                }
                let mut error = reject.json();
                if let (None, Some(map)) = (&reject.data, error.as_object_mut()) {
                    map.shift_remove("data");
                }
                Response {
                    status: reject.status,
                    headers,
                    body: error.to_string(),
                }
            }
        }
    }

    /// Weight used in this minute.
    pub fn used_weight(&self, now: u64) -> u32 {
        self.weight.used(now)
    }

    /// An account's orders in these 10 s and in the longer window.
    pub fn order_counts(&self, now: u64, account: usize) -> [u32; 2] {
        self.orders
            .get(&account)
            .map_or([0, 0], |windows| windows.map(|window| window.used(now)))
    }

    /// Every window, for the admin endpoint.
    pub fn stats(&self) -> Value {
        let mut all = vec![self.weight.json("weight")];
        let unit = self.long.interval.to_ascii_lowercase();
        for (account, [short, longer]) in &self.orders {
            all.push(short.json(&format!("orders of account {account}")));
            all.push(longer.json(&format!("orders a {unit} of account {account}")));
        }
        all.into()
    }

    /// The `rateLimits` of `exchangeInfo`.
    pub fn rules(&self) -> Value {
        json!([
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1,
             "limit": self.weight.limit()},
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10,
             "limit": self.orders_max},
            {"rateLimitType": "ORDERS", "interval": self.long.interval, "intervalNum": 1,
             "limit": self.long.max},
            {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5,
             "limit": 300_000}
        ])
    }

    /// The order rules with an account's counts.
    pub fn order_usage(&self, now: u64, account: usize) -> Vec<Value> {
        let [short, longer] = self.order_counts(now, account);
        vec![
            json!({"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10,
                   "limit": self.orders_max, "count": short}),
            json!({"rateLimitType": "ORDERS", "interval": self.long.interval, "intervalNum": 1,
                   "limit": self.long.max, "count": longer}),
        ]
    }

    /// The weight rule with what is used.
    pub fn weight_usage(&self, now: u64) -> Value {
        json!({"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1,
               "limit": self.weight.limit(), "count": self.used_weight(now)})
    }
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
