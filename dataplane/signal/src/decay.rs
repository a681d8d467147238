//! Forgetting by time: what is `half_life` old counts half.

use dp_types::UnixNanos;

/// Steps of the table within one half-life.
const STEPS: usize = 256;
/// One, as the table has it.
const ONE: u128 = 1 << 63;
/// One, as [`Decay::factor`] tells it: parts of 2^32.
const FACTOR_ONE: i128 = 1 << 32;
/// Fraction bits of what a [`Leaky`] holds.
const HELD_BITS: u32 = 20;
/// The most it holds: times a factor it still fits.
const HELD_MAX: i128 = 1 << 94;

/// 2^-(i/256) in parts of 2^63, for i in 0..=256: the 256th root by eight square roots, then its powers.
const POWERS: [u64; STEPS + 1] = {
    let mut root = ONE / 2;
    let mut halvings = 0;
    while halvings < 8 {
        root = (root << 63).isqrt();
        halvings += 1;
    }
    let mut table = [0; STEPS + 1];
    let (mut power, mut at) = (ONE, 0);
    while at <= STEPS {
        table[at] = power as u64;
        power = (power * root) >> 63;
        at += 1;
    }
    table
};

/// How fast the past is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decay {
    half_life_ns: u64,
}

impl Decay {
    /// Half is left after `half_life_ns`; 0 is taken for 1.
    pub const fn new(half_life_ns: u64) -> Self {
        let half_life_ns = if half_life_ns == 0 { 1 } else { half_life_ns };
        Self { half_life_ns }
    }

    /// What is left after `ns`, in parts of 2^32. Off by less than 2 parts in 10^6: the table is read in straight lines.
    #[inline]
    pub const fn factor(&self, ns: u64) -> u64 {
        let whole = ns / self.half_life_ns;
        if whole >= 32 {
            return 0;
        }
        let rest = (ns % self.half_life_ns) as u128;
        // Where in the table, in parts of 2^16 of a step.
        let place = (rest * ((STEPS as u128) << 16) / self.half_life_ns as u128) as u64;
        let (step, between) = ((place >> 16) as usize, place & 0xffff);
        let (from, to) = (POWERS[step], POWERS[step + 1]);
        let value = from - (((from - to) as u128 * between as u128) >> 16) as u64;
        (value >> 31) >> whole
    }
}

/// A sum that forgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaky {
    decay: Decay,
    /// The sum at `at`, in parts of 2^20.
    held: i128,
    at: UnixNanos,
}

impl Leaky {
    /// Nothing yet.
    pub const fn new(half_life_ns: u64) -> Self {
        Self {
            decay: Decay::new(half_life_ns),
            held: 0,
            at: UnixNanos(0),
        }
    }

    /// Adds at `now`. Time that goes back stands still.
    #[inline]
    pub fn add(&mut self, amount: i64, now: UnixNanos) {
        self.forget(now);
        let sum = self.held + (i128::from(amount) << HELD_BITS);
        self.held = sum.clamp(-HELD_MAX, HELD_MAX);
    }

    /// Forgets up to `now`.
    #[inline]
    pub fn forget(&mut self, now: UnixNanos) {
        let ns = now.0.saturating_sub(self.at.0);
        if ns == 0 {
            return;
        }
        self.at = now;
        if self.held != 0 {
            self.held = self.held * i128::from(self.decay.factor(ns)) / FACTOR_ONE;
        }
    }

    /// The sum as of the last call, rounded towards zero; saturates.
    pub fn get(&self) -> i64 {
        let whole = (self.held / (1 << HELD_BITS)).clamp(i64::MIN.into(), i64::MAX.into());
        whole as i64
    }

    /// The sum with its fraction, in parts of 2^20.
    pub const fn fine(&self) -> i128 {
        self.held
    }

    /// What it holds and as of when, as integers: for [`Leaky::resume`].
    pub const fn keep(&self) -> [i64; 3] {
        [
            self.held as i64,
            (self.held >> 64) as i64,
            self.at.0.cast_signed(),
        ]
    }

    /// Holds what another held; what is beyond its bounds is cut to them.
    pub fn resume(&mut self, [low, high, at]: [i64; 3]) {
        let held = i128::from(high) << 64 | i128::from(low.cast_unsigned());
        self.held = held.clamp(-HELD_MAX, HELD_MAX);
        self.at = UnixNanos(at.cast_unsigned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn half_is_left_after_a_half_life_and_a_quarter_after_two() {
        let decay = Decay::new(1_000);
        for (ns, parts) in [
            (0, 1 << 32),
            (1_000, 1 << 31),
            (2_000, 1 << 30),
            (32_000, 0),
            (u64::MAX, 0),
        ] {
            assert_eq!(decay.factor(ns), parts, "{ns}");
        }
    }

    #[test]
    fn a_sum_forgets_and_time_that_goes_back_does_nothing() {
        let mut sum = Leaky::new(1_000);
        sum.add(1_000, UnixNanos(5_000));
        sum.add(0, UnixNanos(6_000));
        assert_eq!(sum.get(), 500);
        sum.add(100, UnixNanos(1_000));
        assert_eq!(sum.get(), 600);
        sum.forget(UnixNanos(7_000));
        assert_eq!(sum.get(), 300);
    }

    proptest! {
        #[test]
        fn the_factor_is_the_power_of_two(ns in 0u64..40_000_000, half in 1u64..10_000_000) {
            let want = (-(ns as f64) / half as f64).exp2();
            let got = Decay::new(half).factor(ns) as f64 / (1u64 << 32) as f64;
            prop_assert!((got - want).abs() < 2e-6, "{got} {want}");
        }

        #[test]
        fn no_number_overflows(adds in proptest::collection::vec((any::<i64>(), any::<u64>()), 1..50)) {
            let mut sum = Leaky::new(u64::MAX);
            for (amount, at) in adds {
                sum.add(amount, UnixNanos(at));
                let _ = sum.get();
            }
        }
    }
}
