//! Other people's recordings through the machine and the keeper: every frame, every message.
//! They live outside the repository; without them the tests say so and pass.
#![allow(missing_docs)]

mod rig;

use dp_book::{Counts, Keeper, Outcome, State};
use dp_types::{InstrumentId, LinkId, UnixNanos};
use dp_venue_api::{Event, Registry, RestRequest, RestResponse, Sink, Venue, VenueConfig};
use dp_venue_huobi::sync::HuobiSync;
use dp_venue_huobi::{Huobi, ID, LINK_FEED, LINK_REST, rest};
use flate2::read::MultiGzDecoder;
use std::collections::BTreeMap;
use std::io::Read as _;
use tests_venues::captures::{self, Frame, Record, records};
use tests_venues::rig::at_ms;

/// Keeps the book of every symbol.
#[derive(Default)]
struct Books {
    registry: Registry,
    keepers: BTreeMap<u32, Keeper<HuobiSync>>,
    repeated: u64,
    bad: Vec<String>,
    trades: usize,
    pongs: usize,
    events: Vec<&'static str>,
}

impl Sink for Books {
    fn event(&mut self, event: &Event<'_>) {
        self.events.push(match event {
            Event::Book(_) => "book",
            Event::Trade(_) => "trade",
            Event::Quote(_) => "quote",
            Event::Order(_) => "order",
            Event::Fill(_) => "fill",
            Event::Balance(_) => "balance",
            Event::Ignored(why) => why,
            _ => "other",
        });
        self.trades += usize::from(matches!(event, Event::Trade(_)));
        let Event::Book(message) = event else { return };
        let instrument = self.registry.get(message.instrument).expect("registered");
        let keeper = self
            .keepers
            .entry(message.instrument.0)
            .or_insert_with(|| Keeper::new(HuobiSync::new(instrument)));
        match keeper.on_msg(message, instrument, UnixNanos(1)) {
            Outcome::Applied => {
                let sides = [keeper.book().bids().count(), keeper.book().asks().count()];
                if sides != [message.bids.len(), message.asks.len()] {
                    self.bad.push(format!("{}: {sides:?}", instrument.symbol));
                }
            }
            // The venue says a whole book again under the same number.
            Outcome::Ignored => self.repeated += 1,
            outcome => self.bad.push(format!("{}: {outcome:?}", instrument.symbol)),
        }
    }
    fn send_text(&mut self, _: LinkId, text: &[u8]) {
        assert!(text.starts_with(b"{\"pong\":16"));
        self.pongs += 1;
    }
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

fn symbol_of(text: &str) -> Option<&str> {
    text.split("\"market.").nth(1)?.split('.').next()
}

fn plain(frame: &Frame) -> String {
    match frame {
        Frame::Text(text) => text.clone(),
        Frame::Binary(bytes) => {
            let mut text = String::new();
            MultiGzDecoder::new(&bytes[..])
                .read_to_string(&mut text)
                .expect("gzip");
            text
        }
    }
}

/// Replays one recording; returns what was heard.
fn replay(name: &str) -> Option<Books> {
    let path = captures::dir("huobi")?.join(name);
    let mut symbols: Vec<String> = records(&path)
        .filter_map(Record::into_frame)
        .filter_map(|frame| symbol_of(&plain(&frame)).map(str::to_owned))
        .collect();
    symbols.sort();
    symbols.dedup();
    let mut registry = Registry::new();
    let config = VenueConfig {
        symbols,
        ..VenueConfig::default()
    };
    let mut huobi = Huobi::new(config, &mut registry).unwrap();
    let mut books = Books::default();
    let now = at_ms(0);
    for record in records(&path) {
        if let (Some(url), Some(raw)) = (&record.url, record.raw.as_deref()) {
            let response = RestResponse {
                tag: rest::tag_of_url(url).expect("a URL we know"),
                status: 200,
                retry_after_s: None,
                usage: dp_venue_api::Usage::default(),
                body: &mut raw.as_bytes().to_vec(),
            };
            // Of two lists each leaves out what is in the other.
            let _ = huobi.on_response(
                &mut registry,
                LINK_REST,
                now,
                response,
                &mut Books::default(),
            );
            books.registry = registry.clone();
            continue;
        }
        match record.into_frame() {
            Some(Frame::Binary(mut bytes)) => huobi
                .on_binary(&registry, LINK_FEED, now, &mut bytes, &mut books)
                .unwrap(),
            Some(Frame::Text(text)) => panic!("market data as text: {text}"),
            None => {}
        }
    }
    assert!(books.bad.is_empty(), "{:?}", books.bad);
    for (id, keeper) in &books.keepers {
        assert_eq!(keeper.proof().state, State::Synced);
        let known = registry.get(InstrumentId(*id)).unwrap();
        assert!(
            known.tick.0 > 0 && known.lot.0 > 0,
            "{} has rules",
            known.symbol
        );
    }
    Some(books)
}

fn check(name: &str, symbols: usize, messages: u64, repeated: u64, trades: usize) {
    let Some(books) = replay(name) else { return };
    let counts = books.keepers.values().map(Keeper::counts);
    let sum = |of: fn(Counts) -> u64| counts.clone().map(of).sum::<u64>();
    assert_eq!(books.keepers.len(), symbols);
    assert_eq!((sum(|c| c.messages), books.repeated), (messages, repeated));
    assert_eq!(
        sum(|c| c.snapshots),
        messages - repeated,
        "all others were applied"
    );
    assert_eq!(sum(|c| c.gaps + c.crossed + c.bad_numbers), 0);
    assert_eq!((books.trades, books.pongs), (trades, 6));
}

#[test]
fn spot_2021_every_book() {
    check("spot-20210417-a.jsonl.gz", 5, 146, 0, 62);
}

#[test]
fn swaps_2022_every_book() {
    check("swap-20220219-coinm.jsonl.gz", 5, 1_274, 39, 8);
}

/// Single messages of both markets, public and private.
#[test]
fn every_single_message_is_understood() {
    let Some(dir) = captures::dir("huobi") else {
        return;
    };
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for name in [
        "messages-crypto-msg-parser.jsonl",
        "messages-gocryptotrader.jsonl",
        "responses-xchange.jsonl",
    ] {
        for record in records(&dir.join(name)) {
            let raw = record.raw.expect("a message");
            let mut registry = Registry::new();
            let mut huobi = Huobi::new(VenueConfig::default(), &mut registry).unwrap();
            if let Some(symbol) = symbol_of(&raw) {
                registry.register(ID, symbol, 10, 8).unwrap();
            }
            registry.register(ID, "btcusdt", 10, 8).unwrap();
            for asset in ["BTC", "USDT"] {
                registry.asset(asset).unwrap();
            }
            let mut books = Books {
                registry: registry.clone(),
                ..Books::default()
            };
            let mut bytes = raw.as_bytes().to_vec();
            let result = huobi.on_text(&registry, LINK_FEED, at_ms(0), &mut bytes, &mut books);
            assert_eq!(result, Ok(()), "{raw}");
            assert!(
                books.bad.iter().all(|bad| bad.contains("NeedSnapshot")),
                "{:?}",
                books.bad
            );
            for event in books.events {
                *seen.entry(event).or_default() += 1;
            }
        }
    }
    let expected = [
        ("a REST answer without its URL", 3),
        ("a balance without what is free of it", 1),
        ("balance", 2),
        ("book", 20),
        ("candle", 5),
        ("fill", 1),
        ("funding rate", 3),
        ("order", 4),
        ("quote", 4),
        ("ticker", 6),
        ("trade", 12),
    ];
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected);
}
