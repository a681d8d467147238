//! Other people's recordings of the legacy feed through the machine and the keeper: every message, no gap, never
//! crossed. They live outside the repository; without them the tests say so and pass.
#![allow(missing_docs)]

use dp_book::{Counts, Keeper, State};
use dp_types::{InstrumentId, LinkId, UnixNanos};
use dp_venue_api::{Event, Registry, RestRequest, RestResponse, Sink, Venue, VenueConfig};
use dp_venue_kraken_futures::sync::KrakenFuturesSync;
use dp_venue_kraken_futures::{KrakenFutures, LINK_PUBLIC, LINK_REST, rest};
use std::collections::{BTreeMap, BTreeSet};
use tests_venues::captures::{self, Record, records};
use tests_venues::rig::at_ms;

/// Keeps the book of every symbol, and counts what is no depth.
#[derive(Default)]
struct Books {
    registry: Registry,
    keepers: BTreeMap<u32, Keeper<KrakenFuturesSync>>,
    bad: Vec<String>,
    trades: usize,
    ignored: BTreeMap<&'static str, usize>,
}

impl Sink for Books {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Book(message) => {
                let instrument = self.registry.get(message.instrument).expect("registered");
                let keeper = self
                    .keepers
                    .entry(message.instrument.0)
                    .or_insert_with(|| Keeper::new(KrakenFuturesSync::new(instrument)));
                let outcome = keeper.on_msg(message, instrument, UnixNanos(1));
                if outcome != dp_book::Outcome::Applied {
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
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

fn machine(symbols: BTreeSet<String>) -> (KrakenFutures, Registry) {
    let config = VenueConfig {
        symbols: symbols.into_iter().collect(),
        ..VenueConfig::default()
    };
    let mut registry = Registry::new();
    let machine = KrakenFutures::new(config, &mut registry).unwrap();
    (machine, registry)
}

fn symbol_of(raw: &str) -> Option<String> {
    let message: serde_json::Value = serde_json::from_str(raw).ok()?;
    message["product_id"].as_str().map(str::to_owned)
}

#[test]
fn v1_2021_every_message_in_its_place() {
    let Some(dir) = captures::dir("kraken-futures") else {
        return;
    };
    let records: Vec<Record> = records(&dir.join("v1-20210722.jsonl.gz")).collect();
    let raws = records.iter().filter_map(|record| record.raw.as_deref());
    let (mut machine, mut registry) = machine(raws.filter_map(symbol_of).collect());
    let mut books = Books::default();
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
                .on_response(&mut registry, LINK_REST, at_ms(0), response, &mut books)
                .unwrap();
            books.registry = registry.clone();
            continue;
        }
        machine
            .on_text(&registry, LINK_PUBLIC, at_ms(0), &mut bytes, &mut books)
            .unwrap_or_else(|error| panic!("{error}: {raw}"));
    }
    assert_eq!(books.bad, [""; 0]);
    let sum = |of: fn(&Counts) -> u64| -> u64 {
        books
            .keepers
            .values()
            .map(|keeper| of(&keeper.counts()))
            .sum()
    };
    assert_eq!(books.keepers.len(), 10);
    assert_eq!((sum(|c| c.snapshots), sum(|c| c.deltas)), (10, 7_014));
    assert_eq!(
        sum(|c| c.gaps) + sum(|c| c.crossed) + sum(|c| c.bad_numbers),
        0
    );
    for keeper in books.keepers.values() {
        assert_eq!(keeper.proof().state, State::Synced);
    }
    assert!(
        books.trades > 3,
        "ten snapshots of trades, and three trades"
    );
    let ignored: Vec<_> = books.ignored.into_iter().collect();
    assert_eq!(
        ignored,
        [
            ("connected", 1),
            ("subscription confirmed", 30),
            ("ticker", 107)
        ]
    );
    let rules = |symbol: &[u8]| {
        let id = registry.find(dp_venue_kraken_futures::ID, symbol).unwrap();
        let known = registry.get(id).unwrap();
        (
            known.price_decimal(known.tick).to_string(),
            known.qty_decimal(known.lot).to_string(),
        )
    };
    assert_eq!(rules(b"PI_ETHUSD"), ("0.0500".into(), "1.00".into()));
    assert_eq!(rules(b"FI_XBTUSD_210924"), ("0.500".into(), "1.00".into()));
    assert!(registry.get(InstrumentId(0)).unwrap().is_live);
}

#[test]
fn every_single_message_is_understood() {
    let Some(dir) = captures::dir("kraken-futures") else {
        return;
    };
    let (mut seen, mut told) = (0, 0);
    for record in records(&dir.join("messages-crypto-msg-parser.jsonl")) {
        let raw = record.raw.expect("a message");
        let symbols = symbol_of(&raw).into_iter().collect();
        let (mut machine, registry) = machine(symbols);
        let mut books = Books {
            registry: registry.clone(),
            ..Books::default()
        };
        let mut bytes = raw.as_bytes().to_vec();
        let result = machine.on_text(&registry, LINK_PUBLIC, at_ms(0), &mut bytes, &mut books);
        assert_eq!(result, Ok(()), "{raw}");
        let is_ticker = raw.contains(r#""feed":"ticker"#);
        assert_eq!(books.ignored.len(), usize::from(is_ticker), "{raw}");
        told += books.trades + books.keepers.len();
        seen += 1;
    }
    assert_eq!((seen, told), (10, 10));
}
