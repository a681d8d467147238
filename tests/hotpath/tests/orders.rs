//! Messages of single orders, from the venue machine into the keeper and to a strategy: what they allocate, counted.
//! Nothing.

#[path = "../../../dataplane/wire/tests/alloc_count/mod.rs"]
mod alloc_count;

use alloc_count::{Counting, allocations};
use dp_lane::{AnyVenue, Engine, Setup, Wall};
use dp_shm::Counter;
use dp_strategy::{Intents, Strategy, View};
use dp_types::{
    BookMsgKind, Epoch, InstrumentId, L3Msg, LaneId, LinkId, Now, StrategyId, Tsc, UnixNanos,
    VenueId, VenueNanos,
};
use dp_venue_api::{Event, Registry, RestRequest, Sink, Venue as _, VenueConfig};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tests_hotpath::Memory;

#[global_allocator]
static COUNTING: Counting = Counting;

const ID: InstrumentId = InstrumentId(0);
const FEED: LinkId = LinkId(1);
/// Messages that may take memory, and those that may not.
const WARM: usize = 50;
const COUNTED: usize = 2_000;

/// What a venue says: first what its channel begins with, then one message after another, each with so many orders
/// resting after it that the book never grows.
struct Venue {
    id: VenueId,
    symbol: &'static str,
    begins: Vec<String>,
    message: fn(usize) -> String,
}

fn crc(text: &str) -> u32 {
    // As zlib has it, bit by bit: the test needs no table.
    let mut crc = u32::MAX;
    for byte in text.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

/// One bid comes, shrinks and goes, and every fourth frame is the sum of what rests.
fn bitfinex(at: usize) -> String {
    let (id, number) = (185_000_000_000 + at / 4, at + 2);
    match at % 4 {
        0 => format!("[7,[{id},64999,0.5],{number},1700000000123]"),
        1 => format!("[7,[{id},64999,0.2],{number},1700000000124]"),
        2 => {
            let sum = crc(&format!("{id}:0.2:9:-1")).cast_signed();
            format!("[7,\"cs\",{sum},{number},1700000000125]")
        }
        _ => format!("[7,[{id},0,1],{number},1700000000126]"),
    }
}

/// One order comes, trades in part and goes.
fn coinbase(at: usize) -> String {
    let uuid = format!("d50ec984-77a8-460a-b958-{:012x}", at / 4);
    let tail = format!(
        "\"sequence\":{},\"product_id\":\"BTC-USD\",\"side\":\"buy\",\
         \"time\":\"2026-05-05T10:00:02.000001Z\"}}",
        at + 1
    );
    match at % 4 {
        0 => format!("{{\"type\":\"received\",\"order_id\":\"{uuid}\",\"size\":\"1\",{tail}"),
        1 => format!(
            "{{\"type\":\"open\",\"order_id\":\"{uuid}\",\"price\":\"65000\",\
             \"remaining_size\":\"1.34\",{tail}"
        ),
        2 => format!(
            "{{\"type\":\"match\",\"trade_id\":{},\"maker_order_id\":\"{uuid}\",\
             \"taker_order_id\":\"{uuid}\",\"size\":\"0.34\",\"price\":\"65000\",{tail}",
            at + 1
        ),
        _ => format!(
            "{{\"type\":\"done\",\"order_id\":\"{uuid}\",\"price\":\"65000\",\
             \"remaining_size\":\"1\",\"reason\":\"canceled\",{tail}"
        ),
    }
}

/// One bid comes and goes beside an ask that stays.
fn kraken(at: usize) -> String {
    let id = format!("OABC12-AAAAA-{:06}", at / 2);
    let (event, qty, text) = match at % 2 {
        0 => ("add", "0.50000000", "65000110000000065000050000000"),
        _ => ("delete", "0.00000000", "650001100000000"),
    };
    let sum = crc(text);
    format!(
        "{{\"channel\":\"level3\",\"type\":\"update\",\"data\":[{{\"symbol\":\"BTC/USD\",\
         \"checksum\":{sum},\"bids\":[{{\"event\":\"{event}\",\"order_id\":\"{id}\",\
         \"limit_price\":65000.0,\"order_qty\":{qty},\
         \"timestamp\":\"2026-05-05T10:00:01.000000000Z\"}}],\"asks\":[]}}]}}"
    )
}

fn venues() -> [Venue; 3] {
    let ask = "{\"order_id\":\"OLLSXO-HDMT3-BUOKEI\",\"limit_price\":65000.1,\
               \"order_qty\":1.00000000,\"timestamp\":\"2026-05-05T09:58:20.734897896Z\"}";
    let sum = crc("650001100000000");
    [
        Venue {
            id: VenueId::BITFINEX,
            symbol: "tBTCUSD",
            begins: vec![
                "{\"event\":\"conf\",\"status\":\"OK\",\"flags\":229376}".to_owned(),
                "{\"event\":\"subscribed\",\"channel\":\"book\",\"chanId\":7,\"symbol\":\"tBTCUSD\",\
                 \"prec\":\"R0\",\"len\":\"250\"}"
                    .to_owned(),
                "[7,[[9,65001,-1]],1,1700000000123]".to_owned(),
            ],
            message: bitfinex,
        },
        Venue {
            id: VenueId::COINBASE,
            symbol: "BTC-USD",
            begins: Vec::new(),
            message: coinbase,
        },
        Venue {
            id: VenueId::KRAKEN,
            symbol: "BTC/USD",
            begins: vec![format!(
                "{{\"channel\":\"level3\",\"type\":\"snapshot\",\"data\":[{{\"symbol\":\"BTC/USD\",\
                 \"checksum\":{sum},\"bids\":[],\"asks\":[{ask}]}}]}}"
            )],
            message: kraken,
        },
    ]
}

/// Counts what it is told.
struct Ear(Arc<AtomicU64>);

impl Strategy for Ear {
    fn name(&self) -> &'static str {
        "ear"
    }

    fn on_orders(&mut self, view: &View<'_>, _: &mut Intents) {
        let is_whole = view.orders.is_some_and(|orders| orders.whole().is_some());
        self.0.fetch_add(u64::from(is_whole), Ordering::Relaxed);
    }
}

struct Hear<'e, 'r>(&'e mut Engine<'r>, Now);

impl Sink for Hear<'_, '_> {
    fn event(&mut self, event: &Event<'_>) {
        self.0.on_event(event, self.1, Tsc(0));
    }

    fn send_text(&mut self, _: LinkId, _: &[u8]) {}

    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}

    fn reconnect(&mut self, _: LinkId, why: &'static str) {
        panic!("{why}");
    }
}

fn no_allocations(venue: &Venue) {
    let name = venue.id.name();
    let memory = Memory::new(&format!("orders-{name}"));
    let mut registry = Registry::new();
    let config = VenueConfig {
        symbols: vec![venue.symbol.to_owned()],
        l3_symbols: vec![venue.symbol.to_owned()],
        order_window_ms: 5_000,
        ..VenueConfig::default()
    };
    let machine = AnyVenue::new(venue.id, config, &mut registry);
    let mut machine = machine.expect("registered").expect("in this build");
    let writer = memory.region.lane_writer(LaneId(0)).expect("one writer");
    let setup = Setup {
        epoch: Epoch(1),
        lane: LaneId(0),
        limits: dp_risk::NodeLimits {
            collar_bps: 1_000,
            orders_per_s_max: 1,
            book_age_ns_max: 1_000_000_000,
        },
        order_window_ns: 1,
        venues: vec![venue.id],
        instruments: registry.instruments().to_vec(),
    };
    let wall = Wall::new(&memory.region, writer, LaneId(0), Epoch(1));
    let mut engine = Engine::new(wall, setup);
    engine.follow_orders(ID, 1_024);
    engine.set_instruments(venue.id, registry.instruments());
    let heard = Arc::new(AtomicU64::new(0));
    engine.seat(StrategyId(0), &[ID], Box::new(Ear(Arc::clone(&heard))));

    let now = |at: usize| Now {
        tsc: Tsc(0),
        unix: UnixNanos(1_795_305_600_000_000_000 + at as u64),
    };
    machine.on_open(&mut registry, FEED, now(0), &mut Hear(&mut engine, now(0)));
    if venue.begins.is_empty() {
        // Where the book is fetched: an empty one, before the first message.
        let empty = L3Msg {
            instrument: ID,
            kind: BookMsgKind::Snapshot,
            last_id: 0,
            has_hole: false,
            has_more: false,
            checksum: None,
            orders: &[],
            venue_ns: VenueNanos(0),
        };
        engine.on_event(&Event::L3(empty), now(0), Tsc(0));
    }
    let mut messages: Vec<Vec<u8>> = venue.begins.iter().cloned().map(Vec::from).collect();
    messages.extend((0..WARM + COUNTED).map(|at| (venue.message)(at).into_bytes()));
    let warm = venue.begins.len() + WARM;
    let mut hear = |engine: &mut Engine<'_>, at: usize| {
        let now = now(at + 1);
        let text = &mut messages[at];
        let told = machine.on_text(&registry, FEED, now, text, &mut Hear(engine, now));
        told.unwrap_or_else(|fault| panic!("{name} message {at}: {fault}"));
        while engine.next_action().is_some() {}
    };
    for at in 0..warm {
        hear(&mut engine, at);
    }
    let before = heard.load(Ordering::Relaxed);
    let (calls, bytes) = allocations(|| {
        for at in warm..warm + COUNTED {
            hear(&mut engine, at);
        }
    });
    let told = heard.load(Ordering::Relaxed) - before;
    assert_eq!(
        told, COUNTED as u64,
        "{name}: each message, and each time a whole book"
    );
    for counter in [
        Counter::Gaps,
        Counter::ChecksumFailures,
        Counter::CrossedBooks,
    ] {
        assert_eq!(
            engine.wall.counters.get(counter),
            0,
            "{name} {}",
            counter.name()
        );
    }
    assert_eq!((calls, bytes), (0, 0), "{name}: {COUNTED} messages");
}

#[test]
fn messages_of_single_orders_touch_no_allocator() {
    for venue in &venues() {
        no_allocations(venue);
    }
}
