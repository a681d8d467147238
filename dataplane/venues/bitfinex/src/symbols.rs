//! Symbols, ids, days and price steps: the venue's text ⇄ ours.
//!
//! ```text
//! tBTCUSD  tDUSK:USD     pair: two tickers, parted by a colon when one is longer than three letters
//! tBTCF0:USTF0           perpetual, settled in the second one's collateral
//! 4294967297             our client order id as it is: the venue takes 45 bits, and so many it has
//! 185815098001           the venue's order id: a number
//! 2023-11-14             UTC day of a submission; a client id names an order only together with it
//! ```
//! A venue that wants client ids unique within a UTC day gets ids that are unique for ever: they carry the
//! epoch. What else it wants of them, the day, is remembered in `sent`.
//!
//! There is no tick at this venue: a price has five significant digits. [`step_at`] is the step at one price.
//! Source: venue page, sections 2 and 4, read 2026-11-21.

use dp_types::{ClientOrderId, OrderId, Price, Side, Text};
pub use dp_wire::ids::{push_u64, write_u64};
use dp_wire::time::TimeText;

const DAY_MS: u64 = 86_400_000;

/// The symbol of a pair, as the lists of pairs name it: without the `t`. `None` for funding and strays.
pub fn pair(symbol: &str) -> Option<&str> {
    symbol.strip_prefix('t').filter(|pair| pair.len() >= 6)
}

/// Base and quote of a symbol, in the venue's own names (`UST` is Tether's dollar). `None` when it has no two.
pub fn assets(symbol: &str) -> Option<(&str, &str)> {
    let pair = pair(symbol)?;
    match pair.split_once(':') {
        Some((base, quote)) if !base.is_empty() && !quote.is_empty() => Some((base, quote)),
        Some(_) => None,
        None => pair.split_at_checked(3).filter(|_| pair.len() == 6),
    }
}

/// Whether an asset is one that derivatives are counted in.
pub fn is_collateral(asset: &str) -> bool {
    asset.ends_with("F0")
}

/// Whether a symbol is a perpetual.
pub fn is_derivative(symbol: &str) -> bool {
    assets(symbol).is_some_and(|(base, quote)| is_collateral(base) && is_collateral(quote))
}

/// A canonical integer: digits without a zero in front.
pub fn parse_u64(text: &str) -> Option<u64> {
    dp_wire::ids::parse_u64(text.as_bytes())
}

/// Our id from the venue's text of it; `None` when the order is not one of ours.
pub fn parse_client_id(text: &str) -> Option<ClientOrderId> {
    ClientOrderId::from_raw(parse_u64(text)?)
}

/// The venue's text of an order id; empty for 0 and for what is no id of this venue.
pub fn order_id_text(id: OrderId) -> Text<40> {
    match u64::try_from(id.0) {
        Ok(0) | Err(_) => Text::EMPTY,
        Ok(id) => Text::lossy(write_u64(id, &mut [0; 20])),
    }
}

/// A UTC day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(u32);

impl Day {
    /// The day of an instant, up to the year 9999 (later ones are its last).
    pub fn of_millis(unix_ms: u64) -> Self {
        const LAST: u64 = 2_932_896; // 9999-12-31
        Self((unix_ms / DAY_MS).min(LAST) as u32)
    }

    /// `YYYY-MM-DD`.
    pub fn text(self) -> TimeText {
        TimeText::date(u64::from(self.0).saturating_mul(86_400_000_000_000))
    }
}

/// The venue's price step at a price, both in increments: five significant digits, and no finer than one
/// increment. Cost: a division a digit.
pub const fn step_at(price: Price) -> Price {
    let (mut step, mut rest) = (1, price.0.unsigned_abs() / 100_000);
    while rest > 0 {
        step *= 10; // at most 10^14: the price has 19 digits
        rest /= 10;
    }
    Price(step)
}

/// A price as the venue takes it. It would cut what is finer, or round it, so we round before, and never to a
/// worse price than was asked for: buys down, sells up.
pub const fn rounded(price: Price, side: Side) -> Price {
    let step = step_at(price).0;
    let over = price.0.rem_euclid(step);
    match side {
        _ if over == 0 => price,
        Side::Buy => Price(price.0 - over),
        Side::Sell => Price(price.0.saturating_add(step - over)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Epoch, LaneId};
    use proptest::prelude::*;

    #[test]
    fn symbols_and_their_assets() {
        for (symbol, want) in [
            ("tBTCUSD", Some(("BTC", "USD"))),
            ("tDUSK:USD", Some(("DUSK", "USD"))),
            ("tBTCF0:USTF0", Some(("BTCF0", "USTF0"))),
            ("tTESTBTC:TESTUSD", Some(("TESTBTC", "TESTUSD"))),
            ("fUSD", None),
            ("tUSD", None),
            ("t:USDUSD", None),
            ("tBTCUSDX", None),
            ("tÄÖÜ", None),
            ("", None),
        ] {
            assert_eq!(assets(symbol), want, "{symbol}");
        }
        assert!(is_derivative("tBTCF0:USTF0") && !is_derivative("tBTCUSD"));
    }

    #[test]
    fn days_of_the_venue_page() {
        let day = |ms| Day::of_millis(ms).text().as_str().to_owned();
        assert_eq!(day(1_700_000_000_123), "2023-11-14");
        assert_eq!(day(0), "1970-01-01");
        assert_eq!(day(1_709_164_800_000), "2024-02-29");
        assert_eq!(day(1_709_251_199_999), "2024-02-29");
        assert_eq!(day(1_709_251_200_000), "2024-03-01");
    }

    #[test]
    fn five_digits_whatever_the_price() {
        // Ten decimals: 65001 legal, 65001.5 not, 0.00012340 legal, above 100,000 whole tens.
        for (price, buy, sell) in [
            (
                650_010_000_000_000,
                650_010_000_000_000,
                650_010_000_000_000,
            ),
            (
                650_015_000_000_000,
                650_010_000_000_000,
                650_020_000_000_000,
            ),
            (
                999_995_000_000_000,
                999_990_000_000_000,
                1_000_000_000_000_000,
            ),
            (
                1_000_050_000_000_000,
                1_000_000_000_000_000,
                1_000_100_000_000_000,
            ),
            (1_234_000, 1_234_000, 1_234_000),
            (1_234_567, 1_234_500, 1_234_600),
            (12_345, 12_345, 12_345),
            (0, 0, 0),
        ] {
            assert_eq!(rounded(Price(price), Side::Buy), Price(buy));
            assert_eq!(rounded(Price(price), Side::Sell), Price(sell));
        }
        assert_eq!(
            step_at(Price(650_000_000_000_000)),
            Price(10_000_000_000),
            "one dollar at 65,000"
        );
    }

    proptest! {
        #[test]
        fn rounding_is_legal_and_never_worse(price in 0..i64::MAX / 2) {
            let (buy, sell) = (rounded(Price(price), Side::Buy), rounded(Price(price), Side::Sell));
            prop_assert!(buy.0 <= price && price <= sell.0);
            for made in [buy, sell] {
                let digits = made.0.to_string();
                prop_assert!(digits.trim_end_matches('0').len() <= 5, "{digits}");
                prop_assert!((made.0 - price).abs() < step_at(Price(price)).0);
            }
        }

        #[test]
        fn client_ids_come_back(epoch in 1u16..=Epoch::MAX, lane in 0u8..16, sequence in 0u32..=ClientOrderId::SEQUENCE_MAX) {
            let id = ClientOrderId::new(Epoch(epoch), LaneId(lane), sequence).unwrap();
            let mut text = Vec::new();
            push_u64(id.0, &mut text);
            prop_assert_eq!(parse_client_id(std::str::from_utf8(&text).unwrap()), Some(id));
        }

        #[test]
        fn order_ids_come_back(id in 1u64..) {
            let text = order_id_text(OrderId(u128::from(id)));
            prop_assert_eq!(text.as_str(), id.to_string());
            prop_assert_eq!(parse_u64(text.as_str()), Some(id));
        }

        #[test]
        fn any_text_is_an_id_or_none(text: String) {
            let _ = (parse_client_id(&text), assets(&text), pair(&text));
            prop_assert_eq!(parse_u64(&text).is_some_and(|id| id.to_string() != text), false);
        }
    }
}
