//! How a venue's market data comes: over how many connections, to which addresses, and written how.

use crate::Venue;
use dp_types::VenueId;
use dp_types::limit::FEEDS_MAX;
use serde::Deserialize;

/// How market data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarketData {
    /// As text.
    #[default]
    Json,
    /// In binary (Simple Binary Encoding): Binance's spot has that, for who shows an Ed25519 key.
    Sbe,
}

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
    pub(crate) fn check_feeds(&self, name: &str) -> Result<(), (&'static str, String)> {
        let is_sbe = self.market_data == MarketData::Sbe;
        if is_sbe && VenueId::from_name(name) != Some(VenueId::BINANCE) {
            let why = "\"sbe\" is for Binance's spot alone: use \"json\", or leave it out";
            return Err(("market_data", why.to_owned()));
        }
        if is_sbe && self.keys_file.is_none() {
            let why = "\"sbe\" needs a key, an Ed25519 one: name its file in keys_file";
            return Err(("market_data", why.to_owned()));
        }
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
    fn market_data_is_text_unless_there_is_more_and_a_key_for_it() {
        use super::MarketData;
        let with = |lines: &str, venue: &str| {
            let text = GOOD.replace("symbols = [", &format!("{lines}\nsymbols = ["));
            load(&text.replace("binance", venue))
        };
        let found = |lines: &str| with(lines, "binance").unwrap().venue["binance"].market_data;
        assert_eq!(found(""), MarketData::Json);
        assert_eq!(found("market_data = \"json\""), MarketData::Json);
        let sbe = "market_data = \"sbe\"\nkeys_file = \"k.toml\"";
        assert_eq!(found(sbe), MarketData::Sbe);
        for (lines, venue, why) in [
            ("market_data = \"sbe\"", "binance", "name its file"),
            (sbe, "binance-usdm", "spot alone"),
            (sbe, "okx", "spot alone"),
            ("market_data = \"xml\"", "binance", "json"),
        ] {
            let error = with(lines, venue).unwrap_err();
            assert!(
                error.contains("market_data") && error.contains(why),
                "{venue}: {error}"
            );
        }
    }

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
