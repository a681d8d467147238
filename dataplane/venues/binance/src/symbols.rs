//! Names: client order ids as Binance text, the venue's numeric ids, symbols in both cases.
//!
//! A client order id is `sl-` and base 36: inside `^[a-zA-Z0-9-_]{1,36}$`, unique among all orders ever.

use dp_types::{ClientOrderId, OrderId, Text, TradeId};

/// Longest base-36 text of a `u64`.
const BASE36_MAX: usize = 13;
const PREFIX: &[u8] = b"sl-";

/// A `u64` in base 36, in place.
pub fn base36(mut value: u64) -> Text<16> {
    let mut digits = [b'0'; BASE36_MAX];
    let mut at = digits.len();
    loop {
        at -= 1;
        if let Some(slot) = digits.get_mut(at) {
            *slot = b"0123456789abcdefghijklmnopqrstuvwxyz"[(value % 36) as usize];
        }
        value /= 36;
        if value == 0 || at == 0 {
            break;
        }
    }
    digits
        .get(at..)
        .and_then(|text| core::str::from_utf8(text).ok())
        .and_then(Text::new)
        .unwrap_or_default()
}

/// The inverse of [`base36`]. `None` for other texts and for numbers over 64 bits.
pub fn from_base36(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > BASE36_MAX {
        return None;
    }
    text.iter().try_fold(0u64, |value, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'z' => byte - b'a' + 10,
            _ => return None,
        };
        value.checked_mul(36)?.checked_add(u64::from(digit))
    })
}

/// A client order id as Binance text.
pub fn client_text(id: ClientOrderId) -> Text<20> {
    let mut text = [0; 20];
    let digits = base36(id.0);
    let len = PREFIX.len() + digits.as_bytes().len();
    for (slot, byte) in text.iter_mut().zip(PREFIX.iter().chain(digits.as_bytes())) {
        *slot = *byte;
    }
    text.get(..len)
        .and_then(|text| core::str::from_utf8(text).ok())
        .and_then(Text::new)
        .unwrap_or_default()
}

/// The inverse of [`client_text`]; `None` when the order is not one of ours.
pub fn client_id(text: &str) -> Option<ClientOrderId> {
    let digits = text.as_bytes().strip_prefix(PREFIX)?;
    let id = from_base36(digits).and_then(ClientOrderId::from_raw)?;
    (client_text(id).as_str() == text).then_some(id)
}

/// An order id: Binance's are positive 64-bit numbers. -1 and 0 mean none.
pub fn order_id(raw: i64) -> OrderId {
    OrderId(u128::try_from(raw).unwrap_or(0))
}

/// A trade id. -1 means none.
pub fn trade_id(raw: i64) -> TradeId {
    TradeId(u128::try_from(raw).unwrap_or(0))
}

/// The venue's text of an order id.
pub fn order_id_text(id: OrderId) -> Text<40> {
    let mut digits = [b'0'; 39];
    let (mut rest, mut at) = (id.0, digits.len());
    loop {
        at -= 1;
        if let Some(slot) = digits.get_mut(at) {
            *slot = b'0' + (rest % 10) as u8;
        }
        rest /= 10;
        if rest == 0 || at == 0 {
            break;
        }
    }
    digits
        .get(at..)
        .and_then(|text| core::str::from_utf8(text).ok())
        .and_then(Text::new)
        .unwrap_or_default()
}

/// The symbol of a stream name (`btcusdt@depth`), in the upper case everything else uses.
pub fn of_stream(stream: &str) -> Text<31> {
    let lower = stream.split('@').next().unwrap_or_default();
    let mut upper = [0; 31];
    let Some(slots) = upper.get_mut(..lower.len()) else {
        return Text::EMPTY;
    };
    for (slot, byte) in slots.iter_mut().zip(lower.bytes()) {
        *slot = byte.to_ascii_uppercase();
    }
    core::str::from_utf8(slots)
        .ok()
        .and_then(Text::new)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Epoch, LaneId};
    use proptest::prelude::*;

    #[test]
    fn foreign_ids_are_not_ours() {
        for text in [
            "",
            "sl-",
            "sl-zzzzzzzzzzzzzz",
            "sl-A",
            "hbx-1",
            "sl-1",
            "sl-01z141z4",
        ] {
            assert_eq!(client_id(text), None, "{text}");
        }
    }

    #[test]
    fn symbols_of_streams() {
        assert_eq!(of_stream("btcusdt@depth@100ms").as_str(), "BTCUSDT");
        assert_eq!(of_stream("!miniTicker@arr").as_str(), "!MINITICKER");
    }

    proptest! {
        #[test]
        fn client_ids_come_back(epoch in 1u16..=8191, lane in 0u8..16, sequence in 0u32..1 << 28) {
            let id = ClientOrderId::new(Epoch(epoch), LaneId(lane), sequence).unwrap();
            let text = client_text(id);
            prop_assert!(text.as_str().len() <= 36);
            prop_assert_eq!(client_id(text.as_str()), Some(id));
        }

        #[test]
        fn numbers_come_back(value: u64) {
            prop_assert_eq!(from_base36(base36(value).as_bytes()), Some(value));
            let text = order_id_text(OrderId(value.into()));
            prop_assert_eq!(text.as_str(), value.to_string());
        }

        #[test]
        fn hostile_texts_never_panic(text: String) {
            let _ = (client_id(&text), of_stream(&text));
        }
    }
}
