//! `spinlane replay` of a recorded multicast feed: datagrams through the machine and the keepers that would run live.
//!
//! ```text
//! .pcap, .pcapng   UDP payloads, whatever their addresses: both lines of a feed may be in one file
//! text             one datagram a line in hex, `#` before a remark
//! ```
//! Two passes: the first finds which feed it is and the instruments it defines. The times of a recording are not used:
//! a hole is given up when no more can be held behind it, and at the end.

use crate::tools::printed_level;
use anyhow::{Context as _, bail};
use dp_book::{Keeper, L3Book, State};
use dp_types::{InstrumentId, Level, LinkId, Now, Side, UnixNanos};
use dp_venue_api::{Control, DecodeError, Event, Registry, RestRequest, Sink};
use dp_venue_deribit::multicast::{Feed, Multicast, Starbase};
use dp_venue_deribit::sync::DeribitSync;
use etherparse::{SlicedPacket, TransportSlice};
use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError, create_reader};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

/// Levels a side in the result.
const LEVELS_SHOWN: usize = 10;
/// Orders of one book.
const ORDERS_MAX: usize = 65_536;
/// Largest file: an hour of a busy feed.
const FILE_MAX: u64 = 4 << 30;

/// Whether a file holds datagrams rather than a capture's lines, by how it begins.
///
/// Errors: it cannot be read.
pub fn is_datagrams(path: &Path) -> anyhow::Result<bool> {
    let mut head = Vec::new();
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    file.take(16).read_to_end(&mut head)?;
    let is_text = |byte: &u8| byte.is_ascii_hexdigit() || *byte == b'\n';
    Ok(is_pcap(&head) || head.starts_with(b"#") || (head.len() == 16 && head.iter().all(is_text)))
}

/// Both forms, in either order of bytes, and the two resolutions of the older one.
fn is_pcap(head: &[u8]) -> bool {
    let magic = head.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    magic.is_some_and(|magic| {
        let all = [0xa1b2_c3d4u32, 0xa1b2_3c4d, 0x0a0d_0d0a];
        all.contains(&magic) || all.contains(&magic.swap_bytes())
    })
}

/// Replays a recording of datagrams; the fields are those of `spinlane replay --json`, and the channels' own.
///
/// Errors: it cannot be read, or is of neither feed.
pub fn replay(path: &Path) -> anyhow::Result<Value> {
    let all = datagrams(path).with_context(|| format!("reading {}", path.display()))?;
    let feed = all.iter().find_map(|bytes| Feed::of(bytes));
    let feed = feed.context("no datagram is of Deribit's feeds")?;
    let mut names = BTreeSet::new();
    for bytes in &all {
        feed.names(bytes, &mut |name| {
            names.insert(name.to_owned());
        });
    }
    let symbols: Vec<_> = names.into_iter().collect();
    let mut registry = Registry::new();
    let mut machine = match feed {
        Feed::Classic => Machine::Classic(Multicast::new(&symbols, &mut registry)?),
        Feed::Starbase => Machine::Starbase(Starbase::new(&symbols, &mut registry)?),
    };
    let mut lane = Lane::new(&registry, feed);
    let mut errors = Vec::new();
    for (at, bytes) in all.iter().enumerate() {
        let now = now_of(at as u64);
        if let Err(why) = machine.on_datagram(&mut registry, now, bytes, &mut lane) {
            errors.push(format!("datagram {at}: {why}"));
        }
        lane.after(&registry, &mut machine);
    }
    let end = now_of(all.len() as u64 + 1_000_000);
    if let Err(why) = machine.on_deadline(&mut registry, end, &mut lane) {
        errors.push(format!("at the end: {why}"));
    }
    Ok(json!({
        "venue": "deribit",
        "file": path.display().to_string(),
        "feed": match feed {
            Feed::Classic => "classic",
            Feed::Starbase => "starbase",
        },
        "datagrams": all.len(),
        "decode_errors": errors.len(),
        "first_error": errors.first(),
        "quotes": lane.quotes,
        "trades": lane.trades,
        "books_lost": lane.lost,
        "channels": machine.channels(),
        "symbols": lane.books(),
    }))
}

/// The same for people.
pub fn table(report: &Value) -> String {
    let count = |of: &Value, key: &str| of[key].as_u64().unwrap_or(0);
    let mut text = format!(
        "{} feed: {} datagrams, {} not read, {} trades, {} quotes\n",
        report["feed"].as_str().unwrap_or(""),
        count(report, "datagrams"),
        count(report, "decode_errors"),
        count(report, "trades"),
        count(report, "quotes"),
    );
    let of = |key: &str| report[key].as_object().into_iter().flatten();
    for (name, channel) in of("channels") {
        text += &format!(
            "channel {name}: {} packets, {} of them again, {} holes\n",
            count(channel, "packets"),
            count(channel, "repeats"),
            count(channel, "holes"),
        );
    }
    for (symbol, book) in of("symbols") {
        let state = if book["synced"] == true {
            "whole"
        } else {
            "not whole"
        };
        text += &format!("{symbol}: {} messages, {state}\n", count(book, "messages"));
    }
    text
}

/// A microsecond a datagram: nothing waits for long.
fn now_of(at: u64) -> Now {
    Now {
        unix: UnixNanos(1_000_000_000 + at * 1_000),
        ..Now::default()
    }
}

// ---- the machine of either feed -----------------------------------------------------------------

enum Machine {
    Classic(Multicast),
    Starbase(Starbase),
}

impl Machine {
    fn on_datagram(
        &mut self,
        registry: &mut Registry,
        now: Now,
        bytes: &[u8],
        lane: &mut Lane,
    ) -> Result<(), DecodeError> {
        match self {
            Self::Classic(machine) => machine.on_datagram(registry, now, bytes, lane),
            Self::Starbase(machine) => machine.on_datagram(registry, now, bytes, lane),
        }
    }

    fn on_deadline(
        &mut self,
        registry: &mut Registry,
        now: Now,
        lane: &mut Lane,
    ) -> Result<(), DecodeError> {
        match self {
            Self::Classic(machine) => machine.on_deadline(registry, now, lane),
            Self::Starbase(machine) => machine.on_deadline(registry, now, lane),
        }
    }

    fn request_snapshot(&mut self, instrument: InstrumentId) {
        match self {
            Self::Classic(machine) => machine.request_snapshot(instrument),
            Self::Starbase(machine) => {
                let _is_new = machine.request_snapshot(instrument);
            }
        }
    }

    fn channels(&self) -> Value {
        let counts: Vec<_> = match self {
            Self::Classic(machine) => machine.counts().collect(),
            Self::Starbase(machine) => machine.counts().collect(),
        };
        let told = counts.into_iter().map(|(channel, counts)| {
            // Starbase's snapshots are streams of their own, told by the highest bit.
            let name = match channel >> 31 {
                0 => channel.to_string(),
                _ => format!("{} snapshots", channel & !(1 << 31)),
            };
            let counts = json!({
                "packets": counts.packets,
                "repeats": counts.repeats,
                "held": counts.held,
                "holes": counts.holes,
            });
            (name, counts)
        });
        Value::Object(told.collect())
    }
}

// ---- the lane -----------------------------------------------------------------------------------

/// One instrument's book, of levels or of orders.
enum Book {
    Levels(Box<Keeper<DeribitSync>>),
    Orders {
        book: Box<L3Book>,
        is_whole: bool,
        messages: u64,
    },
}

struct Lane {
    registry: Registry,
    /// By instrument.
    books: Vec<Option<Book>>,
    feed: Feed,
    wants: Vec<InstrumentId>,
    quotes: u64,
    trades: u64,
    lost: u64,
}

impl Lane {
    fn new(registry: &Registry, feed: Feed) -> Self {
        Self {
            registry: registry.clone(),
            books: registry.instruments().iter().map(|_| None).collect(),
            feed,
            wants: Vec::new(),
            quotes: 0,
            trades: 0,
            lost: 0,
        }
    }

    /// Instruments that are never told of take no book.
    fn book(&mut self, id: InstrumentId) -> Option<&mut Book> {
        let feed = self.feed;
        let slot = self.books.get_mut(id.0 as usize)?;
        Some(slot.get_or_insert_with(|| match feed {
            Feed::Classic => Book::Levels(Box::new(Keeper::new(DeribitSync))),
            Feed::Starbase => Book::Orders {
                book: Box::new(L3Book::new(ORDERS_MAX)),
                is_whole: false,
                messages: 0,
            },
        }))
    }

    fn after(&mut self, registry: &Registry, machine: &mut Machine) {
        self.registry = registry.clone();
        for id in self.wants.drain(..) {
            machine.request_snapshot(id);
        }
    }

    fn books(&self) -> Value {
        let told = self.registry.instruments().iter().zip(&self.books);
        let told = told.filter_map(|(instrument, book)| {
            let told = match book.as_ref()? {
                Book::Levels(keeper) => {
                    let (counts, proof) = (keeper.counts(), keeper.proof());
                    let shown = |level: Level| json!(printed_level(instrument, &level));
                    let bids = keeper.book().bids().take(LEVELS_SHOWN).map(shown);
                    let asks = keeper.book().asks().take(LEVELS_SHOWN).map(shown);
                    json!({
                        "messages": counts.messages,
                        "snapshots": counts.snapshots,
                        "deltas": counts.deltas,
                        "gaps": counts.gaps,
                        "synced": proof.state == State::Synced,
                        "last_id": proof.last_id,
                        "bids": bids.collect::<Value>(),
                        "asks": asks.collect::<Value>(),
                    })
                }
                Book::Orders {
                    book,
                    is_whole,
                    messages,
                } => {
                    let orders = |side| book.orders(side).count();
                    json!({
                        "messages": messages,
                        "synced": is_whole,
                        "bid_orders": orders(Side::Buy),
                        "ask_orders": orders(Side::Sell),
                    })
                }
            };
            Some((instrument.symbol.to_string(), told))
        });
        Value::Object(told.collect())
    }
}

impl Sink for Lane {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Book(message) => {
                let instrument = self.registry.get(message.instrument).copied();
                if let (Some(instrument), Some(Book::Levels(keeper))) =
                    (instrument, self.book(message.instrument))
                    && keeper
                        .on_msg(message, &instrument, UnixNanos(1))
                        .needs_snapshot()
                {
                    self.wants.push(message.instrument);
                }
            }
            Event::L3(message) => {
                let instrument = self.registry.get(message.instrument).copied();
                if let (
                    Some(instrument),
                    Some(Book::Orders {
                        book,
                        is_whole,
                        messages,
                    }),
                ) = (instrument, self.book(message.instrument))
                {
                    if message.has_hole {
                        *is_whole = false;
                        self.lost += 1;
                        return;
                    }
                    *messages += 1;
                    *is_whole = book.apply(message, &instrument).is_ok();
                    if !*is_whole {
                        self.wants.push(message.instrument);
                    }
                }
            }
            Event::Control(Control::BookLost(id)) => {
                self.lost += 1;
                if let Some(Book::Levels(keeper)) = self.book(*id) {
                    keeper.reset();
                }
            }
            Event::Quote(_) => self.quotes += 1,
            Event::Trade(_) => self.trades += 1,
            _ => {}
        }
    }
    fn send_text(&mut self, _: LinkId, _: &[u8]) {}
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

// ---- files --------------------------------------------------------------------------------------

fn datagrams(path: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let file = File::open(path)?;
    let mut reader = BufReader::new(file.take(FILE_MAX));
    if is_pcap(reader.fill_buf()?) {
        return of_pcap(reader);
    }
    let mut all = Vec::new();
    for (number, line) in reader.lines().enumerate() {
        let line = line?;
        if !line.starts_with('#') && !line.trim().is_empty() {
            let bytes = of_hex(line.trim());
            all.push(bytes.with_context(|| format!("line {}: not hex", number + 1))?);
        }
    }
    Ok(all)
}

fn of_hex(line: &str) -> Option<Vec<u8>> {
    let pairs = line.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        let pair = core::str::from_utf8(pair)
            .ok()
            .filter(|_| pair.len() == 2)?;
        u8::from_str_radix(pair, 16).ok()
    };
    pairs.map(byte).collect()
}

/// The payloads of all UDP datagrams; whatever else was recorded is passed over.
fn of_pcap(reader: impl std::io::Read + Send) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut reader = match create_reader(1 << 16, reader) {
        Ok(reader) => reader,
        Err(why) => bail!("not a packet capture: {why:?}"),
    };
    let (mut all, mut link) = (Vec::new(), Linktype::ETHERNET);
    loop {
        match reader.next() {
            Ok((size, block)) => {
                let frame = match &block {
                    PcapBlockOwned::LegacyHeader(header) => {
                        link = header.network;
                        None
                    }
                    PcapBlockOwned::Legacy(packet) => Some(packet.data),
                    PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
                        link = interface.linktype;
                        None
                    }
                    PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => Some(packet.data),
                    PcapBlockOwned::NG(Block::SimplePacket(packet)) => Some(packet.data),
                    PcapBlockOwned::NG(_) => None,
                };
                all.extend(frame.and_then(|frame| payload(frame, link)));
                reader.consume(size);
            }
            Err(PcapError::Eof) => return Ok(all),
            Err(PcapError::Incomplete(_)) => {
                if let Err(why) = reader.refill() {
                    bail!("cut off: {why:?}");
                }
            }
            Err(why) => bail!("damaged: {why:?}"),
        }
    }
}

fn payload(frame: &[u8], link: Linktype) -> Option<Vec<u8>> {
    let packet = if link == Linktype::ETHERNET {
        SlicedPacket::from_ethernet(frame)
    } else {
        SlicedPacket::from_ip(frame)
    };
    match packet.ok()?.transport? {
        TransportSlice::Udp(udp) => Some(udp.payload().to_vec()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIXTURE: &str = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../dataplane/venues/deribit/fixtures/multicast_2024.hex"
    );

    /// Twice the same file is two lines: everything comes again but the round, whose numbers are the next.
    fn lines() -> Vec<Vec<u8>> {
        let recorded = datagrams(Path::new(FIXTURE)).unwrap();
        let mut all = recorded.clone();
        for bytes in &recorded[1..] {
            let mut next = bytes.clone();
            next[4] += 1;
            all.push(next);
        }
        all.push(recorded[0].clone());
        all
    }

    fn check(report: &Value) {
        assert_eq!(
            (&report["feed"], &report["datagrams"]),
            (&json!("classic"), &json!(6))
        );
        assert_eq!(report["decode_errors"], 0, "{}", report["first_error"]);
        assert_eq!(report["channels"]["1"]["repeats"], 1);
        let option = &report["symbols"]["BTC-27DEC24-15000-C"];
        assert_eq!(
            (&option["synced"], &option["snapshots"]),
            (&json!(true), &json!(1))
        );
        assert_eq!(option["asks"], json!([["0.7815", "30.8"]]));
        assert_eq!(option["bids"], json!([["0.778", "30.8"]]));
        assert!(table(report).contains("BTC-27DEC24-15000-C: 1 messages, whole"));
    }

    #[test]
    fn recorded_datagrams_as_text() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("feed.hex");
        let hex = |bytes: Vec<u8>| {
            bytes
                .iter()
                .flat_map(|byte| [byte >> 4, byte & 15])
                .filter_map(|nibble| char::from_digit(u32::from(nibble), 16))
                .collect::<String>()
        };
        let text: Vec<_> = lines().into_iter().map(hex).collect();
        std::fs::write(&path, text.join("\n")).unwrap();
        assert!(is_datagrams(&path).unwrap() && is_datagrams(Path::new(FIXTURE)).unwrap());
        check(&replay(&path).unwrap());
        std::fs::write(&path, "{\"ts\":1}\n").unwrap();
        assert!(!is_datagrams(&path).unwrap());
        std::fs::write(&path, "# of no feed\n0011223344\n").unwrap();
        assert!(is_datagrams(&path).unwrap() && replay(&path).is_err());
    }

    /// The same as a capture of frames: Ethernet, IPv4, UDP, in the older form.
    #[test]
    fn recorded_datagrams_as_a_packet_capture() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("feed.pcap");
        let mut file = Vec::new();
        for field in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65_535, 1] {
            file.extend(field.to_le_bytes());
        }
        let mut record = |frame: &[u8]| {
            for field in [1, 0, frame.len() as u32, frame.len() as u32] {
                file.extend(field.to_le_bytes());
            }
            file.extend(frame);
        };
        record(b"no frame at all");
        for payload in lines() {
            let builder = etherparse::PacketBuilder::ethernet2([2; 6], [1, 0, 0x5e, 0, 0, 1])
                .ipv4([10, 0, 0, 1], [239, 111, 111, 1], 8)
                .udp(6_100, 6_100);
            let mut frame = Vec::new();
            builder.write(&mut frame, &payload).unwrap();
            record(&frame);
        }
        std::fs::write(&path, &file).unwrap();
        assert!(is_datagrams(&path).unwrap());
        check(&replay(&path).unwrap());
        file.truncate(file.len() - 5);
        std::fs::write(&path, file).unwrap();
        assert!(replay(&path).is_err(), "cut off");
    }
}
