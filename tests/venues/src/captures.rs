//! Other people's recordings. They live outside the repository: without them tests say so and pass, unless
//! `REQUIRE` has `captures`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};

/// One line of a recording.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Record {
    /// The connection's name, where there are several.
    pub conn: String,
    /// `in` or `out`; empty where the file holds single messages of the venue.
    pub dir: String,
    /// What was asked, if this is the answer of an HTTP server.
    pub url: Option<String>,
    /// The message; nothing where the line is about something else.
    pub raw: Option<String>,
    /// A binary message, in base64.
    pub raw_b64: Option<String>,
}

/// A WebSocket message of the venue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// For `Venue::on_text`.
    Text(String),
    /// For `Venue::on_binary`.
    Binary(Vec<u8>),
}

impl Record {
    /// The text, if it is a WebSocket message that came from the venue.
    pub fn into_text(self) -> Option<String> {
        let is_text = self.dir != "out" && self.url.is_none();
        self.raw.filter(|_| is_text)
    }

    /// The message, text or binary, if it is a WebSocket one that came from the venue.
    pub fn into_frame(self) -> Option<Frame> {
        let is_message = self.dir != "out" && self.url.is_none();
        let binary = self
            .raw_b64
            .map(|text| STANDARD.decode(text).expect("base64"));
        let frame = self.raw.map(Frame::Text).or(binary.map(Frame::Binary));
        frame.filter(|_| is_message)
    }
}

/// The folder of a venue's recordings, if it is there.
pub fn dir(venue: &str) -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/captures")
        .join(venue);
    if dir.is_dir() {
        return Some(dir);
    }
    let require = std::env::var("REQUIRE").unwrap_or_default();
    assert!(
        !require.split(',').any(|need| need == "captures"),
        "REQUIRE has captures, and {} is not there",
        dir.display()
    );
    println!("SKIPPED: {} is not there", dir.display());
    None
}

/// The lines of a recording, `.jsonl` or `.jsonl.gz`.
pub fn records(path: &Path) -> impl Iterator<Item = Record> {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let reader: Box<dyn Read> = if path.extension().is_some_and(|ext| ext == "gz") {
        Box::new(MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    BufReader::with_capacity(1 << 20, reader)
        .lines()
        .map(|line| serde_json::from_str(&line.expect("a recording reads")).expect("a record"))
}

/// Every text of a recording that came from the venue.
pub fn texts(path: &Path) -> impl Iterator<Item = String> {
    records(path).filter_map(Record::into_text)
}

/// The symbols that messages name, each once, in order: what follows `field` up to the first of `ends`.
pub fn named<'t>(texts: &'t [String], field: &str, ends: &[char]) -> Vec<&'t str> {
    let symbol = |text: &'t String| Some(text.split_once(field)?.1.split_once(ends)?.0);
    let symbols: BTreeSet<&str> = texts.iter().filter_map(symbol).collect();
    symbols.into_iter().collect()
}

/// How much of a recording was of the hot shapes, and how much of that the scanner took.
#[derive(Debug, Default)]
pub struct Tally {
    hot: u32,
    scanned: u32,
    all: u32,
}

impl Tally {
    /// Counts a message. What is not hot must not be taken by the scanner.
    pub fn count(&mut self, text: &str, is_hot: bool, is_scanned: bool) {
        assert!(is_hot || !is_scanned, "{text}");
        self.hot += u32::from(is_hot);
        self.scanned += u32::from(is_scanned);
        self.all += 1;
    }

    /// At least `hot_min` hot messages, and all but one in a thousand of them scanned.
    pub fn check(&self, name: &str, hot_min: u32) {
        let Self { hot, scanned, all } = self;
        println!("{name}: {scanned} of {hot} hot messages scanned, {all} in all");
        assert!(*hot >= hot_min, "{name}: {hot} hot messages");
        assert!(scanned * 1_000 >= hot * 999, "{name}: {scanned} of {hot}");
    }
}
