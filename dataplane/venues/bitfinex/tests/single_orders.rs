//! Single orders: their channel beside the book's, on which link, and how it is renewed.
#![allow(missing_docs)]

mod rig;

use dp_types::{InstrumentId, LinkId};
use dp_venue_api::{Registry, Secrets, Venue as _, VenueConfig};
use dp_venue_bitfinex::{Bitfinex, LINK_MARKET, LINK_REST};
use rig::{Rig, fixture, good};
use tests_venues::rig::{Said, at_ms, config};

const BTC: InstrumentId = InstrumentId(0);
const ACK: &str = r#"{"event":"subscribed","channel":"book","chanId":17083,"symbol":"tBTCUSD","prec":"R0","freq":"F0","len":"250","subId":"r0","pair":"BTCUSD"}"#;
const SUBSCRIBE: &str = r#"{"event":"subscribe","channel":"book","symbol":"tBTCUSD","prec":"R0","len":"250","subId":"r0"}"#;

fn following(symbols: &[&str], l3: &[&str]) -> Rig {
    let mut registry = Registry::new();
    let config = VenueConfig {
        l3_symbols: l3.iter().map(|symbol| (*symbol).to_owned()).collect(),
        ..config(symbols, Secrets::default(), 500)
    };
    let venue = Bitfinex::new(config, &mut registry).unwrap();
    Rig {
        venue,
        registry,
        rest: LINK_REST,
    }
}

/// One that follows tBTCUSD with its single orders, subscribed.
fn ready() -> Rig {
    let mut rig = following(&["tBTCUSD"], &["tBTCUSD"]);
    let asked = rig.open(LINK_REST, 0).requests;
    rig::answer_lists(&mut rig, &asked);
    rig::market(&mut rig, 0);
    assert_eq!(
        rig.text(LINK_MARKET, 0, ACK).0.events,
        ["Subscribed(LinkId(1))"],
        "three channels"
    );
    rig
}

fn ask(rig: &mut Rig, ms: u64) -> Said {
    let mut said = Said::default();
    let (venue, registry) = (&mut rig.venue, &rig.registry);
    venue.request_l3(registry, BTC, at_ms(ms), &mut said);
    said
}

#[test]
fn it_is_subscribed_beside_the_book_where_asked_for_and_nowhere_else() {
    for (l3, want) in [(&["tBTCUSD"][..], 1), (&[], 0)] {
        let mut rig = following(&["tBTCUSD"], l3);
        let asked = rig.open(LINK_REST, 0).requests;
        rig::answer_lists(&mut rig, &asked);
        let sent = rig.open(LINK_MARKET, 0).sent;
        assert_eq!(sent.iter().filter(|it| it.1 == SUBSCRIBE).count(), want);
        assert_eq!(sent.len(), 3 + want, "flags, book, trades");
    }
}

#[test]
fn what_a_link_has_no_room_for_has_the_next() {
    let symbols: Vec<_> = (0..9).map(|n| format!("tA{n:02}USD")).collect();
    let symbols: Vec<_> = symbols.iter().map(String::as_str).collect();
    let links = |rig: &Rig| -> Vec<u8> { rig.venue.links().iter().map(|it| it.id.0).collect() };
    assert_eq!(
        links(&following(&symbols, &symbols)),
        [0, 1, 3],
        "27 channels"
    );
    assert_eq!(
        links(&following(&symbols, &symbols[..7])),
        [0, 1],
        "25 of them"
    );
}

#[test]
fn lost_orders_are_subscribed_anew_and_the_book_is_left_alone() {
    let mut rig = ready();
    let unsubscribe = r#"{"event":"unsubscribe","chanId":17083}"#.to_owned();
    assert_eq!(ask(&mut rig, 0).sent, [(LINK_MARKET, unsubscribe)]);
    assert!(ask(&mut rig, 1).sent.is_empty(), "it is under way");
    let gone = fixture("feed_unsubscribed").replace("17082", "17083");
    let said = rig.text(LINK_MARKET, 2, &gone).0;
    assert_eq!(said.sent, [(LINK_MARKET, SUBSCRIBE.to_owned())]);
    rig.text(LINK_MARKET, 3, ACK).1.unwrap();
    let mut said = Said::default();
    let (venue, registry) = (&mut rig.venue, &rig.registry);
    venue.request_snapshot(registry, BTC, at_ms(4), &mut said);
    assert!(said.sent[0].1.contains("17082"), "the book's is another");
}

#[test]
fn a_number_left_out_and_a_link_that_ends_are_told_of_both_books() {
    let mut rig = ready();
    good(&mut rig, LINK_MARKET, 1, "feed_snapshot");
    let said = rig.text(LINK_MARKET, 2, r#"[17083,"hb",9,1]"#).0;
    assert_eq!(
        said.events,
        [
            "Book Delta 9..9 prev 2 checksum None 0x0",
            "L3 Delta 9 checksum None 0 orders",
            "L3 Delta 9 checksum None 0 orders",
        ],
        "the hole, twice, and that the orders are young"
    );
    assert_eq!(said.reconnects.len(), 1);
    assert_eq!(
        rig.close(LINK_MARKET, 3).events,
        ["L3Lost(InstrumentId(0))"],
        "of the book the lane says it"
    );
    assert_eq!(
        rig.venue.link_role(LinkId(3)),
        dp_venue_api::LinkRole::Market
    );
}
