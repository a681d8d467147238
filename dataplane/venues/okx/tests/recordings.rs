//! Other people's recordings through the machine and the keeper: every checksum, every message.
//! They live outside the repository; without them the tests say so and pass.
#![allow(missing_docs)]

mod rig;

use dp_book::{Counts, Keeper, State};
use dp_types::{LinkId, UnixNanos};
use dp_venue_api::{Event, Registry, RestRequest, RestResponse, Sink, Venue, VenueConfig};
use dp_venue_okx::sync::OkxSync;
use dp_venue_okx::{ID, LINK_PUBLIC, LINK_REST, Okx, rest};
use std::collections::{BTreeMap, BTreeSet};
use tests_venues::captures::{self, Record, records};
use tests_venues::rig::at_ms;

/// Keeps the book of every symbol of one connection.
#[derive(Default)]
struct Books {
    registry: Option<Registry>,
    keepers: BTreeMap<u32, Keeper<OkxSync>>,
    bad: Vec<String>,
    events: usize,
}

impl Sink for Books {
    fn event(&mut self, event: &Event<'_>) {
        self.events += 1;
        let (Event::Book(message), Some(registry)) = (event, &self.registry) else {
            return;
        };
        let instrument = registry.get(message.instrument).expect("registered");
        let keeper = self
            .keepers
            .entry(message.instrument.0)
            .or_insert_with(|| Keeper::new(OkxSync::new(instrument)));
        let outcome = keeper.on_msg(message, instrument, UnixNanos(1));
        if outcome != dp_book::Outcome::Applied {
            self.bad.push(format!("{}: {outcome:?}", instrument.symbol));
        }
    }
    fn send_text(&mut self, _: LinkId, _: &[u8]) {}
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

/// Replays one recording, one machine a connection; returns (connection, symbol) → counts.
fn replay(name: &str) -> Option<BTreeMap<(String, String), Counts>> {
    let records: Vec<Record> = records(&captures::dir("okx")?.join(name)).collect();
    let mut symbols = BTreeSet::new();
    for record in &records {
        let raw = record.raw.as_deref().unwrap_or_default();
        if let Ok(message) = serde_json::from_str::<serde_json::Value>(raw)
            && let Some(symbol) = message["arg"]["instId"].as_str()
        {
            symbols.insert(symbol.to_owned());
        }
    }
    let config = VenueConfig {
        symbols: symbols.into_iter().collect(),
        ..VenueConfig::default()
    };
    let mut registry = Registry::new();
    let mut rest_machine = Okx::new(config.clone(), &mut registry).unwrap();
    let mut machines: BTreeMap<String, (Okx, Books)> = BTreeMap::new();
    let now = at_ms(0);
    for record in &records {
        let Some(raw) = record.raw.as_deref().filter(|_| record.dir == "in") else {
            continue;
        };
        let mut bytes = raw.as_bytes().to_vec();
        if let Some(url) = &record.url {
            let tag = rest::tag_of_url(&registry, url).expect("a URL we know");
            let response = RestResponse {
                tag,
                status: 200,
                retry_after_s: None,
                usage: dp_venue_api::Usage::default(),
                body: &mut bytes,
            };
            rest_machine
                .on_response(
                    &mut registry,
                    LINK_REST,
                    now,
                    response,
                    &mut Books::default(),
                )
                .unwrap();
            continue;
        }
        let conn = record.conn.clone();
        let (machine, books) = machines.entry(conn).or_insert_with(|| {
            let machine = Okx::new(config.clone(), &mut registry).unwrap();
            (machine, Books::default())
        });
        if books.registry.is_none() {
            books.registry = Some(registry.clone());
        }
        machine
            .on_text(&registry, LINK_PUBLIC, now, &mut bytes, books)
            .unwrap();
    }
    let mut counts = BTreeMap::new();
    for (conn, (_, books)) in machines {
        assert!(books.bad.is_empty(), "{conn}: {:?}", books.bad);
        for (id, keeper) in books.keepers {
            assert_eq!(keeper.proof().state, State::Synced);
            assert!(keeper.book().best_bid().is_some() || keeper.book().best_ask().is_some());
            let symbol = registry.get(dp_types::InstrumentId(id)).unwrap().symbol;
            counts.insert((conn.clone(), symbol.to_string()), keeper.counts());
        }
    }
    Some(counts)
}

fn check(name: &str, books: usize, snapshots: u64, deltas: u64) {
    let Some(counts) = replay(name) else { return };
    let sum = |of: fn(&Counts) -> u64| counts.values().map(of).sum::<u64>();
    assert_eq!(counts.len(), books);
    assert_eq!(
        (sum(|c| c.snapshots), sum(|c| c.deltas)),
        (snapshots, deltas)
    );
    assert_eq!(
        sum(|c| c.checksums_ok),
        snapshots + deltas,
        "every message's checksum is right"
    );
    assert_eq!(
        sum(|c| c.checksums_failed) + sum(|c| c.gaps) + sum(|c| c.crossed),
        0
    );
}

#[test]
fn v5_2022_every_checksum() {
    check("v5-20220513.jsonl.gz", 3, 3, 287);
}

#[test]
fn okex_2021_every_checksum_on_three_connections() {
    check("okex-20210722.jsonl.gz", 30, 30, 1_494 + 1_436 + 1_412);
}

/// Single messages of both years and both kinds, public and private, some of them not for us.
#[test]
fn every_single_message_is_understood_or_refused() {
    let Some(dir) = captures::dir("okx") else {
        return;
    };
    let mut seen = 0;
    for name in [
        "messages-crypto-msg-parser.jsonl",
        "messages-gocryptotrader.jsonl",
        "responses-xchange.jsonl",
    ] {
        for record in records(&dir.join(name)) {
            let raw = record.raw.expect("a message");
            let message: serde_json::Value = serde_json::from_str(&raw).unwrap();
            let mut registry = Registry::new();
            let mut okx = Okx::new(VenueConfig::default(), &mut registry).unwrap();
            for symbol in [&message["arg"]["instId"], &message["data"][0]["instId"]] {
                if let Some(symbol) = symbol.as_str() {
                    registry.register(ID, symbol, 10, 8).unwrap();
                }
            }
            let mut books = Books::default();
            let mut bytes = raw.as_bytes().to_vec();
            let result = okx.on_text(&registry, LINK_PUBLIC, at_ms(0), &mut bytes, &mut books);
            // What the venue sends is read; what these files hold of our own requests is refused.
            if message.get("op").is_some() {
                assert!(result.is_err(), "{raw}");
            } else {
                assert_eq!(result, Ok(()), "{raw}");
                assert!(books.events > 0, "{raw}");
            }
            seen += 1;
        }
    }
    assert_eq!(seen, 50 + 6 + 2);
}
