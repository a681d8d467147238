//! What an account and an address may ask for, and how the venue says how much of it is used.
//!
//! ```text
//! account, category, endpoint   1 s    create and cancel 20 on spot, 10 elsewhere; amend 10; queries 50
//! batches                       1 s    20 on spot, 10 elsewhere, counted by orders; pools of their own
//! address                       5 s    600 REST requests, then 403 for ten minutes; 500 connections in 5 min
//! trade WebSocket               1 s    3000 requests
//! ```
//! REST and WebSocket share an account's pools. Everything on loopback is one address.

use super::Category;
use crate::engine::AccountId;
use crate::window::Window;
use serde_json::Value;
use std::collections::BTreeMap;

const SECOND_NS: u64 = 1_000_000_000;
/// How long an address is refused that asked too often.
const BAN_NS: u64 = 600 * SECOND_NS;

/// How an account's pool stands after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Requests a second.
    pub limit: u32,
    /// What is left of them.
    pub left: u32,
    /// When there is room again, Unix milliseconds; the present where there is some.
    pub reset_ms: u64,
}

/// All counters.
#[derive(Debug)]
pub struct Limits {
    factor: u32,
    pools: BTreeMap<(AccountId, Category, &'static str), Window>,
    address: Window,
    upgrades: Window,
    trade: Window,
    banned_until: u64,
}

impl Limits {
    /// The documented limits, each times `factor`.
    pub fn new(factor: u32) -> Self {
        let factor = factor.max(1);
        let window =
            |limit: u32, seconds| Window::new(limit.saturating_mul(factor), seconds * SECOND_NS);
        Self {
            factor,
            pools: BTreeMap::new(),
            address: window(600, 5),
            upgrades: window(500, 300),
            trade: window(3_000, 1),
            banned_until: 0,
        }
    }

    /// Refuses the address until a time.
    pub fn ban(&mut self, until: u64) {
        self.banned_until = self.banned_until.max(until);
    }

    /// Counts a REST request. Whether the address may ask.
    pub fn rest(&mut self, now: u64) -> bool {
        if now >= self.banned_until && !self.address.take(now, 1) {
            self.ban(now + BAN_NS);
        }
        now >= self.banned_until
    }

    /// Counts a new connection. Whether the address may have it.
    pub fn upgrade(&mut self, now: u64) -> bool {
        now >= self.banned_until && self.upgrades.take(now, 1)
    }

    /// Counts a request on a trade connection. Whether the address may ask.
    pub fn trade(&mut self, now: u64) -> bool {
        self.trade.take(now, 1)
    }

    /// Takes `cost` from an account's pool. Errors: how it stands when there is not so much left.
    pub fn take(
        &mut self,
        now: u64,
        (account, category, pool): (AccountId, Category, &'static str),
        cost: u32,
    ) -> Result<Usage, Usage> {
        let limit = self.limit(category, pool);
        let window = self
            .pools
            .entry((account, category, pool))
            .or_insert_with(|| Window::new(limit, SECOND_NS));
        let is_taken = window.take(now, cost);
        let usage = Usage {
            limit,
            left: limit.saturating_sub(window.used(now)),
            reset_ms: if is_taken {
                now / 1_000_000
            } else {
                window.end_ms(now)
            },
        };
        if is_taken { Ok(usage) } else { Err(usage) }
    }

    /// What a pool allows in a second.
    pub fn limit(&self, category: Category, pool: &str) -> u32 {
        limit(category, pool).saturating_mul(self.factor)
    }

    /// Every window, for the admin endpoint.
    pub fn json(&self) -> Vec<Value> {
        let pools = self
            .pools
            .iter()
            .map(|((account, category, pool), window)| {
                window.json(&format!("{pool} {} of account {account}", category.name()))
            });
        let shared = [
            ("REST of the address", &self.address),
            ("connections", &self.upgrades),
            ("trade requests", &self.trade),
        ];
        let shared = shared.into_iter().map(|(name, window)| window.json(name));
        shared.chain(pools).collect()
    }
}

/// Requests a second of a pool, named by the path's end or the operation's.
fn limit(category: Category, pool: &str) -> u32 {
    match (pool, category) {
        ("amend", _) => 10,
        ("create" | "cancel" | "cancel-all", Category::Spot) => 20,
        ("create" | "cancel" | "cancel-all", Category::Linear) => 10,
        ("create-batch" | "amend-batch" | "cancel-batch", Category::Spot) => 20,
        ("create-batch" | "amend-batch" | "cancel-batch", Category::Linear) => 10,
        _ => 50,
    }
}
