//! Starbase's market data, as its documents describe it: single orders by rank, spliced by number, lines that fill each
//! other's holes. One packet was recorded; all else is written here.
#![allow(missing_docs)]

mod wire;

use dp_book::L3Book;
use dp_types::{
    BookMsgKind, Decimal, InstrumentId, L3Msg, LinkId, OrderAct, OrderId, RawOrder, Side, TradeMsg,
};
use dp_venue_api::{Control, Event, Reason, Registry, RestRequest, Sink};
use dp_venue_deribit::multicast::sequence::{ASK_NS, GIVE_UP_NS};
use dp_venue_deribit::multicast::{Missing, Starbase, retransmit_request};
use proptest::prelude::*;
use wire::starbase::{
    CHANNEL, CODE, END, INCREMENTAL, NAME, QTY_EXPONENT, SNAPSHOT, START, Venue, definition,
    delete, message, numbers, packet, put, reduced, trade,
};
use wire::{at_us, recorded};

// ---- a lane -------------------------------------------------------------------------------------

struct Lane {
    book: L3Book,
    registry: Registry,
    is_whole: bool,
    snapshots: u32,
    lost: u32,
    trades: Vec<TradeMsg>,
    told: Vec<usize>,
    ignored: Vec<&'static str>,
}

impl Lane {
    fn on_l3(&mut self, message: &L3Msg<'_>) {
        if message.kind == BookMsgKind::Snapshot {
            self.snapshots += 1;
            self.is_whole = true;
        }
        assert!(self.is_whole, "no change before the book is whole");
        self.told.push(message.orders.len());
        let instrument = self.registry.get(message.instrument).expect("registered");
        self.book.apply(message, instrument).expect("it fits");
    }
}

impl Sink for Lane {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::L3(message) if message.has_hole => {
                self.lost += 1;
                self.is_whole = false;
            }
            Event::L3(message) => self.on_l3(message),
            Event::Trade(trade) => self.trades.push(*trade),
            Event::Control(Control::BookLost(_)) => panic!("no levels are told"),
            Event::Ignored(why) => {
                assert!(Reason::of(why).is_some(), "{why}");
                self.ignored.push(why);
            }
            _ => {}
        }
    }
    fn send_text(&mut self, _: LinkId, _: &[u8]) {}
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

struct Reader {
    machine: Starbase,
    registry: Registry,
    lane: Lane,
    us: u64,
}

impl Reader {
    fn new() -> Self {
        let mut registry = Registry::new();
        let machine = Starbase::new(&[NAME.to_owned()], &mut registry).expect("room");
        let lane = Lane {
            book: L3Book::new(1_024),
            registry: registry.clone(),
            is_whole: false,
            snapshots: 0,
            lost: 0,
            trades: Vec::new(),
            told: Vec::new(),
            ignored: Vec::new(),
        };
        Self {
            machine,
            registry,
            lane,
            us: 0,
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.us += 10;
        let Self {
            machine,
            registry,
            lane,
            us,
        } = self;
        machine
            .on_datagram(registry, at_us(*us), bytes, lane)
            .expect("it is read");
        lane.registry = registry.clone();
    }

    fn wait(&mut self, nanos: u64) {
        self.us += nanos / 1_000 + 1;
        let Self {
            machine,
            registry,
            lane,
            us,
        } = self;
        machine
            .on_deadline(registry, at_us(*us), lane)
            .expect("it is read");
        lane.registry = registry.clone();
    }

    /// Orders of a side, best first: id, price in halves, lots.
    fn orders(&self, side: Side) -> Vec<(u128, i64, i64)> {
        let instrument = self.registry.get(InstrumentId(0)).expect("registered");
        let (half, lot) = (instrument.tick.0 / 2, instrument.lot.0);
        let orders = self.lane.book.orders(side);
        orders
            .map(|(id, level)| (id.0, level.price.0 / half, level.qty.0 / lot))
            .collect()
    }
}

/// A book of three orders, known and whole.
fn started() -> (Venue, Reader) {
    let (mut venue, mut reader) = (
        Venue {
            number: 100,
            ..Venue::default()
        },
        Reader::new(),
    );
    reader.take(&packet(INCREMENTAL, 100, &[]));
    for (id, is_bid) in [(1, true), (2, true), (3, false)] {
        let message = venue.one(2, id, (is_bid, 5, 0, id * 10));
        let bytes = venue.changes(&[message]);
        reader.take(&bytes);
    }
    for _ in 0..2 {
        // The first round brings the rules.
        for bytes in venue.snapshot() {
            reader.take(&bytes);
        }
    }
    assert_eq!((reader.lane.snapshots, reader.lane.lost), (1, 0));
    (venue, reader)
}

// ---- tests --------------------------------------------------------------------------------------

/// Recorded in April 2026, version 0, before orders were ranked on the wire.
#[test]
fn a_recorded_ask_is_the_order_it_was() {
    let mut registry = Registry::new();
    let mut machine = Starbase::new(&[NAME.to_owned()], &mut registry).expect("room");
    struct Ear(Vec<RawOrder>);
    impl Sink for Ear {
        fn event(&mut self, event: &Event<'_>) {
            if let Event::L3(message) = event {
                self.0.extend(message.orders);
            }
        }
        fn send_text(&mut self, _: LinkId, _: &[u8]) {}
        fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
        fn reconnect(&mut self, _: LinkId, _: &'static str) {}
    }
    let mut ear = Ear(Vec::new());
    let bytes = &recorded("starbase_2026")[0];
    let number = i64::from_le_bytes(bytes[8..16].try_into().expect("eight"));
    let anchor = [CODE, 1, number - 1];
    let round = [
        numbers(100, START, &anchor),
        definition(CODE, NAME),
        numbers(101, END, &anchor),
    ];
    let datagrams = [
        packet(INCREMENTAL, number, &[]),
        packet(SNAPSHOT, 1, &round),
        packet(SNAPSHOT, 4, &round),
        bytes.clone(),
    ];
    for (at, bytes) in datagrams.iter().enumerate() {
        let now = at_us(at as u64);
        machine
            .on_datagram(&mut registry, now, bytes, &mut ear)
            .expect("it is read");
    }
    let decimal = |mantissa, exponent| Decimal { mantissa, exponent };
    let want = RawOrder {
        act: OrderAct::Rests,
        id: OrderId(0x0256_5fc1_a280_0000),
        side: Side::Sell,
        price: decimal(4_759_900_000_000, -9),
        qty: decimal(10, QTY_EXPONENT),
    };
    assert_eq!(ear.0, [want]);
}

#[test]
fn orders_stand_by_rank_and_changes_keep_or_lose_their_place() {
    let (mut venue, mut reader) = started();
    assert_eq!(reader.orders(Side::Buy), [(1, 130_000, 5), (2, 130_000, 5)]);
    // In one transaction, told at once: late, but ranked first.
    let first = put(Side::Buy, 9, (2, 130_000, 5), START);
    let last = put(Side::Buy, 1, (7, 130_000, 99), END);
    let bytes = venue.changes(&[first, last]);
    reader.take(&bytes);
    assert_eq!(reader.lane.told.last(), Some(&2));
    let ids = |reader: &Reader| {
        reader
            .orders(Side::Buy)
            .iter()
            .map(|it| it.0)
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&reader), [9, 2, 1]);
    let bytes = venue.changes(&[
        reduced(Side::Buy, 2, 1),
        trade(77, true),
        delete(Side::Buy, 9),
    ]);
    reader.take(&bytes);
    assert_eq!(reader.orders(Side::Buy), [(2, 130_000, 1), (1, 130_000, 7)]);
    let [trade] = reader.lane.trades[..] else {
        panic!("{:?}", reader.lane.trades);
    };
    assert_eq!((trade.taker, trade.trade_id.0), (Side::Buy, 77));
    assert_eq!(trade.price.to_increments(1), Ok(650_000));
    assert_eq!(trade.qty.to_increments(0), Ok(30));
    // It stops trading, and goes on.
    for (status, is_live) in [(5u8, false), (0, true)] {
        let bytes = venue.changes(&[message(16, END, &[&CODE.to_le_bytes(), &[status]])]);
        reader.take(&bytes);
        let instrument = reader.registry.get(InstrumentId(0)).expect("registered");
        assert_eq!(instrument.is_live, is_live);
    }
}

#[test]
fn a_loss_on_both_lines_is_asked_for_then_one_resync() {
    let (mut venue, mut reader) = started();
    let mut packets = Vec::new();
    for id in 10..40 {
        let message = venue.one(2, id, (id % 2 == 0, 3, id % 4, id));
        packets.push(venue.changes(&[message]));
    }
    for (at, bytes) in packets.iter().enumerate() {
        // One line misses what the other has; both miss two.
        for lines in [at % 3 != 0, at % 3 != 1] {
            if lines && !(10..12).contains(&at) {
                reader.take(bytes);
            }
        }
    }
    assert_eq!(reader.lane.lost, 0);
    reader.wait(ASK_NS);
    let missing = reader.machine.missing().expect("asked");
    assert_eq!(
        missing,
        Missing {
            channel: CHANNEL as u32,
            first: 113,
            count: 2
        }
    );
    let request = retransmit_request(missing, 42, at_us(0).unix);
    assert_eq!(
        (request.len(), &request[8..16]),
        (49, &42i64.to_le_bytes()[..])
    );
    assert_eq!((&request[20..22], request[26]), (&[4, 0][..], 200));
    assert_eq!(
        (&request[40..48], request[48]),
        (&113i64.to_le_bytes()[..], 2)
    );
    // Refused: nothing of it is a packet of the channel.
    reader.take(&packet(0, 42, &[message(202, 0, &[&[0; 49]])]));
    assert_eq!(
        reader.lane.ignored.last(),
        Some(&"a request for missing packets was refused")
    );
    reader.wait(GIVE_UP_NS);
    assert_eq!((reader.lane.lost, reader.lane.snapshots), (1, 1));
    let message = venue.one(2, 50, (true, 1, 0, 50));
    let during = venue.changes(&[message]);
    let round = venue.snapshot();
    let message = venue.one(2, 51, (true, 1, 0, 51));
    let after = venue.changes(&[message]);
    // What comes beside the round is held, and spliced by number.
    reader.take(&during);
    reader.take(&after);
    for bytes in &round {
        reader.take(bytes);
    }
    assert_eq!((reader.lane.lost, reader.lane.snapshots), (1, 2));
    for side in [Side::Buy, Side::Sell] {
        assert_eq!(reader.orders(side), venue.sorted(side));
    }
}

/// Three missed signs of life, and the books are not trusted any more: said once.
#[test]
fn a_silent_channel_loses_its_books_once() {
    let (mut venue, mut reader) = started();
    for _ in 0..10 {
        reader.wait(5_000_000_000);
        reader.take(&packet(INCREMENTAL, venue.number, &[]));
    }
    assert_eq!(reader.lane.lost, 0);
    for _ in 0..4 {
        reader.wait(5_000_000_000);
    }
    assert_eq!(reader.lane.lost, 1);
    reader.wait(20_000_000_000);
    assert_eq!(reader.lane.lost, 1);
    for bytes in venue.snapshot() {
        reader.take(&bytes);
    }
    assert_eq!(
        reader.lane.snapshots, 1,
        "the changes may have gone on unheard"
    );
    reader.take(&packet(INCREMENTAL, venue.number, &[]));
    for bytes in venue.snapshot() {
        reader.take(&bytes);
    }
    assert_eq!(reader.lane.snapshots, 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any market over two lines that lose what they like: after a round that arrived, the book is the venue's, queue
    /// by queue.
    #[test]
    fn the_book_is_the_venues_after_any_losses(
        steps in prop::collection::vec(
            (prop::collection::vec((0u8..4, 1i64..12, any::<bool>(), 1i64..9, 0i64..4, 0i64..30), 1..4), any::<u8>()),
            1..60,
        ),
    ) {
        let (mut venue, mut reader) = started();
        let mut rank = 1_000;
        for (changes, fate) in &steps {
            let mut messages = Vec::new();
            for (what, id, is_bid, lots, step, ahead) in changes {
                rank += 31; // no two alike
                messages.push(venue.one(*what, *id, (*is_bid, *lots, *step, rank - ahead)));
            }
            let bytes = venue.changes(&messages);
            for _ in 0..(fate % 16).count_ones().min(2) {
                reader.take(&bytes);
            }
            if fate % 8 == 7 {
                for bytes in venue.snapshot() {
                    if fate % 64 != 7 {
                        reader.take(&bytes);
                    }
                }
            }
            if fate % 32 == 9 {
                reader.wait(GIVE_UP_NS);
            }
        }
        reader.take(&packet(INCREMENTAL, venue.number, &[]));
        reader.wait(GIVE_UP_NS);
        reader.take(&packet(INCREMENTAL, venue.number, &[]));
        for _ in 0..2 {
            for bytes in venue.snapshot() {
                reader.take(&bytes);
            }
            reader.wait(GIVE_UP_NS);
        }
        prop_assert!(reader.lane.is_whole);
        for side in [Side::Buy, Side::Sell] {
            prop_assert_eq!(reader.orders(side), venue.sorted(side));
        }
    }

    #[test]
    fn hostile_packets_never_panic(
        edits in prop::collection::vec(any::<(u8, u16, u8)>(), 1..8),
        picks in prop::collection::vec((0usize..12, any::<i32>()), 1..8),
    ) {
        let (mut venue, mut reader) = started();
        let mut all = venue.snapshot();
        for template in [10u16, 16, 20, 23, 24, 31, 100, 101, 119] {
            all.push(packet(INCREMENTAL, venue.number, &[message(template, 3, &[&[1; 64]])]));
        }
        struct Deaf;
        impl Sink for Deaf {
            fn event(&mut self, _: &Event<'_>) {}
            fn send_text(&mut self, _: LinkId, _: &[u8]) {}
            fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
            fn reconnect(&mut self, _: LinkId, _: &'static str) {}
        }
        let Reader { machine, registry, .. } = &mut reader;
        for (which, number) in picks {
            let mut bytes = all[which % all.len()].clone();
            let number = venue.number + i64::from(number % 100);
            bytes[8..16].copy_from_slice(&number.to_le_bytes());
            tests_venues::damage::mutate(&mut bytes, &edits);
            let _ = machine.on_datagram(registry, at_us(1), &bytes, &mut Deaf);
            let _ = machine.on_deadline(registry, at_us(40_000_000), &mut Deaf);
        }
        prop_assert!(registry.instruments().len() == 1);
    }
}
