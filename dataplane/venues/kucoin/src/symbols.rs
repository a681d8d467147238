//! Symbols and ids: the venue's text ⇄ ours.
//!
//! ```text
//! BTC-USDT                    spot; the base and quote of orders come from metadata
//! XBTUSDTM, XBTMZ26           futures: decoded, not traded
//! sl-1z141z5                  our client order id: "sl-" + base 36, within [A-Za-z0-9_-]{1,40}
//! 655a1c00f3a1c20007d1a003    the venue's order id: 24 letters and digits
//! 10067996711204865           its trade id: digits
//!
//!  bit 127   126..0
//!  1         24 letters and digits, as one base-36 number of 125 bits
//!  0         the decimal number itself, at most 37 digits
//! ```
//! Source: venue page, sections 2, 3 and 4, read 2026-11-20.

use dp_types::{ClientOrderId, OrderId, Text};
use dp_wire::ids::digit36;
pub use dp_wire::ids::{parse_base36, push_base36, write_u64};

/// Marks our client order ids.
const CLIENT_PREFIX: &[u8] = b"sl-";
const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
/// Characters of an id that is no decimal number.
const WORD_LEN: usize = 24;
/// Marks such an id: 36^24 < 2^125.
const WORD_BIT: u128 = 1 << 127;
/// Digits of the longest decimal id: 10^37 < 2^127.
const DECIMAL_LEN_MAX: usize = 37;

/// Appends a client order id as the venue gets it.
pub fn push_client_id(id: ClientOrderId, out: &mut Vec<u8>) {
    out.extend_from_slice(CLIENT_PREFIX);
    push_base36(id.0, out);
}

/// The digits of `value` in a base up to 36, written to the end of `buffer`, without leading zeros.
fn write_in(value: u128, base: u128, buffer: &mut [u8]) -> &[u8] {
    let (mut rest, mut start) = (value, buffer.len());
    for (at, slot) in buffer.iter_mut().enumerate().rev() {
        *slot = DIGITS.get((rest % base) as usize).copied().unwrap_or(b'0');
        rest /= base;
        start = at;
        if rest == 0 {
            break;
        }
    }
    buffer.get(start..).unwrap_or(&[])
}

/// Our id from the venue's text; `None` when the order is not one of ours.
pub fn parse_client_id(text: &[u8]) -> Option<ClientOrderId> {
    ClientOrderId::from_raw(parse_base36(text.strip_prefix(CLIENT_PREFIX)?)?)
}

/// An id of an order or a trade, packed; 0 for empty text. `None` when its text would not come back exactly.
pub fn parse_id(text: &[u8]) -> Option<u128> {
    if text.len() == WORD_LEN {
        let (high, low) = text.split_at(WORD_LEN / 2);
        // Twelve digits of base 36 fit 64 bits.
        let half = |text: &[u8]| {
            text.iter().try_fold(0u64, |value, &byte| {
                digit36(byte).map(|digit| value * 36 + u64::from(digit))
            })
        };
        let word = u128::from(half(high)?) * 36u128.pow(12) + u128::from(half(low)?);
        return Some(word | WORD_BIT);
    }
    if text.len() > DECIMAL_LEN_MAX || (text.starts_with(b"0") && text.len() > 1) {
        return None;
    }
    text.iter().try_fold(0u128, |value, byte| {
        byte.is_ascii_digit()
            .then(|| value * 10 + u128::from(byte - b'0'))
    })
}

/// The venue's text of an order or trade id; empty for 0.
pub fn order_id_text(id: OrderId) -> Text<40> {
    let mut buffer = [b'0'; 40];
    let text = match id.0 {
        0 => &[],
        word if word & WORD_BIT != 0 => {
            // Leading zeros are part of it.
            write_in(word & !WORD_BIT, 36, &mut buffer);
            buffer.get(40 - WORD_LEN..).unwrap_or(&[])
        }
        number => write_in(number, 10, &mut buffer),
    };
    Text::lossy(core::str::from_utf8(text).unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Epoch, LaneId};
    use proptest::prelude::*;

    #[test]
    fn first_client_id_and_foreign_ones() {
        let id = ClientOrderId::new(Epoch(1), LaneId(0), 1).unwrap();
        let mut text = Vec::new();
        push_client_id(id, &mut text);
        assert_eq!(text, b"sl-1z141z5");
        assert_eq!(parse_client_id(&text), Some(id));
        for foreign in [
            "",
            "sl-",
            "sl-0",
            "sl-01z141z5",
            "SL-1z141z5",
            "sl1z141z5",
            "hbx-1",
            "sl-1",
            "sl-zzzzzzzzzzzzzzzzz",
        ] {
            assert_eq!(parse_client_id(foreign.as_bytes()), None, "{foreign}");
        }
    }

    #[test]
    fn ids_of_every_kind_seen() {
        for text in [
            "655a1c00f3a1c20007d1a003",
            "000000000000000000000000",
            "123456789012345678901234",
            "zzzzzzzzzzzzzzzzzzzzzzzz",
            "5ce24c16b210233c36eexxxx",
            "10067996711204865",
            "385543068587233280",
            "1",
        ] {
            let id = parse_id(text.as_bytes()).unwrap();
            assert_eq!(order_id_text(OrderId(id)).as_str(), text);
        }
        assert_eq!(parse_id(b""), Some(0));
        for text in [
            "01",
            "-1",
            "655A1C00F3A1C20007D1A003",
            "a1",
            "12345678901234567890123456789012345678",
        ] {
            assert_eq!(parse_id(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn client_ids_come_back(epoch in 1u16..=Epoch::MAX, lane in 0u8..16, sequence in 0u32..=ClientOrderId::SEQUENCE_MAX) {
            let id = ClientOrderId::new(Epoch(epoch), LaneId(lane), sequence).unwrap();
            let mut text = Vec::new();
            push_client_id(id, &mut text);
            prop_assert!(text.len() <= 40);
            prop_assert_eq!(parse_client_id(&text), Some(id));
        }

        #[test]
        fn words_come_back(text in "[0-9a-z]{24}") {
            let id = parse_id(text.as_bytes()).unwrap();
            let back = order_id_text(OrderId(id));
            prop_assert_eq!(back.as_str(), text);
        }

        #[test]
        fn any_bytes_are_an_id_or_none(text: Vec<u8>) {
            let _ = parse_client_id(&text);
            if let Some(id) = parse_id(&text) {
                prop_assert!(id == 0 || order_id_text(OrderId(id)).as_bytes() == text.as_slice());
            }
        }

        #[test]
        fn any_packed_id_has_a_text(id: u128) {
            prop_assert!(order_id_text(OrderId(id)).as_str().len() <= 40);
        }
    }
}
