//! How long a way takes: quantiles of a measured histogram, drawn by a seed.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// A distribution of delays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delay {
    /// At equal steps of probability from 0 to 1, nanoseconds, rising.
    quantiles: Vec<u64>,
}

impl Delay {
    /// Always the same.
    pub fn constant(ns: u64) -> Self {
        Self {
            quantiles: vec![ns],
        }
    }

    /// From values at equal steps of probability: the least first, the largest last. They are put in order; none is 0 ns.
    pub fn of_quantiles(mut ns: Vec<u64>) -> Self {
        ns.sort_unstable();
        if ns.is_empty() {
            ns.push(0);
        }
        Self { quantiles: ns }
    }

    /// One delay. Between two quantiles every value is as likely as another.
    pub fn draw(&self, dice: &mut ChaCha8Rng) -> u64 {
        let Some(steps) = self
            .quantiles
            .len()
            .checked_sub(1)
            .filter(|steps| *steps > 0)
        else {
            return self.quantiles.first().copied().unwrap_or(0);
        };
        let at = dice.random_range(0..steps);
        let (from, to) = (self.quantiles[at], self.quantiles[at + 1]);
        dice.random_range(from..=to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn draws_stay_within_the_quantiles_and_are_the_seeds() {
        let delay = Delay::of_quantiles(vec![40, 10, 20]);
        let draws = |seed| -> Vec<u64> {
            let mut dice = ChaCha8Rng::seed_from_u64(seed);
            (0..1_000).map(|_| delay.draw(&mut dice)).collect()
        };
        let (one, again, other) = (draws(1), draws(1), draws(2));
        assert!(one == again && one != other);
        assert!(one.iter().all(|ns| (10..=40).contains(ns)));
        // Half of them below the middle quantile.
        let low = one.iter().filter(|ns| **ns <= 20).count();
        assert!((450..=550).contains(&low), "{low}");
    }

    #[test]
    fn one_value_is_always_drawn_and_none_is_nothing() {
        let mut dice = ChaCha8Rng::seed_from_u64(0);
        assert_eq!(Delay::constant(7).draw(&mut dice), 7);
        assert_eq!(Delay::of_quantiles(Vec::new()).draw(&mut dice), 0);
    }
}
