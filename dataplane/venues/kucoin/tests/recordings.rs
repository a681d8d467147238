//! Other people's recordings through the machine and the keeper: every number, every message. They live outside
//! the repository; without them the tests say so and pass.
#![allow(missing_docs)]

mod rig;

use dp_book::{Keeper, Outcome, State};
use dp_types::{InstrumentId, LinkId, QuoteMsg, UnixNanos};
use dp_venue_api::{Event, Registry, RestRequest, RestResponse, Sink, Venue, VenueConfig};
use dp_venue_kucoin::sync::KucoinSync;
use dp_venue_kucoin::{ID, Kucoin, LINK_MD, LINK_REST, rest};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tests_venues::captures::{self, Record, records};
use tests_venues::rig::at_ms;

/// One book, and the venue's own best quotes it has not reached yet.
struct Book {
    keeper: Keeper<KucoinSync>,
    quotes: VecDeque<QuoteMsg>,
}

/// Keeps the book of every symbol of one connection.
#[derive(Default)]
struct Books {
    registry: Registry,
    books: BTreeMap<u32, Book>,
    outcomes: BTreeMap<&'static str, usize>,
    compared: usize,
    trades: usize,
}

impl Books {
    fn book(&mut self, id: InstrumentId) -> &mut Book {
        let instrument = self.registry.get(id).expect("registered");
        self.books.entry(id.0).or_insert_with(|| Book {
            keeper: Keeper::new(KucoinSync::new(instrument)),
            quotes: VecDeque::new(),
        })
    }

    fn count(&mut self, outcome: Outcome) {
        let name = match outcome {
            Outcome::Applied => "applied",
            Outcome::Buffered => "buffered",
            Outcome::NeedSnapshot => "asked",
            Outcome::Ignored => "old",
            other => panic!("{other:?}"),
        };
        *self.outcomes.entry(name).or_default() += 1;
    }

    /// The venue's best quote and ours at the same number must be the same.
    fn compare(&mut self, id: InstrumentId) {
        let instrument = *self.registry.get(id).expect("registered");
        let Some(book) = self.books.get_mut(&id.0) else {
            return;
        };
        let proof = book.keeper.proof();
        while let Some(quote) = book.quotes.front().copied() {
            if proof.state != State::Synced || quote.update_id > proof.last_id {
                return;
            }
            book.quotes.pop_front();
            if quote.update_id < proof.last_id {
                continue;
            }
            let [bid, ask] = [quote.bid, quote.ask].map(|raw| instrument.level(&raw).unwrap());
            let own = (book.keeper.book().best_bid(), book.keeper.book().best_ask());
            let (own_bid, own_ask) = (own.0.unwrap(), own.1.unwrap());
            assert_eq!((own_bid.price, own_bid.qty), (bid.price, bid.qty));
            assert_eq!((own_ask.price, own_ask.qty), (ask.price, ask.qty));
            self.compared += 1;
        }
    }
}

impl Sink for Books {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Book(message) => {
                let instrument = *self.registry.get(message.instrument).expect("registered");
                let keeper = &mut self.book(message.instrument).keeper;
                let outcome = keeper.on_msg(message, &instrument, UnixNanos(1));
                self.count(outcome);
                self.compare(message.instrument);
            }
            Event::Quote(quote) => {
                self.book(quote.instrument).quotes.push_back(*quote);
                self.compare(quote.instrument);
            }
            Event::Trade(_) => self.trades += 1,
            _ => {}
        }
    }
    fn send_text(&mut self, _: LinkId, _: &[u8]) {}
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

fn respond(
    kucoin: &mut Kucoin,
    registry: &mut Registry,
    (url, body): (&str, &str),
    out: &mut impl Sink,
) {
    let tag = rest::tag_of_url(registry, url).unwrap_or_else(|| panic!("{url}"));
    let mut body = body.as_bytes().to_vec();
    let response = RestResponse {
        tag,
        status: 200,
        retry_after_s: None,
        usage: dp_venue_api::Usage::default(),
        body: &mut body,
    };
    kucoin
        .on_response(registry, LINK_REST, at_ms(0), response, out)
        .unwrap_or_else(|error| panic!("{url}: {error}"));
}

/// Five books over half a minute: no gap, never crossed, and the venue's own best quote at each of 442 numbers.
#[test]
fn spot_2021_every_book_and_every_best_quote() {
    let Some(dir) = captures::dir("kucoin") else {
        return;
    };
    let records: Vec<Record> = records(&dir.join("spot-20210425-a.jsonl.gz")).collect();
    let mut symbols = BTreeSet::new();
    for record in &records {
        let raw = record.raw.as_deref().unwrap_or_default();
        let Ok(message) = serde_json::from_str::<Value>(raw) else {
            continue;
        };
        let topic = message["topic"].as_str().unwrap_or_default();
        let is_in = record.dir == "in" && topic.starts_with("/market/");
        if let Some((_, symbol)) = topic.split_once(':').filter(|_| is_in) {
            let symbol = symbol.split('_').next().unwrap();
            symbols.insert(symbol.to_owned());
        }
    }
    let config = VenueConfig {
        symbols: symbols.into_iter().collect(),
        ..VenueConfig::default()
    };
    let mut registry = Registry::new();
    let mut kucoin = Kucoin::new(config, &mut registry).unwrap();
    let mut books = Books::default();
    for record in &records {
        let Some(raw) = record.raw.as_deref().filter(|_| record.dir == "in") else {
            continue;
        };
        if let Some(url) = &record.url {
            books.registry = registry.clone();
            respond(&mut kucoin, &mut registry, (url, raw), &mut books);
            continue;
        }
        books.registry = registry.clone();
        let mut bytes = raw.as_bytes().to_vec();
        kucoin
            .on_text(&registry, LINK_MD, at_ms(0), &mut bytes, &mut books)
            .unwrap_or_else(|error| panic!("{raw}: {error}"));
    }
    assert_eq!(books.books.len(), 5);
    for (id, book) in &books.books {
        let symbol = registry.get(InstrumentId(*id)).unwrap().symbol;
        let counts = book.keeper.counts();
        assert_eq!(book.keeper.proof().state, State::Synced, "{symbol}");
        let bad = counts.gaps + counts.crossed + counts.bad_numbers + counts.overflows;
        assert_eq!((bad, counts.snapshots), (0, 1), "{symbol}");
    }
    let outcomes: Vec<_> = books.outcomes.into_iter().collect();
    println!(
        "{outcomes:?}, {} quotes, {} trades",
        books.compared, books.trades
    );
    let sum: usize = outcomes.iter().map(|(_, count)| count).sum();
    assert_eq!(sum, 1_332 + 5, "every delta and every snapshot");
    // 456 tickers: the rest speak of numbers before the snapshot, or passed over in a splice.
    assert_eq!((books.compared, books.trades), (442, 13));
}

/// Names a message is about, so that it can be read alone.
fn register(registry: &mut Registry, message: &Value) {
    let topic = message["topic"].as_str().unwrap_or_default();
    let in_topic = topic.split_once(':').map(|(_, symbol)| symbol);
    let data = &message["data"];
    let names = [
        in_topic,
        message["subject"].as_str(),
        data["symbol"].as_str(),
    ];
    for symbol in names.into_iter().flatten().filter(|name| !name.is_empty()) {
        registry.register(ID, symbol, 10, 8).unwrap();
    }
    if let Some(asset) = data["currency"].as_str() {
        registry.asset(asset).unwrap();
    }
}

/// What became of one message alone: the kinds of its events.
#[derive(Default)]
struct Kinds(Vec<String>);

impl Sink for Kinds {
    fn event(&mut self, event: &Event<'_>) {
        let text = format!("{event:?}");
        self.0.push(match event {
            Event::Ignored(why) => format!("Ignored {why}"),
            _ => text.split(['(', ' ']).next().unwrap().to_owned(),
        });
    }
    fn send_text(&mut self, _: LinkId, _: &[u8]) {}
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

fn kinds_of(raw: &str) -> (Vec<String>, Result<(), dp_venue_api::Fault>) {
    let message: Value = serde_json::from_str(raw).unwrap();
    let mut registry = Registry::new();
    let mut kucoin = Kucoin::new(VenueConfig::default(), &mut registry).unwrap();
    register(&mut registry, &message);
    let mut kinds = Kinds::default();
    let mut bytes = raw.as_bytes().to_vec();
    let result = kucoin.on_text(&registry, LINK_MD, at_ms(0), &mut bytes, &mut kinds);
    (kinds.0, result)
}

/// Single messages of spot and futures, public and private: each is read, and no book, trade, quote, order, fill
/// or balance is passed over.
#[test]
fn every_single_message_is_read() {
    let Some(dir) = captures::dir("kucoin") else {
        return;
    };
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut seen = 0;
    for name in [
        "messages-crypto-msg-parser.jsonl",
        "messages-gocryptotrader.jsonl",
    ] {
        for record in records(&dir.join(name)) {
            let raw = record.raw.expect("a message");
            let (kinds, result) = kinds_of(&raw);
            assert_eq!(result, Ok(()), "{raw}");
            assert!(!kinds.is_empty(), "{raw}");
            for kind in kinds {
                *counts.entry(kind).or_default() += 1;
            }
            seen += 1;
        }
    }
    assert_eq!(seen, 35 + 43);
    println!("{counts:#?}");
    let of = |kind: &str| counts.get(kind).copied().unwrap_or(0);
    assert_eq!((of("Book"), of("Trade"), of("Quote")), (13, 6, 8));
    assert_eq!((of("Order"), of("Fill")), (6, 1));
    assert_eq!((of("Balance"), of("Position")), (3, 1));
    let told: usize = [13, 6, 8, 6, 1, 3, 1].iter().sum();
    let ignored = |(kind, count): (&String, &usize)| kind.starts_with("Ignored").then_some(*count);
    let ignored: usize = counts.iter().filter_map(ignored).sum();
    assert_eq!(
        told + ignored,
        seen + 1,
        "one push was an order and its fill"
    );
}

/// Books that were fetched: those in the files of messages, and one of the unified account.
#[test]
fn fetched_books_are_read_by_their_url() {
    let Some(dir) = captures::dir("kucoin") else {
        return;
    };
    let mut bodies = Vec::new();
    for record in records(&dir.join("messages-crypto-msg-parser.jsonl")) {
        let (conn, raw) = (record.conn, record.raw.unwrap());
        if conn.starts_with("l2_snapshot::spot") {
            bodies.push(("/api/v3/market/orderbook/level2?symbol=X".to_owned(), raw));
        } else if conn.starts_with("l2_snapshot") {
            bodies.push(("/api/v1/level2/snapshot?symbol=X".to_owned(), raw));
        }
    }
    let path = dir.join("rest-gocryptotrader.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    for line in text.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let url = format!("{}?symbol=X", record["path"].as_str().unwrap());
        bodies.push((url, record["response"].to_string()));
    }
    assert_eq!(bodies.len(), 5);
    for (url, body) in bodies {
        let mut registry = Registry::new();
        let mut kucoin = Kucoin::new(VenueConfig::default(), &mut registry).unwrap();
        registry.register(ID, "X", 10, 8).unwrap();
        let mut kinds = Kinds::default();
        respond(&mut kucoin, &mut registry, (&url, &body), &mut kinds);
        assert_eq!(kinds.0, ["Book"], "{url}");
    }
}

/// Bodies of the first REST interface, retired since: answers without their URL, or parts of them.
#[test]
fn answers_of_the_retired_interface_are_passed_over() {
    let Some(dir) = captures::dir("kucoin") else {
        return;
    };
    let mut seen = 0;
    for record in records(&dir.join("responses-xchange.jsonl")) {
        let raw = record.raw.unwrap();
        let (kinds, result) = kinds_of(&raw);
        if raw.contains("\"code\"") {
            assert_eq!(kinds, ["Ignored a REST answer without its URL"], "{raw}");
        } else {
            let is_silent = kinds.iter().all(|kind| kind.starts_with("Ignored"));
            assert!(is_silent && result.is_ok() != kinds.is_empty(), "{raw}");
        }
        seen += 1;
    }
    assert_eq!(seen, 6);
}
