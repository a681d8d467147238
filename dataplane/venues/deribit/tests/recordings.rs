//! Other people's recordings through the machine and the keeper: every change, every message. They live outside the
//! repository; without them the tests say so and pass.
#![allow(missing_docs)]

mod rig;

use dp_book::{Counts, Keeper, Outcome, State};
use dp_types::{BookMsgKind, InstrumentId, LinkId, UnixNanos};
use dp_venue_api::{Event, Registry, RestRequest, RestResponse, Sink, Venue, VenueConfig};
use dp_venue_deribit::sync::DeribitSync;
use dp_venue_deribit::{Deribit, LINK_MD, LINK_REST, rest};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use tests_venues::captures::{self, Record, records};
use tests_venues::rig::at_ms;

/// Keeps the book of every symbol, and what was told beside.
#[derive(Default)]
struct Lane {
    registry: Option<Registry>,
    keepers: BTreeMap<u32, Keeper<DeribitSync>>,
    bad: Vec<String>,
    ignored: BTreeMap<&'static str, usize>,
    trades: usize,
}

impl Sink for Lane {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Book(message) => {
                let registry = self.registry.as_ref().expect("given");
                let instrument = registry.get(message.instrument).expect("registered");
                let keeper = self
                    .keepers
                    .entry(message.instrument.0)
                    .or_insert_with(|| Keeper::new(DeribitSync::new(instrument)));
                let outcome = keeper.on_msg(message, instrument, UnixNanos(1));
                if outcome != Outcome::Applied {
                    self.bad.push(format!("{}: {outcome:?}", instrument.symbol));
                }
            }
            Event::Trade(_) => self.trades += 1,
            Event::Ignored(why) => *self.ignored.entry(why).or_default() += 1,
            other => self.bad.push(format!("{other:?}")),
        }
    }
    fn send_text(&mut self, _: LinkId, _: &[u8]) {}
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, why: &'static str) {
        self.bad.push(why.to_owned());
    }
}

fn symbol_of(message: &Value) -> Option<&str> {
    let places = [
        &message["params"]["data"]["instrument_name"],
        &message["params"]["data"][0]["instrument_name"],
        &message["result"]["instrument_name"],
        &message["instrument_name"],
    ];
    let channel = message["params"]["channel"].as_str();
    let in_channel = channel.and_then(|channel| channel.split('.').nth(1));
    places.into_iter().find_map(Value::as_str).or(in_channel)
}

/// That each level of a change says of the book what is true of it: a new one is new, others are there.
fn check_actions(name: &str, data: &Value, books: &mut BTreeMap<String, BTreeSet<String>>) {
    let symbol = data["instrument_name"].as_str().expect("a symbol");
    if data["type"] == "snapshot" {
        books.retain(|key, _| !key.starts_with(symbol));
    }
    for side in ["bids", "asks"] {
        let book = books.entry(format!("{symbol} {side}")).or_default();
        for level in data[side].as_array().expect("levels") {
            let (action, price) = (level[0].as_str().expect("an action"), level[1].to_string());
            let was_there = book.contains(&price);
            assert_eq!(was_there, action != "new", "{name} {symbol}: {level}");
            if action == "delete" {
                book.remove(&price);
            } else {
                book.insert(price);
            }
        }
    }
}

/// Replays one recording; symbol → counts.
fn replay(name: &str) -> Option<(BTreeMap<String, Counts>, Lane, Registry)> {
    let records: Vec<Record> = records(&captures::dir("deribit")?.join(name)).collect();
    let (mut symbols, mut books) = (BTreeSet::new(), BTreeMap::new());
    for record in &records {
        let raw = record.raw.as_deref().unwrap_or_default();
        let message: Value = serde_json::from_str(raw).unwrap_or_default();
        symbols.extend(symbol_of(&message).map(str::to_owned));
        let channel = message["params"]["channel"].as_str().unwrap_or_default();
        if channel.starts_with("book.") {
            check_actions(name, &message["params"]["data"], &mut books);
        }
    }
    let config = VenueConfig {
        symbols: symbols.into_iter().collect(),
        ..VenueConfig::default()
    };
    let mut registry = Registry::new();
    let mut machine = Deribit::new(config, &mut registry).unwrap();
    let mut lane = Lane::default();
    for record in &records {
        let Some(raw) = record.raw.as_deref().filter(|_| record.dir == "in") else {
            continue;
        };
        let mut bytes = raw.as_bytes().to_vec();
        if let Some(url) = &record.url {
            let response = RestResponse {
                tag: rest::tag_of_url(&registry, url).expect("a URL we know"),
                status: 200,
                retry_after_s: None,
                usage: dp_venue_api::Usage::default(),
                body: &mut bytes,
            };
            machine
                .on_response(&mut registry, LINK_REST, at_ms(0), response, &mut lane)
                .unwrap();
            continue;
        }
        lane.registry = Some(registry.clone());
        machine
            .on_text(&registry, LINK_MD, at_ms(0), &mut bytes, &mut lane)
            .unwrap();
    }
    assert!(lane.bad.is_empty(), "{name}: {:?}", lane.bad);
    let mut counts = BTreeMap::new();
    for (id, keeper) in &lane.keepers {
        assert_eq!(keeper.proof().state, State::Synced);
        let symbol = registry.get(InstrumentId(*id)).unwrap().symbol;
        for (side, levels) in [
            ("bids", keeper.book().bids().count()),
            ("asks", keeper.book().asks().count()),
        ] {
            let want = books
                .get(&format!("{symbol} {side}"))
                .map_or(0, BTreeSet::len);
            assert_eq!(levels, want, "{symbol} {side}");
        }
        counts.insert(symbol.to_string(), keeper.counts());
    }
    Some((counts, lane, registry))
}

fn check(name: &str, (books, changes): (usize, u64), ignored: &[(&str, usize)]) {
    let Some((counts, lane, registry)) = replay(name) else {
        return;
    };
    let sum = |of: fn(&Counts) -> u64| counts.values().map(of).sum::<u64>();
    assert_eq!(counts.len(), books);
    assert_eq!(
        (sum(|c| c.snapshots), sum(|c| c.deltas)),
        (books as u64, changes)
    );
    assert_eq!(
        sum(|c| c.gaps) + sum(|c| c.crossed) + sum(|c| c.bad_numbers),
        0
    );
    let ignored: BTreeMap<_, _> = ignored.iter().copied().collect();
    assert_eq!(lane.ignored, ignored);
    assert_eq!(lane.trades, 0, "nobody traded these options");
    let has_rules = |id| registry.get(InstrumentId(id)).unwrap().tick.0 > 0;
    let listed = (0..books as u32).filter(|id| has_rules(*id)).count();
    assert_eq!(listed, if name.contains("2021072") { books } else { 0 });
}

#[test]
fn april_2021_every_change_follows_the_last() {
    let ignored = [("ticker", 273), ("an answer we did not ask for", 1)];
    check("ws-20210405.jsonl.gz", (10, 177), &ignored);
}

#[test]
fn july_2021_every_change_follows_the_last() {
    let ignored = [("ticker", 89), ("an answer we did not ask for", 1)];
    check("ws-20210722.jsonl.gz", (10, 36), &ignored);
}

/// Single messages of several years: no book, quote or trade is passed over.
#[test]
fn every_single_message_is_understood() {
    let Some(dir) = captures::dir("deribit") else {
        return;
    };
    let mut told: BTreeMap<&str, usize> = BTreeMap::new();
    for name in [
        "messages-crypto-msg-parser.jsonl",
        "messages-gocryptotrader.jsonl",
        "responses-xchange.jsonl",
    ] {
        for record in records(&dir.join(name)) {
            let raw = record.raw.expect("a message");
            let message: Value = serde_json::from_str(&raw).unwrap();
            let symbols = symbol_of(&message).map(str::to_owned);
            let config = VenueConfig {
                symbols: symbols.into_iter().collect(),
                ..VenueConfig::default()
            };
            let mut registry = Registry::new();
            let mut machine = Deribit::new(config, &mut registry).unwrap();
            let mut counter = Counter(&mut told);
            let mut bytes = raw.as_bytes().to_vec();
            let result = machine.on_text(&registry, LINK_MD, at_ms(0), &mut bytes, &mut counter);
            assert_eq!(result, Ok(()), "{raw}");
        }
    }
    let want = [
        ("Ignored an answer we did not ask for", 8),
        ("Ignored candle", 3),
        ("Ignored ticker", 3),
        ("book change", 2),
        ("book snapshot", 10),
        ("quote", 2),
        ("trade", 7),
    ];
    assert_eq!(told, want.into_iter().collect());
}

/// Counts what comes out.
struct Counter<'a>(&'a mut BTreeMap<&'static str, usize>);

impl Sink for Counter<'_> {
    fn event(&mut self, event: &Event<'_>) {
        let kind = match event {
            Event::Book(book) if book.kind == BookMsgKind::Snapshot => "book snapshot",
            Event::Book(_) => "book change",
            Event::Trade(_) => "trade",
            Event::Quote(_) => "quote",
            Event::Ignored(why) => format!("Ignored {why}").leak(),
            other => panic!("{other:?}"),
        };
        *self.0.entry(kind).or_default() += 1;
    }
    fn send_text(&mut self, _: LinkId, _: &[u8]) {}
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}
