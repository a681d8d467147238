//! Other people's recordings through the machine and the keeper: every number, the checksum, every message.
//! They live outside the repository; without them the tests say so and pass.
#![allow(missing_docs)]

use dp_book::{Counts, Keeper, Outcome, State};
use dp_types::{LinkId, UnixNanos};
use dp_venue_api::{DecodeError, Event, Fault, Registry, RestRequest, Sink, Venue, VenueConfig};
use dp_venue_bitfinex::sync::BitfinexSync;
use dp_venue_bitfinex::{Bitfinex, ID, LINK_MARKET};
use std::collections::{BTreeMap, BTreeSet};
use tests_venues::captures::{self, records, texts};
use tests_venues::rig::at_ms;

/// Keeps the book of every symbol of one connection.
#[derive(Default)]
struct Books {
    registry: Registry,
    keepers: BTreeMap<u32, Keeper<BitfinexSync>>,
    bad: Vec<String>,
    told: Vec<&'static str>,
    ignored: BTreeMap<&'static str, u32>,
    trades: u32,
    reconnects: u32,
}

impl Sink for Books {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Book(message) => {
                self.told.push("book");
                let instrument = self.registry.get(message.instrument).expect("registered");
                let keeper = self
                    .keepers
                    .entry(message.instrument.0)
                    .or_insert_with(|| Keeper::new(BitfinexSync::new(instrument)));
                let outcome = keeper.on_msg(message, instrument, UnixNanos(1));
                if outcome != Outcome::Applied {
                    self.bad.push(format!("{}: {outcome:?}", instrument.symbol));
                }
            }
            Event::L3(_) => self.told.push("l3"),
            Event::Trade(_) => {
                self.trades += 1;
                self.told.push("trade");
            }
            Event::Order(_) => self.told.push("order"),
            Event::Fill(_) => self.told.push("fill"),
            Event::Balance(_) => self.told.push("balance"),
            Event::Ignored(why) => *self.ignored.entry(why).or_default() += 1,
            _ => self.told.push("other"),
        }
    }
    fn send_text(&mut self, _: LinkId, _: &[u8]) {}
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, _: &'static str) {
        self.reconnects += 1;
    }
}

/// Replays one recording without the frames for which `lost` says so; what was seen, and the counts of each book.
fn replay(name: &str, lost: impl Fn(usize) -> bool) -> Option<(Books, BTreeMap<String, Counts>)> {
    let texts: Vec<_> = texts(&captures::dir("bitfinex")?.join(name)).collect();
    let symbols: BTreeSet<_> = texts
        .iter()
        .filter_map(|text| serde_json::from_str::<serde_json::Value>(text).ok())
        .filter_map(|message| Some(message["symbol"].as_str()?.to_owned()))
        .collect();
    let config = VenueConfig {
        symbols: symbols.into_iter().collect(),
        ..VenueConfig::default()
    };
    let mut registry = Registry::new();
    let mut machine = Bitfinex::new(config, &mut registry).unwrap();
    let mut books = Books {
        registry: registry.clone(),
        ..Books::default()
    };
    let frames = texts.iter().enumerate().filter(|(at, _)| !lost(*at));
    for (_, text) in frames {
        let mut bytes = text.as_bytes().to_vec();
        machine
            .on_text(&registry, LINK_MARKET, at_ms(0), &mut bytes, &mut books)
            .unwrap();
    }
    let counts = books
        .keepers
        .iter()
        .map(|(id, keeper)| {
            let known = registry.get(dp_types::InstrumentId(*id)).unwrap();
            (known.symbol.to_string(), keeper.counts())
        })
        .collect();
    Some((books, counts))
}

#[test]
fn a_session_of_2021_without_a_gap() {
    let Some((books, counts)) = replay("ws2-20210417.jsonl.gz", |_| false) else {
        return;
    };
    assert!(books.bad.is_empty(), "{:?}", books.bad);
    assert_eq!((counts.len(), books.reconnects), (7, 0));
    let sum = |of: fn(&Counts) -> u64| counts.values().map(of).sum::<u64>();
    assert_eq!(sum(|c| c.snapshots), 7);
    assert_eq!(sum(|c| c.gaps + c.crossed + c.bad_numbers), 0);
    assert_eq!(books.trades, 7 * 30);
    for keeper in books.keepers.values() {
        assert_eq!(keeper.proof().state, State::Synced);
        let (bid, ask) = (keeper.book().best_bid(), keeper.book().best_ask());
        assert!(bid.unwrap().price < ask.unwrap().price);
    }
    assert_eq!(books.ignored["a channel that was not subscribed here"], 2);
    let ignored: Vec<_> = books.ignored.keys().copied().collect();
    assert_eq!(
        ignored,
        [
            // Two heartbeats of channels that were confirmed later: numbered like all others.
            "a channel that was not subscribed here",
            "flags confirmed",
            "subscription confirmed",
            "the venue operates",
            "ticker"
        ]
    );
}

/// Any frame lost is told to every book of the connection at once, whichever channel it was of.
#[test]
fn a_lost_frame_makes_every_book_stale() {
    for at in [700, 1_100, 1_600] {
        let Some((books, counts)) = replay("ws2-20210417.jsonl.gz", |lost| lost == at) else {
            return;
        };
        assert_eq!(books.reconnects, 1);
        assert!(counts.values().all(|counts| counts.gaps == 1), "{counts:?}");
        let mut keepers = books.keepers.values();
        assert!(keepers.all(|keeper| keeper.proof().state != State::Synced));
    }
}

#[test]
fn the_checksum_of_the_venues_own_test() {
    let Some((books, counts)) = replay("checksum-vector-xrpbtc.jsonl.gz", |_| false) else {
        return;
    };
    assert!(books.bad.is_empty(), "{:?}", books.bad);
    let counts = counts["tXRPBTC"];
    assert_eq!((counts.snapshots, counts.deltas), (1, 4));
    assert_eq!((counts.checksums_ok, counts.checksums_failed), (1, 0));
    // One update less, and it is another book.
    let (books, counts) = replay("checksum-vector-xrpbtc.jsonl.gz", |at| at == 3).unwrap();
    assert_eq!(counts["tXRPBTC"].checksums_failed, 1);
    assert_eq!(books.bad.len(), 1);
}

/// Feeds one message alone; what it told, or the fault.
fn alone(raw: &str, before: &[&str]) -> (Books, Result<(), Fault>) {
    let mut registry = Registry::new();
    let mut machine = Bitfinex::new(VenueConfig::default(), &mut registry).unwrap();
    for symbol in ["tBTCUSD", "tBTCUST", "tBTCF0:USTF0", "tETHUSD"] {
        registry.register(ID, symbol, 10, 8).unwrap();
    }
    for asset in ["USD", "ETH"] {
        registry.asset(asset).unwrap();
    }
    let mut books = Books {
        registry: registry.clone(),
        ..Books::default()
    };
    let mut result = Ok(());
    for text in before.iter().chain([&raw]) {
        books.told.clear();
        books.ignored.clear();
        let mut bytes = text.as_bytes().to_vec();
        result = machine.on_text(&registry, LINK_MARKET, at_ms(0), &mut bytes, &mut books);
    }
    (books, result)
}

#[test]
fn single_messages_of_every_channel() {
    let Some(dir) = captures::dir("bitfinex") else {
        return;
    };
    let mut seen = BTreeMap::<_, u32>::new();
    for record in records(&dir.join("messages-crypto-msg-parser.jsonl")) {
        let raw = record.raw.expect("a message");
        let (books, result) = alone(&raw, &[]);
        assert_eq!(result, Ok(()), "{raw}");
        let kind = record.conn.split("::").next().unwrap().to_owned();
        let want = match kind.as_str() {
            "trade" => Some("trade"),
            "l2_event" => Some("book"),
            "l3_event" => Some("l3"),
            _ => None,
        };
        assert_eq!(books.told.first().copied(), want, "{raw}");
        assert_eq!(books.ignored.is_empty(), want.is_some(), "{raw}");
        *seen.entry(kind).or_default() += 1;
    }
    assert_eq!(seen.values().sum::<u32>(), 22);
    assert_eq!(
        (seen["trade"], seen["l2_event"], seen["l3_event"]),
        (6, 4, 4)
    );
}

#[test]
fn single_messages_of_other_libraries() {
    let Some(dir) = captures::dir("bitfinex") else {
        return;
    };
    let conf = r#"{"event":"conf","status":"OK","flags":65536}"#;
    let trades = r#"{"event":"subscribed","channel":"trades","chanId":18788,"symbol":"tBTCUSD"}"#;
    let mut told = Vec::new();
    let mut faults = 0;
    for record in records(&dir.join("messages-gocryptotrader.jsonl")) {
        let raw = record.raw.expect("a message");
        let (books, result) = alone(&raw, &[conf, trades]);
        match result {
            Ok(()) => told.extend(books.told),
            Err(Fault::Venue { code, .. }) => {
                assert_eq!(code, 42, "{raw}");
                faults += 1;
            }
            Err(Fault::Decode(error)) => panic!("{raw}: {error}"),
        }
    }
    assert_eq!(
        told, ["trade"; 5],
        "three listed, one executed, one confirmed"
    );
    assert_eq!(faults, 1);
    let mut told = Vec::new();
    let mut count = 0;
    for record in records(&dir.join("responses-xchange.jsonl")) {
        let raw = record.raw.expect("a message");
        let (books, result) = alone(&raw, &[]);
        // Bodies of REST answers are no frames; one that is an object says so by having no event.
        assert_ne!(result, Err(DecodeError::Json.into()), "{raw}");
        assert_eq!(result, Ok(()), "{raw}");
        told.extend(books.told);
        count += 1;
    }
    assert_eq!(count, 20);
    assert_eq!(told, ["order", "fill"], "wallets come without what is free");
}
