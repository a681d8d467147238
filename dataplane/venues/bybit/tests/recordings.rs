//! Other people's recordings through the machine and the keeper: every counter, every message. They live outside
//! the repository; without them the tests say so and pass.
#![allow(missing_docs)]

mod rig;

use dp_book::{Counts, Keeper, Outcome, State};
use dp_types::{LinkId, UnixNanos};
use dp_venue_api::{Event, Registry, RestRequest, Sink, Venue, VenueConfig};
use dp_venue_bybit::sync::BybitSync;
use dp_venue_bybit::{Bybit, ID, LINK_PUBLIC};
use std::collections::BTreeMap;
use tests_venues::captures::{self, texts};
use tests_venues::rig::at_ms;

/// Keeps the book of every symbol.
struct Books {
    registry: Registry,
    keepers: BTreeMap<u32, Keeper<BybitSync>>,
    ids: BTreeMap<u32, i64>,
    /// Messages whose counter went on by one, and those that repeated it.
    steps: (u32, u32),
    bad: Vec<String>,
}

impl Sink for Books {
    fn event(&mut self, event: &Event<'_>) {
        let Event::Book(message) = event else { return };
        let id = message.instrument.0;
        if let Some(last) = self.ids.insert(id, message.last_id) {
            match message.last_id - last {
                0 => self.steps.1 += 1,
                1 => self.steps.0 += 1,
                step => self.bad.push(format!("u went on by {step}")),
            }
        }
        let instrument = self.registry.get(message.instrument).expect("registered");
        let keeper = self
            .keepers
            .entry(id)
            .or_insert_with(|| Keeper::new(BybitSync::new(instrument)));
        let outcome = keeper.on_msg(message, instrument, UnixNanos(1));
        if outcome != Outcome::Applied {
            self.bad.push(format!("{}: {outcome:?}", instrument.symbol));
        }
    }
    fn send_text(&mut self, _: LinkId, _: &[u8]) {}
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

/// Replays one recording; returns what its books went through, the steps of their counters, and the best prices.
fn replay(name: &str, symbols: &[&str]) -> Option<(Vec<Counts>, (u32, u32), Vec<String>)> {
    let path = captures::dir("bybit")?.join(name);
    let config = VenueConfig {
        symbols: symbols.iter().map(|symbol| (*symbol).to_owned()).collect(),
        ..VenueConfig::default()
    };
    let mut registry = Registry::new();
    let mut bybit = Bybit::new(config, &mut registry).unwrap();
    let mut books = Books {
        registry: registry.clone(),
        keepers: BTreeMap::new(),
        ids: BTreeMap::new(),
        steps: (0, 0),
        bad: Vec::new(),
    };
    for text in texts(&path) {
        let mut bytes = text.into_bytes();
        bybit
            .on_text(&registry, LINK_PUBLIC, at_ms(0), &mut bytes, &mut books)
            .unwrap();
    }
    assert!(books.bad.is_empty(), "{:?}", books.bad);
    let mut best = Vec::new();
    for (id, keeper) in &books.keepers {
        assert_eq!(keeper.proof().state, State::Synced);
        let known = registry.get(dp_types::InstrumentId(*id)).unwrap();
        let price = |level: Option<dp_types::Level>| {
            let level = level.expect("both sides");
            let price = known.price_decimal(level.price).to_string();
            price.trim_end_matches('0').to_owned()
        };
        let (bid, ask) = (keeper.book().best_bid(), keeper.book().best_ask());
        best.push(format!("{} {} {}", known.symbol, price(bid), price(ask)));
    }
    let counts = books.keepers.values().map(Keeper::counts).collect();
    Some((counts, books.steps, best))
}

fn sum(counts: &[Counts], of: fn(&Counts) -> u64) -> u64 {
    counts.iter().map(of).sum()
}

#[test]
fn level_1_of_four_linear_symbols() {
    let symbols = ["AIOZUSDT", "BANDUSDT", "RADUSDT", "SNTUSDT"];
    let Some((counts, steps, best)) = replay("v5-20250613-linear.jsonl.gz", &symbols) else {
        return;
    };
    assert_eq!(counts.len(), 4);
    assert_eq!(sum(&counts, |it| it.snapshots), 198);
    assert_eq!(sum(&counts, |it| it.deltas), 0);
    assert_eq!(sum(&counts, |it| it.gaps + it.crossed), 0);
    assert_eq!(steps, (178, 16), "changes, and what was sent again");
    assert_eq!(best[1], "BANDUSDT 0.6132 0.6135");
}

#[test]
fn five_hundred_levels_by_the_counter() {
    let name = "v5-ob500-xrpusdt-20241201-first20.jsonl.gz";
    let Some((counts, steps, best)) = replay(name, &["XRPUSDT"]) else {
        return;
    };
    assert_eq!(sum(&counts, |it| it.snapshots), 1);
    assert_eq!(sum(&counts, |it| it.deltas), 19);
    assert_eq!(sum(&counts, |it| it.gaps + it.crossed), 0);
    assert_eq!(steps, (19, 0));
    assert_eq!(best, ["XRPUSDT 1.9534 1.9535"]);
}

/// One message by a machine without symbols, as a tool has it, and what it said.
fn decode(raw: &str) -> (Vec<String>, Result<(), dp_venue_api::Fault>) {
    let message: serde_json::Value = serde_json::from_str(raw).unwrap();
    let mut rig = rig::new(&[], false);
    let data = &message["data"];
    let topic = message["topic"]
        .as_str()
        .and_then(|it| it.rsplit('.').next());
    for symbol in [
        &data["s"],
        &data[0]["s"],
        &data[0]["symbol"],
        &message["result"][0]["symbol"],
    ]
    .into_iter()
    .filter_map(serde_json::Value::as_str)
    .chain(topic)
    {
        rig.registry.register(ID, symbol, 10, 8).unwrap();
    }
    let (said, result) = rig.text(LINK_PUBLIC, 0, raw);
    (said.events, result)
}

/// Single messages of both generations, public and private: each becomes events, and what is passed over is no
/// book, trade, order or fill.
#[test]
fn every_single_message_becomes_events() {
    let Some(dir) = captures::dir("bybit") else {
        return;
    };
    let mut kinds: BTreeMap<String, u32> = BTreeMap::new();
    for name in [
        "messages-crypto-msg-parser.jsonl",
        "messages-gocryptotrader.jsonl",
    ] {
        for raw in texts(&dir.join(name)) {
            let (events, result) = decode(&raw);
            assert_eq!(result, Ok(()), "{raw}");
            assert!(!events.is_empty(), "{raw}");
            for event in events {
                let kind = if event.starts_with("Ignored") {
                    event.as_str()
                } else {
                    event.split(' ').next().unwrap()
                };
                *kinds.entry(kind.to_owned()).or_default() += 1;
            }
        }
    }
    let kinds: Vec<_> = kinds
        .iter()
        .map(|(kind, count)| format!("{kind}: {count}"))
        .collect();
    assert_eq!(
        kinds,
        [
            "Balance: 7",
            "Book: 10",
            "Fill: 1",
            "Ignored a REST answer of a retired generation: 2",
            "Ignored candle: 3",
            "Ignored greeks: 1",
            "Ignored ticker: 14",
            "Order: 2",
            "Position: 1",
            "Trade: 4",
        ]
    );
}

/// Bare numbers keep their digits, whatever a double would make of them.
#[test]
fn retired_books_keep_their_digits() {
    let raw = concat!(
        r#"{"topic":"orderBookL2_25.BTCUSDT","type":"snapshot","data":{"order_book":[{"price":"36386.00","#,
        r#""symbol":"BTCUSDT","id":"1","side":"Buy","size":8.3550005},{"price":36400.50,"symbol":"BTCUSDT","#,
        r#""id":"2","side":"Sell","size":0.10000000000000001}]},"cross_seq":"5","timestamp_e6":"1622543529282954"}"#
    );
    struct Levels(Vec<String>, u64);
    impl Sink for Levels {
        fn event(&mut self, event: &Event<'_>) {
            let Event::Book(book) = event else { return };
            for level in book.bids.iter().chain(book.asks) {
                self.0.push(format!("{} @ {}", level.qty, level.price));
            }
            self.1 = book.venue_ns.0;
        }
        fn send_text(&mut self, _: LinkId, _: &[u8]) {}
        fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
        fn reconnect(&mut self, _: LinkId, _: &'static str) {}
    }
    let mut rig = rig::new(&["BTCUSDT"], false);
    let mut levels = Levels(Vec::new(), 0);
    let mut bytes = raw.as_bytes().to_vec();
    rig.venue
        .on_text(
            &rig.registry,
            LINK_PUBLIC,
            at_ms(0),
            &mut bytes,
            &mut levels,
        )
        .unwrap();
    assert_eq!(
        levels.0,
        ["8.3550005 @ 36386.00", "0.10000000000000001 @ 36400.50"]
    );
    assert_eq!(levels.1, 1_622_543_529_282_954_000);
}
