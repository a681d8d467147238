//! What the tests share: a machine with its registry and keys.
#![allow(dead_code, missing_docs)] // each test file uses a part

use dp_types::{
    CancelOrder, ClientOrderId, Epoch, InstrumentId, LaneId, NewOrder, OrderId, OrderKind, Price,
    Qty, Side, Tif,
};
use dp_venue_api::{Registry, Secrets, Venue as _};
use dp_venue_kraken::symbols::order_id_text;
use dp_venue_kraken::{Kraken, LINK_PRIVATE, LINK_PUBLIC, LINK_REST};
use tests_venues::rig::{Said, at_ms};

pub type Rig = tests_venues::rig::Rig<Kraken>;

/// The first instrument of a rig.
pub const BTC: InstrumentId = InstrumentId(0);

pub fn new(symbols: &[&str], has_keys: bool) -> Rig {
    let key = |text: &'static str| if has_keys { text } else { "" };
    let secrets = Secrets {
        api_key: key("FAKEAPIKEY").into(),
        api_secret: key(
            "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg==",
        ).into(),
        ..Secrets::default()
    };
    let mut registry = Registry::new();
    let config = tests_venues::rig::config(symbols, secrets, 5_000);
    let venue = Kraken::new(config, &mut registry).expect("the registry has room");
    Rig {
        venue,
        registry,
        rest: LINK_REST,
    }
}

/// The answer to a subscription.
pub fn ack(channel: &str) -> String {
    format!(
        r#"{{"method":"subscribe","result":{{"channel":"{channel}","symbol":"BTC/USD"}},"success":true,"time_in":"2026-05-05T10:00:00.123456Z","time_out":"2026-05-05T10:00:00.123500Z","req_id":1}}"#
    )
}

/// A machine that follows BTC/USD, subscribed, with a token, and the private link's subscriptions not yet
/// confirmed.
pub fn almost_ready() -> Rig {
    let mut rig = new(&["BTC/USD"], true);
    let asked = rig.open(LINK_REST, 0).requests;
    rig.response(0, asked[0].tag, 200, fixture("rest_pairs"))
        .1
        .expect("pairs are read");
    rig.open(LINK_PUBLIC, 0);
    for channel in ["trade", "ticker", "book"] {
        rig.text(LINK_PUBLIC, 0, &ack(channel)).1.expect("an ack");
    }
    rig.text(LINK_PUBLIC, 0, fixture("feed_book_snapshot"))
        .1
        .expect("a book");
    let asked = rig.open(LINK_PRIVATE, 0).requests;
    rig.response(0, asked[0].tag, 200, fixture("rest_token"))
        .1
        .expect("a token");
    rig
}

/// The same, logged in at `START_MS`, its dead man's switch armed.
pub fn ready() -> Rig {
    let mut rig = almost_ready();
    for channel in ["executions", "balances"] {
        rig.text(LINK_PRIVATE, 0, &ack(channel)).1.expect("an ack");
    }
    rig.deadline(0);
    rig
}

/// The same, with order 1 sent.
pub fn with_order() -> Rig {
    let mut rig = ready();
    rig.venue
        .new_order(&rig.registry, &new_order(1), at_ms(0), &mut Said::default())
        .expect("an order");
    rig
}

pub fn client(sequence: u32) -> ClientOrderId {
    ClientOrderId::new(Epoch(1), LaneId(0), sequence).expect("an id")
}

pub fn new_order(sequence: u32) -> NewOrder {
    NewOrder {
        instrument: BTC,
        client_id: client(sequence),
        side: Side::Buy,
        kind: OrderKind::PostOnly,
        tif: Tif::Gtc,
        price: Price(65_000_000),
        qty: Qty(1_000_000),
    }
}

pub fn cancel(sequence: u32) -> CancelOrder {
    CancelOrder {
        instrument: BTC,
        client_id: client(sequence),
        order_id: OrderId(0),
    }
}

/// Events with packed ids as the venue's texts: each number of more than twenty digits.
pub fn events(said: &Said) -> Vec<String> {
    let word = |word: &str| match word.parse::<u128>() {
        Ok(id) if word.len() > 20 => order_id_text(OrderId(id)).to_string(),
        _ => word.to_owned(),
    };
    let line = |line: &String| line.split(' ').map(word).collect::<Vec<_>>().join(" ");
    said.events.iter().map(line).collect()
}

/// A fixture by name.
pub fn fixture(name: &str) -> &'static str {
    tests_venues::rig::fixture(env!("CARGO_MANIFEST_DIR"), name)
}
