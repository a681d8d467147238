//! When to try again: capped exponential back-off with jitter, so that a venue that comes back is not
//! met by all of us in the same millisecond. Pure: the seed and the clock are the caller's.

/// Delays between tries: half fixed, half random, doubling from `base_ns` to `cap_ns`.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    base_ns: u64,
    cap_ns: u64,
    tries: u32,
    state: u64,
}

impl Backoff {
    /// A fresh one. `base_ns` and `cap_ns` are raised to 1.
    pub const fn new(base_ns: u64, cap_ns: u64, seed: u64) -> Self {
        let base_ns = if base_ns == 0 { 1 } else { base_ns };
        let cap_ns = if cap_ns < base_ns { base_ns } else { cap_ns };
        // Spreads neighbouring seeds; a state of 0 would stay 0.
        let state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let state = if state == 0 { 1 } else { state };
        Self {
            base_ns,
            cap_ns,
            tries: 0,
            state,
        }
    }

    /// The delay before the next try, in nanoseconds: in `[full / 2, full]`, where `full` doubles with
    /// each call up to the cap.
    pub const fn next_delay_ns(&mut self) -> u64 {
        let shift = if self.tries > 40 { 40 } else { self.tries };
        let full = self.base_ns.saturating_mul(1 << shift);
        let full = if full > self.cap_ns {
            self.cap_ns
        } else {
            full
        };
        self.tries = self.tries.saturating_add(1);
        // xorshift64: spread, not secrecy.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        full / 2 + self.state % (full / 2 + 1)
    }

    /// Success: the next failure starts from the base again.
    pub const fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn delays_double_up_to_the_cap_and_jitter_stays_inside(seed: u64) {
            let mut backoff = Backoff::new(100, 1_000, seed);
            for full in [100, 200, 400, 800, 1_000, 1_000] {
                let delay = backoff.next_delay_ns();
                prop_assert!((full / 2..=full).contains(&delay), "{} of {}", delay, full);
            }
            backoff.reset();
            prop_assert!(backoff.next_delay_ns() <= 100);
        }
    }

    #[test]
    fn two_seeds_do_not_try_in_step() {
        let mut delays = |seed| Backoff::new(1 << 30, 1 << 40, seed).next_delay_ns();
        let all: std::collections::BTreeSet<u64> = (1..100).map(&mut delays).collect();
        assert!(all.len() > 90, "{}", all.len());
    }
}
