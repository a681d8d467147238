//! Symbols and ids: the venue's text ⇄ ours.
//!
//! ```text
//! btcusdt                   spot, lower case without a separator
//! BTC-USDT                  swap; BTC-USDT-261225 dated; BTC_CQ coin-margined future: market data only
//! market.btcusdt.mbp.20     topic: the symbol ends at the second point
//! usdt                      asset; ours are in upper case
//! sl1z141z5                 our client order id: "sl" + base 36 (the venue takes letters, digits, _ and -)
//! 1314507823485263          the venue's order id: digits, packed as the number they are
//! 137005445109359286410323766   a public trade's id has up to 27 of them
//! ```
//! Source: venue page, sections 2, 3 and 4, read 2026-11-20.

use dp_types::{AssetId, ClientOrderId, OrderId, Text};
use dp_venue_api::Registry;
use dp_wire::ids::parse_u128;
pub use dp_wire::ids::{parse_base36, push_base36, write_u64, write_u128 as write_id};

/// Whether a symbol is of the spot market, the one we trade at.
pub fn is_spot(symbol: &str) -> bool {
    symbol
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// Symbol and channel of a market data topic, `market.SYMBOL.CHANNEL`.
pub fn split_topic(topic: &str) -> Option<(&str, &str)> {
    topic.strip_prefix("market.")?.split_once('.')
}

/// Longest asset name a registry takes.
const ASSET_MAX: usize = 15;

/// An asset's name as ours, in upper case, written into `buffer`; `None` when it is too long.
pub fn upper<'b>(name: &str, buffer: &'b mut [u8; ASSET_MAX]) -> Option<&'b str> {
    let place = buffer.get_mut(..name.len())?;
    place.copy_from_slice(name.as_bytes());
    place.make_ascii_uppercase();
    core::str::from_utf8(place).ok()
}

/// The asset of this name in the venue's lower case; `NONE` when nobody follows it.
pub fn asset(registry: &Registry, name: &str) -> AssetId {
    upper(name, &mut [0; ASSET_MAX])
        .and_then(|name| registry.find_asset(name))
        .unwrap_or(AssetId::NONE)
}

/// Marks our client order ids.
const CLIENT_PREFIX: &[u8] = b"sl";

/// Appends a client order id as the venue gets it.
pub fn push_client_id(id: ClientOrderId, out: &mut Vec<u8>) {
    out.extend_from_slice(CLIENT_PREFIX);
    push_base36(id.0, out);
}

/// Our id from the venue's text; `None` when the order is not one of ours.
pub fn parse_client_id(text: &[u8]) -> Option<ClientOrderId> {
    ClientOrderId::from_raw(parse_base36(text.strip_prefix(CLIENT_PREFIX)?)?)
}

/// A decimal integer id, 0 for empty text. `None` when its text would not come back exactly.
pub fn parse_id(text: &[u8]) -> Option<u128> {
    if text.is_empty() {
        Some(0)
    } else {
        parse_u128(text)
    }
}

/// The venue's text of an order id; empty for 0.
pub fn order_id_text(id: OrderId) -> Text<40> {
    if id.0 == 0 {
        return Text::EMPTY;
    }
    Text::lossy(write_id(id.0, &mut [0; 40]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Epoch, LaneId};
    use proptest::prelude::*;

    #[test]
    fn topics_and_symbols() {
        assert_eq!(
            split_topic("market.btcusdt.mbp.20"),
            Some(("btcusdt", "mbp.20"))
        );
        assert_eq!(
            split_topic("market.BTC-USDT.depth.size_150.high_freq"),
            Some(("BTC-USDT", "depth.size_150.high_freq"))
        );
        for none in ["", "market.btcusdt", "orders#btcusdt", "market."] {
            assert_eq!(split_topic(none), None);
        }
        assert!(is_spot("fil3susdt") && !is_spot("BTC-USDT") && !is_spot("BTC_CQ"));
    }

    #[test]
    fn assets_are_found_in_lower_case() {
        let mut registry = Registry::new();
        let usdt = registry.asset("USDT").unwrap();
        assert_eq!(asset(&registry, "usdt"), usdt);
        assert_eq!(asset(&registry, "btc"), AssetId::NONE);
        assert_eq!(asset(&registry, "anamethatisfartoolong"), AssetId::NONE);
    }

    #[test]
    fn the_ids_of_public_trades_have_27_digits() {
        let text = "137005445109359286410323766";
        assert_eq!(parse_id(text.as_bytes()), text.parse().ok());
        assert_eq!(order_id_text(OrderId(text.parse().unwrap())).as_str(), text);
    }

    #[test]
    fn first_client_id_and_foreign_ones() {
        let id = ClientOrderId::new(Epoch(1), LaneId(0), 1).unwrap();
        let mut text = Vec::new();
        push_client_id(id, &mut text);
        assert_eq!(text, b"sl1z141z5");
        assert_eq!(parse_client_id(&text), Some(id));
        for foreign in [
            "",
            "sl",
            "sl0",
            "sl01z141z5",
            "SL1z141z5",
            "hbx1",
            "sl1",
            "slzzzzzzzzzzzzzzzzz",
        ] {
            assert_eq!(parse_client_id(foreign.as_bytes()), None, "{foreign}");
        }
    }

    proptest! {
        #[test]
        fn client_ids_come_back(epoch in 1u16..=Epoch::MAX, lane in 0u8..16, sequence in 0u32..=ClientOrderId::SEQUENCE_MAX) {
            let id = ClientOrderId::new(Epoch(epoch), LaneId(lane), sequence).unwrap();
            let mut text = Vec::new();
            push_client_id(id, &mut text);
            prop_assert!(text.len() <= 32 && text.iter().all(u8::is_ascii_alphanumeric));
            prop_assert_eq!(parse_client_id(&text), Some(id));
        }

        #[test]
        fn order_ids_come_back(id in 1u128..10u128.pow(38)) {
            let text = order_id_text(OrderId(id));
            prop_assert_eq!(text.as_str(), id.to_string());
            prop_assert_eq!(parse_id(text.as_bytes()), Some(id));
        }

        #[test]
        fn any_bytes_are_an_id_or_none(text: Vec<u8>) {
            let _ = parse_client_id(&text);
            if let Some(id) = parse_id(&text) {
                prop_assert!(text.is_empty() || order_id_text(OrderId(id)).as_bytes() == text.as_slice() || id == 0);
            }
        }
    }
}
