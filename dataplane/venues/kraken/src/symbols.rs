//! Symbols, assets and ids: the venue's text ⇄ ours.
//!
//! ```text
//! BTC/USD                  WebSocket v2: the symbols we follow
//! XBT/USD                  WebSocket v1, the same pair: a symbol of its own, seen in recordings only
//! XBTUSD   XXBTZUSD        REST: the v1 name without its slash, or both assets by their old keys
//! sl1z141z5                our client order id: "sl" + base 36; free text of at most 18 characters
//! OABCDE-12345-FGHIJK      the venue's ids of orders and executions: packed in bijective base 37
//! ```
//! Source: venue page, sections 2 and 4, read 2026-11-20; the REST names were compared with all 293 pairs of a
//! recorded list.

use crate::ID;
use dp_types::{ClientOrderId, InstrumentId, OrderId, Text};
use dp_venue_api::Registry;
use dp_wire::digits::Digits;

/// Assets whose REST key has a letter before the name: `XXBT`, `ZUSD`. Newer ones have none.
const LEGACY_ASSETS: [&str; 17] = [
    "XETC", "XETH", "XLTC", "XMLN", "XREP", "XXBT", "XXDG", "XXLM", "XXMR", "XXRP", "XZEC", "ZAUD",
    "ZCAD", "ZEUR", "ZGBP", "ZJPY", "ZUSD",
];

/// The v2 name of an asset, from its REST key, its v1 name or itself.
pub fn asset_name(name: &str) -> &str {
    let name = match name.get(1..) {
        Some(rest) if LEGACY_ASSETS.contains(&name) => rest,
        _ => name,
    };
    match name {
        "XBT" => "BTC",
        "XDG" => "DOGE",
        name => name,
    }
}

/// The name an asset has in v1 symbols and in REST pairs.
fn old_name(asset: &str) -> &str {
    match asset {
        "BTC" => "XBT",
        "DOGE" => "XDG",
        asset => asset,
    }
}

/// Whether `key` is the REST key of the asset with this old name.
fn is_key(key: &str, old: &str) -> bool {
    key == old || (LEGACY_ASSETS.contains(&key) && key.get(1..) == Some(old))
}

/// Whether a REST or v1 name of a pair means this symbol.
pub(crate) fn is_pair(symbol: &str, pair: &str) -> bool {
    let Some((base, quote)) = symbol.split_once('/') else {
        return false;
    };
    let (base, quote) = (old_name(base), old_name(quote));
    if let Some((first, second)) = pair.split_once('/') {
        return old_name(first) == base && old_name(second) == quote;
    }
    [base.len(), base.len() + 1].into_iter().any(|at| {
        pair.split_at_checked(at)
            .is_some_and(|(first, second)| is_key(first, base) && is_key(second, quote))
    })
}

/// The instrument a REST answer's pair names. Cost: a scan over the instruments; cold.
pub fn find_pair(registry: &Registry, pair: &str) -> Option<InstrumentId> {
    registry.find(ID, pair.as_bytes()).or_else(|| {
        let is_ours = |symbol: &str| is_pair(symbol, pair);
        let mut instruments = registry.instruments().iter();
        instruments
            .find(|known| known.venue == ID && is_ours(known.symbol.as_str()))
            .map(|known| known.id)
    })
}

/// Marks our client order ids.
pub(crate) const CLIENT_PREFIX: &[u8] = b"sl";

/// Appends a client order id as the venue gets it.
pub fn push_client_id(id: ClientOrderId, out: &mut Vec<u8>) {
    out.extend_from_slice(CLIENT_PREFIX);
    out.extend_from_slice(Digits::base36(id.0).as_bytes());
}

/// Our id from the venue's text; `None` when the order is not one of ours.
pub fn parse_client_id(text: &[u8]) -> Option<ClientOrderId> {
    let digits = text.strip_prefix(CLIENT_PREFIX)?;
    if digits.is_empty() || digits.starts_with(b"0") {
        return None; // not the canonical form
    }
    let value = digits.iter().try_fold(0u64, |value, &byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'z' => byte - b'a' + 10,
            _ => return None,
        };
        value.checked_mul(36)?.checked_add(u64::from(digit))
    })?;
    ClientOrderId::from_raw(value)
}

/// Longest id that is packed: 37^24 and all shorter ones are near 4.5 x 10^37, below 2^128.
const ID_LEN_MAX: usize = 24;
const ID_BASE: u128 = 37;

/// Packs an id of capital letters, digits and dashes so that its text comes back exactly; 0 for empty text.
/// `None` for any other text.
pub fn pack_id(text: &[u8]) -> Option<u128> {
    if text.len() > ID_LEN_MAX {
        return None;
    }
    text.iter().try_fold(0u128, |value, &byte| {
        // Digits from 1: without a zero every text has a number of its own.
        let digit = match byte {
            b'-' => 1,
            b'0'..=b'9' => byte - b'0' + 2,
            b'A'..=b'Z' => byte - b'A' + 12,
            _ => return None,
        };
        Some(value * ID_BASE + u128::from(digit))
    })
}

/// The venue's text of an order id or an execution's id; empty for 0.
pub fn order_id_text(id: OrderId) -> Text<40> {
    let mut text = [0u8; 40];
    let (mut rest, mut start) = (id.0, text.len());
    for (at, slot) in text.iter_mut().enumerate().rev() {
        if rest == 0 {
            break;
        }
        let digit = ((rest - 1) % ID_BASE) as u8;
        *slot = match digit {
            0 => b'-',
            1..=10 => b'0' + digit - 1,
            _ => b'A' + digit - 11,
        };
        rest = (rest - 1) / ID_BASE;
        start = at;
    }
    let text = text.get(start..).unwrap_or(&[]);
    Text::lossy(core::str::from_utf8(text).unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Epoch, LaneId};
    use proptest::prelude::*;

    #[test]
    fn assets_and_pairs_of_all_spellings() {
        for (name, want) in [
            ("XXBT", "BTC"),
            ("XBT", "BTC"),
            ("BTC", "BTC"),
            ("XXDG", "DOGE"),
            ("ZUSD", "USD"),
            ("XETH", "ETH"),
            ("XTZ", "XTZ"),
            ("XTSTCUR", "XTSTCUR"),
            ("", ""),
        ] {
            assert_eq!(asset_name(name), want);
        }
        let mut registry = Registry::new();
        let mut of = |symbol| registry.register(ID, symbol, 1, 8).unwrap();
        let (btc, doge, ada, xtz) = (of("BTC/USD"), of("DOGE/EUR"), of("ADA/BTC"), of("XTZ/USD"));
        for (pair, want) in [
            ("XBTUSD", Some(btc)),
            ("XXBTZUSD", Some(btc)),
            ("XBT/USD", Some(btc)),
            ("BTC/USD", Some(btc)),
            ("XDGEUR", Some(doge)),
            ("ADAXBT", Some(ada)),
            ("XTZUSD", Some(xtz)),
            ("XBTEUR", None),
            ("XBTUSDT", None),
            ("XBTUSD.d", None),
            ("", None),
        ] {
            assert_eq!(find_pair(&registry, pair), want, "{pair}");
        }
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
            "hbx-000001",
            "sl1",
        ] {
            assert_eq!(parse_client_id(foreign.as_bytes()), None, "{foreign}");
        }
    }

    #[test]
    fn ids_of_the_venue_come_back() {
        for text in [
            "OABCDE-12345-FGHIJK",
            "TQVW2E-DGIAM-WPWXDI",
            "ONRNOX-DVI4W-76DL6Q-1",
            "000000-00000-000000",
            "-",
            "ZZZZZZZZZZZZZZZZZZZZZZZZ",
            "",
        ] {
            let id = pack_id(text.as_bytes()).unwrap();
            assert_eq!(order_id_text(OrderId(id)).as_str(), text);
        }
        for foreign in ["oabcde", "A_B", "ZZZZZZZZZZZZZZZZZZZZZZZZZ", "Ö"] {
            assert_eq!(pack_id(foreign.as_bytes()), None, "{foreign}");
        }
    }

    proptest! {
        #[test]
        fn client_ids_come_back(epoch in 1u16..=Epoch::MAX, lane in 0u8..16, sequence in 0u32..=ClientOrderId::SEQUENCE_MAX) {
            let id = ClientOrderId::new(Epoch(epoch), LaneId(lane), sequence).unwrap();
            let mut text = Vec::new();
            push_client_id(id, &mut text);
            prop_assert!(text.len() <= 18 && text.iter().all(u8::is_ascii_alphanumeric));
            prop_assert_eq!(parse_client_id(&text), Some(id));
        }

        #[test]
        fn packed_ids_are_different_and_come_back(one in "[A-Z0-9-]{0,24}", other in "[A-Z0-9-]{0,24}") {
            let (a, b) = (pack_id(one.as_bytes()).unwrap(), pack_id(other.as_bytes()).unwrap());
            prop_assert_eq!(a == b, one == other);
            let text = order_id_text(OrderId(a));
            prop_assert_eq!(text.as_str(), one);
        }

        #[test]
        fn any_number_has_a_text(id: u128) {
            prop_assert!(order_id_text(OrderId(id)).as_str().len() <= 40);
        }
    }
}
