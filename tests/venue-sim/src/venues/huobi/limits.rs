//! Limits: orders by account and kind, REST by endpoint. All windows begin at multiples of their length.

use crate::engine::AccountId;
use crate::window::Window;
use serde_json::Value;
use std::collections::BTreeMap;

const SECOND_NS: u64 = 1_000_000_000;

/// One limit by name: how many in how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// Its name, for the admin endpoint.
    pub name: &'static str,
    limit: u32,
    length_ns: u64,
}

impl Pool {
    const fn in_2s(name: &'static str, limit: u32) -> Self {
        Self {
            name,
            limit,
            length_ns: 2 * SECOND_NS,
        }
    }

    /// A public endpoint: 10 a second for an address, and everything on loopback is one.
    pub const fn public(name: &'static str) -> Self {
        Self {
            name,
            limit: 10,
            length_ns: SECOND_NS,
        }
    }

    /// Orders, fills and accounts asked about: 50 in 2 s each.
    pub const fn query(name: &'static str) -> Self {
        Self::in_2s(name, 50)
    }
}

/// New orders.
pub const PLACE: Pool = Pool::in_2s("place", 100);
/// New orders, several at once.
pub const PLACE_MANY: Pool = Pool::in_2s("place several", 50);
/// Cancels of one order.
pub const CANCEL: Pool = Pool::in_2s("cancel", 100);
/// Cancels of several.
pub const CANCEL_MANY: Pool = Pool::in_2s("cancel several", 50);
/// Cancels of all open orders. Unverified: the page says 50 in 2 s or less.
pub const CANCEL_ALL: Pool = Pool::in_2s("cancel all", 50);
/// Lists of fills and of orders gone by.
pub const HISTORY: Pool = Pool::in_2s("history", 20);
/// The dead man's switch. Unverified: the least the page has.
pub const DEAD_MAN: Pool = Pool::in_2s("cancel-all-after", 1);

/// Requests of one private socket a second; pings and pongs do not count.
pub const fn of_private_socket(factor: u32) -> Window {
    Window::new(50 * factor, SECOND_NS)
}

/// `req` on one market socket.
pub const fn of_market_socket(factor: u32) -> Window {
    Window::new(factor, SECOND_NS / 10)
}

/// Every window of REST and of orders.
#[derive(Debug)]
pub struct Limits {
    windows: BTreeMap<(AccountId, &'static str), Window>,
    factor: u32,
}

impl Limits {
    /// Empty windows, each with `factor` times its documented limit.
    pub const fn new(factor: u32) -> Self {
        Self {
            windows: BTreeMap::new(),
            factor,
        }
    }

    /// How many times the documented limits.
    pub const fn factor(&self) -> u32 {
        self.factor
    }

    /// Counts a request; whether it fits.
    pub fn take(&mut self, now: u64, account: AccountId, pool: Pool) -> bool {
        self.window(account, pool).take(now, 1)
    }

    /// What is left in the window and when it ends, as headers.
    pub fn headers(
        &mut self,
        now: u64,
        account: AccountId,
        pool: Pool,
    ) -> Vec<(&'static str, String)> {
        let window = self.window(account, pool);
        let left = window.limit().saturating_sub(window.used(now));
        vec![
            ("X-HB-RateLimit-Requests-Remain", left.to_string()),
            (
                "X-HB-RateLimit-Requests-Expire",
                window.end_ms(now).to_string(),
            ),
        ]
    }

    /// For the admin endpoint.
    pub fn json(&self) -> Vec<Value> {
        let row = |((account, name), window): (&(AccountId, &str), &Window)| match account {
            0 => window.json(&format!("REST {name}")),
            account => window.json(&format!("{name} of account {account}")),
        };
        self.windows.iter().map(row).collect()
    }

    fn window(&mut self, account: AccountId, pool: Pool) -> &mut Window {
        let limit = pool.limit.saturating_mul(self.factor);
        self.windows
            .entry((account, pool.name))
            .or_insert_with(|| Window::new(limit, pool.length_ns))
    }
}
