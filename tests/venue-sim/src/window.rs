//! A limit per window of time, counted as venues count: windows begin at multiples of their length.

use serde_json::{Value, json};

/// Units allowed in each window, what is used, and the most there ever was in one.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    limit: u32,
    length_ns: u64,
    index: u64,
    count: u32,
    highest: u32,
    refused: u64,
}

impl Window {
    /// An empty window of a length above 0.
    pub const fn new(limit: u32, length_ns: u64) -> Self {
        Self {
            limit,
            length_ns,
            index: 0,
            count: 0,
            highest: 0,
            refused: 0,
        }
    }

    /// What a window allows.
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// Used in the window of `now`.
    pub const fn used(&self, now: u64) -> u32 {
        if self.index == now / self.length_ns {
            self.count
        } else {
            0
        }
    }

    /// Takes room, or counts a refusal.
    pub fn take(&mut self, now: u64, amount: u32) -> bool {
        let count = self.used(now).saturating_add(amount);
        if count > self.limit {
            self.refused += 1;
            return false;
        }
        (self.index, self.count) = (now / self.length_ns, count);
        self.highest = self.highest.max(count);
        true
    }

    /// Gives room back that was taken in the window of `now`.
    pub fn give_back(&mut self, now: u64, amount: u32) {
        if self.index == now / self.length_ns {
            self.count = self.count.saturating_sub(amount);
        }
    }

    /// When the window of `now` ends, Unix milliseconds.
    pub const fn end_ms(&self, now: u64) -> u64 {
        (now / self.length_ns + 1) * self.length_ns / 1_000_000
    }

    /// For the admin endpoint.
    pub fn json(&self, name: &str) -> Value {
        json!({
            "name": name, "window_ms": self.length_ns / 1_000_000, "limit": self.limit,
            "highest": self.highest, "refused": self.refused,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_window_and_what_was_refused_stay_known() {
        let mut window = Window::new(3, 10);
        assert!(window.take(11, 2) && !window.take(19, 2) && window.take(19, 1));
        assert!(window.take(20, 1), "another window");
        window.give_back(21, 1);
        assert_eq!((window.used(21), window.used(30)), (0, 0));
        let told = window.json("x");
        assert_eq!((&told["highest"], &told["refused"]), (&json!(3), &json!(1)));
    }
}
