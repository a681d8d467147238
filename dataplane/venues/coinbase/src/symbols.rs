//! Symbols, ids and times: the venue's text ⇄ ours.
//!
//! ```text
//! BTC-USD                                 product
//! d50ec984-77a8-460a-b958-66f114b0de9b    the venue's order id: a UUID, packed as its 128 bits
//! 51de1a4e-0000-4000-8000-000100000001    our client order id: our prefix, then 48 bits in hex
//! 2026-05-05T10:00:00.265000Z             time, none to nine digits of fraction
//! ```
//! The venue takes nothing but a UUID as a client order id. Ours has the form of version 4; only its prefix says
//! that it is ours. Source: venue page, sections A2 and A4.

use dp_types::{ClientOrderId, OrderId, Text};
use dp_wire::ids::uuid_text;
pub use dp_wire::ids::{UUID_LEN, parse_uuid};

/// Marks our client order ids, hyphens included.
const CLIENT_PREFIX: &[u8; 24] = b"51de1a4e-0000-4000-8000-";

/// The text of a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uuid([u8; UUID_LEN]);

impl Uuid {
    /// From its 128 bits.
    pub fn from_bits(bits: u128) -> Self {
        Self(uuid_text(bits))
    }

    /// Our client order id as the venue gets it.
    pub fn of_client(id: ClientOrderId) -> Self {
        let mut text = Self::from_bits(u128::from(id.0)).0;
        for (slot, byte) in text.iter_mut().zip(CLIENT_PREFIX) {
            *slot = *byte;
        }
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or("")
    }

    /// The text's bytes.
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

fn hex(text: &[u8]) -> Option<u128> {
    text.iter().try_fold(0, |value: u128, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u128::from(digit))
    })
}

/// The venue's id of an order. `None` when it is no UUID, or the one of zeros, which names none.
pub fn parse_order_id(text: &[u8]) -> Option<OrderId> {
    parse_uuid(text).filter(|bits| *bits != 0).map(OrderId)
}

/// Our id from the venue's text; `None` when the order is not one of ours.
pub fn parse_client_id(text: &[u8]) -> Option<ClientOrderId> {
    let digits = text.strip_prefix(CLIENT_PREFIX.as_slice())?;
    if digits.len() != UUID_LEN - CLIENT_PREFIX.len() {
        return None;
    }
    ClientOrderId::from_raw(u64::try_from(hex(digits)?).ok()?)
}

/// The venue's text of an order id; empty for 0.
pub fn order_id_text(id: OrderId) -> Text<40> {
    if id.0 == 0 {
        return Text::EMPTY;
    }
    Text::lossy(Uuid::from_bits(id.0).as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Epoch, LaneId};
    use proptest::prelude::*;

    #[test]
    fn first_client_id_and_foreign_ones() {
        let id = ClientOrderId::new(Epoch(1), LaneId(0), 1).unwrap();
        let text = Uuid::of_client(id);
        assert_eq!(text.as_str(), "51de1a4e-0000-4000-8000-000100000001");
        assert_eq!(parse_client_id(text.as_bytes()), Some(id));
        for foreign in [
            "",
            "3f0a6a4e-8f7b-4c58-9d5e-2f6d4f0a7a10",
            "51de1a4e-0000-4000-8000-",
            "51de1a4e-0000-4000-8000-000000000001",
            "51de1a4e-0000-4000-8000-ffffffffffff",
            "51de1a4e-0000-4000-8000-00010000000",
            "51de1a4e-0000-4000-8000-0001000000010",
            "51DE1A4E-0000-4000-8000-000100000001",
            "51de1a4e-0000-4000-8000-0001-0000001",
        ] {
            assert_eq!(parse_client_id(foreign.as_bytes()), None, "{foreign}");
        }
    }

    #[test]
    fn only_the_venues_form_of_a_uuid_is_an_order_id() {
        let text = "d50ec984-77a8-460a-b958-66f114b0de9b";
        let id = parse_order_id(text.as_bytes()).unwrap();
        assert_eq!(id.0, 0xd50e_c984_77a8_460a_b958_66f1_14b0_de9b);
        assert_eq!(order_id_text(id).as_str(), text);
        assert_eq!(order_id_text(OrderId(0)).as_str(), "");
        for wrong in [
            "",
            "00000000-0000-0000-0000-000000000000",
            "D50EC984-77A8-460A-B958-66F114B0DE9B",
            "d50ec98477a8460ab95866f114b0de9b",
            "d50ec984-77a8-460a-b95866-f114b0de9b",
            "d50ec984-77a8-460a-b958-66f114b0de9",
        ] {
            assert_eq!(parse_order_id(wrong.as_bytes()), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn client_ids_come_back(epoch in 1u16..=Epoch::MAX, lane in 0u8..16, sequence in 0u32..=ClientOrderId::SEQUENCE_MAX) {
            let id = ClientOrderId::new(Epoch(epoch), LaneId(lane), sequence).unwrap();
            let text = Uuid::of_client(id);
            prop_assert!(parse_uuid(text.as_bytes()).is_some(), "the venue wants a UUID");
            prop_assert_eq!(parse_client_id(text.as_bytes()), Some(id));
        }

        #[test]
        fn order_ids_come_back(bits in 1u128..) {
            let text = order_id_text(OrderId(bits));
            prop_assert_eq!(parse_order_id(text.as_str().as_bytes()), Some(OrderId(bits)));
        }

        #[test]
        fn any_bytes_are_an_id_or_none(text: Vec<u8>) {
            let _ = parse_client_id(&text);
            if let Some(id) = parse_order_id(&text) {
                let back = order_id_text(id);
                prop_assert_eq!(back.as_bytes(), text.as_slice());
            }
        }
    }
}
