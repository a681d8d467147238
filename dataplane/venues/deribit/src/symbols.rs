//! Symbols and ids: the venue's text ⇄ ours.
//!
//! ```text
//! BTC-PERPETUAL  ETH-27NOV26     inverse futures: amounts in USD
//! BTC_USDC-PERPETUAL             linear futures: amounts in base
//! BTC-27NOV26-70000-C            options: amounts in base, prices in base
//! BTC_USDC                       spot
//! sl1z141z5                      our client order id, sent as `label`: "sl" + base 36
//! 104819327443  ETH-349249       the venue's ids of orders and trades
//!
//! packed id   prefix, up to 8 bytes of A-Z 0-9 _ │ number, 64 bits
//! ```
//! A label need not be unique at the venue; ours are, because no two client order ids are alike.
//! Source: venue page, sections 2 and 4, read 2026-11-20.

use dp_types::{ClientOrderId, OrderId, Text, TradeId};
use dp_wire::ids::parse_u64;
pub use dp_wire::ids::{parse_base36, push_base36, push_u64};

/// The currency an instrument is settled in, as the venue asks for it beside a label: `BTC` of `BTC-PERPETUAL`,
/// `USDC` of `ETH_USDC-PERPETUAL`. [U] for spot, where it is taken to be the quote currency.
pub fn currency(symbol: &str) -> &str {
    let pair = symbol.split('-').next().unwrap_or(symbol);
    pair.split_once('_').map_or(pair, |(_, settled)| settled)
}

/// Whether a symbol is a spot pair's: it has no position.
pub fn is_spot(symbol: &str) -> bool {
    symbol.contains('_') && !symbol.contains('-')
}

/// Marks our labels.
pub(crate) const CLIENT_PREFIX: &[u8] = b"sl";

/// Appends a client order id as the venue gets it.
pub fn push_client_id(id: ClientOrderId, out: &mut Vec<u8>) {
    out.extend_from_slice(CLIENT_PREFIX);
    push_base36(id.0, out);
}

/// Our id from the venue's text; `None` when the order is not one of ours.
pub fn parse_client_id(text: &[u8]) -> Option<ClientOrderId> {
    ClientOrderId::from_raw(parse_base36(text.strip_prefix(CLIENT_PREFIX)?)?)
}

/// Longest prefix of an id: `BTC_USDC`.
const PREFIX_MAX: usize = 8;

/// A venue's id of an order or a trade, packed. `None` when its text would not come back exactly, and for `0`.
pub fn parse_id(text: &[u8]) -> Option<u128> {
    let (prefix, digits) = match text.iter().rposition(|byte| *byte == b'-') {
        None => (&[][..], text),
        Some(0) => return None,
        Some(at) => (text.get(..at)?, text.get(at + 1..)?),
    };
    let is_letter = |byte: &u8| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_');
    if prefix.len() > PREFIX_MAX || !prefix.iter().all(is_letter) {
        return None;
    }
    let number = parse_u64(digits)?;
    let name = prefix
        .iter()
        .fold(0u64, |name, byte| name << 8 | u64::from(*byte));
    Some(u128::from(name) << 64 | u128::from(number)).filter(|id| *id != 0)
}

/// The text of a packed id, written into `buffer`: 8 bytes, a dash, 20 digits at most.
pub fn write_id(id: u128, buffer: &mut [u8; 40]) -> &str {
    let (prefix, mut rest) = ((id >> 64) as u64, id as u64);
    let mut start = buffer.len();
    let mut put = |byte| {
        if let Some(at) = start.checked_sub(1)
            && let Some(slot) = buffer.get_mut(at)
        {
            (*slot, start) = (byte, at);
        }
    };
    loop {
        put(b'0' + (rest % 10) as u8);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    let mut left = prefix;
    if left != 0 {
        put(b'-');
    }
    while left != 0 {
        put(left as u8);
        left >>= 8;
    }
    let text = buffer.get(start..).unwrap_or(&[]);
    core::str::from_utf8(text).unwrap_or("")
}

/// The venue's text of an order id; empty for 0.
pub fn order_id_text(id: OrderId) -> Text<40> {
    if id.0 == 0 {
        return Text::EMPTY;
    }
    Text::lossy(write_id(id.0, &mut [0; 40]))
}

/// The venue's text of a trade's id; empty for 0.
pub fn trade_id_text(id: TradeId) -> Text<40> {
    order_id_text(OrderId(id.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Epoch, LaneId};
    use proptest::prelude::*;

    #[test]
    fn a_pair_without_a_dash_is_spot() {
        assert!(is_spot("BTC_USDC") && is_spot("ETH_BTC"));
        for derivative in [
            "BTC-PERPETUAL",
            "BTC_USDC-PERPETUAL",
            "XRP_USDC-30JUN26-0d5-C",
        ] {
            assert!(!is_spot(derivative), "{derivative}");
        }
    }

    #[test]
    fn currencies_by_form() {
        for (symbol, name) in [
            ("BTC-PERPETUAL", "BTC"),
            ("ETH-27NOV26", "ETH"),
            ("BTC-27NOV26-70000-C", "BTC"),
            ("BTC_USDC-PERPETUAL", "USDC"),
            ("XRP_USDC-30JUN26-0d5-C", "USDC"),
            ("BTC_USDT", "USDT"),
            ("BTC-CS-27NOV26-70000_75000", "BTC"),
            ("", ""),
        ] {
            assert_eq!(currency(symbol), name, "{symbol}");
        }
    }

    #[test]
    fn first_client_id_and_foreign_ones() {
        let id = ClientOrderId::new(Epoch(1), LaneId(0), 1).unwrap();
        let mut text = Vec::new();
        push_client_id(id, &mut text);
        assert_eq!(text, b"sl1z141z5");
        assert_eq!(parse_client_id(&text), Some(id));
        for foreign in ["", "sl", "sl0", "sl01z141z5", "SL1z141z5", "hbx-1", "sl1"] {
            assert_eq!(parse_client_id(foreign.as_bytes()), None, "{foreign}");
        }
    }

    #[test]
    fn ids_of_every_form() {
        for text in [
            "104819327443",
            "ETH-349249",
            "BTC_USDC-1",
            "SLIS-20",
            "ETH-0",
            "18446744073709551615",
        ] {
            let id = parse_id(text.as_bytes()).unwrap();
            assert_eq!(order_id_text(OrderId(id)).as_str(), text);
        }
        for text in [
            "",
            "0",
            "-",
            "-1",
            "ETH-",
            "ETH-01",
            "01",
            "eth-1",
            "18446744073709551616",
            "BTC_USDCX-1",
            "A-B-1",
            "ETH 1",
            "1.0",
        ] {
            assert_eq!(parse_id(text.as_bytes()), None, "{text}");
        }
        assert_eq!(order_id_text(OrderId(0)).as_str(), "");
    }

    proptest! {
        #[test]
        fn client_ids_come_back(epoch in 1u16..=Epoch::MAX, lane in 0u8..16, sequence in 0u32..=ClientOrderId::SEQUENCE_MAX) {
            let id = ClientOrderId::new(Epoch(epoch), LaneId(lane), sequence).unwrap();
            let mut text = Vec::new();
            push_client_id(id, &mut text);
            prop_assert!(text.len() <= 64 && text.iter().all(u8::is_ascii_alphanumeric));
            prop_assert_eq!(parse_client_id(&text), Some(id));
        }

        #[test]
        fn any_bytes_are_an_id_that_comes_back_or_none(text: Vec<u8>) {
            let _ = parse_client_id(&text);
            if let Some(id) = parse_id(&text) {
                let back = order_id_text(OrderId(id));
                prop_assert_eq!(back.as_bytes(), text.as_slice());
            }
        }

        #[test]
        fn made_up_ids_come_back(text in "([A-Z0-9_]{1,8}-)?[1-9][0-9]{0,18}") {
            let id = parse_id(text.as_bytes()).unwrap();
            let back = order_id_text(OrderId(id));
            prop_assert_eq!(back.as_str(), text);
        }
    }
}
