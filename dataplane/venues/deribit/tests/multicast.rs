//! The classic feed: recorded datagrams say what they said, what is written comes back, lines fill each other's holes,
//! and the books are those of the JSON machine.
#![allow(missing_docs)]

mod rig;
mod wire;

use dp_book::State;
use dp_types::{BookMsgKind, Decimal, InstrumentId, RawLevel, Side};
use dp_venue_api::{DecodeError, Reason, Registry};
use dp_venue_deribit::multicast::sequence::{ASK_NS, GIVE_UP_NS};
use dp_venue_deribit::multicast::{Missing, Multicast};
use dp_venue_deribit::sync::DeribitSync;
use dp_venue_deribit::{ID, LINK_MD};
use proptest::prelude::*;
use std::collections::BTreeMap;
use tests_venues::ear::{Ear, Said};
use tests_venues::rig::at_ms;
use wire::{Change, Lane, Writer, at_us, datagram, recorded};

const PERPETUAL: &str = "BTC-PERPETUAL";
const CODE: u32 = 210_838;

fn machine(symbols: &[&str]) -> (Multicast, Registry) {
    let mut registry = Registry::new();
    let symbols: Vec<String> = symbols.iter().map(|&symbol| symbol.to_owned()).collect();
    let machine = Multicast::new(&symbols, &mut registry).expect("room");
    (machine, registry)
}

fn decimal(text: &str) -> Decimal {
    Decimal::parse(text.as_bytes()).expect("a number")
}

fn level(price: &str, qty: &str) -> RawLevel {
    let (price, qty) = (decimal(price), decimal(qty));
    RawLevel { price, qty }
}

/// By what they are worth.
fn same(one: RawLevel, other: RawLevel) -> bool {
    let worth = |level: RawLevel| (level.price.to_increments(8), level.qty.to_increments(8));
    worth(one) == worth(other)
}

fn hear(machine: &mut Multicast, registry: &mut Registry, bytes: &[u8]) -> Vec<Said> {
    let mut ear = Ear::default();
    let result = machine.on_datagram(registry, at_us(0), bytes, &mut ear);
    assert_eq!(result, Ok(()));
    ear.0
}

// ---- recordings ---------------------------------------------------------------------------------

#[test]
fn october_2024_a_trade_a_ticker_and_a_change() {
    let datagrams = recorded("multicast_2024");
    let (mut machine, mut registry) = machine(&[PERPETUAL]);
    let early = hear(&mut machine, &mut registry, &datagrams[0]);
    let unknown = Said::Other(r#"Ignored("about an instrument we do not follow")"#.into());
    assert_eq!(early, [unknown.clone(), unknown.clone(), unknown]);
    let defined = hear(&mut machine, &mut registry, &datagrams[1]);
    assert!(defined.contains(&Said::Other("Control(InstrumentsReady)".into())));
    let Some(Said::Quote(quote)) = defined.get(3) else {
        panic!("{defined:?}");
    };
    assert!(same(quote.bid, level("62081", "20470")) && same(quote.ask, level("62081.5", "90260")));

    let mut again = datagrams[0].clone();
    again[4] += 1; // the next of its channel
    let said = hear(&mut machine, &mut registry, &again);
    let [
        Said::Trade(trade),
        Said::Other(older),
        Said::Book {
            kind,
            ids,
            bids,
            asks,
            venue_ns,
            ..
        },
    ] = &said[..]
    else {
        panic!("{said:?}");
    };
    assert_eq!((trade.taker, trade.trade_id.0), (Side::Sell, 320_585_949));
    let told = RawLevel {
        price: trade.price,
        qty: trade.qty,
    };
    assert!(same(told, level("62115", "200")));
    assert!(
        older.contains("an older best quote"),
        "told 35 s later by the round"
    );
    assert_eq!(
        (*kind, *ids),
        (
            BookMsgKind::Delta,
            [78_920_668_949, 78_920_668_949, 78_920_668_948]
        )
    );
    assert!(asks.is_empty() && same(bids[0], level("62115", "890")));
    assert_eq!(venue_ns.0, 1_728_660_191_073_000_000);
}

#[test]
fn october_2024_rules_come_with_the_definitions() {
    let symbols = [
        PERPETUAL,
        "BTC-25OCT24-47000-P",
        "BTC-27DEC24-15000-C",
        "BTC-25OCT24-57000-C",
    ];
    let (mut machine, mut registry) = machine(&symbols);
    let mut said = Vec::new();
    for mut bytes in recorded("multicast_2024").split_off(1) {
        let early = hear(&mut machine, &mut registry, &bytes);
        assert!(!early.iter().any(|said| matches!(said, Said::Book { .. })));
        bytes[4] += 1; // the next round
        said.extend(early);
        said.extend(hear(&mut machine, &mut registry, &bytes));
    }
    let ready = Said::Other("Control(InstrumentsReady)".into());
    assert_eq!(said.iter().filter(|said| **said == ready).count(), 1);
    // What the wire says of the perpetual is what REST says of it.
    let rest = rig::with_rules();
    let of_rest = *rest.registry.get(InstrumentId(0)).expect("registered");
    let of_wire = *registry.get(InstrumentId(0)).expect("registered");
    let mut same = of_rest;
    same.venue_code = u64::from(CODE);
    assert_eq!(of_wire, same);
    assert_eq!(
        registry.asset_name(of_wire.quote),
        rest.registry.asset_name(of_rest.quote)
    );
    // Options tick coarser above 0.005.
    let option = *registry.get(InstrumentId(1)).expect("registered");
    assert_eq!(option.price(decimal("0.0005")), Ok(option.tick));
    assert_eq!(option.qty(decimal("0.1")), Ok(option.lot));
    assert_eq!(registry.asset_name(option.base), "BTC");
    // Two of their books are whole; the perpetual's goes on in a datagram that was not recorded.
    let books: Vec<_> = said
        .iter()
        .filter_map(|said| match said {
            Said::Book {
                instrument,
                kind,
                ids,
                bids,
                asks,
                ..
            } => {
                assert_eq!((*kind, ids[2]), (BookMsgKind::Snapshot, -1));
                Some((instrument.0, ids[1], bids.len(), asks.len()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(
        books,
        [(1, 79_453_964_811, 0, 6), (2, 79_454_022_725, 1, 1)]
    );
}

/// A quarter of a second of seven books: numbers follow, each change follows the last of its book.
#[test]
fn april_2022_every_change_follows_the_last() {
    let symbols = ["A", "B", "C", "D", "E", "F"];
    let codes = [211_704u32, 213_039, 211_305, 212_737, 211_072, 212_018];
    let (mut machine, mut registry) = machine(&symbols);
    for (at, (symbol, code)) in symbols.iter().zip(codes).enumerate() {
        let told = Writer::default().definition(code, symbol, "0.0001", "0.001");
        hear(
            &mut machine,
            &mut registry,
            &datagram(110, at as u32, &[told]),
        );
    }
    let mut last = BTreeMap::new();
    let (mut changes, mut quotes) = (0, 0);
    for bytes in recorded("multicast_2022") {
        for said in hear(&mut machine, &mut registry, &bytes) {
            match said {
                Said::Book {
                    instrument, ids, ..
                } => {
                    changes += 1;
                    let before = last.insert(instrument, ids[1]);
                    assert!(
                        before.is_none_or(|before| before == ids[2]),
                        "{instrument:?}"
                    );
                }
                Said::Quote(quote) => {
                    quotes += 1;
                    let worth = |price: Decimal| price.to_increments(4).expect("it fits");
                    assert!(worth(quote.bid.price) < worth(quote.ask.price));
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!((changes, quotes, last.len()), (15, 2, 6));
    let counts: BTreeMap<_, _> = machine.counts().collect();
    assert_eq!((counts[&10].packets, counts[&10].holes), (15, 0));
}

// ---- what is written comes back -----------------------------------------------------------------

/// The perpetual is known and its snapshot taken.
fn started(writer: Writer) -> (Multicast, Registry) {
    let (mut machine, mut registry) = machine(&[PERPETUAL]);
    let definition = writer.definition(CODE, PERPETUAL, "0.5", "10.0");
    let levels = [(true, "100.0".into(), "10.0".into())];
    let whole = writer.snapshot(CODE, 100, (true, true), &levels);
    let early = hear(
        &mut machine,
        &mut registry,
        &datagram(101, 6, std::slice::from_ref(&definition)),
    );
    assert!(early.contains(&Said::Other("Control(InstrumentsReady)".into())));
    let said = hear(
        &mut machine,
        &mut registry,
        &datagram(101, 7, &[definition, whole]),
    );
    assert!(matches!(said.last(), Some(Said::Book { .. })), "{said:?}");
    (machine, registry)
}

#[test]
fn kinds_that_are_of_no_use_are_stepped_over_for_a_reason() {
    for more in [0, 3] {
        let writer = Writer { more };
        let (mut machine, mut registry) = started(writer);
        let mut messages: Vec<_> = (1_005..1_010)
            .map(|template| writer.other(template))
            .collect();
        messages.push(writer.other(1_999));
        messages.push(writer.ticker(CODE, 1, [None, Some(("101.5", "30.0"))]));
        messages.push(writer.snapshot(CODE, 200, (true, true), &[]));
        let said = hear(&mut machine, &mut registry, &datagram(101, 8, &messages));
        let reasons: Vec<_> = said
            .iter()
            .filter_map(|said| match said {
                Said::Other(text) => text
                    .strip_prefix("Ignored(\"")?
                    .strip_suffix("\")")
                    .and_then(Reason::of),
                _ => None,
            })
            .collect();
        assert_eq!(
            reasons,
            [
                Reason::Twin,
                Reason::Twin,
                Reason::Instruments,
                Reason::Mark,
                Reason::Twin,
                Reason::Unknown,
                Reason::Twin,
            ]
        );
        let Some(Said::Quote(quote)) = said.get(6) else {
            panic!("{said:?}");
        };
        assert_eq!(quote.bid, RawLevel::default());
        assert!(same(quote.ask, level("101.5", "30")));
    }
}

#[test]
fn every_cut_is_an_error_and_loses_the_books_of_its_channel_once_it_is_in_turn() {
    let writer = Writer::default();
    let change = |id: u64| {
        writer.book(
            CODE,
            (id - 1, id),
            true,
            &[(1, (true, "100.0".into(), "20.0".into()))],
        )
    };
    let (mut machine, mut registry) = started(writer);
    hear(&mut machine, &mut registry, &datagram(1, 1, &[change(101)]));
    let whole = datagram(
        1,
        2,
        &[
            change(102),
            writer.trades(CODE, &[(true, "100.0", "10.0", 5)]),
        ],
    );
    for len in 0..whole.len() {
        let mut ear = Ear::default();
        let cut = machine.on_datagram(&mut registry, at_us(1), &whole[..len], &mut ear);
        assert!(
            cut.is_err() && ear.0.is_empty(),
            "{len}: its length betrays it"
        );
    }
    let mut bad = whole.clone();
    let schema = 8 + 4;
    bad[schema] = 2;
    let mut ear = Ear::default();
    let result = machine.on_datagram(&mut registry, at_us(1), &bad, &mut ear);
    assert_eq!(
        result,
        Err(DecodeError::Shape("a binary message of another schema"))
    );
    assert_eq!(
        ear.0,
        [Said::Other("Control(BookLost(InstrumentId(0)))".into())]
    );
}

#[test]
fn a_level_that_contradicts_its_action_loses_the_book() {
    for (action, amount, is_right) in [
        (0, "10.0", true),
        (1, "10.0", true),
        (2, "0.0", true),
        (0, "0.0", false),
        (1, "0.0", false),
        (2, "10.0", false),
        (3, "10.0", false),
    ] {
        let writer = Writer::default();
        let (mut machine, mut registry) = started(writer);
        let change = writer.book(
            CODE,
            (100, 101),
            true,
            &[(action, (true, "99.5".into(), amount.into()))],
        );
        let mut ear = Ear::default();
        let result = machine.on_datagram(
            &mut registry,
            at_us(1),
            &datagram(1, 1, &[change]),
            &mut ear,
        );
        assert_eq!(result.is_ok(), is_right, "{action} {amount}");
        let is_lost = ear
            .0
            .contains(&Said::Other("Control(BookLost(InstrumentId(0)))".into()));
        assert_eq!(is_lost, !is_right);
    }
}

/// A snapshot in parts is told whole; one whose beginning was missed, or that is of some levels only, is not.
#[test]
fn snapshots_of_several_datagrams() {
    let writer = Writer::default();
    let levels = |n: u32| vec![(true, format!("{}.0", 90 + n), "10.0".to_owned())];
    let part = |n: u32, is_last| writer.snapshot(CODE, 100, (true, is_last), &levels(n));
    let definition = writer.definition(CODE, PERPETUAL, "0.5", "10.0");
    let books = |said: &[Said]| {
        said.iter()
            .filter(|said| matches!(said, Said::Book { .. }))
            .count()
    };
    let (mut machine, mut registry) = machine(&[PERPETUAL]);
    // Joined in the middle: the definition is known, the first part was before.
    let early = datagram(102, 1, std::slice::from_ref(&definition));
    hear(&mut machine, &mut registry, &early);
    let middle = datagram(101, 1, &[part(1, false)]);
    assert_eq!(books(&hear(&mut machine, &mut registry, &middle)), 0);
    let end = datagram(
        101,
        2,
        &[
            part(2, true),
            writer.snapshot(CODE, 100, (false, true), &levels(1)),
        ],
    );
    assert_eq!(books(&hear(&mut machine, &mut registry, &end)), 0);
    let first = datagram(101, 3, &[definition, part(1, false)]);
    assert_eq!(books(&hear(&mut machine, &mut registry, &first)), 0);
    let said = hear(
        &mut machine,
        &mut registry,
        &datagram(101, 4, &[part(2, true)]),
    );
    let Some(Said::Book { bids, .. }) = said.first() else {
        panic!("{said:?}");
    };
    assert_eq!(bids.len(), 2);
}

#[test]
fn numbers_go_round_after_32_bits() {
    let writer = Writer::default();
    let (mut machine, mut registry) = started(writer);
    let mut id = 100;
    for number in [u32::MAX - 1, u32::MAX, 0, 1] {
        id += 1;
        let change = writer.book(
            CODE,
            (id - 1, id),
            true,
            &[(1, (true, "100.0".into(), "20.0".into()))],
        );
        let said = hear(&mut machine, &mut registry, &datagram(1, number, &[change]));
        assert_eq!(said.len(), 1, "{number}");
    }
    assert_eq!(machine.next_deadline(), None);
}

// ---- lines and losses ---------------------------------------------------------------------------

/// A made market, told by JSON and by multicast.
struct Market {
    book: BTreeMap<(bool, u32), u32>,
    id: u64,
    json: Vec<String>,
    packets: Vec<Vec<u8>>,
    number: u32,
}

const EVENTS: u16 = 1;
const ROUND: u16 = 101;

fn price(is_bid: bool, at: u32) -> String {
    // Halves, and never crossed.
    let halves = if is_bid { 130_000 - at } else { 130_001 + at };
    format!("{}.{}", halves / 2, 5 * (halves % 2))
}

impl Market {
    fn new() -> Self {
        Self {
            book: BTreeMap::new(),
            id: 1_000,
            json: Vec::new(),
            packets: Vec::new(),
            number: 0,
        }
    }

    fn push(&mut self, channel: u16, number: u32, messages: &[Vec<u8>]) {
        self.packets.push(datagram(channel, number, messages));
    }

    /// Changes of the book in one go, in parts of so many.
    fn change(&mut self, changes: &[(bool, u32, u32)], part: usize) {
        let prev = self.id;
        self.id += 1 + u64::from(changes.first().map_or(0, |change| change.2));
        let mut told: Vec<(u8, Change)> = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for &(is_bid, at, lots) in changes {
            if !seen.insert((is_bid, at)) {
                continue;
            }
            let held = self.book.contains_key(&(is_bid, at));
            let action = match (held, lots) {
                (false, 0) => continue,
                (true, 0) => 2,
                (held, _) => u8::from(held),
            };
            if lots == 0 {
                self.book.remove(&(is_bid, at));
            } else {
                self.book.insert((is_bid, at), lots);
            }
            told.push((
                action,
                (is_bid, price(is_bid, at), format!("{}.0", lots * 10)),
            ));
        }
        let side = |bid: bool| {
            let names = ["new", "change", "delete"];
            let mut levels = Vec::new();
            for (action, (is_bid, price, amount)) in &told {
                if *is_bid == bid {
                    levels.push(format!(
                        r#"["{}",{price},{amount}]"#,
                        names[usize::from(*action)]
                    ));
                }
            }
            levels.join(",")
        };
        self.json.push(format!(
            r#"{{"jsonrpc":"2.0","method":"subscription","params":{{"channel":"book.{PERPETUAL}.raw","data":{{"type":"{}","timestamp":1760000000000,"instrument_name":"{PERPETUAL}","prev_change_id":{prev},"change_id":{},"bids":[{}],"asks":[{}]}}}}}}"#,
            if self.json.is_empty() { "snapshot" } else { "change" },
            self.id, side(true), side(false),
        ));
        let writer = Writer::default();
        let parts: Vec<_> = told.chunks(part.max(1)).collect();
        if parts.is_empty() {
            let empty = writer.book(CODE, (prev, self.id), true, &[]);
            self.push(EVENTS, self.number, &[empty]);
            self.number += 1;
        }
        for (at, changes) in parts.iter().enumerate() {
            let is_last = at + 1 == parts.len();
            let message = writer.book(CODE, (prev, self.id), is_last, changes);
            self.push(EVENTS, self.number, &[message]);
            self.number += 1;
        }
    }

    /// The book whole, in parts, as the round tells it.
    fn round(&mut self, from: u32, part: usize) -> u32 {
        let writer = Writer::default();
        let levels: Vec<Change> = self
            .book
            .iter()
            .map(|(&(is_bid, at), lots)| (is_bid, price(is_bid, at), format!("{}.0", lots * 10)))
            .collect();
        let mut messages = vec![writer.definition(CODE, PERPETUAL, "0.5", "10.0")];
        let parts: Vec<_> = levels.chunks(part.max(1)).collect();
        let count = parts.len().max(1);
        for at in 0..count {
            let part = parts.get(at).copied().unwrap_or_default();
            messages.push(writer.snapshot(CODE, self.id, (true, at + 1 == count), part));
        }
        for (at, message) in messages.iter().enumerate() {
            self.push(ROUND, from + at as u32, std::slice::from_ref(message));
        }
        from + messages.len() as u32
    }
}

/// A machine and the lane behind it.
struct Reader {
    machine: Multicast,
    registry: Registry,
    lane: Lane<DeribitSync>,
    us: u64,
    asked: Vec<Missing>,
}

impl Reader {
    fn new() -> Self {
        let (machine, registry) = machine(&[PERPETUAL]);
        let lane = Lane::new(DeribitSync, &registry);
        Self {
            machine,
            registry,
            lane,
            us: 0,
            asked: Vec::new(),
        }
    }

    fn after(&mut self) {
        if std::mem::take(&mut self.lane.wants) {
            self.machine.request_snapshot(InstrumentId(0));
        }
        self.lane.registry = self.registry.clone();
        self.asked
            .extend(std::iter::from_fn(|| self.machine.missing()));
    }

    fn take(&mut self, bytes: &[u8]) {
        self.us += 10;
        let Self {
            machine,
            registry,
            lane,
            us,
            ..
        } = self;
        machine
            .on_datagram(registry, at_us(*us), bytes, lane)
            .expect("it is read");
        self.after();
    }

    fn wait(&mut self, nanos: u64) {
        self.us += nanos / 1_000 + 1;
        let Self {
            machine,
            registry,
            lane,
            us,
            ..
        } = self;
        machine
            .on_deadline(registry, at_us(*us), lane)
            .expect("it is read");
        self.after();
    }
}

/// The book after all of it, by the JSON machine.
fn by_json(market: &Market) -> Lane<DeribitSync> {
    let mut rig = rig::ready();
    let instrument = *rig.registry.get(InstrumentId(0)).expect("registered");
    let mut lane = Lane::new(DeribitSync::new(&instrument), &rig.registry);
    for text in &market.json {
        let mut bytes = text.clone().into_bytes();
        let now = at_ms(0);
        use dp_venue_api::Venue as _;
        rig.venue
            .on_text(&rig.registry, LINK_MD, now, &mut bytes, &mut lane)
            .expect("it is read");
    }
    assert_eq!(
        (lane.keeper.proof().state, &*lane.bad),
        (State::Synced, &[][..])
    );
    lane
}

/// A market of `n` changes of which both lines tell all but what `is_lost` says.
fn trading(n: u32, is_lost: impl Fn(bool, u32) -> bool) -> (Market, Reader) {
    let mut market = Market::new();
    market.change(
        &[(true, 1, 5), (false, 1, 5), (true, 9, 1), (false, 9, 1)],
        9,
    );
    let next = market.round(0, 3);
    let start = market.packets.len();
    for at in 0..n {
        market.change(&[(at % 2 == 0, at % 5 + 2, at % 7)], 9);
    }
    let events = market.packets.split_off(start);
    let mut reader = Reader::new();
    for bytes in std::mem::take(&mut market.packets) {
        reader.take(&bytes);
    }
    assert_eq!(reader.lane.keeper.proof().state, State::Synced);
    for (at, bytes) in events.iter().enumerate() {
        for is_b in [false, true] {
            if !is_lost(is_b, at as u32) {
                reader.take(bytes);
            }
        }
    }
    market.packets.clear();
    market.round(next, 3);
    (market, reader)
}

fn snapshots(reader: &Reader) -> u64 {
    reader.lane.keeper.counts().snapshots
}

#[test]
fn a_loss_on_one_line_is_not_seen() {
    let (market, reader) = trading(200, |is_b, at| if is_b { at % 3 == 0 } else { at % 3 == 1 });
    assert_eq!(
        (reader.lane.lost, snapshots(&reader), reader.asked.len()),
        (0, 1, 0)
    );
    assert_eq!(reader.lane.keeper.counts().gaps, 0);
    assert_eq!(reader.lane.levels(), by_json(&market).levels());
}

#[test]
fn a_loss_on_both_is_one_resync() {
    let (market, mut reader) = trading(40, |_, at| (20..23).contains(&at));
    assert_eq!(reader.lane.lost, 0, "it may still come");
    reader.wait(ASK_NS);
    assert_eq!(reader.asked.len(), 1);
    assert_eq!(
        (reader.asked[0].channel, reader.asked[0].count),
        (u32::from(EVENTS), 3)
    );
    reader.wait(GIVE_UP_NS);
    assert_eq!((reader.lane.lost, reader.asked.len()), (1, 1));
    assert_ne!(reader.lane.keeper.proof().state, State::Synced);
    for bytes in &market.packets {
        reader.take(bytes);
        reader.take(bytes);
    }
    assert_eq!((snapshots(&reader), reader.lane.lost), (2, 1));
    assert_eq!(reader.lane.keeper.proof().state, State::Synced);
    assert_eq!(reader.lane.levels(), by_json(&market).levels());
    // The next round is of no use to anybody.
    reader.take(&datagram(ROUND, 999, &[]));
    assert_eq!(snapshots(&reader), 2);
}

/// What was asked for comes as any other datagram would, and nobody notices that it was missing.
#[test]
fn what_is_asked_for_fills_the_hole() {
    let mut lost = None;
    let mut market = Market::new();
    market.change(&[(true, 1, 5), (false, 1, 5)], 9);
    market.round(0, 9);
    let mut reader = Reader::new();
    for at in 0..30 {
        market.change(&[(true, at % 5 + 2, at % 7 + 1)], 9);
    }
    for (at, bytes) in market.packets.clone().iter().enumerate() {
        if at == 20 {
            lost = Some(bytes.clone());
        } else {
            reader.take(bytes);
        }
    }
    reader.wait(ASK_NS);
    assert_eq!(reader.asked.len(), 1);
    reader.take(&lost.expect("one was lost"));
    assert_eq!((reader.lane.lost, snapshots(&reader)), (0, 1));
    assert_eq!(reader.machine.next_deadline(), None);
    assert_eq!(reader.lane.levels(), by_json(&market).levels());
}

/// What the fuzz target begins with reaches the machine, whole and cut anywhere.
#[test]
fn the_fuzz_corpus_is_taken() {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../tests/fuzz/corpus/multicast"
    );
    let mut events = 0;
    for file in std::fs::read_dir(folder).expect("a corpus") {
        let bytes = std::fs::read(file.expect("a file").path()).expect("readable");
        for end in [bytes.len(), bytes.len() / 2] {
            let (mut machine, mut registry) = machine(&[PERPETUAL, "BTC-27DEC24-15000-C"]);
            let (mut rest, mut ear) = (&bytes[..end], Ear::default());
            while let Some((len, more)) = rest.split_first_chunk() {
                let len = usize::from(u16::from_le_bytes(*len)).min(more.len());
                let _ = machine.on_datagram(&mut registry, at_us(0), &more[..len], &mut ear);
                rest = &more[len..];
            }
            let is_book = |said: &&Said| matches!(said, Said::Book { .. });
            events += ear.0.iter().filter(is_book).count();
        }
    }
    assert!(events > 2, "{events} books");
}

/// A snapshot that was on its way when the hole was given up may lack what is missing, and no change may come for
/// long that would show it.
#[test]
fn a_snapshot_from_before_the_hole_is_not_taken() {
    let (mut market, mut reader) = trading(10, |_, _| false);
    let round = std::mem::take(&mut market.packets);
    let (early, late) = round.split_at(2);
    for bytes in early {
        reader.take(bytes);
    }
    // The last change is lost; a sign of life tells.
    market.change(&[(true, 2, 6)], 9);
    reader.take(&datagram(EVENTS, market.number - 1, &[]));
    reader.wait(GIVE_UP_NS);
    assert_eq!(reader.lane.lost, 1);
    for bytes in late {
        reader.take(bytes);
    }
    assert_ne!(reader.lane.keeper.proof().state, State::Synced);
    market.packets.clear();
    let last = round.last().expect("a round");
    let last = u32::from_le_bytes(last[4..8].try_into().expect("four"));
    market.round(last + 1, 3);
    for bytes in &market.packets {
        reader.take(bytes);
    }
    reader.wait(GIVE_UP_NS);
    assert_eq!(reader.lane.keeper.proof().state, State::Synced);
    assert_eq!(reader.lane.levels(), by_json(&market).levels());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// The same market by JSON and by multicast, over two lines with losses of their own, in parts of any size, with
    /// snapshots of the round wherever they fall: the same book.
    #[test]
    fn json_and_multicast_keep_the_same_book(
        first in prop::collection::vec((any::<bool>(), 0u32..12, 1u32..9), 1..12),
        steps in prop::collection::vec(
            (prop::collection::vec((any::<bool>(), 0u32..12, 0u32..9), 0..6), 1usize..4, any::<u8>()), 1..60),
        part in 1usize..8,
    ) {
        let mut market = Market::new();
        market.change(&first, 99);
        let (mut reader, mut next) = (Reader::new(), 0);
        for (changes, size, fate) in &steps {
            market.change(changes, *size);
            if fate % 8 == 0 {
                next = market.round(next, part);
            }
            for (at, bytes) in std::mem::take(&mut market.packets).iter().enumerate() {
                // Which lines have it; one in sixteen packets is on neither.
                let lines = fate.rotate_left(at as u32) % 16;
                for _ in 0..lines.count_ones().min(2) {
                    reader.take(bytes);
                }
            }
            if fate % 32 == 1 {
                reader.wait(GIVE_UP_NS);
            }
        }
        // A sign of life repeats the last number: what was lost last shows too.
        reader.take(&datagram(EVENTS, market.number - 1, &[]));
        reader.wait(GIVE_UP_NS);
        for _ in 0..2 {
            // Rounds that arrive whole heal whatever was lost.
            market.packets.clear();
            next = market.round(next, part);
            for bytes in std::mem::take(&mut market.packets) {
                reader.take(&bytes);
            }
            reader.wait(GIVE_UP_NS);
        }
        prop_assert_eq!(&reader.lane.bad, &Vec::<String>::new());
        let json = by_json(&market);
        prop_assert_eq!(reader.lane.keeper.proof().last_id, json.keeper.proof().last_id);
        prop_assert_eq!(reader.lane.keeper.proof().state, State::Synced);
        prop_assert_eq!(reader.lane.levels(), json.levels());
    }

    #[test]
    fn hostile_datagrams_never_panic(
        which in 0usize..18,
        edits in prop::collection::vec(any::<(u8, u16, u8)>(), 1..8),
        numbers in prop::collection::vec(any::<u32>(), 1..6),
        is_framed: bool,
    ) {
        let mut all = recorded("multicast_2024");
        all.extend(recorded("multicast_2022"));
        let (mut machine, mut registry) = started(Writer::default());
        for number in numbers {
            let mut bytes = all[which].clone();
            bytes[4..8].copy_from_slice(&number.to_le_bytes());
            tests_venues::damage::mutate(&mut bytes, &edits);
            if is_framed && bytes.len() >= 8 {
                // As if it were meant.
                let len = (bytes.len() - 8) as u16;
                bytes[..2].copy_from_slice(&len.to_le_bytes());
            }
            let mut ear = Ear::default();
            let _ = machine.on_datagram(&mut registry, at_us(u64::from(number)), &bytes, &mut ear);
            let _ = machine.on_deadline(&mut registry, at_us(u64::from(number) + 20_000), &mut ear);
            for said in ear.0 {
                if let Said::Book { instrument, bids, .. } = said {
                    let instrument = *registry.get(instrument).expect("registered");
                    for level in bids {
                        let _ = instrument.level(&level);
                    }
                }
            }
        }
        prop_assert!(registry.find(ID, PERPETUAL.as_bytes()).is_some());
    }
}
