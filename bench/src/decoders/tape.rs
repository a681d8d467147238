//! What each venue's decoder is given: recordings of real sessions where they are, else the venue crate's fixtures,
//! and which of their messages are depth updates.
//!
//! ```text
//!   recording ─▶ steps in their order: an answer by REST, a message, a message that is an update
//! ```
//! An update is a message that made exactly one change of a book, and was applied. All others are fed as well, so
//! that the machine knows its channels and the keeper its snapshot; only updates are timed.

use super::rig::Rig;
use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dp_types::VenueId;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;

/// Updates taken from one recording.
const UPDATES_MAX: usize = 4_096;

/// Where a venue's messages are: one connection of a recording, and what stands in for it.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// Whose.
    pub venue: VenueId,
    /// Below the folder of recordings; empty when none has today's form.
    recording: &'static str,
    /// In their order; those of HTX are compressed, as it sends them.
    fixtures: &'static [&'static str],
}

macro_rules! fixtures {
    ($venue:literal: $($name:literal)*) => {
        &[$(include_str!(concat!("../../../dataplane/venues/", $venue, "/fixtures/", $name, ".json"))),*]
    };
}

/// Every venue, in the order of its name. Of HTX, Kraken and Kraken Futures other people recorded forms that have
/// been retired, or whole books.
pub const SOURCES: [Source; 10] = [
    source(
        VenueId::BINANCE,
        "binance/spot-btcusdt-20240808.jsonl.gz",
        &[],
    ),
    source(
        VenueId::BITFINEX,
        "bitfinex/ws2-20210417.jsonl.gz",
        fixtures!("bitfinex": "feed_subscribed_book" "feed_snapshot" "feed_delta" "feed_delta_delete"),
    ),
    source(
        VenueId::BYBIT,
        "bybit/v5-ob500-xrpusdt-20241201-first20.jsonl.gz",
        fixtures!("bybit": "feed_snapshot" "feed_delta"),
    ),
    source(
        VenueId::COINBASE,
        "coinbase/exchange-20210417-a.jsonl.gz",
        fixtures!("coinbase": "feed_snapshot" "feed_l2update"),
    ),
    source(
        VenueId::DERIBIT,
        "deribit/ws-20210405.jsonl.gz",
        fixtures!("deribit": "feed_book_snapshot" "feed_book_change"),
    ),
    source(
        VenueId::HUOBI,
        "",
        fixtures!("huobi": "feed_mbp_snapshot" "feed_mbp_delta" "feed_mbp_one_side"),
    ),
    source(
        VenueId::KRAKEN,
        "kraken/v2-book10-algousd-20241003.jsonl.gz",
        fixtures!("kraken": "feed_book_snapshot" "feed_book_update"),
    ),
    source(
        VenueId::KRAKEN_FUTURES,
        "",
        fixtures!("kraken-futures": "feed_snapshot" "feed_update"),
    ),
    source(VenueId::KUCOIN, "kucoin/spot-20210425-a.jsonl.gz", &[]),
    source(
        VenueId::OKX,
        "okx/v5-20220513.jsonl.gz",
        fixtures!("okx": "feed_snapshot" "feed_delta"),
    ),
];

const fn source(
    venue: VenueId,
    recording: &'static str,
    fixtures: &'static [&'static str],
) -> Source {
    Source {
        venue,
        recording,
        fixtures,
    }
}

/// One thing a venue said.
#[derive(Debug, Clone)]
pub struct Step {
    /// The URL it is the answer of, where it is one.
    pub url: Option<String>,
    /// As it came.
    pub bytes: Vec<u8>,
    /// Not a text.
    pub is_binary: bool,
    /// A depth update: timed.
    pub is_update: bool,
}

/// A venue's messages, in their order.
#[derive(Debug)]
pub struct Tape {
    /// Whose.
    pub venue: VenueId,
    /// Where they are from.
    pub from: String,
    /// All of them.
    pub steps: Vec<Step>,
    /// The symbols they name.
    pub symbols: Vec<String>,
    /// Distinct updates.
    pub updates: usize,
    /// Levels of all updates together.
    pub levels: u64,
}

impl Source {
    /// Its tape; `None` when the recording is not there and nothing stands in for it.
    ///
    /// Errors: a recording that cannot be read, or without an update in it.
    pub fn tape(&self, captures: &Path) -> anyhow::Result<Option<Tape>> {
        let path = captures.join(self.recording);
        let is_recorded = !self.recording.is_empty() && path.is_file();
        let (steps, from) = if is_recorded && self.venue == VenueId::OKX {
            let mut steps = recorded(&path)?;
            steps.iter_mut().for_each(without_checksum);
            let from = format!("{}, checksums put to 0", self.recording);
            (steps, from)
        } else if is_recorded {
            (recorded(&path)?, self.recording.to_owned())
        } else if self.fixtures.is_empty() {
            return Ok(None);
        } else {
            let from = format!("fixtures of the {} crate", self.venue);
            let packed = |text: &&str| {
                // The answer to a request is a snapshot to whoever sent it; without its number, to everybody.
                let text = text.trim_end().replace(r#""id":"x1I1","#, "");
                fixture(&text, self.venue == VenueId::HUOBI)
            };
            let steps: anyhow::Result<_> = self.fixtures.iter().map(packed).collect();
            (steps?, from)
        };
        let symbols = symbols(&steps);
        let mut tape = Tape {
            venue: self.venue,
            from,
            steps,
            symbols,
            updates: 0,
            levels: 0,
        };
        tape.mark()?;
        Ok(Some(tape))
    }
}

impl Tape {
    /// Finds the updates: goes through it once, as a lane would.
    fn mark(&mut self) -> anyhow::Result<()> {
        let mut rig = Rig::new(self, true)?;
        let mut end = self.steps.len();
        for (at, step) in self.steps.iter_mut().enumerate() {
            let before = rig.tap.levels;
            step.is_update = rig.feed(step)?.is_one_update;
            if step.is_update {
                self.updates += 1;
                self.levels += rig.tap.levels - before;
            }
            if self.updates == UPDATES_MAX {
                end = at + 1;
                break;
            }
        }
        self.steps.truncate(end);
        let Self { venue, from, .. } = self;
        ensure!(self.updates > 0, "{venue}: no depth update in {from}");
        Ok(())
    }

    /// The updates alone.
    pub fn updates(&self) -> impl Iterator<Item = &Step> + Clone {
        self.steps.iter().filter(|step| step.is_update)
    }
}

fn fixture(text: &str, is_compressed: bool) -> anyhow::Result<Step> {
    let bytes = if is_compressed {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes())?;
        encoder.finish()?
    } else {
        text.as_bytes().to_vec()
    };
    Ok(Step {
        url: None,
        bytes,
        is_binary: is_compressed,
        is_update: false,
    })
}

/// OKX sent checksums when this was recorded, and sends 0 in their place since June 2026.
fn without_checksum(step: &mut Step) {
    const NAME: &[u8] = br#""checksum":"#;
    let name = step.bytes.windows(NAME.len()).position(|at| at == NAME);
    let Some(start) = name.map(|at| at + NAME.len()) else {
        return;
    };
    let is_part = |byte: &u8| byte.is_ascii_digit() || *byte == b'-';
    let len = step.bytes[start..].iter().take_while(|byte| is_part(byte));
    let end = start + len.count();
    step.bytes.splice(start..end, *b"0");
}

/// What the venue said in a recording: frames of its connection, and answers.
fn recorded(path: &Path) -> anyhow::Result<Vec<Step>> {
    let file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
    let mut steps = Vec::new();
    for line in BufReader::new(MultiGzDecoder::new(file)).lines() {
        let line = line.with_context(|| format!("reading {}", path.display()))?;
        let record: Value =
            serde_json::from_str(&line).with_context(|| format!("a line of {}", path.display()))?;
        let is_binary = record["raw_b64"].is_string();
        let bytes = match (record["raw"].as_str(), record["raw_b64"].as_str()) {
            // One was kept in a file with carriage returns, which no frame had.
            (Some(text), _) => text.trim_end().as_bytes().to_vec(),
            (None, Some(text)) => STANDARD.decode(text)?,
            (None, None) => continue,
        };
        if record["dir"] == "in" {
            steps.push(Step {
                url: record["url"].as_str().map(str::to_owned),
                bytes,
                is_binary,
                is_update: false,
            });
        }
    }
    Ok(steps)
}

/// Every symbol a message names: live, the configuration names them.
fn symbols(steps: &[Step]) -> Vec<String> {
    let mut found = BTreeSet::new();
    for step in steps.iter().filter(|step| step.url.is_none()) {
        let text = inflated(step);
        if let Ok(message) = serde_json::from_slice(&text) {
            name(&message, "", &mut found);
        }
    }
    found.into_iter().collect()
}

/// The text of a message.
pub fn inflated(step: &Step) -> Vec<u8> {
    let mut text = Vec::new();
    let is_inflated = step.is_binary
        && std::io::Read::read_to_end(&mut MultiGzDecoder::new(&*step.bytes), &mut text).is_ok();
    if is_inflated {
        text
    } else {
        step.bytes.clone()
    }
}

fn name(value: &Value, key: &str, found: &mut BTreeSet<String>) {
    const KEYS: [&str; 5] = ["s", "symbol", "instId", "instrument_name", "product_id"];
    match value {
        Value::String(text) if KEYS.contains(&key) => {
            found.insert(text.clone());
        }
        // HTX names the symbol in its channel alone.
        Value::String(text) if key == "ch" => {
            found.extend(text.split('.').nth(1).map(str::to_owned));
        }
        Value::Array(items) => items.iter().for_each(|item| name(item, "", found)),
        Value::Object(fields) => fields.iter().for_each(|(key, item)| name(item, key, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_venue_has_updates_without_a_recording_or_says_that_it_has_none() {
        let nowhere = Path::new("/nowhere/at/all");
        let mut left_out = Vec::new();
        for source in SOURCES {
            match source.tape(nowhere).unwrap() {
                Some(tape) => {
                    assert!(tape.updates > 0 && tape.levels > 0, "{}", tape.venue);
                    assert!(tape.from.starts_with("fixtures"));
                }
                None => left_out.push(source.venue),
            }
        }
        assert_eq!(left_out, [VenueId::BINANCE, VenueId::KUCOIN]);
    }
}
