//! Symbols and ids: the venue's text ⇄ ours.
//!
//! ```text
//! BTCUSDT                                 spot
//! BTCUSDT.P                               linear perpetual; the venue writes BTCUSDT here too, see below
//! BTCPERP, BTCUSDT-26DEC25                linear: USDC perpetual, dated future
//! BTCUSD, BTCUSDH26                       inverse: perpetual, dated future
//! BTC-26DEC25-70000-C-USDT                option
//! sl-1z141z5                              our client order id: "sl-" + base 36
//! a4c1718e-fe53-4659-a118-1f6ecce04ad9    the venue's ids: UUIDs, packed as their 128 bits,
//! 2290000000061666327                     or, on spot, digits, packed as the number they are
//! ```
//! Spot and linear share names at this venue: only a message's category, or the stream it came on, tells them
//! apart. So a linear symbol without a mark of its own carries `.P` (as charts write perpetuals) in configuration
//! and registry; it never goes over the wire. A UUID whose upper half is zero would read as digits: none is made
//! so (its version stands there), and one that came would be refused.
//! Source: venue page, sections 2 and 4, read 2026-11-20.

use crate::ID;
use dp_types::{ClientOrderId, InstrumentId, OrderId, Text};
use dp_venue_api::Registry;
use dp_wire::ids::{UUID_LEN, parse_uuid, uuid_text};
pub use dp_wire::ids::{parse_base36, parse_u64, push_base36, write_u64};

/// The venue's product categories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category {
    /// Spot pairs.
    Spot,
    /// Perpetuals and futures settled in USDT or USDC.
    Linear,
    /// Perpetuals and futures settled in the base asset.
    Inverse,
    /// Options.
    Option,
}

/// What a linear symbol carries when spot has one of that name.
const PERPETUAL_MARK: &str = ".P";
/// Longest symbol of the registry.
const SYMBOL_MAX: usize = 31;

impl Category {
    /// The venue's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::Linear => "linear",
            Self::Inverse => "inverse",
            Self::Option => "option",
        }
    }

    /// What a configured symbol is, by its form.
    pub fn of(symbol: &str) -> Self {
        let name = wire_name(symbol);
        match name.split('-').count() {
            0 | 1 if is_inverse(name) => Self::Inverse,
            0 | 1 if name.ends_with("PERP") || name.len() < symbol.len() => Self::Linear,
            0 | 1 => Self::Spot,
            2 => Self::Linear,
            _ => Self::Option,
        }
    }

    /// Orders one batch may carry.
    pub const fn batch_max(self) -> usize {
        match self {
            Self::Spot => 10,
            Self::Linear | Self::Inverse | Self::Option => 20,
        }
    }
}

/// `BTCUSD`, or with a month's letter and a year behind it.
fn is_inverse(name: &str) -> bool {
    let dated = name
        .split_at_checked(name.len().saturating_sub(3))
        .filter(|(_, end)| matches!(end.as_bytes(), [b'H' | b'M' | b'U' | b'Z', y, z] if y.is_ascii_digit() && z.is_ascii_digit()))
        .map_or(name, |(pair, _)| pair);
    dated.ends_with("USD")
}

/// A symbol as it goes over the wire.
pub fn wire_name(symbol: &str) -> &str {
    symbol.strip_suffix(PERPETUAL_MARK).unwrap_or(symbol)
}

/// The instrument a symbol of the wire names in this category; `None` as category is that of a tool, whose
/// registry has the wire's own names. Cost: at most two look-ups, no allocation.
pub(crate) fn find(
    registry: &Registry,
    category: Option<Category>,
    symbol: &str,
) -> Option<InstrumentId> {
    let bare = || registry.find(ID, symbol.as_bytes());
    match category {
        Some(Category::Linear | Category::Inverse) => marked(registry, symbol).or_else(bare),
        _ => bare(),
    }
}

fn marked(registry: &Registry, symbol: &str) -> Option<InstrumentId> {
    let mut text = [0; SYMBOL_MAX];
    let len = symbol.len() + PERPETUAL_MARK.len();
    let (name, mark) = text.get_mut(..len)?.split_at_mut(symbol.len());
    name.copy_from_slice(symbol.as_bytes());
    mark.copy_from_slice(PERPETUAL_MARK.as_bytes());
    registry.find(ID, text.get(..len)?)
}

/// Marks our client order ids.
const CLIENT_PREFIX: &[u8] = b"sl-";

/// Appends a client order id as the venue gets it.
pub fn push_client_id(id: ClientOrderId, out: &mut Vec<u8>) {
    out.extend_from_slice(CLIENT_PREFIX);
    push_base36(id.0, out);
}

/// Our id from the venue's text; `None` when the order is not one of ours.
pub fn parse_client_id(text: &[u8]) -> Option<ClientOrderId> {
    ClientOrderId::from_raw(parse_base36(text.strip_prefix(CLIENT_PREFIX)?)?)
}

/// An order's or execution's id, 0 for empty text. `None` when its text would not come back exactly.
pub fn parse_id(text: &[u8]) -> Option<u128> {
    match text.len() {
        0 => Some(0),
        // Half of it zeros would read as digits.
        UUID_LEN => parse_uuid(text).filter(|bits| bits >> 64 != 0),
        _ => parse_u64(text).map(u128::from),
    }
}

/// The venue's text of an id; empty for 0.
pub fn order_id_text(id: OrderId) -> Text<40> {
    if id.0 == 0 {
        return Text::EMPTY;
    }
    if let Ok(digits) = u64::try_from(id.0) {
        return Text::lossy(write_u64(digits, &mut [0; 20]));
    }
    Text::lossy(core::str::from_utf8(&uuid_text(id.0)).unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_types::{Epoch, LaneId};
    use proptest::prelude::*;

    #[test]
    fn categories_by_form() {
        for (symbol, category) in [
            ("BTCUSDT", Category::Spot),
            ("ETHBTC", Category::Spot),
            ("BTCUSDC", Category::Spot),
            ("BTCUSDT.P", Category::Linear),
            ("BTCPERP", Category::Linear),
            ("BTCUSDT-26DEC25", Category::Linear),
            ("BTC-26DEC25", Category::Linear),
            ("BTCUSD", Category::Inverse),
            ("BTCUSD.P", Category::Inverse),
            ("BTCUSDH26", Category::Inverse),
            ("BTCUSDM21", Category::Inverse),
            ("BTC-26DEC25-70000-C-USDT", Category::Option),
            ("BTC-28JUN24-60000-P", Category::Option),
            ("", Category::Spot),
        ] {
            assert_eq!(Category::of(symbol), category, "{symbol}");
        }
    }

    #[test]
    fn one_name_two_categories() {
        let mut registry = Registry::new();
        let spot = registry.register(ID, "BTCUSDT", 8, 8).unwrap();
        let linear = registry.register(ID, "BTCUSDT.P", 8, 8).unwrap();
        let dated = registry.register(ID, "BTCUSDT-26DEC25", 8, 8).unwrap();
        let of = |category, symbol| find(&registry, category, symbol);
        assert_eq!(of(Some(Category::Spot), "BTCUSDT"), Some(spot));
        assert_eq!(of(Some(Category::Linear), "BTCUSDT"), Some(linear));
        assert_eq!(of(Some(Category::Linear), "BTCUSDT-26DEC25"), Some(dated));
        assert_eq!(of(None, "BTCUSDT"), Some(spot));
        assert_eq!(of(Some(Category::Linear), &"X".repeat(40)), None);
        assert_eq!(wire_name("BTCUSDT.P"), "BTCUSDT");
    }

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
    fn ids_of_both_kinds_and_what_is_none() {
        for text in [
            "a4c1718e-fe53-4659-a118-1f6ecce04ad9",
            "e6b14e09-ef30-4af4-ab1b-000000000001",
            "2290000000061666327",
            "18446744073709551615",
            "7",
        ] {
            let id = parse_id(text.as_bytes()).unwrap();
            assert_eq!(order_id_text(OrderId(id)).as_str(), text);
        }
        assert_eq!(parse_id(b""), Some(0));
        for other in [
            "A4C1718E-FE53-4659-A118-1F6ECCE04AD9",
            "a4c1718efe53-4659-a118-1f6ecce04ad9-",
            "00000000-0000-0000-a118-1f6ecce04ad9",
            "007",
            "18446744073709551616",
            "x",
        ] {
            assert_eq!(parse_id(other.as_bytes()), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn client_ids_come_back(epoch in 1u16..=Epoch::MAX, lane in 0u8..16, sequence in 0u32..=ClientOrderId::SEQUENCE_MAX) {
            let id = ClientOrderId::new(Epoch(epoch), LaneId(lane), sequence).unwrap();
            let mut text = Vec::new();
            push_client_id(id, &mut text);
            prop_assert!(text.len() <= 36 && text.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-'));
            prop_assert_eq!(parse_client_id(&text), Some(id));
        }

        #[test]
        fn packed_ids_come_back(id in prop_oneof![1u128..1 << 64, 1u128 << 64..]) {
            let text = order_id_text(OrderId(id));
            prop_assert_eq!(parse_id(text.as_bytes()), Some(id));
        }

        #[test]
        fn any_bytes_are_an_id_or_none(text in proptest::collection::vec(any::<u8>(), 0..45)) {
            let _ = parse_client_id(&text);
            if let Some(id) = parse_id(&text) {
                prop_assert!(id == 0 || order_id_text(OrderId(id)).as_bytes() == text.as_slice());
            }
        }
    }
}
