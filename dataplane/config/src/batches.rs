//! New orders that go together, at venues where that is a choice.

use crate::Venue;
use dp_types::VenueId;
use serde::Deserialize;

/// How new orders of one decision on one instrument go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Batches {
    /// As the order link has it: each by itself where it takes no several.
    #[default]
    Off,
    /// In one REST request.
    Rest,
}

/// Venues whose order link takes each order by itself, and whose REST takes several: as their machines say.
pub const BATCHES_BY_REST: [VenueId; 2] = [VenueId::BINANCE_USDM, VenueId::KUCOIN];
/// Venues whose order link takes several, and always gets them: as their machines say.
pub const BATCHES_BY_LINK: [VenueId; 6] = [
    VenueId::BITFINEX,
    VenueId::BYBIT,
    VenueId::HUOBI,
    VenueId::KRAKEN,
    VenueId::KRAKEN_FUTURES,
    VenueId::OKX,
];

impl Venue {
    /// Errors: the key, and what is wrong with it.
    pub(crate) fn check_batches(&self, name: &str) -> Result<(), (&'static str, String)> {
        if self.batches == Batches::Off {
            return Ok(());
        }
        let id = VenueId::from_name(name);
        let is_among = |venues: &[VenueId]| id.is_some_and(|id| venues.contains(&id));
        let why = if is_among(&BATCHES_BY_LINK) {
            "its order link carries orders of one decision together, always: leave the key out"
        } else if !is_among(&BATCHES_BY_REST) {
            "\"rest\" is for binance-usdm and kucoin, which take several orders by REST alone: leave the key out"
        } else if self.keys_file.is_none() {
            "\"rest\" sends orders, which need a key: name its file in keys_file, or leave this out"
        } else {
            return Ok(());
        };
        Err(("batches", why.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::Batches;
    use crate::tests::{GOOD, load};

    #[test]
    fn batches_by_rest_are_for_who_has_them_and_asks() {
        let with = |lines: &str, venue: &str| {
            let text = GOOD.replace("symbols = [", &format!("{lines}\nsymbols = ["));
            load(&text.replace("binance", venue))
        };
        let found = |lines: &str, venue: &str| with(lines, venue).unwrap().venue[venue].batches;
        let rest = "batches = \"rest\"\nkeys_file = \"k.toml\"";
        for venue in ["binance-usdm", "kucoin"] {
            assert_eq!(found("", venue), Batches::Off);
            assert_eq!(found("batches = \"off\"", venue), Batches::Off);
            assert_eq!(found(rest, venue), Batches::Rest);
        }
        for (lines, venue, why) in [
            ("batches = \"rest\"", "kucoin", "name its file"),
            (rest, "binance", "for binance-usdm and kucoin"),
            (rest, "deribit", "for binance-usdm and kucoin"),
            (rest, "okx", "together, always"),
            (rest, "bybit", "together, always"),
            (rest, "huobi", "together, always"),
            ("batches = true", "kucoin", "string"),
            ("batches = \"ws\"", "kucoin", "rest"),
        ] {
            let error = with(lines, venue).unwrap_err();
            let is_told = error.contains("batches") && error.contains(why);
            assert!(is_told, "{venue}: {error}");
        }
    }
}
