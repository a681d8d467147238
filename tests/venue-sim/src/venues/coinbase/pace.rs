//! Limits that refill: so many a second, and a burst on top, as the venue states them.
//!
//! Kept as the time at which the bucket would be full again: one number, no timer.

use serde_json::{Value, json};

const SECOND_NS: u64 = 1_000_000_000;

/// A bucket of requests.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    /// One request is back after so long.
    interval_ns: u64,
    burst: u32,
    full_at: u64,
    highest: u32,
    refused: u64,
}

impl Bucket {
    /// A full bucket: `per_second` come back, `burst` fit, either times `factor`.
    pub fn new(per_second: u32, burst: u32, factor: u32) -> Self {
        let factor = factor.max(1);
        Self {
            interval_ns: SECOND_NS / u64::from(per_second.saturating_mul(factor).max(1)),
            burst: burst.saturating_mul(factor),
            full_at: 0,
            highest: 0,
            refused: 0,
        }
    }

    /// Takes one, or counts a refusal.
    pub fn take(&mut self, now: u64) -> bool {
        let interval = self.interval_ns.max(1);
        let full_at = self.full_at.max(now) + interval;
        let used = (full_at - now).div_ceil(interval);
        let Some(used) = u32::try_from(used).ok().filter(|used| *used <= self.burst) else {
            self.refused += 1;
            return false;
        };
        self.full_at = full_at;
        self.highest = self.highest.max(used);
        true
    }

    /// For the admin endpoint: the burst is the limit, and the window is how long it takes to come back.
    pub fn json(&self, name: &str) -> Value {
        json!({
            "name": name, "window_ms": self.interval_ns * u64::from(self.burst) / 1_000_000,
            "limit": self.burst, "highest": self.highest, "refused": self.refused,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let mut bucket = Bucket::new(10, 15, 1);
        let count = |bucket: &mut Bucket, now| (0..100).filter(|_| bucket.take(now)).count();
        assert_eq!(count(&mut bucket, SECOND_NS), 15);
        assert_eq!(count(&mut bucket, 2 * SECOND_NS), 10, "a second later");
        assert_eq!(count(&mut bucket, 60 * SECOND_NS), 15, "full again");
        let told = bucket.json("x");
        assert_eq!((&told["limit"], &told["highest"]), (&json!(15), &json!(15)));
        assert_eq!(count(&mut Bucket::new(10, 15, 3), SECOND_NS), 45);
    }
}
