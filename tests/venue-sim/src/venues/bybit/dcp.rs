//! The dead man's switch (DCP): it runs while no private connection that subscribed it is left.
//!
//! ```text
//!  last subscribed connection gone ─▶ running ──window──▶ every order of the product is cancelled
//!                                        └─ one subscribed again, and its ping ─▶ held
//! ```
//! The venue switches it on for institutional accounts; here every account has it.

use super::{Bybit, Category};
use crate::engine::{AccountId, Cause};
use std::collections::BTreeMap;

/// The window of an account that set none, seconds.
const WINDOW_S: u64 = 10;
/// How long a new window takes to count ("about 10 s" says the venue).
const EFFECT_NS: u64 = 10_000_000_000;

/// A window, and the one before it until the new one counts.
#[derive(Debug, Clone, Copy)]
struct Windows {
    old_s: u64,
    new_s: u64,
    from: u64,
}

/// The switches of all accounts, by product.
#[derive(Debug, Default)]
pub struct DeadMan {
    windows: BTreeMap<(AccountId, Category), Windows>,
    running: BTreeMap<(AccountId, Category), u64>,
}

impl DeadMan {
    /// The window last asked for, seconds.
    pub fn window_s(&self, account: AccountId, category: Category) -> u64 {
        let set = self.windows.get(&(account, category));
        set.map_or(WINDOW_S, |windows| windows.new_s)
    }

    /// Sets the window.
    pub fn set(&mut self, now: u64, account: AccountId, category: Category, seconds: u64) {
        let windows = Windows {
            old_s: self.counting_s(now, account, category),
            new_s: seconds,
            from: now + EFFECT_NS,
        };
        self.windows.insert((account, category), windows);
    }

    /// The last connection that held it is gone.
    pub fn lost(&mut self, now: u64, account: AccountId, category: Category) {
        let at = now + self.counting_s(now, account, category) * 1_000_000_000;
        self.running.entry((account, category)).or_insert(at);
    }

    /// A connection that subscribed it pinged.
    pub fn held(&mut self, account: AccountId, category: Category) {
        self.running.remove(&(account, category));
    }

    /// When one is over.
    pub fn next_deadline(&self) -> u64 {
        self.running.values().min().copied().unwrap_or(u64::MAX)
    }

    fn counting_s(&self, now: u64, account: AccountId, category: Category) -> u64 {
        match self.windows.get(&(account, category)) {
            Some(windows) if now >= windows.from => windows.new_s,
            Some(windows) => windows.old_s,
            None => WINDOW_S,
        }
    }

    /// Takes those that are over.
    fn due(&mut self, now: u64) -> Vec<(AccountId, Category)> {
        let over = self.running.iter().filter(|(_, at)| **at <= now);
        let over: Vec<(AccountId, Category)> = over.map(|(key, _)| *key).collect();
        for key in &over {
            self.running.remove(key);
        }
        over
    }
}

/// The product a switch is set for: the API's word and the topic's.
pub const fn product(category: Category) -> (&'static str, &'static str) {
    match category {
        Category::Spot => ("SPOT", "dcp.spot"),
        Category::Linear => ("DERIVATIVES", "dcp.future"),
    }
}

impl Bybit {
    /// Cancels everything of those whose switch is over.
    pub(super) fn run_dead_man(&mut self) {
        let now = self.core.now;
        for (account, category) in self.dead_man.due(now) {
            self.cancel_where(account, Cause::DeadMan, |face, order| {
                face.category(order.ask.inst) == category
            });
        }
    }
}
