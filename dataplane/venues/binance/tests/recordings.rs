//! Other people's recordings through decoder and keeper: every splice, every gap, every best quote.
//! They live outside the repository; without them the tests say so and pass.
#![allow(missing_docs)]

use dp_book::{Keeper, State};
use dp_types::{Level, LinkId, QuoteMsg, RawLevel, UnixNanos};
use dp_venue_api::{Event, Registry, RestRequest, Sink};
use dp_venue_binance::feed::{Decoder, decode_any};
use dp_venue_binance::product::Product;
use dp_venue_binance::sync::BinanceSync;
use std::collections::{BTreeMap, VecDeque};
use tests_venues::captures::{self, records};

/// One symbol: its book and the venue's own best quotes not yet compared.
struct Symbol {
    keeper: Keeper<BinanceSync>,
    quotes: VecDeque<QuoteMsg>,
    /// Sides compared at equal update ids.
    compared: usize,
}

#[derive(Default)]
struct Books {
    registry: Option<Registry>,
    symbols: BTreeMap<u32, Symbol>,
    events: usize,
    trades: usize,
    bad: Vec<String>,
}

impl Symbol {
    /// Compares every quote kept whose update id is the book's.
    fn compare(&mut self, name: &str, instrument: &dp_types::Instrument, bad: &mut Vec<String>) {
        let proof = self.keeper.proof();
        if proof.state != State::Synced {
            return;
        }
        while let Some(quote) = self.quotes.front().copied() {
            if quote.update_id > proof.last_id {
                break;
            }
            self.quotes.pop_front();
            if quote.update_id < proof.last_id {
                continue;
            }
            let book = self.keeper.book();
            for (ours, venue) in [(book.best_bid(), quote.bid), (book.best_ask(), quote.ask)] {
                let same = |level: Level, raw: &RawLevel| {
                    instrument
                        .level(raw)
                        .is_ok_and(|raw| (raw.price, raw.qty) == (level.price, level.qty))
                };
                if ours.is_some_and(|level| same(level, &venue)) {
                    self.compared += 1;
                } else {
                    bad.push(format!("{name} {}: {ours:?} {venue:?}", quote.update_id));
                }
            }
        }
    }
}

impl Sink for Books {
    fn event(&mut self, event: &Event<'_>) {
        self.events += 1;
        let id = match event {
            Event::Book(message) => message.instrument,
            Event::Quote(quote) => quote.instrument,
            Event::Trade(_) => {
                self.trades += 1;
                return;
            }
            _ => return,
        };
        let registry = self.registry.as_ref().expect("set before decoding");
        let instrument = registry.get(id).expect("registered");
        let symbol = self.symbols.entry(id.0).or_insert_with(|| Symbol {
            keeper: Keeper::new(BinanceSync),
            quotes: VecDeque::new(),
            compared: 0,
        });
        match event {
            Event::Book(message) => {
                let outcome = symbol.keeper.on_msg(message, instrument, UnixNanos(1));
                let was_synced = symbol.keeper.counts().snapshots > 0;
                if outcome.needs_snapshot() && was_synced {
                    self.bad.push(format!("{}: {outcome:?}", instrument.symbol));
                }
            }
            Event::Quote(quote) => symbol.quotes.push_back(*quote),
            _ => {}
        }
        symbol.compare(instrument.symbol.as_str(), instrument, &mut self.bad);
    }
    fn send_text(&mut self, _: LinkId, _: &[u8]) {}
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

/// Replays a session: no decode error, every book spliced once and never broken, best quotes equal.
/// `idle` symbols were too quiet for their splice to be reached.
fn session(name: &str, symbols: usize, idle: usize) {
    let Some(dir) = captures::dir("binance") else {
        return;
    };
    let is_futures = name.starts_with("usdm");
    let mut decoder = Decoder::new(if is_futures {
        Product::Usdm
    } else {
        Product::Spot
    });
    let mut books = Books::default();
    let mut registry = Registry::new();
    let mut frames = 0;
    for record in records(&dir.join(format!("{name}.jsonl.gz"))) {
        let (Some(raw), "in") = (record.raw, record.dir.as_str()) else {
            continue;
        };
        frames += 1;
        let url = record.url.as_deref();
        let mut text = raw.clone().into_bytes();
        // Symbols are added first, so that the sink's copy knows them.
        if books.registry.is_none() || registry.instruments().len() < symbols || url.is_some() {
            let mut quiet = Quiet;
            let mut copy = text.clone();
            let _ = decode_any(&mut decoder, &mut registry, url, &mut copy, &mut quiet);
            books.registry = Some(registry.clone());
        }
        let result = decode_any(&mut decoder, &mut registry, url, &mut text, &mut books);
        assert!(result.is_ok(), "{name}: {result:?}: {raw:.300}");
    }
    assert!(
        books.bad.is_empty(),
        "{name}: {:#?}",
        &books.bad[..books.bad.len().min(20)]
    );
    assert_eq!(books.symbols.len(), symbols, "{name}");
    let synced = |symbol: &&Symbol| symbol.keeper.proof().state == State::Synced;
    let (mut deltas, mut compared) = (0, 0);
    for symbol in books.symbols.values().filter(synced) {
        let counts = symbol.keeper.counts();
        assert_eq!((counts.snapshots, counts.gaps, counts.crossed), (1, 0, 0));
        assert_eq!((counts.bad_numbers, counts.overflows), (0, 0));
        deltas += counts.deltas;
        compared += symbol.compared;
    }
    let synced = books.symbols.values().filter(synced).count();
    assert_eq!(synced, symbols - idle, "{name}");
    assert!(deltas > 0 && compared > 0 && books.trades > 0);
    println!(
        "{name}: {frames} frames, {synced} of {symbols} books synced, {deltas} deltas, {compared} best prices equal"
    );
}

struct Quiet;

impl Sink for Quiet {
    fn event(&mut self, _: &Event<'_>) {}
    fn send_text(&mut self, _: LinkId, _: &[u8]) {}
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

#[test]
fn spot_2021() {
    session("spot-20210405", 10, 0);
}

#[test]
fn spot_btcusdt_2024() {
    session("spot-btcusdt-20240808", 1, 0);
}

#[test]
fn us_2021() {
    session("us-20210417", 10, 0);
}

#[test]
fn usdm_2021() {
    session("usdm-20210417", 4, 0);
}

#[test]
fn usdm_ethusdt_2024() {
    session("usdm-ethusdt-20240718", 1, 0);
}

#[test]
fn coinm_2021() {
    session("coinm-20210721", 10, 0);
}

#[test]
fn coinm_ethusd_2024() {
    session("coinm-ethusd-20240808", 1, 0);
}

/// Single messages of every kind, as others' tests keep them.
#[test]
fn single_messages_are_events_ignored_or_typed_errors() {
    let Some(dir) = captures::dir("binance") else {
        return;
    };
    let (mut seen, mut errors) = (0, Vec::new());
    for name in [
        "messages-crypto-msg-parser",
        "messages-gocryptotrader",
        "responses-xchange",
    ] {
        for record in records(&dir.join(format!("{name}.jsonl"))) {
            let raw = record.raw.expect("a message");
            let mut books = Books::default();
            let mut registry = Registry::new();
            let mut decoder = Decoder::default();
            let mut text = raw.as_bytes().to_vec();
            let _ = decode_any(&mut decoder, &mut registry, None, &mut text, &mut Quiet);
            books.registry = Some(registry.clone());
            let mut text = raw.as_bytes().to_vec();
            match decode_any(&mut decoder, &mut registry, None, &mut text, &mut books) {
                Ok(_) => assert!(books.events > 0, "{raw}"),
                Err(error) => errors.push(format!("{error}: {raw:.90}")),
            }
            seen += 1;
        }
    }
    assert_eq!(seen, 51 + 8 + 9);
    // Depth bodies without their URL name no symbol; the rest are answers of other interfaces.
    println!("{} refused: {errors:#?}", errors.len());
    assert!(errors.len() <= 12, "{errors:#?}");
}
