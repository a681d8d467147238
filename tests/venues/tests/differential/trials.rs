//! Where messages come from: fixtures, recordings, fixtures with other numbers; and what is done to one on its way.

use crate::frame::{Differs, Message, Pair, Tried, Verdict};
use crate::heard::{Heard, text};
use bigdecimal::BigDecimal;
use dp_types::limit::INSTRUMENTS_MAX;
use dp_venue_api::Registry;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use tests_venues::captures::{self, Frame, records};
use tests_venues::made::{usual_int, usual_number};
use tests_venues::rig;

/// How many messages came to what.
#[derive(Debug, Default)]
struct Tally {
    heard: BTreeMap<&'static str, u32>,
    ignored: BTreeMap<&'static str, u32>,
    other: u32,
    refused: u32,
}

impl Tally {
    fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Same(all) => {
                for heard in all {
                    *self.heard.entry(heard.kind()).or_default() += 1;
                }
            }
            Verdict::Ignored(reason) => *self.ignored.entry(reason.name()).or_default() += 1,
            Verdict::Other => self.other += 1,
            Verdict::Refused => self.refused += 1,
        }
    }
}

/// A fixture by name.
fn fixture<T: Tried>(name: &str) -> &'static str {
    rig::fixture(&folder::<T>(), name)
}

fn folder<T: Tried>() -> String {
    format!(
        "{}/../../dataplane/venues/{}",
        env!("CARGO_MANIFEST_DIR"),
        T::FOLDER
    )
}

/// Every fixture, those of REST books with their question.
fn all<T: Tried>() -> Vec<(String, Message)> {
    let of = |(name, text): (String, &str)| {
        let book = T::BOOKS.iter().find(|(book, _)| *book == name);
        let message = match book {
            Some((_, url)) => Message::answer(url, text),
            None => Message::text(text),
        };
        (name, message)
    };
    let more = T::MORE.iter().map(|text| ("more".to_owned(), *text));
    let fixtures = rig::fixtures(&folder::<T>()).into_iter();
    fixtures.chain(more).map(of).collect()
}

/// Reads one message alone, after the fixtures of `before`. Errors: how the readings differ.
fn alone<T: Tried>(before: &[&str], message: &Message, sent: &Message) -> Result<Verdict, Differs> {
    let mut registry = Registry::new();
    let before: Vec<_> = before
        .iter()
        .map(|name| Message::text(fixture::<T>(name)))
        .collect();
    // Whatever could be a symbol is followed: what the page does not tell may not be ignored for that.
    for message in before.iter().chain([message]) {
        let url = message.url.as_deref().unwrap_or_default();
        follow::<T>(&mut registry, &Value::from(url));
        follow::<T>(&mut registry, &message.json().unwrap_or_default());
    }
    let mut pair = Pair::<T>::new(&mut registry);
    for message in &before {
        pair.compare(&mut registry, message, message)?;
    }
    pair.compare(&mut registry, message, sent)
}

/// Registers every word of a message, up to half of what there is room for.
fn follow<T: Tried>(registry: &mut Registry, value: &Value) {
    match value {
        _ if registry.instruments().len() >= INSTRUMENTS_MAX / 2 => {}
        Value::Array(items) => items.iter().for_each(|item| follow::<T>(registry, item)),
        Value::Object(items) => items.values().for_each(|item| follow::<T>(registry, item)),
        Value::String(text) => {
            let parts = text.split(['.', ':', '@', '=', '&', '/']);
            for word in parts.chain([text.as_str()]) {
                for word in [word.to_owned(), word.to_uppercase()] {
                    let is_word = word.starts_with(|it: char| it.is_ascii_alphanumeric());
                    let _ = is_word.then(|| registry.register(T::ID, &word, 8, 8));
                }
            }
        }
        _ => {}
    }
}

/// Every fixture of the crate.
pub fn fixtures<T: Tried>() {
    let mut tally = Tally::default();
    let mut bad = Vec::new();
    for (name, message) in all::<T>() {
        // What is said of us is another test's.
        match alone::<T>(T::BEFORE, &message, &message) {
            Ok(verdict) => tally.count(verdict),
            Err(why) => bad.push(format!("{name}: {}", why.how)),
        }
    }
    println!("{}: {tally:?}", T::ID.name());
    assert!(bad.is_empty(), "{}", bad.join("\n\n"));
    assert!(tally.heard.contains_key("book") && tally.heard.contains_key("trade"));
}

/// Every recording, if they are there: sessions by connection, single messages each alone.
pub fn recordings<T: Tried>() {
    let Some(dir) = captures::dir(T::FOLDER) else {
        return;
    };
    let files = std::fs::read_dir(&dir).expect("the folder opens");
    let mut paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    paths.retain(|path| path.to_string_lossy().contains(".jsonl"));
    paths.sort();
    let mut bad = Vec::new();
    for path in &paths {
        let is_session = path.extension().is_some_and(|ext| ext == "gz");
        let messages = messages(path);
        let mut tally = Tally::default();
        let mut registry = Registry::new();
        let mut pairs = BTreeMap::new();
        if is_session {
            learn::<T>(&mut registry, &messages);
        }
        for (conn, message) in &messages {
            let verdict = if is_session {
                pairs
                    .entry(conn)
                    .or_insert_with(|| Pair::<T>::new(&mut registry))
                    .compare(&mut registry, message, message)
            } else {
                alone::<T>(&[], message, message)
            };
            match verdict {
                Ok(verdict) => tally.count(verdict),
                Err(why) => bad.push(format!("{}: {message:?}\n{}", path.display(), why.how)),
            }
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        println!("{}/{name}: {tally:?}", T::FOLDER);
        assert!(!is_session || tally.heard.contains_key("book"), "{name}");
    }
    let first: Vec<_> = bad.iter().take(10).map(String::as_str).collect();
    assert!(
        bad.is_empty(),
        "{} differ:\n{}",
        bad.len(),
        first.join("\n\n")
    );
}

fn messages(path: &Path) -> Vec<(String, Message)> {
    records(path)
        .filter_map(|record| Some((record.conn.clone(), Message::of(record)?)))
        .collect()
}

/// Registers every symbol of a session: live, the configuration names them.
fn learn<T: Tried>(registry: &mut Registry, messages: &[(String, Message)]) {
    let mut pages = BTreeMap::<_, T::Page>::new();
    for (conn, message) in messages {
        let page = pages.entry(conn).or_default();
        let json = message.json().unwrap_or_default();
        for heard in T::read(page, &json, message.url.as_deref()) {
            registry
                .register(T::ID, heard.symbol(), 8, 8)
                .expect("there is room");
        }
    }
}

/// Fixtures of which something is heard, by both readings alike.
fn telling<T: Tried>() -> Vec<(String, Message, Vec<Heard>)> {
    let mut found = Vec::new();
    for (name, message) in all::<T>() {
        match alone::<T>(T::BEFORE, &message, &message) {
            Ok(Verdict::Same(heard)) => found.push((name, message, heard)),
            Ok(_) => {}
            Err(why) => panic!("{name}: {}", why.how),
        }
    }
    found
}

/// Where the numbers of a message are, those in texts too.
fn numbers(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                numbers(item, &format!("{path}/{at}"), found);
            }
        }
        Value::Object(items) => {
            for (key, item) in items {
                let key = key.replace('~', "~0").replace('/', "~1");
                numbers(item, &format!("{path}/{key}"), found);
            }
        }
        value => {
            // One venue writes a row as one text: `65000.0,sell,83`.
            let is_number = |part: &str| part.parse::<BigDecimal>().is_ok();
            if text(value).split(',').any(is_number) {
                found.push(path.to_owned());
            }
        }
    }
}

/// The same message with another number in one place.
fn with_number(message: &Value, path: &str, number: &str) -> Value {
    let mut message = message.clone();
    if let Some(place) = message.pointer_mut(path) {
        *place = match place {
            Value::String(old) => match old.split_once(',') {
                Some((_, rest)) => Value::from(format!("{number},{rest}")),
                None => Value::from(number),
            },
            _ => serde_json::from_str(number).expect("a number"),
        };
    }
    message
}

/// Fixtures with other numbers in them, rows left out and rows doubled.
pub fn made_up<T: Tried>() {
    let telling = telling::<T>();
    let config = Config {
        cases: Config::default().cases.max(400),
        failure_persistence: None,
        ..Config::default()
    };
    let edit = (any::<Index>(), 0..4u8, usual_number(), usual_int());
    let strategy = (any::<Index>(), prop::collection::vec(edit, 0..6));
    let (same, tried) = (Cell::new(0), Cell::new(0));
    let run = TestRunner::new(config).run(&strategy, |(pick, edits)| {
        let (_, message, _) = pick.get(&telling);
        let mut json = message.json().expect("a fixture is JSON");
        for (place, what, number, whole) in edits {
            json = edited(json, place, what, &number, &whole);
        }
        let mut message = message.clone();
        message.frame = Frame::Text(json.to_string());
        tried.set(tried.get() + 1);
        match alone::<T>(T::BEFORE, &message, &message) {
            Ok(Verdict::Same(_)) => same.set(same.get() + 1),
            // Numbers may be more than a machine takes, and rows fewer than a message has.
            Ok(_)
            | Err(Differs {
                is_refused: true, ..
            }) => {}
            Err(why) => return Err(TestCaseError::fail(format!("{json}\n{}", why.how))),
        }
        Ok(())
    });
    run.unwrap_or_else(|error| panic!("{error}"));
    println!(
        "{}: {} of {} tell something",
        T::ID.name(),
        same.get(),
        tried.get()
    );
    assert!(same.get() * 2 > tried.get(), "most are refused or ignored");
}

/// One change: mostly another number where one is, sometimes a row more or less.
fn edited(mut json: Value, place: Index, what: u8, number: &str, whole: &str) -> Value {
    let mut places = Vec::new();
    numbers(&json, "", &mut places);
    if places.is_empty() {
        return json;
    }
    let path = place.get(&places).clone();
    let is_whole = json
        .pointer(&path)
        .is_some_and(|old| !text(old).contains('.'));
    if what > 0 {
        return with_number(&json, &path, if is_whole { whole } else { number });
    }
    // The list whose row the number is in.
    let mut parts = path.rsplitn(3, '/');
    let row = parts.nth(1).and_then(|row| row.parse::<usize>().ok());
    if let (Some(row), Some(list)) = (row, parts.next())
        && let Some(Value::Array(rows)) = json.pointer_mut(list)
        && rows.get(row).is_some_and(Value::is_array)
    {
        if place.index(2) == 0 {
            let again = rows[row].clone();
            rows.insert(row, again);
        } else {
            rows.remove(row);
        }
    }
    json
}

/// Every price and quantity that is told is watched: the machine is given another number in each place of a fixture in
/// turn, and at least as many of these changes are found as there are numbers told.
pub fn faults<T: Tried>() {
    let mut planted = 0;
    for (name, message, heard) in telling::<T>() {
        let json = message.json().expect("a fixture is JSON");
        let mut places = Vec::new();
        numbers(&json, "", &mut places);
        let found = places
            .iter()
            .filter(|path| {
                let mut sent = message.clone();
                sent.frame = Frame::Text(with_number(&json, path, "7777").to_string());
                alone::<T>(T::BEFORE, &message, &sent).is_err()
            })
            .count();
        let told: usize = heard.iter().map(Heard::numbers).sum();
        assert!(
            found >= told,
            "{name}: {found} of {} found, {told} told",
            places.len()
        );
        planted += found;
    }
    println!("{}: {planted} changes found", T::ID.name());
    assert!(planted > 0);
}
