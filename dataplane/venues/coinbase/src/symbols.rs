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

use dp_types::{ClientOrderId, OrderId, Text, VenueNanos};

/// Marks our client order ids, hyphens included.
const CLIENT_PREFIX: &[u8; 24] = b"51de1a4e-0000-4000-8000-";
/// Bytes of a UUID as text.
pub const UUID_LEN: usize = 36;
const HEX: &[u8; 16] = b"0123456789abcdef";

/// The text of a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uuid([u8; UUID_LEN]);

impl Uuid {
    /// From its 128 bits.
    pub fn from_bits(bits: u128) -> Self {
        let mut text = [b'-'; UUID_LEN];
        let mut shift = 128;
        for (at, slot) in text.iter_mut().enumerate() {
            if matches!(at, 8 | 13 | 18 | 23) {
                continue;
            }
            shift -= 4;
            *slot = HEX
                .get((bits >> shift) as usize & 15)
                .copied()
                .unwrap_or(b'0');
        }
        Self(text)
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

/// The bits of a UUID in the venue's form: lower case, with hyphens. `None` for any other text: it would not come
/// back as it was.
pub fn parse_uuid(text: &[u8]) -> Option<u128> {
    if text.len() != UUID_LEN {
        return None;
    }
    let mut bits = 0;
    let mut groups = text.split(|&byte| byte == b'-');
    for len in [8, 4, 4, 4, 12] {
        let group = groups.next().filter(|group| group.len() == len)?;
        bits = bits << (4 * len) | hex(group)?;
    }
    groups.next().is_none().then_some(bits)
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

/// A decimal integer of at most nineteen digits.
fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 19 {
        return None;
    }
    text.iter().try_fold(0u64, |value, byte| {
        byte.is_ascii_digit()
            .then(|| value * 10 + u64::from(byte - b'0'))
    })
}

/// Days from 1970-01-01 to a day of the proleptic Gregorian calendar, years counted from March.
const fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 {
        return None;
    }
    let (year, from_march) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let (era, in_era) = (year / 400, year % 400);
    let in_year = (153 * from_march + 2) / 5 + day - 1;
    let days = era * 146_097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year;
    days.checked_sub(719_468) // days from 0000-03-01 to 1970-01-01
}

/// Nanoseconds since 1970 of `YYYY-MM-DDTHH:MM:SS[.fraction]Z`, up to nine digits of fraction.
pub fn parse_time(text: &[u8]) -> Option<VenueNanos> {
    let (date, rest) = text.split_at_checked(10)?;
    let (clock, fraction) = rest.split_at_checked(9)?;
    let field = |part: &[u8], from: usize, to: usize| digits(part.get(from..to)?);
    let marks = [(date, 4, b'-'), (date, 7, b'-'), (clock, 0, b'T')];
    let more = [(clock, 3, b':'), (clock, 6, b':')];
    if marks
        .iter()
        .chain(&more)
        .any(|(part, at, mark)| part.get(*at) != Some(mark))
    {
        return None;
    }
    let days = days(field(date, 0, 4)?, field(date, 5, 7)?, field(date, 8, 10)?)?;
    let (hour, minute, second) = (
        field(clock, 1, 3)?,
        field(clock, 4, 6)?,
        field(clock, 7, 9)?,
    );
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let nanos = match fraction.strip_suffix(b"Z")? {
        [] => 0,
        [b'.', part @ ..] if part.len() <= 9 => {
            digits(part)? * 10u64.pow(9u32.saturating_sub(part.len() as u32))
        }
        _ => return None,
    };
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second;
    let whole = seconds.checked_mul(1_000_000_000)?;
    whole.checked_add(nanos).map(VenueNanos)
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

    #[test]
    fn times_of_every_length() {
        for (text, nanos) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2014-11-07T08:19:28.464459Z", 1_415_348_368_464_459_000),
            ("2016-12-08T20:02:28.53864Z", 1_481_227_348_538_640_000),
            ("2018-01-08T17:55:44.492Z", 1_515_434_144_492_000_000),
            ("2020-02-29T23:59:59.000000001Z", 1_583_020_799_000_000_001),
            ("2026-05-05T10:00:00.265000Z", 1_777_975_200_265_000_000),
        ] {
            let time = parse_time(text.as_bytes());
            assert_eq!(time, Some(VenueNanos(nanos)), "{text}");
        }
        for text in [
            "",
            "2026-05-05",
            "2026-05-05T10:00:00",
            "2026-05-05T10:00:00.Z",
            "2026-05-05T10:00:00.0000000001Z",
            "2026-13-05T10:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-05-05 10:00:00Z",
            "2026-05-05T24:00:00Z",
            "9999-12-31T23:59:59Z",
        ] {
            assert_eq!(parse_time(text.as_bytes()), None, "{text}");
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
        fn any_bytes_are_an_id_or_a_time_or_none(text: Vec<u8>) {
            let _ = (parse_client_id(&text), parse_time(&text));
            if let Some(id) = parse_order_id(&text) {
                let back = order_id_text(id);
                prop_assert_eq!(back.as_bytes(), text.as_slice());
            }
        }

        #[test]
        fn any_text_like_a_time_is_one_or_none(text in "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{0,11})?Z?") {
            let _ = parse_time(text.as_bytes());
        }
    }
}
