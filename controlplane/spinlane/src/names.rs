//! Names the database and the tables show: venue ids as the venue writes them, risk rules by name.

use crate::tools::{Tool as _, with_tool};
use dp_types::{ClientOrderId, Decimal, Instrument, OrderId, Price, Qty, Text, TradeId, VenueId};

/// For the store, which stands on neither the venues nor the risk gate.
pub fn names() -> cp_store::Names {
    cp_store::Names {
        order_id,
        trade_id,
        rule,
        rule_number,
    }
}

/// The venue's text of one of its order ids; of a venue that is not in this build, the number.
pub fn order_id(venue: VenueId, id: OrderId) -> Text<40> {
    with_tool!(venue, T => T::order_id_text(id))
        .unwrap_or_else(|| Text::new(&id.0.to_string()).unwrap_or_default())
}

/// The venue's text of a trade id: packed like order ids.
pub fn trade_id(venue: VenueId, id: TradeId) -> Text<40> {
    order_id(venue, OrderId(id.0))
}

/// Our id from the venue's text of it; `None` when it is not one of ours.
pub fn client_id(venue: VenueId, text: &str) -> Option<ClientOrderId> {
    with_tool!(venue, T => T::client_id(text)).flatten()
}

/// The venue's text of our id: the inverse of [`client_id`].
pub fn client_text(venue: VenueId, id: ClientOrderId) -> String {
    with_tool!(venue, T => T::client_text(id)).unwrap_or_else(|| id.0.to_string())
}

/// The risk gate's name of a rule.
pub fn rule(code: u8) -> &'static str {
    dp_risk::rule_name(code).unwrap_or("unknown")
}

/// One of a refusal's two numbers: what it is follows from the rule.
pub fn rule_number(code: u8, instrument: &Instrument, number: i64) -> Decimal {
    match dp_risk::rule_unit(code) {
        dp_risk::Unit::Money => Decimal {
            mantissa: number,
            exponent: -2,
        },
        dp_risk::Unit::Amount => Decimal {
            mantissa: number,
            exponent: -8,
        },
        dp_risk::Unit::Qty => instrument.qty_decimal(Qty(number)),
        dp_risk::Unit::Price => instrument.price_decimal(Price(number)),
        dp_risk::Unit::Plain => Decimal {
            mantissa: number,
            exponent: 0,
        },
    }
}

/// Cuts the zeros a decimal does not need: `0.0100` → `0.01`, `5.0` → `5`.
pub fn trim(decimal: &str) -> String {
    if decimal.contains('.') {
        decimal
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_owned()
    } else {
        decimal.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_that_say_nothing_go() {
        for (from, to) in [
            ("0.0100", "0.01"),
            ("5.0", "5"),
            ("100", "100"),
            ("0.000", "0"),
            ("-0.50", "-0.5"),
        ] {
            assert_eq!(trim(from), to);
        }
    }

    #[test]
    fn numbers_of_a_refusal_are_what_the_venue_writes() {
        let (id, symbol) = (dp_types::InstrumentId(0), Text::lossy("BTCUSDT"));
        let instrument = Instrument::bare(id, VenueId::BINANCE, symbol, 2, 4);
        for (refusal, want) in [
            (
                dp_risk::Refusal::OrderQty {
                    qty: 60_000,
                    limit: 50_000,
                },
                "6.0000",
            ),
            (
                dp_risk::Refusal::Position {
                    exposure: -1,
                    limit: 5,
                },
                "-0.0001",
            ),
            (
                dp_risk::Refusal::SelfTrade {
                    price: 4_200,
                    own: 1,
                },
                "42.00",
            ),
            (
                dp_risk::Refusal::Collar {
                    bps: 120,
                    limit_bps: 100,
                },
                "120",
            ),
        ] {
            let number = rule_number(refusal.code(), &instrument, refusal.numbers().0);
            assert_eq!(number.to_string(), want, "{refusal}");
        }
    }

    #[test]
    fn rules_have_names() {
        assert_eq!(rule(1), "killed");
        assert_eq!(rule(14), "rate");
        assert_eq!(rule(64), "day_loss");
        assert_eq!((rule(0), rule(200)), ("unknown", "unknown"));
    }
}
