//! Symbols and ids: the venue's text ⇄ ours.
//!
//! ```text
//! BTCUSDT                   symbol in messages, REST and orders; base and quote come from metadata only
//! btcusdt@depth@100ms       stream names use it in lower case
//! sl-1z141z5                our client order id: "sl-" + base 36, within ^[a-zA-Z0-9-_]{1,36}$
//! n-1z141z5-0               our request id: what was asked, which order, which instrument (base 36)
//! 12510053279               the venue's order id: a number, packed as it is
//! ```
//! Source: venue page, sections 2 and 4.1, read 2026-11-20.

use dp_types::{ClientOrderId, Decimal, InstrumentId, OrderId, Text};
use dp_wire::buf::Buf;
use dp_wire::digits::Digits;
use dp_wire::ids::parse_base36;

/// Marks our client order ids.
pub(crate) const CLIENT_PREFIX: &str = "sl-";
/// Longest client order id we write: the prefix and 45 bits in base 36.
pub const CLIENT_ID_MAX: usize = 3 + 9;

/// A client order id as the venue gets it.
pub fn client_id_text(id: ClientOrderId) -> Buf<CLIENT_ID_MAX> {
    let mut text = Buf::new();
    text.push_str(CLIENT_PREFIX);
    text.push_bytes(Digits::base36(id.0).as_bytes());
    text
}

/// Our id from the venue's text; `None` when the order is not one of ours.
pub fn parse_client_id(text: &[u8]) -> Option<ClientOrderId> {
    ClientOrderId::from_raw(parse_base36(text.strip_prefix(CLIENT_PREFIX.as_bytes())?)?)
}

/// What a WebSocket API request was, carried in its own `id`: an answer needs no table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestId {
    /// A new order.
    New(ClientOrderId, InstrumentId),
    /// An amend.
    Amend(ClientOrderId, InstrumentId),
    /// A cancel.
    Cancel(ClientOrderId, InstrumentId),
    /// A query of one order.
    Query(ClientOrderId, InstrumentId),
    /// A cancel of everything of an instrument.
    CancelAll(InstrumentId),
    /// `session.logon`.
    Logon,
    /// The user data subscription; on futures, the proof that a key may sign.
    UserStream,
    /// A question for a sign of life.
    Probe,
}

/// Longest request id: kind, 45 bits, 32 bits, two dashes.
pub const REQUEST_ID_MAX: usize = 1 + 1 + 9 + 1 + 7;

impl RequestId {
    /// As text.
    pub fn text(self) -> Buf<REQUEST_ID_MAX> {
        let mut text = Buf::new();
        let (kind, client, instrument) = match self {
            Self::New(client, id) => (b'n', Some(client), Some(id)),
            Self::Amend(client, id) => (b'a', Some(client), Some(id)),
            Self::Cancel(client, id) => (b'c', Some(client), Some(id)),
            Self::Query(client, id) => (b'q', Some(client), Some(id)),
            Self::CancelAll(id) => (b'x', None, Some(id)),
            Self::Logon => (b'l', None, None),
            Self::UserStream => (b'u', None, None),
            Self::Probe => (b'p', None, None),
        };
        text.push(kind);
        for number in [client.map(|id| id.0), instrument.map(|id| u64::from(id.0))]
            .into_iter()
            .flatten()
        {
            text.push(b'-');
            text.push_bytes(Digits::base36(number).as_bytes());
        }
        text
    }

    /// From the text of an answer; `None` when the request was not ours.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (kind, numbers) = text.split_first()?;
        let mut parts = numbers.split(|&byte| byte == b'-');
        // Each number has its dash before it.
        let is_dashed = parts.next()?.is_empty();
        let mut number = || parse_base36(parts.next()?);
        let id = |raw: u64| u32::try_from(raw).ok().map(InstrumentId);
        let mut order = || Some((ClientOrderId::from_raw(number()?)?, id(number()?)?));
        let made = match kind {
            b'n' => order().map(|(client, id)| Self::New(client, id)),
            b'a' => order().map(|(client, id)| Self::Amend(client, id)),
            b'c' => order().map(|(client, id)| Self::Cancel(client, id)),
            b'q' => order().map(|(client, id)| Self::Query(client, id)),
            b'x' => id(number()?).map(Self::CancelAll),
            b'l' => Some(Self::Logon),
            b'u' => Some(Self::UserStream),
            b'p' => Some(Self::Probe),
            _ => None,
        }?;
        // Canonical or not ours: nothing may follow.
        (is_dashed && parts.next().is_none()).then_some(made)
    }
}

/// The number without zeros after its last digit: `65000.0100` is written `65000.01`, never finer than
/// the tick it is a multiple of.
pub fn trimmed(number: Decimal) -> Decimal {
    let mut trimmed = number;
    while trimmed.exponent < 0 && trimmed.mantissa % 10 == 0 {
        trimmed.mantissa /= 10;
        trimmed.exponent += 1;
    }
    trimmed
}

/// The venue's text of an order id; empty for 0.
pub fn order_id_text(id: OrderId) -> Text<40> {
    let Ok(number) = u64::try_from(id.0) else {
        return Text::EMPTY;
    };
    let mut digits = Buf::<20>::new();
    if number != 0 {
        digits.push_u64(number);
    }
    Text::lossy(core::str::from_utf8(digits.as_bytes()).unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Epoch, LaneId};
    use proptest::prelude::*;

    #[test]
    fn first_client_id_and_foreign_ones() {
        let id = ClientOrderId::new(Epoch(1), LaneId(0), 1).unwrap();
        assert_eq!(client_id_text(id).finish(), Ok(&b"sl-1z141z5"[..]));
        assert_eq!(parse_client_id(b"sl-1z141z5"), Some(id));
        for foreign in [
            "",
            "sl-",
            "sl-0",
            "sl-01z141z5",
            "SL-1z141z5",
            "sl1z141z5",
            "sl-1",
            "sl-zzzzzzzzzzzzzzzzz",
            "web_1z141z5",
        ] {
            assert_eq!(parse_client_id(foreign.as_bytes()), None, "{foreign}");
        }
    }

    #[test]
    fn order_ids_come_back() {
        assert_eq!(
            order_id_text(OrderId(12_510_053_279)).as_str(),
            "12510053279"
        );
        assert_eq!(
            order_id_text(OrderId(u128::from(u64::MAX))).as_str(),
            "18446744073709551615"
        );
        assert_eq!(order_id_text(OrderId(0)).as_str(), "");
        assert_eq!(order_id_text(OrderId(u128::MAX)).as_str(), "");
    }

    #[test]
    fn zeros_are_trimmed_and_nothing_else() {
        for (mantissa, exponent, text) in [
            (650_000_100, -4, "65000.01"),
            (650_000_000, -4, "65000"),
            (0, -4, "0"),
            (5, 2, "500"),
            (-1_500, -3, "-1.5"),
        ] {
            let number = Decimal { mantissa, exponent };
            assert_eq!(trimmed(number).to_string(), text);
        }
    }

    fn any_client() -> impl Strategy<Value = ClientOrderId> {
        (1u16..=Epoch::MAX, 0u8..16, 0..=ClientOrderId::SEQUENCE_MAX).prop_map(
            |(epoch, lane, sequence)| {
                ClientOrderId::new(Epoch(epoch), LaneId(lane), sequence).unwrap()
            },
        )
    }

    proptest! {
        #[test]
        fn client_ids_come_back(id in any_client()) {
            let text = client_id_text(id);
            prop_assert!(text.len() <= 36);
            prop_assert_eq!(parse_client_id(text.finish().unwrap()), Some(id));
        }

        #[test]
        fn request_ids_come_back(client in any_client(), raw: u32) {
            let id = InstrumentId(raw);
            for request in [
                RequestId::New(client, id),
                RequestId::Amend(client, id),
                RequestId::Cancel(client, id),
                RequestId::Query(client, id),
                RequestId::CancelAll(id),
                RequestId::Logon,
                RequestId::UserStream,
                RequestId::Probe,
            ] {
                let text = request.text();
                prop_assert_eq!(RequestId::parse(text.finish().unwrap()), Some(request));
            }
        }

        #[test]
        fn any_text_is_an_id_or_none(
            text in prop_oneof![any::<String>(), "[nacqxlup]?(-?[0-9a-z]{0,9}){0,3}"]
        ) {
            let text = text.as_bytes();
            let _ = parse_client_id(text);
            if let Some(request) = RequestId::parse(text) {
                let again = request.text();
                prop_assert_eq!(again.as_bytes(), text);
            }
        }
    }
}
