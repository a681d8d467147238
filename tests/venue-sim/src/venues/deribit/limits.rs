//! Credits that flow back: how many requests at once, and how fast they return.
//!
//! ```text
//! pool          at once   a second   what
//! matching           20       5      buy, sell, edit, cancel, …
//! requests          100      20      everything else: 500 credits of 50,000, 10,000 back a second
//! subscribe          10       3.3    subscribe, unsubscribe: 3,000 credits of 30,000
//! instruments        50       1      get_instruments
//! ```
//! Of a sub-account where the caller is known, else of its address: on loopback everybody has the same one.

use crate::engine::AccountId;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What a request costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pool {
    /// The matching engine's.
    Matching,
    /// All others.
    Requests,
    /// Subscriptions.
    Subscribe,
    /// The list of instruments.
    Instruments,
}

impl Pool {
    /// The pool a method takes from.
    pub fn of(method: &str) -> Self {
        let name = method.split_once('/').map_or(method, |(_, name)| name);
        match name {
            "buy" | "sell" | "edit" | "edit_by_label" => Self::Matching,
            name if name.starts_with("cancel") => Self::Matching,
            "subscribe" | "unsubscribe" | "unsubscribe_all" => Self::Subscribe,
            "get_instruments" => Self::Instruments,
            _ => Self::Requests,
        }
    }

    /// At once, and the time for one to come back.
    const fn rule(self) -> (u64, u64) {
        match self {
            Self::Matching => (20, 200_000_000),
            Self::Requests => (100, 50_000_000),
            Self::Subscribe => (10, 300_000_000),
            Self::Instruments => (50, 1_000_000_000),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Matching => "matching engine",
            Self::Requests => "requests",
            Self::Subscribe => "subscribe",
            Self::Instruments => "instruments",
        }
    }
}

/// One pool: the time at which it is full again says all.
#[derive(Debug, Clone, Copy)]
struct Credits {
    full_at: u64,
    burst: u64,
    request_ns: u64,
    highest: u64,
    refused: u64,
}

/// Every pool.
#[derive(Debug)]
pub struct Limits {
    factor: u64,
    pools: BTreeMap<(Option<AccountId>, Pool), Credits>,
}

impl Limits {
    /// Full pools, the documented ones times `factor`.
    pub fn new(factor: u32) -> Self {
        Self {
            factor: u64::from(factor.max(1)),
            pools: BTreeMap::new(),
        }
    }

    /// Takes one request, or counts a refusal.
    pub fn take(&mut self, now: u64, account: Option<AccountId>, pool: Pool) -> bool {
        let factor = self.factor;
        let credits = self.pools.entry((account, pool)).or_insert_with(|| {
            let (burst, request_ns) = pool.rule();
            Credits {
                full_at: 0,
                burst: burst * factor,
                request_ns: (request_ns / factor).max(1),
                highest: 0,
                refused: 0,
            }
        });
        let full_at = credits.full_at.max(now) + credits.request_ns;
        let used = (full_at - now).div_ceil(credits.request_ns);
        if used > credits.burst {
            credits.refused += 1;
            return false;
        }
        credits.full_at = full_at;
        credits.highest = credits.highest.max(used);
        true
    }

    /// For the admin endpoint; a window is the time a pool takes to fill.
    pub fn json(&self) -> Vec<Value> {
        let rows = self.pools.iter().map(|((account, pool), credits)| {
            let whose = account.map_or("address".to_owned(), |it| format!("account {it}"));
            json!({
                "name": format!("{} of {whose}", pool.name()),
                "window_ms": credits.request_ns.saturating_mul(credits.burst) / 1_000_000,
                "limit": credits.burst, "highest": credits.highest, "refused": credits.refused,
            })
        });
        rows.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_what_flows_back() {
        let mut limits = Limits::new(1);
        let mut take = |ms: u64| limits.take(ms * 1_000_000, Some(1), Pool::Matching);
        assert_eq!((0..30).filter(|_| take(0)).count(), 20);
        assert!(!take(199) && take(200) && !take(201));
        assert_eq!((0..30).filter(|_| take(60_000)).count(), 20);
        assert!(limits.take(0, Some(2), Pool::Matching), "another account");
        let told = &limits.json()[0];
        assert_eq!((&told["limit"], &told["highest"]), (&json!(20), &json!(20)));
        assert_eq!(told["refused"], json!(22));
    }

    #[test]
    fn methods_and_their_pools() {
        for (method, pool) in [
            ("private/cancel_all_by_instrument", Pool::Matching),
            ("private/edit", Pool::Matching),
            ("private/subscribe", Pool::Subscribe),
            ("public/get_instruments", Pool::Instruments),
            ("public/get_instrument", Pool::Requests),
            ("public/test", Pool::Requests),
        ] {
            assert_eq!(Pool::of(method), pool, "{method}");
        }
    }
}
