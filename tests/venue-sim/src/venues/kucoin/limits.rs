//! Weighted pools of 30 s, each beginning with the first request after the one before.

use crate::engine::AccountId;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const LENGTH_NS: u64 = 30_000_000_000;

/// What requests are counted against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pool {
    /// An account's orders, lists and whole books.
    Spot,
    /// An account's money and settings.
    Management,
    /// An address's public questions.
    Public,
}

impl Pool {
    /// What an account without volume (VIP0) may use in 30 s.
    const fn limit(self) -> u32 {
        match self {
            Self::Spot => 4_000,
            Self::Management | Self::Public => 2_000,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::Management => "management",
            Self::Public => "public",
        }
    }
}

/// How a pool stands after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Whether the request fitted.
    pub is_within: bool,
    /// What the pool allows.
    pub limit: u32,
    /// What is left of it.
    pub remaining: u32,
    /// Until it begins anew, milliseconds.
    pub reset_ms: u64,
}

impl Usage {
    /// As the answers to orders print it.
    pub fn json(&self) -> Value {
        json!({"limit": self.limit, "reset": self.reset_ms, "remaining": self.remaining})
    }

    /// As HTTP prints it.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        vec![
            ("gw-ratelimit-limit", self.limit.to_string()),
            ("gw-ratelimit-remaining", self.remaining.to_string()),
            ("gw-ratelimit-reset", self.reset_ms.to_string()),
        ]
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Window {
    start_ns: u64,
    used: u32,
    highest: u32,
    refused: u64,
}

/// Every account's pools; the address everything on loopback comes from is account 0.
#[derive(Debug)]
pub struct Pools {
    factor: u32,
    windows: BTreeMap<(Pool, AccountId), Window>,
}

impl Pools {
    /// Unused pools, each `factor` times as large as the venue's.
    pub fn new(factor: u32) -> Self {
        Self {
            factor: factor.max(1),
            windows: BTreeMap::new(),
        }
    }

    /// Counts a request.
    pub fn take(&mut self, pool: Pool, account: AccountId, weight: u32, now: u64) -> Usage {
        let limit = pool.limit().saturating_mul(self.factor);
        let window = self.windows.entry((pool, account)).or_default();
        if now >= window.start_ns + LENGTH_NS {
            (window.start_ns, window.used) = (now, 0);
        }
        let used = window.used.saturating_add(weight);
        let is_within = used <= limit;
        if is_within {
            window.used = used;
            window.highest = window.highest.max(used);
        } else {
            window.refused += 1;
        }
        Usage {
            is_within,
            limit,
            remaining: limit - window.used,
            reset_ms: (window.start_ns + LENGTH_NS - now).div_ceil(1_000_000),
        }
    }

    /// What a pool that somebody else has used up says.
    pub fn spent(&self, pool: Pool, for_ns: u64) -> Usage {
        Usage {
            is_within: false,
            limit: pool.limit().saturating_mul(self.factor),
            remaining: 0,
            reset_ms: for_ns.div_ceil(1_000_000),
        }
    }

    /// For the admin endpoint.
    pub fn json(&self) -> Vec<Value> {
        let row = |((pool, account), window): (&(Pool, AccountId), &Window)| {
            let name = match pool {
                Pool::Public => pool.name().to_owned(),
                _ => format!("{} of account {account}", pool.name()),
            };
            json!({
                "name": name, "window_ms": LENGTH_NS / 1_000_000,
                "limit": pool.limit().saturating_mul(self.factor),
                "highest": window.highest, "refused": window.refused,
            })
        };
        self.windows.iter().map(row).collect()
    }
}

/// What a request costs, and of what; `path` without the query.
pub fn cost(method: &str, path: &str) -> (Pool, u32) {
    let is = |wanted: &str| method == wanted;
    if let Some(rest) = path.strip_prefix("/api/v1/hf/") {
        let weight = match rest {
            "orders/cancelAll" => 30,
            "orders" if is("DELETE") => 2,
            "orders/dead-cancel-all" => 2,
            _ if rest.starts_with("orders/cancel/") => 2,
            "accounts/opened" => return (Pool::Management, ACCOUNT_WEIGHT),
            _ if is("GET") => 2,
            _ => 1,
        };
        return (Pool::Spot, weight);
    }
    match path {
        "/api/v3/market/orderbook/level2" | "/api/v1/trade-fees" => (Pool::Spot, 3),
        "/api/v1/bullet-private" => (Pool::Spot, 10),
        "/api/v1/bullet-public" => (Pool::Public, 10),
        "/api/v1/accounts" | "/api/ua/v1/account/mode" => (Pool::Management, ACCOUNT_WEIGHT),
        _ if path.ends_with("/symbols") => (Pool::Public, 4),
        "/api/v1/market/allTickers" | "/api/v1/market/stats" => (Pool::Public, TICKER_WEIGHT),
        _ => (Pool::Public, 2),
    }
}

/// Not on the venue's page [U].
const ACCOUNT_WEIGHT: u32 = 5;
/// Not on the venue's page [U].
const TICKER_WEIGHT: u32 = 15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_begins_with_its_first_request() {
        let mut pools = Pools::new(1);
        let now = 17 * LENGTH_NS + 5;
        let usage = pools.take(Pool::Spot, 1, 3_999, now);
        assert_eq!((usage.is_within, usage.remaining), (true, 1));
        assert_eq!(usage.reset_ms, 30_000);
        assert!(!pools.take(Pool::Spot, 1, 2, now + LENGTH_NS - 1).is_within);
        assert!(
            pools.take(Pool::Spot, 2, 2, now).is_within,
            "another account"
        );
        assert!(pools.take(Pool::Spot, 1, 2, now + LENGTH_NS).is_within);
        assert_eq!(pools.json()[0]["highest"], 3_999);
        assert_eq!(pools.json()[0]["refused"], 1);
    }

    #[test]
    fn weights_of_the_page() {
        for (method, path, expected) in [
            ("POST", "/api/v1/hf/orders", (Pool::Spot, 1)),
            ("DELETE", "/api/v1/hf/orders", (Pool::Spot, 2)),
            ("DELETE", "/api/v1/hf/orders/cancelAll", (Pool::Spot, 30)),
            (
                "DELETE",
                "/api/v1/hf/orders/client-order/a",
                (Pool::Spot, 1),
            ),
            ("DELETE", "/api/v1/hf/orders/cancel/a", (Pool::Spot, 2)),
            ("GET", "/api/v1/hf/orders/active", (Pool::Spot, 2)),
            ("GET", "/api/v3/market/orderbook/level2", (Pool::Spot, 3)),
            (
                "GET",
                "/api/v1/market/orderbook/level2_100",
                (Pool::Public, 2),
            ),
            ("GET", "/api/v2/symbols", (Pool::Public, 4)),
            ("POST", "/api/v1/bullet-public", (Pool::Public, 10)),
        ] {
            assert_eq!(cost(method, path), expected, "{method} {path}");
        }
    }
}
