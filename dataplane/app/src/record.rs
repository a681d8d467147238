//! `spinlane-dataplane record`: the venues' market data as their links bring it, into capture files.
//!
//! ```text
//!   lane, on paper and without strategies ── Wiretap: a bounded queue ──▶ a thread ──▶ DIR/VENUE.jsonl.gz
//! ```
//! The lane is a node's own, in memory of its own that is gone afterwards. No key is read but where market data needs one;
//! what was said with a key is not recorded ([`dp_lane::wiretap`]).

use dp_capture::{CaptureError, Direction, Record, Writer};
use dp_config::{Config, Mode, Role};
use dp_lane::wiretap::{Drain, Heard, What, wiretap};
use dp_shm::Region;
use dp_types::{Instrument, VenueId};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Command line of a recording.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The node's configuration file: venues and symbols.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Directory of the recordings, one a venue; made where it is missing.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// How long; without, until it is told to end.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    pub seconds: Option<u64>,
    /// Print JSON with stable field names instead of text.
    #[arg(long)]
    pub json: bool,
}

/// Records until `stop` is set or the time is over. Returns what was recorded. Errors: a sentence.
pub fn run(args: &Args, stop: &Arc<AtomicBool>) -> Result<Value, String> {
    let mut config = Config::load(&args.config).map_err(|error| error.to_string())?;
    let place = tempfile::tempdir().map_err(|error| format!("a temporary directory: {error}"))?;
    let shm = Path::new("/dev/shm").join(format!("spinlane-record-{}", std::process::id()));
    strip(&mut config, place.path(), &shm)?;
    std::fs::create_dir_all(&args.out)
        .map_err(|error| format!("{}: cannot be made: {error}", args.out.display()))?;
    let files = Files::make(&config, &args.out).map_err(|error| error.to_string())?;
    let (tap, drain) = wiretap();
    let writer = std::thread::Builder::new()
        .name("recorder".into())
        .spawn(move || files.write(&drain))
        .map_err(|error| format!("no thread to write: {error}"))?;
    if let Some(seconds) = args.seconds {
        let stop = Arc::clone(stop);
        let timer = std::thread::Builder::new().name("timer".into());
        timer
            .spawn(move || {
                std::thread::sleep(Duration::from_secs(seconds));
                stop.store(true, Ordering::Relaxed);
            })
            .map_err(|error| format!("no thread for the time: {error}"))?;
    }
    let outcome = dp_lane::node::record(&config, &tap, stop);
    // The last end of the queue: the writer sees that nothing follows.
    drop(tap);
    let written = writer.join().map_err(|_| "the writing thread died")?;
    let books = Region::attach(&shm).map_or(json!([]), |region| books(&region));
    let _ = std::fs::remove_file(&shm);
    outcome.map_err(|error| error.to_string())?;
    let (files, lost) = written.map_err(|error| error.to_string())?;
    Ok(json!({"outcome": "done", "lost": lost, "files": files, "books": books}))
}

/// For people.
pub fn text(report: &Value) -> String {
    let mut text = String::new();
    for file in report["files"].as_array().into_iter().flatten() {
        let path = file["path"].as_str().unwrap_or("-");
        text += &format!("{path}: {} lines\n", file["lines"]);
    }
    if report["lost"] != 0 {
        text += &format!(
            "LOST {} messages: the disk was slower than the venues\n",
            report["lost"]
        );
    }
    text
}

/// Leaves what a recording needs: venues and symbols, one lane for all, no strategy, no keys but those market data needs,
/// memory of its own.
fn strip(config: &mut Config, state_dir: &Path, shm: &Path) -> Result<(), String> {
    config.node.mode = Mode::Paper;
    state_dir.clone_into(&mut config.node.state_dir);
    shm.clone_into(&mut config.node.shm);
    config.strategy.clear();
    for (name, venue) in &mut config.venue {
        let id = VenueId::from_name(name);
        if let Some(why) = unrecorded(id, venue) {
            return Err(format!("venue.{name}: {why}: leave it out"));
        }
        // Orders alone go over it.
        venue.fix = None;
        if !needs_key(id, venue) {
            venue.keys_file = None;
        }
    }
    let Some(mut lane) = config.lane.first().cloned() else {
        return Err("the configuration has no lane".into());
    };
    lane.venues = config.venue.keys().cloned().collect();
    lane.roles = Role::ALL.to_vec();
    (lane.core, lane.fifo) = (None, 0);
    lane.transport = dp_config::Transport::Auto;
    (lane.nic, lane.queue, lane.xdp_mode, lane.busy_poll) = (None, None, None, None);
    config.lane = vec![lane];
    Ok(())
}

/// Why a venue's market data cannot be recorded as it is configured, if it cannot.
fn unrecorded(id: Option<VenueId>, venue: &dp_config::Venue) -> Option<&'static str> {
    let speaks_fix_alone = id == Some(VenueId::YOFX);
    let fix = venue.fix.as_ref();
    if speaks_fix_alone || fix.is_some_and(|fix| fix.market.is_some()) {
        return Some(
            "its market data comes by FIX, which the format of recordings has no line for",
        );
    }
    let datagrams = "its market data comes by multicast, and the format of recordings has no line for a datagram";
    venue.multicast.as_ref().map(|_| datagrams)
}

/// Whether a venue shows its market data to who has a key only.
fn needs_key(id: Option<VenueId>, venue: &dp_config::Venue) -> bool {
    id.is_some_and(|id| !id.takes_orders()) || venue.market_data != dp_config::MarketData::Json
}

/// One file a venue.
struct Files {
    by_venue: BTreeMap<u8, (PathBuf, Writer, u64)>,
}

impl Files {
    fn make(config: &Config, out: &Path) -> Result<Self, CaptureError> {
        let mut by_venue = BTreeMap::new();
        for name in config.venue.keys() {
            let Some(venue) = VenueId::from_name(name) else {
                continue;
            };
            let path = out.join(format!("{name}.jsonl.gz"));
            let writer = Writer::create(&path)?;
            by_venue.insert(venue.0, (path, writer, 0));
        }
        Ok(Self { by_venue })
    }

    /// Writes what comes until there is no more; then ends the files. Returns them, and what was lost.
    fn write(mut self, drain: &Drain) -> Result<(Value, u64), CaptureError> {
        // What the disk refuses is told at the end; the queue is emptied all the same.
        let mut fault = None;
        while let Some(heard) = drain.next() {
            let Some((_, writer, lines)) = self.by_venue.get_mut(&heard.venue.0) else {
                continue;
            };
            if fault.is_none() {
                fault = writer.write(&line(heard)).err();
                *lines += 1;
            }
        }
        let mut files = Vec::new();
        for (venue, (path, writer, lines)) in self.by_venue {
            writer.finish()?;
            let venue = VenueId(venue).name();
            files.push(json!({"venue": venue, "path": path, "lines": lines}));
        }
        match fault {
            Some(fault) => Err(fault),
            None => Ok((Value::Array(files), drain.lost())),
        }
    }
}

/// A line of a capture. Connections are named by feed and link.
fn line(heard: Heard) -> Record {
    let ts = heard.at.0;
    let conn = match heard.feed {
        0 => format!("ws{}", heard.link.0),
        feed => format!("ws{}-{feed}", heard.link.0),
    };
    match heard.what {
        What::Text(bytes) => Record::message(ts, Direction::In, &conn, bytes),
        What::Binary(bytes) => Record::binary(ts, &conn, &bytes),
        What::Said(bytes) => Record::message(ts, Direction::Out, &conn, bytes),
        What::Opened(url) => Record {
            ts: Some(ts),
            dir: Direction::Out,
            conn,
            event: Some("open".into()),
            url: Some(url),
            ..Record::default()
        },
        What::Answer(url, body) => Record {
            url: Some(url),
            ..Record::message(ts, Direction::In, "http", body)
        },
    }
}

/// The books as they were at the end: what a replay of the recording must come to.
fn books(region: &Region) -> Value {
    let entries: Vec<Instrument> = region
        .instruments()
        .iter()
        .map(|it| it.instrument)
        .collect();
    let books = entries.iter().filter_map(|it| {
        let top = region.book(it.id)?.read()?;
        let price = |price| it.price_decimal(price).to_string();
        Some(json!({
            "venue": it.venue.name(), "symbol": it.symbol.as_str(), "update_id": top.last_update_id,
            "bid": price(top.bid_price), "ask": price(top.ask_price),
        }))
    });
    books.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(venues: &str) -> Result<Config, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.toml");
        let head = "[node]\nname = \"t\"\nshm = \"/dev/shm/t\"\nstate_dir = \"/tmp/t\"\n[[lane]]\nvenues = [";
        let names = venues.lines().filter_map(|line| {
            let name = line.strip_prefix("[venue.")?.strip_suffix(']')?;
            (!name.contains('.')).then(|| format!("\"{name}\""))
        });
        let names: Vec<_> = names.collect();
        let text = format!("{head}{}]\n{venues}", names.join(", "));
        std::fs::write(&path, text).unwrap();
        let mut config = Config::load(&path).map_err(|error| error.to_string())?;
        strip(&mut config, dir.path(), &dir.path().join("shm"))?;
        Ok(config)
    }

    fn venue(name: &str, more: &str) -> String {
        let hosts =
            "rest = \"l:1\"\npublic = \"l:1\"\nprivate = \"l:1\"\nsymbols = []\nkeys_file = \"/k\"";
        format!("[venue.{name}]\n{hosts}\n{more}\n")
    }

    #[test]
    fn keys_are_kept_for_market_data_alone() {
        let fix = "[venue.kraken.fix]\nentry = \"l:4\"";
        let venues = [
            venue("okx", ""),
            venue("binance", "market_data = \"sbe\""),
            venue("kraken", fix),
        ];
        let config = stripped(&venues.concat()).unwrap();
        let has_keys = |name: &str| config.venue[name].keys_file.is_some();
        assert_eq!(
            ["okx", "binance", "kraken"].map(has_keys),
            [false, true, false]
        );
        assert!(
            config.venue["kraken"].fix.is_none(),
            "its prices come by its own road"
        );
    }

    #[test]
    fn what_the_format_has_no_line_for_is_refused_with_the_reason() {
        let fix = "[venue.kraken.fix]\nentry = \"l:4\"\nmarket = \"l:5\"";
        let error = stripped(&venue("kraken", fix)).unwrap_err();
        assert!(
            error.contains("venue.kraken: its market data comes by FIX"),
            "{error}"
        );
        assert!(error.contains("leave it out"), "{error}");
    }
}
