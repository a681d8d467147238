//! Other people's recordings through the machine and the keeper: every checksum, every message. They live outside
//! the repository; without them the tests say so and pass.
#![allow(missing_docs)]

mod rig;

use dp_book::{Counts, Keeper, Outcome, State};
use dp_types::{InstrumentId, LinkId, UnixNanos};
use dp_venue_api::{Event, Registry, RestRequest, RestResponse, Sink, Venue, VenueConfig};
use dp_venue_kraken::sync::KrakenSync;
use dp_venue_kraken::{ID, Kraken, LINK_PUBLIC, LINK_REST, account, rest};
use std::collections::{BTreeMap, BTreeSet};
use tests_venues::captures::{self, Record, records};
use tests_venues::rig::at_ms;

/// Keeps the book of every symbol of one connection, and counts what else is said.
#[derive(Default)]
struct Books {
    registry: Option<Registry>,
    keepers: BTreeMap<u32, Keeper<KrakenSync>>,
    bad: Vec<String>,
    trades: usize,
    quotes: usize,
    orders: usize,
    fills: usize,
    ignored: BTreeMap<&'static str, usize>,
    events: usize,
}

impl Sink for Books {
    fn event(&mut self, event: &Event<'_>) {
        self.events += 1;
        match event {
            Event::Trade(_) => self.trades += 1,
            Event::Quote(_) => self.quotes += 1,
            Event::Order(_) => self.orders += 1,
            Event::Fill(_) => self.fills += 1,
            Event::Ignored(why) => *self.ignored.entry(why).or_default() += 1,
            _ => {}
        }
        let (Event::Book(message), Some(registry)) = (event, &self.registry) else {
            return;
        };
        let instrument = registry.get(message.instrument).expect("registered");
        let keeper = self
            .keepers
            .entry(message.instrument.0)
            .or_insert_with(|| Keeper::new(KrakenSync::new(instrument)));
        let outcome = keeper.on_msg(message, instrument, UnixNanos(1));
        if outcome != Outcome::Applied {
            self.bad.push(format!("{}: {outcome:?}", instrument.symbol));
        }
    }
    fn send_text(&mut self, _: LinkId, _: &[u8]) {}
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

/// Every symbol a message is about.
fn symbols(message: &serde_json::Value, names: &mut BTreeSet<String>) {
    let mut add = |name: &serde_json::Value| {
        if let Some(name) = name.as_str().filter(|name| name.contains('/')) {
            names.insert(name.to_owned());
        }
    };
    for item in message["data"].as_array().into_iter().flatten() {
        add(&item["symbol"]);
    }
    if let Some(frame) = message.as_array() {
        frame.iter().for_each(&mut add);
        let items = frame.first().and_then(|items| items.as_array());
        let objects = items
            .into_iter()
            .flatten()
            .filter_map(|item| item.as_object());
        for value in objects.flat_map(|object| object.values()) {
            add(&value["pair"]);
            add(&value["descr"]["pair"]);
        }
    }
}

/// Replays one recording, one machine a connection.
fn replay(name: &str) -> Option<(Registry, BTreeMap<String, Books>)> {
    let records: Vec<Record> = records(&captures::dir("kraken")?.join(name)).collect();
    let mut names = BTreeSet::new();
    for record in records.iter().filter(|record| record.url.is_none()) {
        let raw = record.raw.as_deref().unwrap_or_default();
        if let Ok(message) = serde_json::from_str(raw) {
            symbols(&message, &mut names);
        }
    }
    let config = VenueConfig {
        symbols: names.into_iter().collect(),
        ..VenueConfig::default()
    };
    let mut registry = Registry::new();
    let mut rest_machine = Kraken::new(config.clone(), &mut registry).unwrap();
    let mut machines: BTreeMap<String, (Kraken, Books)> = BTreeMap::new();
    let now = at_ms(0);
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
            let mut sink = Books::default();
            rest_machine
                .on_response(&mut registry, LINK_REST, now, response, &mut sink)
                .unwrap();
            continue;
        }
        let (machine, books) = machines.entry(record.conn.clone()).or_insert_with(|| {
            let machine = Kraken::new(config.clone(), &mut registry).unwrap();
            (machine, Books::default())
        });
        if books.registry.is_none() {
            books.registry = Some(registry.clone());
        }
        machine
            .on_text(&registry, LINK_PUBLIC, now, &mut bytes, books)
            .unwrap_or_else(|error| panic!("{error}: {raw}"));
    }
    let books = machines.into_iter().map(|(conn, (_, books))| (conn, books));
    Some((registry, books.collect()))
}

/// Every update proved by its checksum, which v1's snapshots do not have.
fn check(name: &str, books: usize, deltas: u64, checksums: u64) -> Option<BTreeMap<String, Books>> {
    let (registry, connections) = replay(name)?;
    let mut counts: Vec<Counts> = Vec::new();
    for (conn, books) in &connections {
        assert!(books.bad.is_empty(), "{conn}: {:?}", books.bad);
        for (id, keeper) in &books.keepers {
            assert_eq!(keeper.proof().state, State::Synced);
            let best = (keeper.book().best_bid(), keeper.book().best_ask());
            assert!(best.0.is_some() && best.1.is_some());
            assert!(registry.get(InstrumentId(*id)).is_some());
            counts.push(keeper.counts());
        }
    }
    let sum = |of: fn(&Counts) -> u64| counts.iter().map(of).sum::<u64>();
    assert_eq!(counts.len(), books);
    assert_eq!(
        (sum(|c| c.snapshots), sum(|c| c.deltas)),
        (books as u64, deltas)
    );
    assert_eq!(sum(|c| c.checksums_ok), checksums);
    assert_eq!(
        sum(|c| c.checksums_failed) + sum(|c| c.gaps) + sum(|c| c.crossed) + sum(|c| c.bad_numbers),
        0
    );
    Some(connections)
}

#[test]
fn v1_2021_every_checksum_of_ten_deep_books() {
    let Some(connections) = check("v1-20210417.jsonl.gz", 10, 4_269, 4_269) else {
        return;
    };
    let trades: usize = connections.values().map(|books| books.trades).sum();
    assert_eq!(trades, 10, "in eight messages");
    let mut why = BTreeSet::new();
    for books in connections.values() {
        why.extend(books.ignored.keys());
    }
    let known = ["subscription confirmed", "system status", "ticker"];
    assert_eq!(why, BTreeSet::from(known.each_ref()));
}

#[test]
fn v1_2023_what_falls_out_of_ten_levels_is_cut() {
    check("v1-book10-xdgusd-202307.jsonl.gz", 1, 14, 14);
}

#[test]
fn v2_2024_snapshot_and_update() {
    check("v2-book10-algousd-20241003.jsonl.gz", 1, 1, 2);
}

/// Single messages of several years, public and private, some of them no messages of the WebSocket.
#[test]
fn every_single_message_is_understood() {
    let Some(dir) = captures::dir("kraken") else {
        return;
    };
    let mut registry = Registry::new();
    let mut kraken = Kraken::new(VenueConfig::default(), &mut registry).unwrap();
    let mut books = Books::default();
    let mut seen = 0;
    for name in [
        "messages-crypto-msg-parser.jsonl",
        "messages-gocryptotrader.jsonl",
        "responses-xchange.jsonl",
    ] {
        for record in records(&dir.join(name)) {
            let raw = record.raw.expect("a message");
            let mut names = BTreeSet::new();
            symbols(&serde_json::from_str(&raw).unwrap(), &mut names);
            for symbol in names {
                registry.register(ID, &symbol, 10, 8).unwrap();
            }
            let before = books.events;
            let mut bytes = raw.as_bytes().to_vec();
            let result = kraken.on_text(&registry, LINK_PUBLIC, at_ms(0), &mut bytes, &mut books);
            assert_eq!(result, Ok(()), "{raw}");
            assert!(books.events > before, "{raw}");
            seen += 1;
        }
    }
    assert_eq!(seen, 11 + 18 + 36);
    assert_eq!((books.orders, books.fills), (7, 4));
    assert_eq!((books.trades, books.quotes), (7, 2));
    for reason in [account::STRAY, account::NOT_FOLLOWED, account::PENDING] {
        assert_eq!(books.ignored.get(reason), None, "{reason}");
    }
}
