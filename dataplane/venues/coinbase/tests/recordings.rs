//! Other people's recordings through the machine and the keeper: every message, no book ever crossed. They live
//! outside the repository; without them the tests say so and pass.
#![allow(missing_docs)]

mod rig;

use dp_book::{Keeper, Outcome, State};
use dp_types::{InstrumentId, LinkId, Side, TradeMsg, UnixNanos};
use dp_venue_api::{Event, Registry, RestRequest, RestResponse, Sink, Venue, VenueConfig};
use dp_venue_coinbase::sync::CoinbaseSync;
use dp_venue_coinbase::{Coinbase, ID, LINK_PUBLIC, LINK_REST, rest};
use std::collections::{BTreeMap, BTreeSet};
use tests_venues::captures::{self, Record, records};
use tests_venues::rig::at_ms;

/// Keeps the book of every product, and what else is told.
#[derive(Default)]
struct Books {
    registry: Option<Registry>,
    keepers: BTreeMap<u32, Keeper<CoinbaseSync>>,
    trades: Vec<TradeMsg>,
    ignored: BTreeMap<&'static str, u32>,
    bad: Vec<String>,
}

impl Sink for Books {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Ignored(why) => *self.ignored.entry(why).or_default() += 1,
            Event::Trade(trade) => self.trades.push(*trade),
            Event::Book(message) => {
                let registry = self.registry.as_ref().expect("products are known");
                let instrument = registry.get(message.instrument).expect("registered");
                let keeper = self
                    .keepers
                    .entry(message.instrument.0)
                    .or_insert_with(|| Keeper::new(CoinbaseSync::new(instrument)));
                let outcome = keeper.on_msg(message, instrument, UnixNanos(1));
                if outcome != Outcome::Applied {
                    self.bad.push(format!("{}: {outcome:?}", instrument.symbol));
                }
            }
            _ => {}
        }
    }
    fn send_text(&mut self, _: LinkId, _: &[u8]) {}
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, why: &'static str) {
        self.bad.push(why.to_owned());
    }
}

#[test]
fn the_session_of_2021() {
    let Some(dir) = captures::dir("coinbase") else {
        return;
    };
    let records: Vec<Record> = records(&dir.join("exchange-20210417-a.jsonl.gz")).collect();
    let mut symbols = BTreeSet::new();
    for record in &records {
        let raw = record.raw.as_deref().unwrap_or_default();
        if let Ok(message) = serde_json::from_str::<serde_json::Value>(raw)
            && let Some(symbol) = message["product_id"].as_str()
        {
            symbols.insert(symbol.to_owned());
        }
    }
    let config = VenueConfig {
        symbols: symbols.into_iter().collect(),
        ..VenueConfig::default()
    };
    let mut registry = Registry::new();
    let mut venue = Coinbase::new(config, &mut registry).unwrap();
    let mut books = Books::default();
    for record in &records {
        let Some(raw) = record.raw.as_deref().filter(|_| record.dir == "in") else {
            continue;
        };
        let mut bytes = raw.as_bytes().to_vec();
        let now = at_ms(0);
        if let Some(url) = &record.url {
            let tag = rest::tag_of_url(&registry, url).expect("a URL we know");
            let response = RestResponse {
                tag,
                status: 200,
                retry_after_s: None,
                usage: dp_venue_api::Usage::default(),
                body: &mut bytes,
            };
            let out = &mut Books::default();
            venue
                .on_response(&mut registry, LINK_REST, now, response, out)
                .unwrap();
            books.registry = Some(registry.clone());
            continue;
        }
        venue
            .on_text(&registry, LINK_PUBLIC, now, &mut bytes, &mut books)
            .unwrap();
    }
    assert_eq!(books.bad, Vec::<String>::new());
    assert_eq!(books.keepers.len(), 5);
    let counts: Vec<_> = books.keepers.values().map(Keeper::counts).collect();
    let snapshots: u64 = counts.iter().map(|it| it.snapshots).sum();
    let deltas: u64 = counts.iter().map(|it| it.deltas).sum();
    assert_eq!((snapshots, deltas), (5, 6_471));
    for keeper in books.keepers.values() {
        assert_eq!(keeper.proof().state, State::Synced);
        let (bid, ask) = (keeper.book().best_bid(), keeper.book().best_ask());
        assert!(bid.unwrap().price < ask.unwrap().price);
    }
    // Every match, the last ones before the subscriptions too, and in the venue's order for each product.
    assert_eq!(books.trades.len(), 76 + 5);
    let mut last: BTreeMap<u32, TradeMsg> = BTreeMap::new();
    for trade in &books.trades {
        if let Some(before) = last.insert(trade.instrument.0, *trade) {
            assert!(trade.trade_id > before.trade_id);
            assert!(trade.venue_ns >= before.venue_ns);
        }
    }
    // Tickers of that year have no sizes; nothing else but echoes is passed over.
    let ignored: Vec<_> = books.ignored.into_iter().collect();
    assert_eq!(
        ignored,
        [("a ticker without sizes", 81), ("subscriptions", 3)]
    );
    for id in 0..5 {
        let known = registry.get(InstrumentId(id)).unwrap();
        assert!(known.is_live && known.tick.0 > 0 && known.lot.0 > 0 && known.notional_min.0 > 0);
    }
}

/// What a best quote of a ticker says must be in the book at that moment: the only witness of `level2`.
#[test]
fn tickers_agree_with_the_book() {
    let Some(dir) = captures::dir("coinbase") else {
        return;
    };
    let mut rig = rig::new(
        &["BAND-BTC", "CRV-EUR", "NMR-EUR", "SKL-BTC", "SKL-USD"],
        false,
    );
    let mut books = Books {
        registry: Some(rig.registry.clone()),
        ..Books::default()
    };
    let (mut compared, mut equal) = (0, 0);
    for text in captures::texts(&dir.join("exchange-20210417-a.jsonl.gz")) {
        let message: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut bytes = text.into_bytes();
        rig.venue
            .on_text(&rig.registry, LINK_PUBLIC, at_ms(0), &mut bytes, &mut books)
            .unwrap();
        if message["type"] != "ticker" {
            continue;
        }
        let symbol = message["product_id"].as_str().unwrap();
        let id = rig.registry.find(ID, symbol.as_bytes()).unwrap();
        let Some(keeper) = books.keepers.get(&id.0) else {
            continue;
        };
        let instrument = rig.registry.get(id).unwrap();
        for (key, side) in [("best_bid", Side::Buy), ("best_ask", Side::Sell)] {
            let told = message[key].as_str().unwrap();
            let best = keeper.book().side(side).next().unwrap();
            compared += 1;
            let ours = instrument.price_decimal(best.price).to_string();
            equal += u32::from(ours.trim_end_matches('0') == told.trim_end_matches('0'));
        }
    }
    println!("{equal} of {compared} best prices of tickers are the book's");
    // A ticker is sent beside the book, not after it: a few are of a moment before or after.
    assert_eq!((compared, equal), (162, 157));
}

/// Single messages and REST bodies of several years: nothing is refused, and no book, trade, order or fill is
/// passed over.
#[test]
fn every_single_message_is_understood() {
    let Some(dir) = captures::dir("coinbase") else {
        return;
    };
    let mut kinds: BTreeMap<String, u32> = BTreeMap::new();
    for name in [
        "messages-crypto-msg-parser.jsonl",
        "responses-xchange.jsonl",
    ] {
        for record in records(&dir.join(name)) {
            let raw = record.raw.expect("a message");
            let message: serde_json::Value = serde_json::from_str(&raw).unwrap();
            let mut rig = rig::new(&[], false);
            let items = message.as_array().cloned().unwrap_or(vec![message.clone()]);
            for item in &items {
                if let Some(symbol) = item["product_id"].as_str() {
                    rig.registry.register(ID, symbol, 10, 8).unwrap();
                }
            }
            let (said, result) = rig.text(LINK_PUBLIC, 0, &raw);
            assert_eq!(result, Ok(()), "{raw}");
            assert!(!said.events.is_empty(), "{raw}");
            for event in said.events {
                let word = event.split(' ').next().unwrap().to_owned();
                let is_ours = items[0].get("product_id").is_some();
                assert!(
                    !is_ours || word != "Ignored" || event.contains("sizes"),
                    "{event}: {raw}"
                );
                *kinds.entry(word).or_default() += 1;
            }
        }
    }
    let _ = kinds.remove("Ignored");
    let kinds: Vec<_> = kinds
        .iter()
        .map(|(kind, n)| format!("{kind} {n}"))
        .collect();
    assert_eq!(kinds, ["Book 2", "Fill 1", "L3 1", "Order 13", "Trade 1"]);
}

/// The same bodies by the URL they came from.
#[test]
fn rest_bodies_by_their_url() {
    let Some(dir) = captures::dir("coinbase") else {
        return;
    };
    let mut seen = 0;
    let lines = std::fs::read_to_string(dir.join("responses-xchange.jsonl")).unwrap();
    for line in lines.lines() {
        let body: serde_json::Value = serde_json::from_str(line).unwrap();
        let (name, raw) = (
            body["name"].as_str().unwrap(),
            body["raw"].as_str().unwrap(),
        );
        let Some((_, name)) = name.split_once("coinbasepro/dto/") else {
            continue;
        };
        let url = match name {
            "products.json" => "/products",
            "trade/example-fills.json" => "/fills",
            name if name.starts_with("order/") => "/orders/b2cdd7fe-1f4a-495e-8b96-7a4be368f43c",
            name if name.to_lowercase().contains("orders") => "/orders",
            _ => continue,
        };
        let symbols = ["BTC-USD", "BTC-EUR", "ETH-BTC", "LTC-BTC", "LTC-EUR"];
        let mut rig = rig::new(&symbols, false);
        let tag = rest::tag_of_url(&rig.registry, url).unwrap();
        let (said, result) = rig.response(0, tag, 200, raw);
        if url == "/products" {
            assert_eq!(result, Ok(()));
            assert_eq!(said.events, ["InstrumentsReady"]);
            let known = rig.registry.get(InstrumentId(4)).unwrap();
            assert_eq!((known.price_decimals, known.is_live), (4, true));
        } else {
            assert_eq!(result, Ok(()), "{name}");
            let is_told = |event: &String| event.starts_with("Order") || event.starts_with("Fill");
            assert!(said.events.iter().all(is_told), "{name}: {said:?}");
            assert!(!said.events.is_empty());
        }
        seen += 1;
    }
    assert!(seen >= 10, "{seen}");
}

/// A whole book of more levels than one message carries goes out in pieces, and nothing of it is lost.
#[test]
fn a_large_snapshot_goes_out_in_pieces() {
    let side = |from: i64, step: i64, count: i64| {
        let levels: Vec<_> = (0..count)
            .map(|at| format!(r#"["{}.00","1.5"]"#, from + step * at))
            .collect();
        levels.join(",")
    };
    let text = format!(
        r#"{{"type":"snapshot","product_id":"BTC-USD","bids":[{}],"asks":[{}]}}"#,
        side(65_000, -1, 12_000),
        side(65_001, 1, 6_000)
    );
    let mut rig = rig::ready();
    let (said, result) = rig.text(LINK_PUBLIC, 1, &text);
    assert_eq!(result, Ok(()));
    assert_eq!(
        said.events,
        [
            "Book Snapshot -1..-1 prev -1 checksum None 5000x5000",
            "Book Delta -1..-1 prev -1 checksum None 5000x1000",
            "Book Delta -1..-1 prev -1 checksum None 2000x0",
        ]
    );
    let mut books = Books {
        registry: Some(rig.registry.clone()),
        ..Books::default()
    };
    let mut bytes = text.into_bytes();
    rig.venue
        .on_text(&rig.registry, LINK_PUBLIC, at_ms(1), &mut bytes, &mut books)
        .unwrap();
    let keeper = &books.keepers[&0];
    assert_eq!(books.bad, Vec::<String>::new());
    assert_eq!(
        keeper.book().bids().count(),
        dp_types::limit::BOOK_LEVELS_MAX
    );
    assert_eq!(keeper.book().asks().count(), 6_000);
}
