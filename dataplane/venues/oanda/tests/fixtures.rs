//! Each fixture through the machine, and what must come out.
#![allow(missing_docs)]

mod rig;

use dp_types::{Price, Qty};
use dp_venue_api::{DecodeError, Fault};
use dp_venue_oanda::{ID, LINK_STREAM, rest};
use rig::fixture;

fn check(name: &str, expected: &[&str]) {
    let (said, result) = rig::ready().text(LINK_STREAM, 100, fixture(name));
    assert_eq!(result, Ok(()), "{name}");
    assert_eq!(said.events, expected, "{name}");
    assert!(said.reconnects.is_empty(), "{name}");
}

#[test]
fn prices_are_quotes_and_whole_books() {
    check(
        "feed_price",
        &[
            "Quote -1 1000000 @ 1.16203 / 1000000 @ 1.16217",
            "Book Snapshot -1..-1 prev -1 checksum None 3x2",
        ],
    );
    check(
        "feed_price_yen",
        &[
            "Quote -1 250000 @ 152.881 / 250000.5 @ 152.895",
            "Book Snapshot -1..-1 prev -1 checksum None 1x1",
        ],
    );
    check(
        "feed_price_one_sided",
        &[
            "Quote -1 0 @ 0 / 1000000 @ 1.16217",
            "Book Snapshot -1..-1 prev -1 checksum None 0x1",
        ],
    );
    check(
        "feed_price_2016",
        &[
            "Quote -1 10000000 @ 1.04665 / 10000000 @ 1.04680",
            "Book Snapshot -1..-1 prev -1 checksum None 2x2",
        ],
    );
}

#[test]
fn what_nobody_may_trade_at_is_no_price() {
    for name in ["feed_price_halted", "feed_price_2016_halted"] {
        check(
            name,
            &[
                "Quote -1 0 @ 0 / 0 @ 0",
                "Book Snapshot -1..-1 prev -1 checksum None 0x0",
            ],
        );
    }
}

#[test]
fn other_lines() {
    check("feed_heartbeat", &["Heartbeat"]);
    check(
        "feed_other",
        &["Ignored a message of a kind we do not know"],
    );
}

#[test]
fn rules_of_instruments() {
    let rig = rig::ready();
    let of = |symbol: &str| {
        let id = rig.registry.find(ID, symbol.as_bytes()).unwrap();
        *rig.registry.get(id).unwrap()
    };
    let euro = of("EUR_USD");
    assert_eq!((euro.price_decimals, euro.tick), (7, Price(100)));
    assert_eq!((euro.qty_decimals, euro.lot), (2, Qty(100)));
    assert_eq!(
        (euro.qty_min, euro.qty_max),
        (Qty(100), Qty(10_000_000_000))
    );
    assert_eq!(rig.registry.asset_name(euro.base), "EUR");
    assert_eq!(rig.registry.asset_name(euro.quote), "USD");
    assert_eq!(of("USD_JPY").tick, Price(100));
    assert!(of("USD_JPY").is_live && of("USD_JPY").price_decimals == 5);
    let followed = rig.registry.instruments().len();
    assert_eq!(followed, 2, "the third of the list is not followed");
}

#[test]
fn an_answered_price_is_a_book_unless_the_stream_knew_better() {
    let prices = rest::Ask::Prices.tag();
    let mut rig = rig::ready();
    rig.text(LINK_STREAM, 1, fixture("feed_price")).1.unwrap();
    let (said, read) = rig.response(2, prices, 200, fixture("rest_prices"));
    assert_eq!(read, Ok(()));
    assert_eq!(said.events.len(), 2, "{:?}", said.events);
    assert!(said.events[1].starts_with("Book Snapshot"));
    let later = fixture("feed_price").replace("08:53:20.1", "08:53:20.95");
    rig.text(LINK_STREAM, 3, &later).1.unwrap();
    let (said, _) = rig.response(4, prices, 200, fixture("rest_prices"));
    assert_eq!(said.events, ["Ignored an older best quote"]);
    // The stream itself is believed, whatever its clock does.
    let (said, _) = rig.text(LINK_STREAM, 5, fixture("feed_price_2016"));
    assert_eq!(said.events.len(), 2);
}

#[test]
fn what_cannot_be_read_is_named_and_ends_the_stream() {
    let price = fixture("feed_price");
    let field = |name| Fault::Decode(DecodeError::Field(name));
    let cases = [
        ("{\"type\"".to_owned(), Fault::Decode(DecodeError::Json)),
        ("{}".to_owned(), field("type")),
        (price.replace("\"bids\"", "\"bid\""), field("bids")),
        (price.replace("\"time\"", "\"at\""), field("time")),
        (
            price.replace("\"liquidity\"", "\"size\""),
            field("liquidity"),
        ),
        (
            price.replace("\"instrument\"", "\"name\""),
            field("instrument"),
        ),
    ];
    for (text, fault) in cases {
        let (said, read) = rig::ready().text(LINK_STREAM, 1, &text);
        assert_eq!(read, Err(fault), "{text}");
        assert!(said.events.is_empty());
        assert_eq!(said.reconnects[0].0, LINK_STREAM, "{text}");
    }
    let spoilt = price.replace("1.16203", "1.1.6");
    let (_, read) = rig::ready().text(LINK_STREAM, 1, &spoilt);
    let is_number = |fault| matches!(fault, Fault::Decode(DecodeError::Number { .. }));
    assert!(read.is_err_and(is_number));
    let stranger = price.replace("EUR_USD", "EUR_CHF");
    let (said, read) = rig::ready().text(LINK_STREAM, 1, &stranger);
    assert_eq!(read, Err(Fault::Decode(DecodeError::UnknownSymbol)));
    assert!(
        said.reconnects.is_empty(),
        "the others are as good as before"
    );
}
