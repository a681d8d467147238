//! `spinlane replay`: recorded messages through the machine, rule and keeper that run live.
//!
//! ```text
//! capture ─▶ one machine per connection ─▶ depth ─▶ one keeper per (connection, symbol)
//!        └─▶ REST answers ─▶ instruments: registry · books: every keeper of the symbol that waits
//! ```
//! Two passes over the file: the first only finds the symbols (live, the configuration names them).
//! Two connections that carry one symbol are two books, as they were two sessions; the summary
//! shows the first one's levels and the sum of the counts, and each connection by itself below.

use crate::datagrams;
use crate::tools::{EventsOnly, Names, Tool, printed_level, venue, with_tool};
use anyhow::Context as _;
use dp_book::{Counts, Keeper, Outcome, State};
use dp_capture::{Capture, Record};
use dp_types::{
    BookMsgKind, Instrument, InstrumentId, Level, Now, QuoteMsg, RawLevel, Side, Tsc, UnixNanos,
};
use dp_venue_api::{Event, Fault, Registry, RestResponse, Venue as _};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Levels a side in the result.
const LEVELS_SHOWN: usize = 10;
/// Best quotes held until the book reaches their update: a busy second of them.
const QUOTES_MAX: usize = 4_096;

/// Arguments of `spinlane replay`.
#[derive(Debug, Clone, clap::Args)]
pub struct ReplayArgs {
    /// Venue whose messages these are: binance, huobi or okx.
    #[arg(long)]
    pub venue: String,
    /// Capture file (.jsonl or .jsonl.gz); of Deribit's multicast also .pcap, .pcapng, or a datagram a line in hex.
    pub file: PathBuf,
}

/// Replays a capture and prints the result: JSON, or a table of at most 80 columns.
///
/// Errors: the venue is not in this build, or the file cannot be read; file and line are named.
pub fn run(args: &ReplayArgs, is_json: bool) -> anyhow::Result<()> {
    if venue(&args.venue)? == dp_types::VenueId::DERIBIT && datagrams::is_datagrams(&args.file)? {
        let report = datagrams::replay(&args.file)?;
        if is_json {
            println!("{report}");
        } else {
            print!("{}", datagrams::table(&report));
        }
        return Ok(());
    }
    let report = replay_file(&args.venue, &args.file)?;
    if is_json {
        println!("{report}");
    } else {
        print!("{}", table(&report));
    }
    Ok(())
}

/// Replays a capture. The result has the fields of `spinlane replay --json`.
///
/// Errors: as [`run`].
pub fn replay_file(venue_name: &str, path: &Path) -> anyhow::Result<Value> {
    with_tool!(venue(venue_name)?, T => replay::<T>(path))
        .with_context(|| format!("venue `{venue_name}` has no replay"))?
}

/// The book of one symbol on one connection.
struct Book<T: Tool> {
    keeper: Keeper<T::Rule>,
    /// The venue's own best quotes that our book has not reached yet, oldest first.
    quotes: VecDeque<QuoteMsg>,
    quotes_compared: u64,
    quotes_equal: u64,
}

impl<T: Tool> Book<T> {
    fn on_quote(&mut self, registry: &Registry, quote: &QuoteMsg) {
        if quote.update_id < 0 {
            return; // shares no counter with the book
        }
        if self.quotes.len() >= QUOTES_MAX {
            self.quotes.pop_front();
        }
        self.quotes.push_back(*quote);
        self.compare(registry);
    }

    /// Compares the venue's own best quote with ours when both speak of the same update.
    fn compare(&mut self, registry: &Registry) {
        let proof = self.keeper.proof();
        if proof.state != State::Synced {
            return;
        }
        while let Some(quote) = self.quotes.front().copied() {
            if quote.update_id > proof.last_id {
                return;
            }
            self.quotes.pop_front();
            if quote.update_id == proof.last_id
                && let Some(instrument) = registry.get(quote.instrument)
            {
                let book = self.keeper.book();
                let is_equal = is_same(instrument, &quote.bid, book.best_bid())
                    && is_same(instrument, &quote.ask, book.best_ask());
                self.quotes_compared += 1;
                self.quotes_equal += u64::from(is_equal);
            }
        }
    }
}

/// Whether the venue's best level of a side is ours; quantity 0 = the side is empty.
fn is_same(instrument: &Instrument, raw: &RawLevel, ours: Option<Level>) -> bool {
    match instrument.level(raw) {
        Ok(level) if level.qty.0 == 0 => ours.is_none(),
        Ok(level) => ours.is_some_and(|own| own.price == level.price && own.qty == level.qty),
        Err(_) => false,
    }
}

struct Connection<T: Tool> {
    machine: T::Machine,
    books: BTreeMap<u32, Book<T>>,
}

struct Replay<T: Tool> {
    registry: Registry,
    rest: T::Machine,
    /// In the order they were opened, or first spoke: the first one's books are shown.
    connections: Vec<(String, Connection<T>)>,
    symbols: Vec<String>,
    /// Book snapshots that came before any connection had the symbol, by URL.
    early: BTreeMap<u32, (String, Vec<u8>)>,
    frames: u64,
    rest_answers: u64,
    rest_ignored: u64,
    decode_errors: u64,
    venue_errors: u64,
    first_error: Option<String>,
}

fn replay<T: Tool>(path: &Path) -> anyhow::Result<Value> {
    let mut names = Names::default();
    let mut capture = Capture::open(path)?;
    while let Some(record) = capture.next_record()? {
        if !record.is_message() {
            continue;
        }
        let bytes = record.bytes()?;
        match dp_capture::as_json(&bytes) {
            Some(message) => T::names(&message, record.url.as_deref(), &mut names),
            None if record.is_binary() => T::names_of_binary(&bytes, &mut names),
            None => {}
        }
    }
    let mut registry = Registry::new();
    names.register_assets(&mut registry);
    let symbols: Vec<_> = names.symbols.into_iter().collect();
    let rest = T::machine(symbols.clone(), &mut registry)
        .with_context(|| format!("{}: {} symbols", path.display(), symbols.len()))?;
    let mut replay = Replay::<T> {
        registry,
        rest,
        connections: Vec::new(),
        symbols,
        early: BTreeMap::new(),
        frames: 0,
        rest_answers: 0,
        rest_ignored: 0,
        decode_errors: 0,
        venue_errors: 0,
        first_error: None,
    };
    let mut capture = Capture::open(path)?;
    while let Some(record) = capture.next_record()? {
        if record.event.is_some() {
            replay.connection(&record.conn)?; // in the order they were opened
        } else if record.is_message() {
            replay
                .on_record(&record)
                .with_context(|| format!("{}:{}", path.display(), capture.line_number()))?;
        }
    }
    Ok(replay.report(path))
}

fn now_of(record: &Record) -> Now {
    Now {
        tsc: Tsc(0),
        unix: UnixNanos(record.ts.unwrap_or(1)),
    }
}

impl<T: Tool> Replay<T> {
    fn on_record(&mut self, record: &Record) -> anyhow::Result<()> {
        let mut bytes = record.bytes()?;
        let now = now_of(record);
        if let Some(url) = &record.url {
            self.rest_answers += 1;
            self.on_rest(url, bytes, now);
            return Ok(());
        }
        self.frames += 1;
        let index = self.connection(&record.conn)?;
        let Some((_, connection)) = self.connections.get_mut(index) else {
            return Ok(());
        };
        let registry = &self.registry;
        let Connection { machine, books } = connection;
        let mut new_books = Vec::new();
        let mut sink = EventsOnly(|event: &Event<'_>| match event {
            Event::Book(message) => {
                let Some(instrument) = registry.get(message.instrument) else {
                    return;
                };
                let book = books.entry(message.instrument.0).or_insert_with(|| {
                    new_books.push(message.instrument);
                    Book::new(T::rule(instrument))
                });
                book.keeper.on_msg(message, instrument, now.unix);
                book.compare(registry);
            }
            Event::Quote(quote) => {
                if let Some(book) = books.get_mut(&quote.instrument.0) {
                    book.on_quote(registry, quote);
                }
            }
            _ => {}
        });
        let result = if record.is_binary() {
            machine.on_binary(registry, T::LINK, now, &mut bytes, &mut sink)
        } else {
            machine.on_text(registry, T::LINK, now, &mut bytes, &mut sink)
        };
        self.count(result);
        for id in new_books {
            if let Some((url, body)) = self.early.get(&id.0).cloned() {
                self.on_rest(&url, body, now);
            }
        }
        Ok(())
    }

    fn count(&mut self, result: Result<(), Fault>) {
        let Err(fault) = result else { return };
        match fault {
            Fault::Decode(_) => self.decode_errors += 1,
            Fault::Venue { .. } => self.venue_errors += 1,
        }
        if self.first_error.is_none() {
            self.first_error = Some(fault.to_string());
        }
    }

    /// The index of a connection, made when it is first seen.
    fn connection(&mut self, name: &str) -> anyhow::Result<usize> {
        if let Some(index) = self.connections.iter().position(|(known, _)| known == name) {
            return Ok(index);
        }
        let machine = T::machine(self.symbols.clone(), &mut self.registry)?;
        let connection = Connection {
            machine,
            books: BTreeMap::new(),
        };
        self.connections.push((name.to_owned(), connection));
        Ok(self.connections.len() - 1)
    }

    /// One REST answer: rules go to the registry, a book to every keeper of the symbol that waits
    /// for one.
    fn on_rest(&mut self, url: &str, mut body: Vec<u8>, now: Now) {
        let Some(tag) = T::tag_of_url(&self.registry, url) else {
            self.rest_ignored += 1;
            return;
        };
        let kept = body.clone();
        // The sink cannot look at the registry the machine is writing to: take a copy of the
        // events' books.
        let mut snapshots: Vec<OwnedBook> = Vec::new();
        let mut sink = EventsOnly(|event: &Event<'_>| {
            if let Event::Book(message) = event {
                snapshots.push(OwnedBook::of(message));
            }
        });
        let response = RestResponse {
            tag,
            status: 200,
            retry_after_s: None,
            usage: dp_venue_api::Usage::default(),
            body: &mut body,
        };
        let link = dp_types::LinkId(0);
        let result = self
            .rest
            .on_response(&mut self.registry, link, now, response, &mut sink);
        self.count(result);
        for snapshot in snapshots {
            let id = snapshot.instrument;
            let mut is_taken = false;
            let Some(instrument) = self.registry.get(id) else {
                continue;
            };
            for (_, connection) in &mut self.connections {
                let Some(book) = connection.books.get_mut(&id.0) else {
                    continue;
                };
                is_taken = true;
                if book.keeper.proof().state != State::Synced {
                    let outcome = book
                        .keeper
                        .on_msg(&snapshot.message(), instrument, now.unix);
                    if outcome == Outcome::Applied {
                        book.compare(&self.registry);
                    }
                }
            }
            if !is_taken {
                self.early.insert(id.0, (url.to_owned(), kept.clone()));
            }
        }
    }

    fn report(&self, path: &Path) -> Value {
        // Levels of the first connection, counts of all.
        let mut symbols: BTreeMap<&str, (Summary, Sides)> = BTreeMap::new();
        let mut connections = serde_json::Map::new();
        for (name, connection) in &self.connections {
            let mut of_connection = serde_json::Map::new();
            for (id, book) in &connection.books {
                let Some(instrument) = self.registry.get(InstrumentId(*id)) else {
                    continue;
                };
                let symbol = instrument.symbol.as_str();
                let summary = Summary::of(book);
                let shown = |side: Side| -> Value {
                    let levels = book.keeper.book().side(side).take(LEVELS_SHOWN);
                    levels
                        .map(|level| json!(printed_level(instrument, &level)))
                        .collect()
                };
                let sides = [("bids", shown(Side::Buy)), ("asks", shown(Side::Sell))];
                of_connection.insert(symbol.to_owned(), with_sides(summary, &sides));
                let first = symbols.entry(symbol).or_insert((Summary::EMPTY, sides));
                first.0.add(&summary);
            }
            if !of_connection.is_empty() {
                connections.insert(name.clone(), Value::Object(of_connection));
            }
        }
        let symbols: serde_json::Map<_, _> = symbols
            .into_iter()
            .map(|(symbol, (sum, sides))| (symbol.to_owned(), with_sides(sum, &sides)))
            .collect();
        json!({
            "venue": T::ID.name(),
            "file": path.display().to_string(),
            "frames": self.frames,
            "decode_errors": self.decode_errors,
            "venue_errors": self.venue_errors,
            "first_error": self.first_error,
            "rest_answers": self.rest_answers,
            "rest_ignored": self.rest_ignored,
            "symbols": symbols,
            "connections": connections,
        })
    }
}

impl<T: Tool> Book<T> {
    fn new(rule: T::Rule) -> Self {
        Self {
            keeper: Keeper::new(rule),
            quotes: VecDeque::new(),
            quotes_compared: 0,
            quotes_equal: 0,
        }
    }
}

/// A depth message with its levels.
struct OwnedBook {
    instrument: InstrumentId,
    kind: BookMsgKind,
    ids: (i64, i64, i64),
    checksum: Option<u32>,
    bids: Vec<RawLevel>,
    asks: Vec<RawLevel>,
    venue_ns: dp_types::VenueNanos,
}

impl OwnedBook {
    fn of(message: &dp_types::BookMsg<'_>) -> Self {
        Self {
            instrument: message.instrument,
            kind: message.kind,
            ids: (message.first_id, message.last_id, message.prev_id),
            checksum: message.checksum,
            bids: message.bids.to_vec(),
            asks: message.asks.to_vec(),
            venue_ns: message.venue_ns,
        }
    }

    fn message(&self) -> dp_types::BookMsg<'_> {
        dp_types::BookMsg {
            instrument: self.instrument,
            kind: self.kind,
            first_id: self.ids.0,
            last_id: self.ids.1,
            prev_id: self.ids.2,
            checksum: self.checksum,
            bids: &self.bids,
            asks: &self.asks,
            venue_ns: self.venue_ns,
        }
    }
}

/// The best levels of both sides, named.
type Sides = [(&'static str, Value); 2];

fn with_sides(summary: Summary, sides: &Sides) -> Value {
    let mut entry = summary.json();
    for (name, levels) in sides {
        entry[*name] = levels.clone();
    }
    entry
}

/// What a book went through.
#[derive(Debug, Clone, Copy)]
struct Summary {
    counts: Counts,
    quotes_compared: u64,
    quotes_equal: u64,
    is_synced: bool,
}

impl Summary {
    const EMPTY: Self = Self {
        counts: Counts {
            messages: 0,
            snapshots: 0,
            deltas: 0,
            levels: 0,
            gaps: 0,
            checksums_ok: 0,
            checksums_failed: 0,
            crossed: 0,
            bad_numbers: 0,
            overflows: 0,
        },
        quotes_compared: 0,
        quotes_equal: 0,
        is_synced: true,
    };

    fn of<T: Tool>(book: &Book<T>) -> Self {
        Self {
            counts: book.keeper.counts(),
            quotes_compared: book.quotes_compared,
            quotes_equal: book.quotes_equal,
            is_synced: book.keeper.proof().state == State::Synced,
        }
    }

    fn add(&mut self, other: &Self) {
        let (sum, one) = (&mut self.counts, &other.counts);
        sum.messages += one.messages;
        sum.snapshots += one.snapshots;
        sum.deltas += one.deltas;
        sum.gaps += one.gaps;
        sum.checksums_ok += one.checksums_ok;
        sum.checksums_failed += one.checksums_failed;
        sum.crossed += one.crossed;
        sum.bad_numbers += one.bad_numbers;
        sum.overflows += one.overflows;
        self.quotes_compared += other.quotes_compared;
        self.quotes_equal += other.quotes_equal;
        self.is_synced &= other.is_synced;
    }

    fn json(&self) -> Value {
        json!({
            "messages": self.counts.messages,
            "snapshots": self.counts.snapshots,
            "deltas": self.counts.deltas,
            "gaps": self.counts.gaps,
            "checksums_ok": self.counts.checksums_ok,
            "checksums_failed": self.counts.checksums_failed,
            "crossed": self.counts.crossed,
            "bad_numbers": self.counts.bad_numbers,
            "quotes_compared": self.quotes_compared,
            "quotes_equal": self.quotes_equal,
            "synced": self.is_synced,
        })
    }
}

/// The result for people, at most 80 columns.
fn table(report: &Value) -> String {
    let mut out = String::new();
    let number = |value: &Value, key: &str| value[key].as_u64().unwrap_or(0);
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let _ = writeln!(
        out,
        "{}: {} frames, {} REST answers, {} decode errors, {} venue errors\n{}\n",
        text(&report["venue"]),
        number(report, "frames"),
        number(report, "rest_answers"),
        number(report, "decode_errors"),
        number(report, "venue_errors"),
        text(&report["file"]),
    );
    if let Some(error) = report["first_error"].as_str() {
        let _ = writeln!(out, "first error: {error}\n");
    }
    let _ = writeln!(
        out,
        "{:<23}{:>9}{:>5}{:>8}{:>7}{:>13}{:>14} ",
        "symbol", "messages", "gaps", "sums ok", "wrong", "quotes equal", "synced"
    );
    for (symbol, entry) in report["symbols"].as_object().into_iter().flatten() {
        let quotes = format!(
            "{}/{}",
            number(entry, "quotes_equal"),
            number(entry, "quotes_compared")
        );
        let _ = writeln!(
            out,
            "{symbol:<23}{:>9}{:>5}{:>8}{:>7}{quotes:>13}{:>14}",
            number(entry, "messages"),
            number(entry, "gaps"),
            number(entry, "checksums_ok"),
            number(entry, "checksums_failed"),
            if entry["synced"] == true { "yes" } else { "NO" },
        );
        let best = |side: &str| {
            let level = &entry[side][0];
            format!("{} x {}", text(&level[0]), text(&level[1]))
        };
        let _ = writeln!(out, "  bid {:<34} ask {}", best("bids"), best("asks"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::tests::capture_path;

    fn totals(report: &Value, key: &str) -> u64 {
        let symbols = report["symbols"].as_object().unwrap();
        symbols
            .values()
            .map(|entry| entry[key].as_u64().unwrap())
            .sum()
    }

    #[test]
    fn okx_recordings_every_checksum() {
        for (name, symbols, messages) in [
            ("okx/v5-20220513.jsonl.gz", 3, 290),
            ("okx/okex-20210722.jsonl.gz", 10, 4_372),
        ] {
            let Some(path) = capture_path(name) else {
                return;
            };
            let report = replay_file("okx", &path).unwrap();
            assert_eq!(report["symbols"].as_object().unwrap().len(), symbols);
            assert_eq!(totals(&report, "messages"), messages);
            assert_eq!(totals(&report, "checksums_ok"), messages);
            assert_eq!(
                totals(&report, "checksums_failed") + totals(&report, "gaps"),
                0
            );
            assert_eq!(report["decode_errors"], 0);
            for entry in report["symbols"].as_object().unwrap().values() {
                assert_eq!(entry["synced"], true);
                let levels = entry["bids"].as_array().unwrap();
                assert!(levels.len() <= LEVELS_SHOWN && levels[0][0].is_string());
            }
        }
    }

    #[test]
    fn three_connections_are_three_books_and_one_sum() {
        let Some(path) = capture_path("okx/okex-20210722.jsonl.gz") else {
            return;
        };
        let report = replay_file("okx", &path).unwrap();
        let connections = report["connections"].as_object().unwrap();
        let names: Vec<_> = connections.keys().collect();
        assert_eq!(names, ["ws1", "ws2", "ws3"]);
        let entry = &report["symbols"]["FUN-BTC"];
        assert_eq!(entry["bids"], connections["ws1"]["FUN-BTC"]["bids"]);
        assert_eq!(entry["snapshots"], 3);
    }

    #[test]
    fn binance_recordings_have_no_gap_and_the_venues_own_best_quotes() {
        for (name, symbols) in [
            ("binance/spot-20210405.jsonl.gz", 10),
            ("binance/us-20210417.jsonl.gz", 10),
            ("binance/coinm-20210721.jsonl.gz", 10),
        ] {
            let Some(path) = capture_path(name) else {
                return;
            };
            let report = replay_file("binance", &path).unwrap();
            assert_eq!(
                report["symbols"].as_object().unwrap().len(),
                symbols,
                "{name}"
            );
            assert_eq!(totals(&report, "gaps"), 0, "{name}");
            assert!(totals(&report, "quotes_compared") > 100, "{name}");
            assert_eq!(
                totals(&report, "quotes_compared"),
                totals(&report, "quotes_equal"),
                "{name}"
            );
            assert_eq!(
                report["decode_errors"], 0,
                "{name}: {}",
                report["first_error"]
            );
            for entry in report["symbols"].as_object().unwrap().values() {
                assert_eq!(entry["synced"], true, "{name}");
            }
        }
    }

    #[test]
    fn huobi_recordings_of_binary_frames_have_no_gap() {
        for (name, frames, messages) in [
            ("huobi/spot-20210417-a.jsonl.gz", 196, 146),
            ("huobi/swap-20220219-coinm.jsonl.gz", 1_296, 1_274),
        ] {
            let Some(path) = capture_path(name) else {
                return;
            };
            let report = replay_file("huobi", &path).unwrap();
            assert_eq!(report["symbols"].as_object().unwrap().len(), 5, "{name}");
            assert_eq!(report["frames"], frames);
            assert_eq!(totals(&report, "messages"), messages, "{name}");
            assert_eq!(totals(&report, "gaps") + totals(&report, "bad_numbers"), 0);
            for entry in report["symbols"].as_object().unwrap().values() {
                assert_eq!(entry["synced"], true, "{name}");
            }
            // Spot: every symbol has its rules. Swaps: each of two lists lacks what is in the other.
            let errors = if name.contains("swap") { 2 } else { 0 };
            assert!(
                report["decode_errors"].as_u64().unwrap() <= errors,
                "{report}"
            );
        }
    }

    /// A capture of our own: a gap is counted, the book is not called whole, the table stays
    /// narrow.
    #[test]
    fn a_lost_message_shows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gap.jsonl");
        let message = |action: &str, prev: i64, seq: i64| {
            let raw = format!(
                r#"{{"arg":{{"channel":"books","instId":"A-B"}},"action":"{action}","data":[{{"asks":[["2.50","1"]],"bids":[["1","3.0"]],"ts":"5","checksum":0,"prevSeqId":{prev},"seqId":{seq}}}]}}"#
            );
            json!({"ts": 1, "dir": "in", "conn": "ws1", "raw": raw}).to_string()
        };
        let lines = [
            message("snapshot", -1, 5),
            message("update", 5, 7),
            message("update", 8, 9),
        ];
        std::fs::write(&path, lines.join("\n")).unwrap();
        let report = replay_file("okx", &path).unwrap();
        let entry = &report["symbols"]["A-B"];
        assert_eq!((&entry["messages"], &entry["gaps"]), (&json!(3), &json!(1)));
        assert_eq!(
            (&entry["synced"], &entry["deltas"]),
            (&json!(false), &json!(1))
        );
        assert_eq!(entry["asks"], json!([["2.50", "1"]]));
        assert_eq!(entry["bids"], json!([["1", "3.0"]]));
        assert!(
            table(&report)
                .lines()
                .skip(2)
                .all(|line| line.chars().count() <= 80)
        );
        assert!(replay_file("nasdaq", &path).is_err());
    }
}
