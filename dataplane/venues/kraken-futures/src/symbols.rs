//! Symbols and ids: the venue's text ⇄ ours.
//!
//! ```text
//! PF_XBTUSD            linear perpetual      quantity in base units
//! PI_XBTUSD            inverse perpetual     quantity in contracts of one dollar
//! FF_XBTUSD_261225     linear dated          YYMMDD
//! FI_XBTUSD_261225     inverse dated
//! 736c0000-0000-4000-8000-000100000001       our client order id: a UUID whose last 48 bits are the id
//! cff769bb-dc52-56e1-98c8-22301dc888ae       the venue's order id, packed as the 128 bits it is
//! ```
//! A UUID is the one form of a client order id that the venue shows for derivatives; the free text of its spot
//! market is [U] here. The venue writes symbols in capitals; its instruments list of 2021 wrote small letters.
//! Source: venue page, sections 2, 3 and 4, read 2026-11-20.

use dp_types::{ClientOrderId, OrderId, Text, TradeId};
pub use dp_wire::ids::{UUID_LEN, parse_uuid, push_u64, uuid_text};
use dp_wire::json::Value;

/// What our client order ids begin with: "sl" in ASCII, then the marks of a random UUID (version 4, variant 1).
const CLIENT_HIGH: u128 = 0x736c_0000_0000_4000_8000_0000_0000_0000;
/// The last group of a UUID: a client order id has 45 bits.
const CLIENT_MASK: u128 = (1 << 48) - 1;
/// Longest symbol: `FF_` with ten letters and a date has 20.
pub const SYMBOL_MAX: usize = 31;

/// Our client order id as the venue gets it.
pub fn client_id_text(id: ClientOrderId) -> [u8; UUID_LEN] {
    uuid_text(CLIENT_HIGH | u128::from(id.0) & CLIENT_MASK)
}

/// Our id from the venue's text; `None` when the order is not one of ours.
pub fn parse_client_id(text: &[u8]) -> Option<ClientOrderId> {
    let value = parse_uuid(text)?;
    if value & !CLIENT_MASK != CLIENT_HIGH {
        return None;
    }
    u64::try_from(value & CLIENT_MASK)
        .ok()
        .and_then(ClientOrderId::from_raw)
}

/// An id of the venue; `None` when it is no UUID, or one of 64 bits, which no version of UUIDs makes: such a number
/// stands for itself.
pub fn parse_order_id(text: &[u8]) -> Option<OrderId> {
    parse_uuid(text)
        .filter(|value| value >> 64 != 0)
        .map(OrderId)
}

/// The venue's text of an order or trade id: a UUID, or the digits of a number; empty for 0.
pub fn order_id_text(id: OrderId) -> Text<40> {
    if id.0 == 0 {
        return Text::EMPTY;
    }
    if let Ok(number) = u64::try_from(id.0) {
        let mut digits = Vec::with_capacity(20);
        push_u64(number, &mut digits);
        return core::str::from_utf8(&digits).map_or(Text::EMPTY, Text::lossy);
    }
    core::str::from_utf8(&uuid_text(id.0)).map_or(Text::EMPTY, Text::lossy)
}

/// The id of a trade: a UUID, or a number as the spot market has it (which of them the Unified WebSocket sends
/// for derivatives is [U]).
pub fn parse_trade_id(value: Value<'_>) -> Option<TradeId> {
    let number = |text: &str| text.parse::<u64>().ok().map(u128::from);
    match value.as_str() {
        Some(text) => parse_uuid(text.as_bytes()).or_else(|| number(text)),
        None => value.as_u64().map(u128::from),
    }
    .map(TradeId)
}

/// A symbol as the feeds write it; `None` when it is longer than any.
pub fn capitals<'a>(symbol: &str, buffer: &'a mut [u8; SYMBOL_MAX]) -> Option<&'a [u8]> {
    let room = buffer.get_mut(..symbol.len())?;
    room.copy_from_slice(symbol.as_bytes());
    room.make_ascii_uppercase();
    Some(room)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Epoch, LaneId};
    use proptest::prelude::*;

    #[test]
    fn first_client_id_and_foreign_ones() {
        let id = ClientOrderId::new(Epoch(1), LaneId(0), 1).unwrap();
        let text = client_id_text(id);
        assert_eq!(&text, b"736c0000-0000-4000-8000-000100000001");
        assert_eq!(parse_client_id(&text), Some(id));
        for foreign in [
            "",
            "hbx-1",
            "6d1b345e-2821-40e2-ad83-4ecb18a06876",
            "736C0000-0000-4000-8000-000100000001",
            "736c0000-0000-4000-8000-000000000001",
            "736c0000-0000-4000-8000-ffffffffffff",
            "736c0000-0000-4000-8000-0001000000010",
            "736c00000000-4000-8000-0001000000010-",
        ] {
            assert_eq!(parse_client_id(foreign.as_bytes()), None, "{foreign}");
        }
    }

    #[test]
    fn numbers_are_shown_as_they_are() {
        assert_eq!(order_id_text(OrderId(10_218_208)).as_str(), "10218208");
        assert_eq!(order_id_text(OrderId(0)).as_str(), "");
        assert_eq!(
            parse_order_id(b"00000000-0000-0000-0000-0000009beaa0"),
            None
        );
    }

    #[test]
    fn small_letters_are_the_same_symbol() {
        let mut buffer = [0; SYMBOL_MAX];
        assert_eq!(capitals("pi_xbtusd", &mut buffer), Some(&b"PI_XBTUSD"[..]));
        assert_eq!(capitals(&"x".repeat(32), &mut buffer), None);
    }

    proptest! {
        #[test]
        fn client_ids_come_back(epoch in 1u16..=Epoch::MAX, lane in 0u8..16, sequence in 0u32..=ClientOrderId::SEQUENCE_MAX) {
            let id = ClientOrderId::new(Epoch(epoch), LaneId(lane), sequence).unwrap();
            prop_assert_eq!(parse_client_id(&client_id_text(id)), Some(id));
        }

        #[test]
        fn order_ids_come_back(id in 1u128 << 64..) {
            let text = order_id_text(OrderId(id));
            prop_assert_eq!(text.as_str().len(), UUID_LEN);
            prop_assert_eq!(parse_order_id(text.as_bytes()), Some(OrderId(id)));
        }

        #[test]
        fn any_text_is_an_id_or_none(text in "[0-9a-fA-F-]{30,40}") {
            let _ = parse_client_id(text.as_bytes());
            if let Some(id) = parse_uuid(text.as_bytes()) {
                let again = uuid_text(id);
                prop_assert_eq!(again.as_slice(), text.as_bytes());
            }
        }

        #[test]
        fn integers_print_as_the_formatter_does(value: u64) {
            let mut out = Vec::new();
            push_u64(value, &mut out);
            prop_assert_eq!(out, value.to_string().into_bytes());
        }
    }
}
