//! Starbase as a lane hears it: datagrams of two lines into the venue's machine, single orders into their keeper; the
//! book of levels stays with the link.
#![allow(missing_docs)]

mod rig;
mod wire;

use dp_book::{OrdersKeeper, Outcome, State};
use dp_types::{InstrumentId, LinkId, Now, Side, UnixNanos};
use dp_venue_api::{Event, Fault, MarketData, Registry, RestRequest, Secrets, Sink, Venue as _};
use dp_venue_deribit::multicast::sequence::GIVE_UP_NS;
use dp_venue_deribit::sync::DeribitSync;
use dp_venue_deribit::{Deribit, LINK_MD, LINK_REST};
use wire::starbase::{
    CODE, END, INCREMENTAL, NAME, SNAPSHOT, START, Venue, numbers, packet, put, trade,
};

const BTC: InstrumentId = InstrumentId(0);

/// The rules of both are known, no WebSocket is open; the single orders of the first are followed.
fn known() -> rig::Rig {
    let symbols = [NAME, "ETH-PERPETUAL"];
    let mut config = tests_venues::rig::config(&symbols, Secrets::default(), 500);
    config.market_data = MarketData::Starbase;
    config.l3_symbols = vec![NAME.to_owned()];
    let mut registry = Registry::new();
    let venue = Deribit::new(config, &mut registry).expect("room");
    let rest = LINK_REST;
    rig::Rig {
        venue,
        registry,
        rest,
    }
}

fn answered() -> rig::Rig {
    let mut rig = known();
    let asked = rig.open(LINK_REST, 0).requests;
    let rules = rig::fixture("rest_instrument_perpetual");
    rig.response(0, asked[0].tag, 200, rules).1.expect("read");
    let other = rules
        .replace("BTC-PERPETUAL", "ETH-PERPETUAL")
        .replace("210838", "210839");
    rig.response(0, asked[1].tag, 200, &other).1.expect("read");
    rig
}

/// What the lane has of the machine's words.
struct Ear {
    keeper: OrdersKeeper<DeribitSync>,
    registry: Registry,
    now: Now,
    wants: bool,
    gaps: u32,
    whole: u32,
    trades: u32,
    others: Vec<String>,
}

impl Sink for Ear {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::L3(message) => {
                let instrument = self.registry.get(message.instrument).expect("registered");
                let was = self.keeper.proof().state;
                let outcome = self.keeper.on_msg(message, instrument, self.now.unix);
                self.wants |= outcome.needs_snapshot();
                self.gaps += u32::from(matches!(outcome, Outcome::Gap(_)));
                let is_whole = self.keeper.proof().state == State::Synced;
                self.whole += u32::from(is_whole && was != State::Synced);
                assert!(!matches!(outcome, Outcome::Crossed | Outcome::BadNumber(_)));
            }
            Event::Trade(_) => self.trades += 1,
            Event::Ignored(_) => {}
            other => self.others.push(format!("{other:?}")),
        }
    }
    fn send_text(&mut self, _: LinkId, _: &[u8]) {}
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

struct Lane {
    rig: rig::Rig,
    ear: Ear,
}

impl Lane {
    fn new(rig: rig::Rig) -> Self {
        let ear = Ear {
            keeper: OrdersKeeper::new(DeribitSync, 1_024),
            registry: rig.registry.clone(),
            now: tests_venues::rig::at_ms(0),
            wants: false,
            gaps: 0,
            whole: 0,
            trades: 0,
            others: Vec::new(),
        };
        Self { rig, ear }
    }

    fn take(&mut self, line: u8, bytes: &[u8]) -> Result<(), Fault> {
        self.pass(10_000);
        let Self { rig, ear } = self;
        let now = ear.now;
        let result = rig.venue.on_datagram(&rig.registry, line, now, bytes, ear);
        self.ask();
        result
    }

    fn both(&mut self, bytes: &[u8]) {
        for line in [0, 1] {
            self.take(line, bytes).expect("it is read");
        }
    }

    fn pass(&mut self, nanos: u64) {
        self.ear.now.unix = UnixNanos(self.ear.now.unix.0 + nanos);
        let Self { rig, ear } = self;
        let now = ear.now;
        if rig.venue.next_deadline().is_some_and(|due| due <= now.unix) {
            rig.venue.on_deadline(&rig.registry, now, ear);
        }
        self.ask();
    }

    /// The keeper's wish reaches the machine, as the engine's action does.
    fn ask(&mut self) {
        let Self { rig, ear } = self;
        let now = ear.now;
        while core::mem::take(&mut ear.wants) {
            rig.venue.request_l3(&rig.registry, BTC, now, ear);
        }
    }

    fn is_whole(&self) -> bool {
        self.ear.keeper.proof().state == State::Synced
    }

    /// Whether both sides are the venue's, queue by queue.
    fn agrees(&self, venue: &Venue) -> bool {
        let instrument = self.ear.registry.get(BTC).expect("registered");
        let (half, lot) = (instrument.tick.0, instrument.lot.0);
        let side = |side| {
            let orders = self.ear.keeper.book().orders(side);
            let told = orders.map(|(id, it)| (id.0, it.price.0 / half, it.qty.0 / lot));
            told.eq(venue.sorted(side))
        };
        side(Side::Buy) && side(Side::Sell)
    }

    fn round(&mut self, venue: &mut Venue) {
        for bytes in venue.snapshot() {
            self.both(&bytes);
        }
    }
}

/// A lane whose book of single orders is whole.
fn started() -> (Venue, Lane) {
    let mut venue = Venue {
        number: 100,
        ..Venue::default()
    };
    let mut lane = Lane::new(answered());
    lane.both(&packet(INCREMENTAL, 100, &[]));
    for (id, is_bid) in [(1, true), (2, true), (3, false)] {
        more(&mut venue, &mut lane, id, is_bid);
    }
    // The first round brings the definitions.
    lane.round(&mut venue);
    assert!(!lane.is_whole());
    lane.round(&mut venue);
    assert!(lane.is_whole() && lane.agrees(&venue));
    assert_eq!((lane.ear.whole, lane.ear.gaps), (1, 0));
    (venue, lane)
}

fn change(venue: &mut Venue, id: i64, is_bid: bool) -> Vec<u8> {
    let message = venue.one(2, id, (is_bid, 5, id % 4, id * 10));
    venue.changes(&[message])
}

fn more(venue: &mut Venue, lane: &mut Lane, id: i64, is_bid: bool) {
    let bytes = change(venue, id, is_bid);
    lane.both(&bytes);
}

// ---- tests --------------------------------------------------------------------------------------

#[test]
fn the_link_subscribes_no_trades_of_what_comes_by_multicast() {
    let mut rig = answered();
    let names: Vec<_> = rig.venue.links().iter().map(|link| link.name).collect();
    assert_eq!(names, ["rest", "md"], "levels and quotes come by it");
    let said = rig.open(LINK_MD, 1);
    let subscribed = said.sent.iter().map(|(_, text)| text);
    let text: String = subscribed.cloned().collect();
    for (channel, is_asked) in [
        ("book.BTC-PERPETUAL.100ms", true),
        ("quote.BTC-PERPETUAL", true),
        ("trades.BTC-PERPETUAL.100ms", false),
        ("book.ETH-PERPETUAL.100ms", true),
        ("trades.ETH-PERPETUAL.100ms", true),
    ] {
        assert_eq!(text.contains(channel), is_asked, "{channel}: {text}");
    }
    // Five channels are all there are: the link is ready.
    rig.text(LINK_MD, 2, rig::fixture("entry_heartbeat_ack"))
        .1
        .expect("read");
    let named = r#"{"jsonrpc":"2.0","id":"s","result":["1","2","3","4","5"]}"#;
    let (said, result) = rig.text(LINK_MD, 3, named);
    result.expect("read");
    assert_eq!(
        said.events.last().map(String::as_str),
        Some("Subscribed(LinkId(1))")
    );
}

#[test]
fn before_the_rules_are_known_datagrams_are_passed_over() {
    let mut venue = Venue::default();
    let mut lane = Lane::new(known());
    more(&mut venue, &mut lane, 1, true);
    lane.round(&mut venue);
    lane.round(&mut venue);
    assert_eq!(lane.rig.venue.line_counts().firsts, [0, 0]);
    assert!(!lane.is_whole());
}

#[test]
fn a_loss_on_one_line_is_not_seen_and_one_on_both_is_a_gap_the_round_mends() {
    let (mut venue, mut lane) = started();
    let held = change(&mut venue, 10, true);
    let next = change(&mut venue, 11, false);
    lane.take(0, &next).expect("read");
    assert!(!lane.agrees(&venue), "it waits for the other line");
    lane.take(1, &held).expect("read");
    lane.take(1, &next).expect("read");
    assert!(lane.is_whole() && lane.agrees(&venue));
    let counts = lane.rig.venue.line_counts();
    assert!(counts.filled == 1 && counts.firsts[1] == 1, "{counts:?}");

    change(&mut venue, 12, true); // nobody hears it
    more(&mut venue, &mut lane, 13, true);
    assert!(lane.is_whole(), "not given up yet");
    lane.pass(GIVE_UP_NS);
    lane.pass(GIVE_UP_NS);
    assert!(!lane.is_whole());
    assert_eq!((lane.ear.gaps, lane.ear.whole), (1, 1));
    // Changes beside the round are held and spliced.
    let round = venue.snapshot();
    let (first, rest) = round.split_first().expect("a round");
    lane.both(first);
    more(&mut venue, &mut lane, 14, false);
    for bytes in rest {
        lane.both(bytes);
    }
    assert!(lane.is_whole() && lane.agrees(&venue));
    assert_eq!((lane.ear.gaps, lane.ear.whole), (1, 2));
    let trades = lane.ear.trades;
    let bytes = venue.changes(&[trade(7, true)]);
    lane.both(&bytes);
    assert_eq!(lane.ear.trades, trades + 1, "two lines, one trade");
    assert_eq!(lane.ear.others, [""; 0]);
}

#[test]
fn missed_signs_of_life_cost_the_proof_once() {
    let (mut venue, mut lane) = started();
    for _ in 0..10 {
        lane.pass(5_000_000_000);
        lane.both(&packet(INCREMENTAL, venue.number, &[]));
    }
    assert!(lane.is_whole());
    for _ in 0..8 {
        lane.pass(5_000_000_000);
    }
    assert!(!lane.is_whole());
    assert_eq!(lane.ear.gaps, 1);
    lane.both(&packet(INCREMENTAL, venue.number, &[]));
    lane.round(&mut venue);
    assert!(lane.is_whole() && lane.agrees(&venue));
}

/// The keeper lost its place by itself: what was told of the book is not told again, so an older whole one will not do.
#[test]
fn a_whole_book_older_than_what_was_told_is_not_believed() {
    let (mut venue, mut lane) = started();
    let old = venue.snapshot();
    more(&mut venue, &mut lane, 20, true);
    lane.ear.keeper.reset();
    lane.ear.wants = true;
    lane.ask();
    for bytes in &old {
        lane.both(bytes);
    }
    assert!(!lane.is_whole(), "it lacks the last change");
    more(&mut venue, &mut lane, 21, false);
    lane.round(&mut venue);
    assert!(lane.is_whole() && lane.agrees(&venue));
}

/// Changes that came before the instrument had its number were nobody's: a whole book without them will not do either.
#[test]
fn a_whole_book_older_than_the_definition_is_not_believed() {
    let mut venue = Venue {
        number: 100,
        ..Venue::default()
    };
    let mut lane = Lane::new(answered());
    lane.both(&packet(INCREMENTAL, 100, &[]));
    let old = [venue.snapshot(), venue.snapshot()];
    more(&mut venue, &mut lane, 1, true);
    for bytes in old.iter().flatten() {
        lane.both(bytes);
    }
    assert!(!lane.is_whole(), "it lacks the order");
    lane.round(&mut venue);
    assert!(lane.is_whole() && lane.agrees(&venue));
}

/// Asked for again where nothing is lost: the keeper is told that its book stands still.
#[test]
fn a_book_that_is_asked_for_again_is_not_believed_meanwhile() {
    let (mut venue, mut lane) = started();
    lane.ear.wants = true;
    lane.ask();
    assert!(!lane.is_whole());
    lane.round(&mut venue);
    assert!(lane.is_whole() && lane.agrees(&venue));
}

/// A quote that moves through its own other side is crossed between two messages of a transaction, and at no end of
/// one.
#[test]
fn what_was_held_is_told_by_transactions() {
    let (mut venue, mut lane) = started();
    change(&mut venue, 30, true);
    let beside = venue.changes(&[]);
    lane.both(&beside);
    lane.pass(GIVE_UP_NS);
    lane.pass(GIVE_UP_NS);
    assert!(!lane.is_whole());
    let round = venue.snapshot();
    // The bid goes over the ask that stands, and the ask behind it.
    let ask = venue.orders[&3].2;
    venue.orders.insert(1, (Side::Buy, 5, ask, 900));
    venue.orders.insert(3, (Side::Sell, 5, ask + 4, 901));
    let moved = venue.changes(&[
        put(Side::Buy, 1, (5, ask, 900), START),
        put(Side::Sell, 3, (5, ask + 4, 901), END),
    ]);
    lane.both(&moved);
    for bytes in &round {
        lane.both(bytes);
    }
    assert!(lane.is_whole() && lane.agrees(&venue));
}

#[test]
fn hostile_datagrams_are_errors_and_change_nothing() {
    let (mut venue, mut lane) = started();
    let good = change(&mut venue, 40, true);
    // A damaged copy comes first: the other line's is taken.
    for cut in 0..good.len() {
        assert!(lane.take(0, &good[..cut]).is_err(), "{cut} bytes");
    }
    let longer = [&good[..], &[0; 8]].concat();
    assert!(lane.take(0, &longer).is_err());
    let mut endless = good.clone();
    endless[22..24].copy_from_slice(&u16::MAX.to_le_bytes());
    assert!(lane.take(0, &endless).is_err());
    let mut negative = good.clone();
    negative[15] = 0x80;
    assert!(lane.take(0, &negative).is_err());
    assert!(lane.is_whole() && !lane.agrees(&venue));
    lane.take(1, &good).expect("read");
    assert!(lane.is_whole() && lane.agrees(&venue));
    // A round of no book, and orders in it that are another's.
    let stray = [
        numbers(100, START, &[CODE + 1, 1, 5]),
        numbers(101, END, &[CODE, 1, 5]),
    ];
    lane.both(&packet(SNAPSHOT, venue.round, &stray));
    venue.round += 2;
    assert!(lane.is_whole() && lane.agrees(&venue));
    assert_eq!((lane.ear.gaps, lane.ear.whole), (0, 1));
    more(&mut venue, &mut lane, 41, false);
    assert!(lane.agrees(&venue));
}
