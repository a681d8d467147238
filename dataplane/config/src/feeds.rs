//! How a venue's market data comes: over how many connections, and to which addresses.

use crate::Venue;
use dp_types::limit::FEEDS_MAX;

pub const fn one() -> u8 {
    1
}

pub const fn hold_ms() -> u32 {
    100
}

pub const fn race_s() -> u32 {
    600
}

impl Venue {
    /// Errors: the key, and what is wrong with it.
    pub(crate) fn check_feeds(&self) -> Result<(), (&'static str, String)> {
        if !(1..=FEEDS_MAX).contains(&usize::from(self.feeds)) {
            return Err(("feeds", format!("{}: use 1 to {FEEDS_MAX}", self.feeds)));
        }
        if !(1..=5_000).contains(&self.feed_hold_ms) {
            let why = format!("{}: use 1 to 5000", self.feed_hold_ms);
            return Err(("feed_hold_ms", why));
        }
        if self.race_s != 0 && !(10..=86_400).contains(&self.race_s) {
            let why = format!("{}: use 10 to 86400, or 0", self.race_s);
            return Err(("race_s", why));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::{GOOD, load};

    #[test]
    fn feeds_and_races_have_bounds_and_one_feed_is_the_default() {
        let venue = load(GOOD).unwrap().venue["binance"].clone();
        assert_eq!(
            (venue.feeds, venue.feed_hold_ms, venue.race_s),
            (1, 100, 600)
        );
        let with = |line: &str| load(&GOOD.replace("symbols = [", &format!("{line}\nsymbols = [")));
        for good in ["feeds = 4", "race_s = 0", "feed_hold_ms = 1"] {
            assert!(with(good).is_ok(), "{good}");
        }
        for (bad, bound) in [
            ("feeds = 0", "1 to 4"),
            ("feeds = 5", "1 to 4"),
            ("feed_hold_ms = 0", "1 to 5000"),
            ("race_s = 9", "10 to 86400"),
        ] {
            let error = with(bad).unwrap_err();
            assert!(error.contains(bound), "{bad}: {error}");
        }
    }
}
