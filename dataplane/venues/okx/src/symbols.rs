//! Symbols, ids and instrument rules: the venue's text ⇄ ours.
//!
//! ```text
//! BTC-USDT                  spot       sizes in base
//! BTC-USDT-SWAP             swap       sizes in contracts of ctVal x ctMult
//! BTC-USDT-261225           future     YYMMDD
//! BTC-USD-261225-70000-C    option
//! sl1z141z5                 our client order id: "sl" + base 36, letters and digits only
//! 2497956918703120384       the venue's order id: digits, packed as the number they are
//! ```
//! Source: venue page, sections 2 and 4, read 2026-11-20.

use dp_types::{ClientOrderId, OrderId, Text};
use dp_wire::ids::parse_u128;
pub use dp_wire::ids::{parse_base36, push_base36, write_u64, write_u128 as write_id};

/// The venue's instrument types, by the form of the symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstType {
    /// Spot pair.
    Spot,
    /// Perpetual swap.
    Swap,
    /// Dated future.
    Futures,
    /// Option.
    Option,
}

impl InstType {
    /// All, in the order they are asked for.
    pub const ALL: [Self; 4] = [Self::Spot, Self::Swap, Self::Futures, Self::Option];

    /// The venue's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Spot => "SPOT",
            Self::Swap => "SWAP",
            Self::Futures => "FUTURES",
            Self::Option => "OPTION",
        }
    }

    /// What a symbol is, by its parts.
    pub fn of(symbol: &str) -> Self {
        match (symbol.split('-').count(), symbol.ends_with("-SWAP")) {
            (_, true) => Self::Swap,
            (0..=2, _) => Self::Spot,
            (3, _) => Self::Futures,
            _ => Self::Option,
        }
    }

    /// The trade mode of its orders: spot from cash, the rest cross margin.
    pub const fn td_mode(self) -> &'static str {
        match self {
            Self::Spot => "cash",
            Self::Swap | Self::Futures | Self::Option => "cross",
        }
    }
}

/// Marks our client order ids; letters because the venue takes no dash.
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
    fn types_by_form() {
        for (symbol, kind) in [
            ("BTC-USDT", InstType::Spot),
            ("BTC-USDT-SWAP", InstType::Swap),
            ("BTC-USD-220527", InstType::Futures),
            ("BTC-USD-210924-42000-P", InstType::Option),
        ] {
            assert_eq!(InstType::of(symbol), kind, "{symbol}");
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
